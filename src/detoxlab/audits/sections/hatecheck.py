"""HateCheck: does the scorer hear hate, or only rude words?

Source: Röttger et al. 2021, HateCheck: Functional Tests for Hate Speech Detection Models.
"""

from collections.abc import Sequence
from pathlib import Path

from detoxlab.audits.scored import Result, Scored
from detoxlab.audits.sections.base import AuditSection
from detoxlab.data import hatecheck, load_prompts
from detoxlab.records import Measurement, Prompt

DENOUNCEMENTS = ("counter_quote_nh", "counter_ref_nh")
NEUTRAL, POSITIVE = "ident_neutral_nh", "ident_pos_nh"
TEMPLATE = "template"


def read(files: Sequence[Path], seed: int) -> list[Prompt]:
    """The cases."""
    del seed
    return load_prompts("hatecheck", path=files[0])


def examine(cases: Scored) -> Result:
    """ROC-AUC, accuracy by functionality and group, and the marked harmless statements.

    Cases of one template are drawn together in intervals, as they differ in the group alone.
    """
    hateful_N = cases.where("label", "hateful")
    right_N = cases.marks == hateful_N
    rows = [
        cases.area(hateful_N, units=TEMPLATE),
        cases.share("accuracy", right_N, units=TEMPLATE),
        _marked(cases, "denouncements_marked", *DENOUNCEMENTS),
        _marked(cases, "neutral_marked", NEUTRAL),
        _marked(cases, "positive_marked", POSITIVE),
    ]
    for name in dict.fromkeys(cases.meta("functionality")):
        chosen_N = cases.where("functionality", name)
        part = cases.choose(chosen_N)
        rows.append(
            part.share(
                "accuracy", right_N[chosen_N], units=TEMPLATE, group=name, subset="functionality"
            )
        )
    for name in sorted({one for one in cases.meta("group") if one}):
        chosen_N = cases.where("group", name)
        part, facts = cases.choose(chosen_N), {"group": name, "subset": "group"}
        rows.append(part.area(hateful_N[chosen_N], units=TEMPLATE, **facts))
        rows.append(part.share("accuracy", right_N[chosen_N], units=TEMPLATE, **facts))
    kinds = {"hateful": hateful_N, "non-hateful": ~hateful_N}
    return rows, [cases.choose(of_N).histogram(name) for name, of_N in kinds.items()], []


def _marked(cases: Scored, name: str, *functionalities: str) -> Measurement:
    return cases.choose(cases.where("functionality", *functionalities)).marked(name, units=TEMPLATE)


HATECHECK = AuditSection(
    key="hatecheck",
    title="HateCheck",
    patterns=hatecheck.SOURCE.patterns,
    read=read,
    examine=examine,
    about="hate",
    guide="Functional tests: names that end in _h are hateful and should be marked, names that end "
    "in _nh are not. Denouncements quote or mention hate in order to reject it. A scorer that "
    "hears rude words alone ranks at chance (.5).",
)
