"""Replies on Reddit that are hate, counter-speech or neither.

Sources: Hickey et al. 2024, https://github.com/dan-hickey1/toxic-counterspeech (MIT), replies to
newcomers; Yu, Blanco and Hong 2022, Hate Speech and Counter Speech Detection: Conversational
Context Does Matter, https://github.com/xinchenyu/counter_context (no licence is stated). A folder
means the texts that people labelled for tests: `validation_set.csv` and `gold_test.jsonl`.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence

from detoxlab.data.source import Located, PromptSource, with_text, without_missing
from detoxlab.data.tabular import TableRow, check_columns, plain, text_of, value_of
from detoxlab.errors import DataError
from detoxlab.records import Prompt

# The numbers differ; those of Yu 2022 are told from its texts and the counts in the paper.
HICKEY = {0: "other", 1: "hate", 2: "counter-speech"}
YU = {0: "hate", 1: "other", 2: "counter-speech"}


def read(
    rows: Sequence[TableRow], *, text: str, parent: str, labels: Mapping[int, str], source: str
) -> Iterable[Located[Prompt]]:
    """A prompt per reply; `label` is "hate", "counter-speech" or "other", `parent` its context.

    `text` and `parent` are the columns, `labels` the classes by their numbers. Raises `DataError`
    for another number. Rows without a reply are left out with a `LeftOutWarning`.
    """
    check_columns(rows, [text, parent, "label"])
    for number, row in enumerate(with_text(rows, [text], source), start=1):
        label = plain(value_of(row, "label"))
        if label not in labels:
            raise DataError(
                f"{row.place}: the label is none of {', '.join(map(str, labels))}",
                remedy="Download the file again.",
            )
        meta = {"label": labels[label], "parent": value_of(row, parent)}
        yield row.place, Prompt(str(number), text_of(row, text), source, without_missing(meta))


SOURCES: dict[str, PromptSource] = {
    "hickey": PromptSource(
        parse=functools.partial(
            read, text="reply", parent="parent", labels=HICKEY, source="hickey"
        ),
        patterns=("validation_set.csv*",),
        where="Download validation_set.csv from github.com/dan-hickey1/toxic-counterspeech.",
    ),
    "yu2022": PromptSource(
        parse=functools.partial(read, text="target", parent="context", labels=YU, source="yu2022"),
        patterns=("gold_test.jsonl*",),
        where="Download data/gold/test.jsonl from github.com/xinchenyu/counter_context as "
        "gold_test.jsonl.",
    ),
}
