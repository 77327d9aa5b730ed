"""XSTest: 250 safe prompts that look unsafe, and 200 unsafe ones beside them.

Source: Röttger et al. 2024, https://github.com/paul-rottger/xstest (CC-BY-4.0). Both the
prompt file and the files of completions, which hold the same prompts, can be read.
"""

from collections.abc import Iterable, Sequence

from detoxlab.data.source import Located, PromptSource
from detoxlab.data.tabular import TableRow, check_columns, text_of, value_of
from detoxlab.records import Prompt


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
