"""Keep the cards of embedded scorers in the package, and write their pages and pictures in docs.

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
from detoxlab.reports.audited.figures import figures_of
from detoxlab.reports.export.svg import svg_file
from detoxlab.reports.figures.still import as_drawing
from detoxlab.reports.parts import Figure

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = DOCS / "audits"
PICTURES = DOCS / "images" / "audits"
# The section and the key of each picture that a page shows.
SHOWN = {
    "hatecheck": ("hatecheck-accuracy-functionality", "hatecheck-histogram"),
    "perspective": ("perspective-calibration",),
    "toxigen": ("toxigen-roc_auc-group",),
    "identity_bias": ("identity_bias-bpsn_auc-group",),
    "perturbations": ("perturbations-marked-insult",),
}
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
    PICTURES.mkdir(parents=True, exist_ok=True)
    for path, text in files():
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(DOCS.parent)}: written")
    return 0


def stale_pages() -> list[str]:
    """The pages and pictures that are not those of the cards in the package."""
    return [path.name for path, text in files() if _text(path) != text]


def files() -> Iterator[tuple[Path, str]]:
    """The place and the text of each page and of each picture."""
    for path in sorted(SHIPPED.glob("*.json")):
        card = read_card(path)
        yield PAGES / f"{page_name(card)}.md", page_of(card)
        for figure in pictures_of(card):
            yield PICTURES / picture_name(card, figure), svg_file(as_drawing(figure))


def page_name(card: Audit) -> str:
    """The scorer's name, with the attribute where it is not toxicity."""
    name = card.scorer_id.partition("@")[0]
    return name if card.attribute == "toxicity" else f"{name}-{card.attribute}"


def pictures_of(card: Audit) -> list[Figure]:
    """The pictures that the page of a card shows."""
    return [
        figure
        for section, keys in SHOWN.items()
        for figure in figures_of(section, [card])
        if figure.key in keys
    ]


def picture_name(card: Audit, figure: Figure) -> str:
    """The file of a picture."""
    return f"{page_name(card)}-{figure.key}.svg"


def page_of(card: Audit) -> str:
    """The card in Markdown, with its origin under the title and its pictures at the end."""
    title, rest = card_as_markdown(card).split("\n", 1)
    origin = ORIGIN.format(name=card.scorer_id.partition("@")[0])
    shown = "\n\n".join(
        f"**{figure.title}.** {figure.note}\n\n"
        f"![{figure.title}](../images/audits/{picture_name(card, figure)})"
        for figure in pictures_of(card)
    )
    return f"{title}\n\n{origin}\n{rest.rstrip()}\n\n## Pictures\n\n{shown}\n"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main())
