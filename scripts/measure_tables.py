"""Write the tables of measures, guards and limits in docs/ from the catalogue.

    python scripts/measure_tables.py           writes them
    python scripts/measure_tables.py --check   says which page is out of date; exit code 1 if one is

A table stands in a page between `<!-- catalogue: NAME -->` and `<!-- end -->`.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from detoxlab.comparisons import Limits
from detoxlab.measures.catalogue import MEASURES, guards
from detoxlab.measures.entry import Measure

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = ("measures.md", "comparing.md")
PLACE = re.compile(r"(<!-- catalogue: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Write, or check, the tables of all pages."""
    stale = stale_pages()
    if "--check" in sys.argv:
        print("\n".join(f"docs/{page}: run scripts/measure_tables.py" for page in stale))
        return 1 if stale else 0
    for page in stale:
        path = DOCS / page
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"docs/{page}: written")
    return 0


def stale_pages() -> list[str]:
    """The pages whose tables are not those of the catalogue."""
    texts = {page: (DOCS / page).read_text(encoding="utf-8") for page in PAGES}
    return [page for page, text in texts.items() if with_tables(text) != text]


def with_tables(page: str) -> str:
    """The page with the tables of the catalogue in their places."""
    return PLACE.sub(lambda place: f"{place[1]}{table(place[2])}\n{place[3]}", page)


def table(name: str) -> str:
    """The Markdown table of that name: `limits`, or a part of the measures."""
    if name == "limits":
        return markdown(("guard", "setting", "default"), limit_rows())
    rows = [measure_row(one) for one in MEASURES.values() if one.part == name]
    if not rows:
        raise SystemExit(f"the catalogue has no part {name!r}")
    head = ("name", "in reports", "measure", "unit", "better", "unknown when", "limit")
    return markdown(*without_empty_columns(head, rows))


def measure_row(one: Measure) -> tuple[str, ...]:
    """One measure: name, label, description, unit, direction, when unknown, limit."""
    limit = allowed(one) if one.limits else ""
    return (
        f"`{one.name}`",
        one.label,
        one.description,
        one.unit,
        "–" if one.direction == "neither" else one.direction,
        one.unknown_when,
        limit,
    )


def limit_rows() -> list[tuple[str, ...]]:
    """The limits of the guards, then how many pairs and prompts a comparison needs."""
    rows = [
        (one.label.lower(), ", ".join(f"`{name}`" for name in one.settings), allowed(one))
        for one in guards()
    ]
    of_guards = {name for one in guards() for name in one.settings}
    needs = [
        (f"*{str(field.description).removesuffix(', at least')}*", f"`{name}`", field.default)
        for name, field in Limits.model_fields.items()
        if name not in of_guards and not isinstance(field.default, bool)
    ]
    return [*rows, *((what, name, f"at least {number(least)}") for what, name, least in needs)]


def allowed(guard: Measure) -> str:
    """How far a guard may move, in words."""
    limits = [one.default for one in guard.limits]
    if len(limits) == 2:
        return " to ".join(f"× {number(one)}" for one in sorted(limits))
    return f"may {'rise' if guard.bad_sign > 0 else 'fall'} by {number(limits[0])}"


def number(value: float) -> str:
    """A number without the zero before its point.

    >>> number(0.02), number(1.25), number(20)
    ('.02', '1.25', '20')
    """
    return f"{value:g}".removeprefix("0") or "0"


def without_empty_columns(
    head: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heading and rows without the columns that are empty in every row."""
    kept = [at for at in range(len(head)) if any(row[at] for row in rows)]
    return tuple(head[at] for at in kept), [tuple(row[at] for at in kept) for row in rows]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; empty cells hold a dash."""
    lines = [head, ["---"] * len(head), *([cell or "–" for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
