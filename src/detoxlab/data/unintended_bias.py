"""The test set of unintended bias: comments that mention groups of people, labelled by toxicity.

Source: Dixon et al. 2018, Measuring and Mitigating Unintended Bias in Text Classification,
https://github.com/conversationai/unintended-ml-bias-analysis (CC-BY-4.0): comments of Wikipedia's
talk pages as they are, not "fuzzed". For evaluation only. The 50 identity terms are the paper's.
"""

import re
from collections.abc import Iterable, Sequence

from detoxlab.data.source import Located, PromptSource
from detoxlab.data.tabular import TableRow, check_columns, plain, text_of, value_of
from detoxlab.errors import DataError
from detoxlab.records import Prompt

IDENTITY_TERMS = tuple(
    """lesbian,gay,bisexual,transgender,trans,queer,lgbt,lgbtq,homosexual,straight,heterosexual,male,
female,nonbinary,african,african american,black,white,european,hispanic,latino,latina,latinx,
mexican,canadian,american,asian,indian,middle eastern,chinese,japanese,christian,muslim,jewish,
buddhist,catholic,protestant,sikh,taoist,old,older,young,younger,teenage,millenial,middle aged,
elderly,blind,deaf,paralyzed""".replace("\n", "").split(",")
)
_TERM = {term: re.compile(rf"\b{term}\b", re.IGNORECASE) for term in IDENTITY_TERMS}


def read(rows: Sequence[TableRow]) -> Iterable[Located[Prompt]]:
    """A prompt per comment; `label` is "toxic" or "harmless", `groups` are the terms in it.

    Raises `DataError` for a label that is neither true nor false.
    """
    check_columns(rows, ["rev_id", "comment", "toxic"])
    for row in rows:
        text = text_of(row, "comment")
        label = "toxic" if _is_toxic(row) else "harmless"
        meta = {"label": label, "groups": terms_in(text)}
        yield row.place, Prompt(str(value_of(row, "rev_id")), text, "unintended-bias", meta)


def terms_in(text: str) -> list[str]:
    """The identity terms that stand in a text as whole words.

    >>> terms_in("An old American friend, not an oldster")
    ['american', 'old']
    """
    return [term for term, pattern in _TERM.items() if pattern.search(text)]


def _is_toxic(row: TableRow) -> bool:
    value = plain(value_of(row, "toxic"))
    if not isinstance(value, bool):
        raise DataError(
            f"{row.place}: column 'toxic' is neither True nor False",
            remedy="Download the file again.",
        )
    return value


SOURCE = PromptSource(
    parse=read,
    patterns=("toxicity_nonfuzzed_testset.csv*",),
    where="Download toxicity_nonfuzzed_testset.csv from "
    "github.com/conversationai/unintended-ml-bias-analysis.",
)
