"""Dynamically Generated Hate Speech: texts that people wrote to mislead a classifier.

Source: Vidgen et al. 2021, Learning from the Worst (CC-BY-4.0, as its authors state). The layout
is that of https://github.com/ecanbazer/DynBERT: a file of one text a line, cut at line feeds
alone, and a file of one label a line beside it, 1 for hate. A folder means its test texts.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from detoxlab.data.files import lines_of, missing, read_text, suffix_of
from detoxlab.data.source import Located, PromptSource
from detoxlab.data.tabular import TableRow, plain, text_of, value_of
from detoxlab.errors import DataError
from detoxlab.records import Prompt

LABELS = {0: "nothate", 1: "hate"}


def read(rows: Sequence[TableRow]) -> Iterable[Located[Prompt]]:
    """A prompt per text; `label` is "hate" or "nothate".

    Raises `DataError` for a label other than 0 and 1.
    """
    for row in rows:
        label = plain(value_of(row, "label"))
        if label not in LABELS:
            raise DataError(f"{row.place}: the label is neither 0 nor 1", remedy="1 is hate.")
        name = str(value_of(row, "id"))
        yield row.place, Prompt(name, text_of(row, "text"), "dghs", {"label": LABELS[label]})


def paired_rows(path: Path) -> list[TableRow]:
    """The texts of a file, each with the label on the same line of the file beside it.

    The file of labels is called as the file of texts, with `_label` before the suffix. Raises
    `MissingFileError` without it, and `DataError` where it has another number of lines.
    """
    labels_path = _labels_beside(path)
    texts, labels = _lines(path), _lines(labels_path)
    if len(texts) != len(labels):
        raise DataError(
            f"{path}: has {len(texts)} texts, {labels_path.name} has {len(labels)} labels",
            remedy="Download both again; texts end at line feeds alone.",
        )
    return [
        TableRow(f"{path}:{n}", {"id": str(n), "text": text, "label": label})
        for n, (text, label) in enumerate(zip(texts, labels, strict=True), start=1)
    ]


def _lines(path: Path) -> list[str]:
    lines = lines_of(read_text(path))
    return lines if lines[-1] else lines[:-1]


def _labels_beside(path: Path) -> Path:
    """The file of labels for a file of texts, gzipped or not."""
    suffix = suffix_of(path)
    stem = path.name[: path.name.lower().rindex(suffix)]
    names = [f"{stem}_label{suffix}{end}" for end in ("", ".gz")]
    found = [path.with_name(name) for name in names if path.with_name(name).is_file()]
    if not found:
        raise missing(path.with_name(names[0]))
    return found[0]


SOURCE = PromptSource(
    parse=read,
    rows=paired_rows,
    patterns=("dynbert_test.txt*",),
    where="Download Test.csv and Test_label.csv from github.com/ecanbazer/DynBERT as "
    "dynbert_test.txt and dynbert_test_label.txt.",
)
