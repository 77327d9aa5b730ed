"""Labelled texts in other languages than English, and in several; each set under a name.

Every text has its `language` (ISO 639-1). `label` is "toxic" or "harmless"; in sets about hate, it
is as in their English models. Sets without a split of their own have a `part`, train or test: one
text in five is for the test, by its words. A folder means the texts for tests.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detoxlab.data.jigsaw import part_of
from detoxlab.data.labelled import headless_rows
from detoxlab.data.source import Located, PromptSource, with_text, without_missing
from detoxlab.data.tabular import (
    TableRow,
    check_columns,
    plain,
    read_rows,
    text_of,
    value_of,
    whole_number,
)
from detoxlab.errors import DataError
from detoxlab.records import Prompt

Facts = Callable[[TableRow], Mapping[str, Any]]
TOXIC, HARMLESS = "toxic", "harmless"
TRUTHS = {0: HARMLESS, 1: TOXIC}  # False and True are equal to them
MHC = {
    "arabic": "ar",
    "dutch": "nl",
    "french": "fr",
    "german": "de",
    "hindi": "hi",
    "italian": "it",
    "mandarin": "zh",
    "polish": "pl",
    "portuguese": "pt",
    "spanish": "es",
}
TOLD_BR = ("homophobia", "obscene", "insult", "racism", "misogyny", "xenophobia")
MLMA_TOXIC = {"abusive", "disrespectful", "hateful", "offensive"}
FILE = "name of the file"


def read(
    rows: Sequence[TableRow], *, source: str, text: str, facts: Facts, columns: Sequence[str] = ()
) -> Iterable[Located[Prompt]]:
    """A prompt per row with a text, and the `facts` of the row as meta; ids number the rows."""
    check_columns(rows, [text, *columns])
    for number, row in enumerate(with_text(rows, [text], source), start=1):
        meta = without_missing(facts(row))
        yield row.place, Prompt(str(number), text_of(row, text), source, meta)


def named_rows(path: Path) -> list[TableRow]:
    """The rows of a file, each with the name of the file."""
    return [TableRow(row.place, {**row.values, FILE: path.name}) for row in read_rows(path)]


def detox_rows(path: Path) -> list[TableRow]:
    """Two rows for each pair of a toxic text and its neutral wording."""
    found = read_rows(path)
    labels = {"toxic_comment": TOXIC, "neutral_comment": HARMLESS}
    check_columns(found, labels)
    return [
        TableRow(row.place, {"text": row.values[column], "label": label})
        for row in found
        for column, label in labels.items()
    ]


# --- the facts of a row ---


def _hatecheck(row: TableRow) -> Mapping[str, Any]:
    name = str(value_of(row, FILE)).partition(".")[0].rpartition("_")[2]
    if name not in MHC:
        raise DataError(
            f"{row.place}: the name of the file tells no language",
            remedy=f"It ends in one of {', '.join(MHC)}.",
        )
    return {
        "language": MHC[name],
        "label": text_of(row, "label_gold"),
        "functionality": text_of(row, "functionality"),
        "group": value_of(row, "target_ident") or None,
        "template": f"{name}/{value_of(row, 'templ_id')}",
    }


def _jigsaw(row: TableRow) -> Mapping[str, Any]:
    part = part_of(text_of(row, "comment_text"))
    return {"language": text_of(row, "lang"), "label": _truth(row, "toxic"), "part": part}


def _germeval(row: TableRow) -> Mapping[str, Any]:
    coarse = text_of(row, "coarse")
    label = {"OFFENSE": TOXIC, "OTHER": HARMLESS}.get(coarse)
    return {"language": "de", "label": label, "coarse": coarse, "fine": value_of(row, "fine")}


def _gahd(row: TableRow) -> Mapping[str, Any]:
    label = {HARMLESS: "nothate", TOXIC: "hate"}[_truth(row, "label")]
    return {"language": "de", "label": label, "part": text_of(row, "split")}


def _cold(row: TableRow) -> Mapping[str, Any]:
    return {"language": "zh", "label": _truth(row, "label"), "group": value_of(row, "topic")}


def _told_br(row: TableRow) -> Mapping[str, Any]:
    """`votes` is the share of the three annotators who saw the commonest kind of toxicity."""
    votes = max(whole_number(row, name, "It counts annotators.") for name in TOLD_BR)
    label = {0: HARMLESS, 1: None}.get(votes, TOXIC)
    part = part_of(text_of(row, "text"))
    return {"language": "pt", "label": label, "votes": votes / 3, "part": part}


def _beep(row: TableRow) -> Mapping[str, Any]:
    kind = text_of(row, "hate")
    return {"language": "ko", "label": HARMLESS if kind == "none" else TOXIC, "kind": kind}


def _mlma(row: TableRow) -> Mapping[str, Any]:
    """A text that is normal and toxic at once, or fearful alone, has no label."""
    kinds = set(text_of(row, "sentiment").split("_"))
    label = TOXIC if kinds & MLMA_TOXIC else HARMLESS if "normal" in kinds else None
    if kinds & MLMA_TOXIC and "normal" in kinds:
        label = None
    language = str(value_of(row, FILE))[:2]
    return {"language": language, "label": label, "part": part_of(text_of(row, "tweet"))}


def _detox(row: TableRow) -> Mapping[str, Any]:
    return {"language": "ru", "label": row.values["label"]}


def _truth(row: TableRow, column: str) -> str:
    value = plain(value_of(row, column))
    if value not in TRUTHS:
        raise DataError(f"{row.place}: column {column!r} is neither 0 nor 1")
    return TRUTHS[value]


# --- the sources ---


def _source(
    name: str,
    text: str,
    facts: Facts,
    patterns: tuple[str, ...],
    where: str,
    columns: Sequence[str] = (),
    **more: Any,
) -> PromptSource:
    parse = functools.partial(read, source=name, text=text, facts=facts, columns=columns)
    return PromptSource(parse=parse, patterns=patterns, where=f"Download {where}.", **more)


SOURCES: dict[str, PromptSource] = {
    "multilingual-hatecheck": _source(
        "multilingual-hatecheck",
        "test_case",
        _hatecheck,
        tuple(f"*{name}.csv*" for name in MHC),
        "the final cases of github.com/rewire-online/multilingual-hatecheck (Röttger et al. 2022)",
        ("functionality", "label_gold"),
        rows=named_rows,
        many=True,
    ),
    "jigsaw-multilingual": _source(
        "jigsaw-multilingual",
        "comment_text",
        _jigsaw,
        ("validation.csv*",),
        "validation.csv of Kaggle's Jigsaw Multilingual Toxic Comment Classification (2020)",
        ("lang", "toxic"),
    ),
    "germeval2018": _source(
        "germeval2018",
        "text",
        _germeval,
        ("germeval2018.test.txt*", "test.tsv*"),
        "a file of github.com/uds-lsv/GermEval-2018-Data, named as .tsv, and name it as path",
        rows=lambda path: headless_rows(path, ["text", "coarse", "fine"]),
    ),
    "gahd": _source(
        "gahd",
        "text",
        _gahd,
        ("gahd.csv*",),
        "gahd.csv of github.com/jagol/gahd (Goldzycher et al. 2024)",
        ("label", "split"),
    ),
    "cold": _source(
        "cold",
        "TEXT",
        _cold,
        ("test.csv*",),
        "COLDataset of github.com/thu-coai/COLDataset (Deng et al. 2022)",
        ("label",),
    ),
    "told-br": _source(
        "told-br",
        "text",
        _told_br,
        ("ToLD-BR.csv*",),
        "ToLD-BR.csv of github.com/JAugusto97/ToLD-Br (Leite et al. 2020)",
        TOLD_BR,
    ),
    "beep": _source(
        "beep",
        "comments",
        _beep,
        ("dev.tsv*",),
        "labeled/ of github.com/kocohub/korean-hate-speech (Moon et al. 2020)",
        ("hate",),
    ),
    "mlma": _source(
        "mlma",
        "tweet",
        _mlma,
        tuple(f"{code}_dataset.csv*" for code in ("ar", "en", "fr")),
        "hate_speech_mlma.zip of github.com/HKUST-KnowComp/MLMA_hate_speech (Ousidhoum et al. 2019)"
        " and unpack it",
        ("sentiment",),
        rows=named_rows,
        many=True,
    ),
    "russe-detox": _source(
        "russe-detox",
        "text",
        _detox,
        ("test.tsv*",),
        "a file of the RUSSE 2022 detoxification task, and name it as path",
        rows=detox_rows,
    ),
}
