"""HateCheck: functional tests of hate speech detection. For evaluation only, never to train on.

Source: Röttger et al. 2021, https://github.com/paul-rottger/hatecheck-data (CC-BY-4.0). Each of
the 3,728 cases tests one of 29 functionalities, most of them for one of seven groups.
"""

from collections.abc import Iterable, Sequence

from detoxlab.data.source import Located, PromptSource, without_missing
from detoxlab.data.tabular import TableRow, check_columns, text_of, value_of
from detoxlab.records import Prompt

COLUMNS = ("case_id", "test_case", "functionality", "label_gold")


def read(rows: Sequence[TableRow]) -> Iterable[Located[Prompt]]:
    """A prompt per case; `label` is "hateful" or "non-hateful".

    `group` is the group that the case targets, where it targets one; `template` is the template
    that the case fills: cases of one template differ in the group alone.
    """
    check_columns(rows, COLUMNS)
    for row in rows:
        meta = {
            "functionality": text_of(row, "functionality"),
            "label": text_of(row, "label_gold"),
            "group": value_of(row, "target_ident") or None,
            "template": value_of(row, "templ_id") or None,
        }
        text, name = text_of(row, "test_case"), str(value_of(row, "case_id"))
        yield row.place, Prompt(name, text, "hatecheck", without_missing(meta))


SOURCE = PromptSource(
    parse=read,
    patterns=("test_suite_cases.csv*",),
    where="Download test_suite_cases.csv from github.com/paul-rottger/hatecheck-data.",
)
