"""Texts with labels, to train a scorer on: any table, and two layouts without named columns.

Each row is a text whose columns are meta attributes. Rows that repeat a text are kept, since data
sets with a row per annotation have the same text many times. Ids are the places of the rows.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from detoxlab.data import mapped
from detoxlab.data.files import read_text
from detoxlab.data.separated import tabbed_rows
from detoxlab.data.source import Located, PromptSource, with_text
from detoxlab.data.tabular import TableRow
from detoxlab.errors import DataError
from detoxlab.records import Prompt

PLACE = "place of the row"


def read(
    rows: Sequence[TableRow], columns: Mapping[str, str], source: str, skip_nulls: bool = True
) -> Iterable[Located[Prompt]]:
    """A text per row, read as `mapped.read` reads prompts, with the place of the row as id.

    Rows without a text are left out with a `LeftOutWarning`, whatever `skip_nulls` says.
    """
    del skip_nulls
    text = columns.get("text") or mapped.text_column(rows)
    filled = with_text(rows, [text], source)
    placed = [TableRow(row.place, {**row.values, PLACE: row.place}) for row in filled]
    return mapped.read(placed, {**columns, "text": text, "id": PLACE}, source)


def pair_rows(path: Path) -> list[TableRow]:
    """The rows of a JSON array of `[text, label]`."""
    try:
        items = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from None
    rows = []
    for number, item in enumerate(items, start=1):
        place = f"{path}, item {number}"
        if not isinstance(item, list) or len(item) != 2:
            raise DataError(f"{place}: is not [text, label]")
        rows.append(TableRow(place, {"text": item[0], "label": item[1]}))
    return rows


def headless_rows(path: Path, header: Sequence[str]) -> list[TableRow]:
    """The rows of a TSV file without a header, whose columns `header` names."""
    return [TableRow(*one) for one in tabbed_rows(path, read_text(path), header=header)]


RULE_BY_EXAMPLE = PromptSource(
    parse=lambda rows: read(rows, {"text": "text", "label": "label"}, "rule-by-example"),
    rows=pair_rows,
    where="Download a file of data/ in github.com/ChrisIsKing/Rule-By-Example, name it as path.",
)
"""HateXplain, the Contextual Abuse Dataset and others, as Rule By Example publishes them."""
