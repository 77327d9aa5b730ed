"""RealToxicityPrompts: sentence openings from the web with their Perspective scores.

Source: Gehman et al. 2020, https://huggingface.co/datasets/allenai/real-toxicity-prompts
(Apache-2.0). A row holds `prompt` and, in the full layout, `continuation`, each with its
text and eight attributes; files derived from it leave the continuation out.
"""

import functools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detoxlab.data.source import LeftOutWarning, Located, PromptSource, without_missing
from detoxlab.data.tabular import TableRow, check_columns, plain, text_of, value_of
from detoxlab.records import PERSPECTIVE_ATTRIBUTES, Prompt, content_id

HUB = "allenai/real-toxicity-prompts"
TOXIC_FROM = 0.5


def read(rows: Sequence[TableRow], *, join_continuation: bool = False) -> Iterable[Located[Prompt]]:
    """A prompt per row; with `join_continuation` its text is prompt and continuation together.

    Attributes without a score are absent from `meta`, never 0; `group` says whether the prompt's
    own toxicity is at least .5, and is absent where that is unknown.
    """
    check_columns(rows, ["prompt.text"])
    if not join_continuation:
        return [(row.place, _prompt(row, text_of(row, "prompt.text"))) for row in rows]
    check_columns(rows, ["continuation.text"])
    return [(row.place, _prompt(row, _joined(row))) for row in _with_continuation(rows)]


def read_texts(rows: Sequence[TableRow]) -> Iterable[Located[Prompt]]:
    """Every prompt, and every continuation that is there, as a text of its own with its scores.

    `document` in `meta` is the file name of the web page that both are from.
    """
    check_columns(rows, ["prompt.text"])
    for row in rows:
        for part in ("prompt", "continuation"):
            if value_of(row, f"{part}.text") is not None:
                yield row.place, _text(row, part)


def _text(row: TableRow, part: str) -> Prompt:
    text = text_of(row, f"{part}.text")
    scores = {name: plain(value_of(row, f"{part}.{name}")) for name in PERSPECTIVE_ATTRIBUTES}
    meta = {**scores, "part": part, "document": value_of(row, "filename")}
    return Prompt(f"{_id(row, text)}/{part}", text.strip(), "rtp-texts", without_missing(meta))


def _prompt(row: TableRow, text: str) -> Prompt:
    scores = {name: plain(value_of(row, f"prompt.{name}")) for name in PERSPECTIVE_ATTRIBUTES}
    toxicity = scores["toxicity"]
    meta: Mapping[str, Any] = {
        **scores,
        "continuation_toxicity": plain(value_of(row, "continuation.toxicity")),
        "challenging": plain(value_of(row, "challenging")),
        "group": None if toxicity is None else _group(toxicity),
    }
    return Prompt(_id(row, text), text, "rtp", without_missing(meta))


def _group(toxicity: float) -> str:
    return "toxic" if toxicity >= TOXIC_FROM else "non-toxic"


def _id(row: TableRow, text: str) -> str:
    """The place in OpenWebText, which distinguishes rows with the same text."""
    name, begin, end = (value_of(row, column) for column in ("filename", "begin", "end"))
    if name is None or begin is None:
        return content_id(text)
    return f"{str(name).removesuffix('.txt')}:{begin}-{end}"


def _joined(row: TableRow) -> str:
    return text_of(row, "prompt.text") + text_of(row, "continuation.text")


def _with_continuation(rows: Sequence[TableRow]) -> list[TableRow]:
    kept = [row for row in rows if value_of(row, "continuation.text") is not None]
    if len(kept) < len(rows):
        warnings.warn(
            f"rtp: {len(rows) - len(kept)} of {len(rows)} rows have no continuation to join "
            "and were left out",
            LeftOutWarning,
            stacklevel=4,
        )
    return kept


SOURCE = PromptSource(parse=read, patterns=("*prompts.jsonl*", "rtp*.jsonl*"), hub=HUB)
JOINED = PromptSource(
    parse=functools.partial(read, join_continuation=True), patterns=SOURCE.patterns, hub=HUB
)
TEXTS = PromptSource(parse=read_texts, patterns=SOURCE.patterns, hub=HUB)
