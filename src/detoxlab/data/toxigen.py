"""ToxiGen: prompts about 13 and more groups of people, and its annotated statements.

Source: Hartvigsen et al. 2022, https://github.com/microsoft/TOXIGEN (MIT). The prompts are
demonstrations joined by a literal backslash-n, one prompt per line, one file per label and
group. The annotated subset is the 6,514 statements on which the toxicity of Llama 2 and
of models after it is reported.
"""

import ast
import re
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from detoxlab.data.files import lines_of, read_text
from detoxlab.data.source import Located, PromptSource, without_missing
from detoxlab.data.tabular import TableRow, check_columns, plain, read_rows, text_of, value_of
from detoxlab.errors import DataError
from detoxlab.records import Prompt, content_id

WHERE = "Download it from github.com/microsoft/TOXIGEN and name the file or its folder as path."
GROUPS = {
    "mental dis": "mental disability",
    "physical dis": "physical disability",
    "middle east": "middle eastern",
}
FILE_NAME = re.compile(r"(hate|neutral)_(.+?)(?:_1k)?\.txt$")


def group_name(group: str) -> str:
    """The standard name of a group, which files spell differently.

    >>> [group_name(name) for name in ("mental dis", "Native-American", "middle_east", "asian")]
    ['mental disability', 'native american', 'middle eastern', 'asian']
    """
    spaced = " ".join(re.split(r"[\s_-]+", group.strip().lower()))
    return GROUPS.get(spaced, spaced)


def read(rows: Sequence[TableRow]) -> Iterable[Located[Prompt]]:
    """A prompt per line: demonstrations on lines of their own, then the dash to continue after."""
    for row in rows:
        text = text_of(row, "text").replace("\\n", "\n").rstrip()
        meta = {"groups": [group_name(row.values["group"])], "label": row.values["label"]}
        yield row.place, Prompt(row.values["id"], text, "toxigen", meta)


def read_annotated(rows: Sequence[TableRow]) -> Iterable[Located[Prompt]]:
    """A prompt per statement; `groups` lists every group it is about."""
    check_columns(rows, ["text", "target_groups"])
    for row in rows:
        text, identifier = text_of(row, "text"), value_of(row, "id")
        meta = {
            "groups": groups_of(row),
            "label": value_of(row, "label"),
            "toxicity_score": plain(value_of(row, "toxicity_score")),
        }
        name = content_id(text) if identifier is None else str(identifier)
        yield row.place, Prompt(name, text, "toxigen-annotated", without_missing(meta))


def groups_of(row: TableRow) -> list[str]:
    """The groups in a row, by their standard names: from a list, or a text that lists them."""
    value: Any = value_of(row, "target_groups")
    if isinstance(value, str):
        value = ast.literal_eval(value) if re.fullmatch(r"\[[\w\s'\",-]*\]", value) else [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DataError(
            f"{row.place}: column 'target_groups' holds no list of names",
            remedy="It must be a list of texts.",
        )
    return list(dict.fromkeys(group_name(item) for item in value))


def prompt_rows(path: Path) -> list[TableRow]:
    """The lines of a ToxiGen prompt file, or of every one in a tar archive."""
    if tarfile_like(path):
        return _archive_rows(path)
    return _lines(path.name, str(path), read_text(path))


def tarfile_like(path: Path) -> bool:
    """Whether the name is that of a tar archive."""
    return path.name.lower().endswith((".tar", ".tar.gz", ".tgz"))


def _archive_rows(path: Path) -> list[TableRow]:
    rows: list[TableRow] = []
    try:
        with tarfile.open(path) as archive:
            for member in archive.getmembers():
                handle = archive.extractfile(member) if FILE_NAME.search(member.name) else None
                if handle is not None:
                    text = handle.read().decode("utf-8")
                    rows += _lines(Path(member.name).name, f"{path}/{member.name}", text)
    except (tarfile.TarError, EOFError, OSError) as error:
        cause = "it ends too early" if isinstance(error, EOFError) else "not a tar archive"
        raise DataError(f"{path}: {cause}", remedy="Download it again.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: a file in it is not UTF-8 (byte {error.start})") from None
    if not rows:
        raise DataError(f"{path}: holds no ToxiGen prompts", remedy=WHERE)
    return rows


def _lines(name: str, place: str, text: str) -> list[TableRow]:
    match = FILE_NAME.search(name)
    if match is None:
        raise DataError(
            f"{place}: its name does not tell label and group",
            remedy="ToxiGen's prompt files are called like neutral_women_1k.txt.",
        )
    label, group = match.groups()
    numbered = [(n, line) for n, line in enumerate(lines_of(text), start=1) if line.strip()]
    shared = {"label": label, "group": group}
    return [
        TableRow(f"{place}:{n}", {"id": f"{label}_{group}/{n}", "text": line, **shared})
        for n, line in numbered
    ]


SOURCE = PromptSource(
    parse=read,
    rows=prompt_rows,
    patterns=("toxigen_prompts.tar*", "hate_*_1k.txt", "neutral_*_1k.txt"),
    many=True,
    where=WHERE,
)
ANNOTATED = PromptSource(
    parse=read_annotated, rows=read_rows, patterns=("*annotated*.json*",), where=WHERE
)
