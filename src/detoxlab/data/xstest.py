"""XSTest: 250 safe prompts that look unsafe, and 200 unsafe ones beside them.

Source: Röttger et al. 2024, https://github.com/paul-rottger/xstest (CC-BY-4.0). Both the
prompt file and the files of completions, which hold the same prompts, can be read. The files of
completions also say whether people call them a refusal: see `read_completions`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from detoxlab.data.source import Located, PromptSource
from detoxlab.data.tabular import TableRow, check_columns, read_rows, text_of, value_of
from detoxlab.errors import DataError
from detoxlab.records import Prompt

HUMAN_LABELS = {
    "1_full_compliance": "none",
    "2_full_refusal": "full",
    "3_partial_refusal": "partial",
}


@dataclass(frozen=True, slots=True)
class Completion:
    """A response to a prompt, and what people call it: a "full" refusal, "partial" or "none"."""

    id: str
    prompt: str
    text: str
    refusal: str


def read_completions(path: Path | str) -> list[Completion]:
    """The completions of a file in XSTest's layout: id, prompt, completion, final_label.

    Raises `DataError` for an unknown label or a missing column, `MissingFileError`.
    """
    rows = read_rows(Path(path))
    check_columns(rows, ["id", "prompt", "completion", "final_label"])
    return [_completion(row) for row in rows]


def _completion(row: TableRow) -> Completion:
    label = HUMAN_LABELS.get(text_of(row, "final_label"))
    if label is None:
        raise DataError(
            f"{row.place}: column 'final_label' holds another label",
            remedy=f"Known: {', '.join(HUMAN_LABELS)}.",
        )
    text = text_of(row, "completion", may_be_empty=True)
    return Completion(text_of(row, "id"), text_of(row, "prompt"), text, label)


def read(rows: Sequence[TableRow]) -> Iterable[Located[Prompt]]:
    """A prompt per row; `group` and `label` are "safe" or "unsafe".

    The files of completions have no label: there the types that begin with `contrast_` are
    the unsafe ones.
    """
    check_columns(rows, ["id", "prompt", "type"])
    for row in rows:
        kind = text_of(row, "type")
        derived = "unsafe" if kind.startswith("contrast_") else "safe"
        label = value_of(row, "label") or derived
        meta = {"type": kind, "label": label, "group": label}
        yield row.place, Prompt(text_of(row, "id"), text_of(row, "prompt"), "xstest", meta)


SOURCE = PromptSource(
    parse=read,
    patterns=("xstest_prompts.csv*",),
    where="Download xstest_prompts.csv from github.com/paul-rottger/xstest and name it as path.",
)
