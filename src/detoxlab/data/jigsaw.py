"""Jigsaw: comments of Wikipedia's talk pages that people labelled as toxic or not.

Source: the Toxic Comment Classification Challenge of Jigsaw and Google (2018,
https://www.kaggle.com/c/jigsaw-toxic-comment-classification-challenge; the comments are of
Wikipedia, CC-BY-SA-3.0). Two layouts are read: the challenge's own, with six labels, and a
file without a header of comment and 0 or 1, as robustness tests publish it.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from detoxlab.data import mapped
from detoxlab.data.files import lines_of, read_text
from detoxlab.data.source import Located, PromptSource, without_missing
from detoxlab.data.split import words_of
from detoxlab.data.tabular import (
    TableRow,
    check_columns,
    plain,
    read_rows,
    read_separated,
    value_of,
)
from detoxlab.errors import DataError
from detoxlab.records import Prompt

LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
HEADER = ["comment_text", "toxic"]
TEST_SHARE = 5  # one comment in so many is for testing


def read(rows: Sequence[TableRow]) -> Iterable[Located[Prompt]]:
    """A prompt per comment; `label` is "toxic" or "harmless", `part` is "train" or "test".

    The other labels become booleans where there are any. A comment that the challenge did not
    score (-1) has no label. Comments that repeat a text are left out with a `LeftOutWarning`.

    Raises `DataError` for a label other than 0, 1 and -1.
    """
    check_columns(rows, HEADER)
    values = {row.place: row.values for row in rows}
    for place, prompt in mapped.read(rows, {"text": "comment_text"}, "jigsaw"):
        meta = {**_labels(TableRow(place, values[place])), "part": part_of(prompt.text)}
        yield place, dataclasses.replace(prompt, meta=meta)


def part_of(text: str) -> Literal["train", "test"]:
    """The part of a comment: one in five is for the test, by a hash of its words alone.

    So comments with the same words are always on one side, whatever the file, order or seed.

    >>> part_of("You fool!"), part_of("you fool"), part_of("Hello")
    ('train', 'train', 'test')
    """
    digest = hashlib.sha256(words_of(text).encode()).hexdigest()
    return "train" if int(digest, 16) % TEST_SHARE else "test"


def comment_rows(path: Path) -> list[TableRow]:
    """The rows of a file of comments; one without a header has the columns `HEADER`."""
    first = lines_of(read_text(path))[0]
    return read_rows(path) if HEADER[0] in first else read_separated(path, ",", HEADER)


def _labels(row: TableRow) -> dict[str, Any]:
    flags: Mapping[str, bool | None] = {name: _flag(row, name) for name in LABELS}
    label = {True: "toxic", False: "harmless", None: None}[flags["toxic"]]
    others = {name: flag for name, flag in flags.items() if name != "toxic"}
    return without_missing({"label": label, **others})


def _flag(row: TableRow, column: str) -> bool | None:
    value = plain(value_of(row, column))
    if value in (None, -1):
        return None
    if value not in (0, 1):
        raise DataError(
            f"{row.place}: column {column!r} is neither 0 nor 1",
            remedy="1 is toxic, 0 is not, -1 is not labelled.",
        )
    return bool(value)


SOURCE = PromptSource(
    parse=read,
    rows=comment_rows,
    patterns=("train.csv*", "jigsaw*.csv*"),
    where="Download train.csv of Kaggle's Toxic Comment Classification Challenge, name it as path.",
)
