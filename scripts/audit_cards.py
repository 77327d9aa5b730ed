"""Keep the cards of embedded scorers in the package, and write their pages in docs/audits.

detoxlab audit rtp-neural rtp-linear --data DIR --out OUT
python scripts/audit_cards.py OUT       keeps the cards of that audit, and writes their pages
python scripts/audit_cards.py           writes the pages of the cards that are kept
python scripts/audit_cards.py --check   says which page is out of date; exit code 1 if one is
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from detoxlab.audits.card import SHIPPED, Audit, read_card, store_card
from detoxlab.reports.audited import card_as_markdown, read_audits

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = DOCS / "audits"
ORIGIN = (
    "Made by `detoxlab audit {name} --data DIR --out OUT` and written here by "
    "`scripts/audit_cards.py`. How to read it: [Audit a scorer](../audit.md)."
)


def main() -> int:
    """Keep cards, write or check pages; 1 where a page is out of date."""
    if "--check" in sys.argv:
        stale = stale_pages()
        print("\n".join(f"docs/audits/{page}: run scripts/audit_cards.py" for page in stale))
        return 1 if stale else 0
    for folder in sys.argv[1:]:
        for audit in read_audits(Path(folder)):
            print(f"kept: {store_card(audit, SHIPPED).name}")
    PAGES.mkdir(exist_ok=True)
    for name, text in pages():
        (PAGES / name).write_text(text, encoding="utf-8")
        print(f"docs/audits/{name}: written")
    return 0


def stale_pages() -> list[str]:
    """The pages that are not those of the cards in the package."""
    return [name for name, text in pages() if _text(PAGES / name) != text]


def pages() -> Iterator[tuple[str, str]]:
    """The name and the text of each page."""
    for path in sorted(SHIPPED.glob("*.json")):
        card = read_card(path)
        yield f"{page_name(card)}.md", page_of(card)


def page_name(card: Audit) -> str:
    """The scorer's name, with the attribute where it is not toxicity."""
    name = card.scorer_id.partition("@")[0]
    return name if card.attribute == "toxicity" else f"{name}-{card.attribute}"


def page_of(card: Audit) -> str:
    """The card in Markdown, with its origin under the title."""
    title, rest = card_as_markdown(card).split("\n", 1)
    origin = ORIGIN.format(name=card.scorer_id.partition("@")[0])
    return f"{title}\n\n{origin}\n{rest}"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main())
