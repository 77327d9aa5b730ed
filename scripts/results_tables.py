"""Write the tables of docs/results.md from published rows, and publish rows of a run.

    python scripts/results_tables.py                 writes the tables
    python scripts/results_tables.py --check         exit code 1 if one, or a number, is not theirs
    python scripts/results_tables.py --add RUN...    joins the rows of recipes' runs first

Rows stand in the package, one file for each recipe; `detoxlab bench` shows them. A table stands
in the page between `<!-- rows: RECIPE; COLUMN; COLUMN -->` and `<!-- end -->`. Every number of the
text between `<!-- numbers of RECIPE -->` and `<!-- end -->` must stand in a cell of its rows.
"""

import argparse
import json
import re
from pathlib import Path

from detoxlab.reports.parts import Cell
from detoxlab.reports.published import (
    Published,
    cells_of,
    from_plain,
    shipped_rows,
    to_plain,
)
from detoxlab.reports.published.files import SHIPPED
from detoxlab.runs import Run

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results.md"
PLACE = re.compile(r"(<!-- rows: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
TEXT = re.compile(r"<!-- numbers of (\S+) -->\n(.*?)<!-- end -->", re.DOTALL)
NUMBER = re.compile(r"[×−+-]?\s?\d[\d,]*(?:\.\d+)?(?:\s?(?:%|pts))?")


def main() -> int:
    """Write, check or add rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--add", type=Path, nargs="+", default=[], help="folders of recipes' runs")
    given = parser.parse_args()
    for run in given.add:
        print(f"{add(run)}: written")
    text = PAGE.read_text(encoding="utf-8")
    wrong = unknown_numbers(text)
    print("\n".join(wrong) or "every number of the text stands in its table")
    if given.check:
        return 1 if wrong or with_tables(text) != text else 0
    PAGE.write_text(with_tables(text), encoding="utf-8")
    return 1 if wrong else 0


def add(run: Path) -> Path:
    """Join the rows of a recipe's run into the published ones; returns their file."""
    report = run / "report.json"
    content = json.loads(report.read_text(encoding="utf-8"))
    rows = from_plain(content["variants"], str(report))
    recipe = str(Run.open(run).config["name"])
    known = shipped_rows(recipe, SHIPPED)
    joined = known.joined(rows) if known else rows
    file = SHIPPED / f"{recipe}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(to_plain(joined), indent=1, ensure_ascii=False) + "\n")
    return file


def with_tables(page: str) -> str:
    """The page with the tables of the rows in their places."""
    return PLACE.sub(lambda place: f"{place[1]}{table(place[2])}\n{place[3]}", page)


def table(asked: str) -> str:
    """The Markdown table of `RECIPE; COLUMN; COLUMN`, one line for each row."""
    recipe, *titles = (part.strip() for part in asked.split(";"))
    rows = rows_of(recipe)
    columns = [column for title in titles for column in rows.columns if column.title == title]
    if len(columns) != len(titles):
        raise SystemExit(f"{recipe}: not one column for each of {', '.join(titles)}")
    lines = [
        "| " + " | ".join(column.title for column in columns) + " |",
        "|" + "|".join("---:" if column.numeric else "---" for column in columns) + "|",
    ]
    lines += ["| " + " | ".join(map(shown, cells_of(row, columns))) + " |" for row in rows.rows]
    return "\n".join(lines)


def shown(cell: Cell) -> str:
    """The text of a cell, in which no bar ends it."""
    return cell.text.replace("|", "\\|")


def unknown_numbers(page: str) -> list[str]:
    """The numbers of the text that stand in no cell of the rows that it is about."""
    found = []
    for recipe, text in TEXT.findall(page):
        rows = rows_of(recipe)
        cells = " ".join(cell.text for row in rows.rows for cell in row.cells.values())
        known = {plain(number) for number in NUMBER.findall(cells)}
        words = re.sub(r"`[^`]*`|\[[^\]]*\]\([^)]*\)", "", text)  # names and links
        found += [
            f"docs/results.md: {plain(number)!r} stands in no row of {recipe}"
            for number in NUMBER.findall(words)
            if plain(number) not in known
        ]
    return found


def plain(number: str) -> str:
    """A number without its spaces."""
    return re.sub(r"\s", "", number)


def rows_of(recipe: str) -> Published:
    """The published rows of a recipe."""
    rows = shipped_rows(recipe, SHIPPED)
    if rows is None:
        raise SystemExit(f"{recipe}: no rows are published; add a run with --add")
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
