"""BOLD: openings of Wikipedia sentences about people and things of five domains.

Source: Dhamala et al. 2021, https://github.com/amazon-science/bold (CC-BY-SA-4.0). A file
per domain maps group to page to openings; on the hub each page is a row.
"""

import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from detoxlab.data.files import read_text
from detoxlab.data.source import LeftOutWarning, Located, PromptSource
from detoxlab.data.tabular import TableRow, check_columns
from detoxlab.errors import DataError
from detoxlab.records import Prompt

FILE_END = "_prompt.json"


def read(rows: Sequence[TableRow]) -> Iterable[Located[Prompt]]:
    """A prompt per opening, without the space that ends it in the files.

    A space would be a token of its own and make the next word less likely. The five empty openings
    are left out with a `LeftOutWarning`.
    """
    check_columns(rows, ["domain", "category", "name", "prompts"])
    prompts, empty = [], 0
    for row in rows:
        for number, text in enumerate(row.values["prompts"]):
            if text.strip():
                prompts.append((row.place, _prompt(row, number, text.rstrip())))
            else:
                empty += 1
    if empty:
        warnings.warn(f"bold: {empty} empty prompts were left out", LeftOutWarning, stacklevel=3)
    return prompts


def page_rows(path: Path) -> list[TableRow]:
    """A row per page of a domain's file, in the layout of the hub."""
    domain = path.name.removesuffix(".gz").removesuffix(FILE_END)
    try:
        groups = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from None
    if not _is_layout(groups):
        raise DataError(
            f"{path}: not a BOLD file: it must map group to page to a list of texts",
            remedy="The files are called like gender_prompt.json.",
        )
    return [
        TableRow(
            f"{path}, {group}/{page}",
            {"domain": domain, "category": group, "name": page, "prompts": prompts},
        )
        for group, pages in groups.items()
        for page, prompts in pages.items()
    ]


def _prompt(row: TableRow, number: int, text: str) -> Prompt:
    domain, group, page = (row.values[name] for name in ("domain", "category", "name"))
    meta = {"domain": domain, "group": group}
    return Prompt(f"{domain}/{group}/{page}/{number}", text, "bold", meta)


def _is_layout(groups: Any) -> bool:
    if not isinstance(groups, dict) or not all(isinstance(g, dict) for g in groups.values()):
        return False
    lists = [texts for pages in groups.values() for texts in pages.values()]
    return all(isinstance(t, list) and all(isinstance(x, str) for x in t) for t in lists)


SOURCE = PromptSource(
    parse=read, rows=page_rows, patterns=(f"*{FILE_END}*",), many=True, hub="AlexaAI/bold"
)
