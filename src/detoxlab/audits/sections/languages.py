"""Languages: in which of them can the scorer be believed?

Sources: Röttger et al. 2022 (Multilingual HateCheck), and the test parts of the sets in
`detoxlab.data.languages`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detoxlab.audits.scored import Result, Scored
from detoxlab.audits.sections.base import SectionOfSets
from detoxlab.audits.sections.hatecheck import DENOUNCEMENTS, NEUTRAL, TEMPLATE
from detoxlab.data import languages, load_prompts
from detoxlab.measures.statistics import BoolArray
from detoxlab.records import Measurement, Prompt

HATECHECK = "multilingual-hatecheck"
# Where names of files say little, the name of the folder tells the set.
TESTS = {
    "jigsaw*/validation.csv*": "jigsaw-multilingual",
    "germeval2018*/test.tsv*": "germeval2018",
    "[cC][oO][lL][dD]*/test.csv*": "cold",
    "ToLD-BR.csv*": "told-br",
    "korean*/dev.tsv*": "beep",
    "*mlma*/ar_dataset.csv*": "mlma",
    "*mlma*/fr_dataset.csv*": "mlma",
    "russe*/test.tsv*": "russe-detox",
}


def read_hatecheck(files: Sequence[Path], seed: int) -> list[Prompt]:
    """The cases of every language that is there."""
    del seed
    return [one for file in files for one in load_prompts(HATECHECK, path=file)]


def read_tests(files: Sequence[Path], seed: int) -> list[Prompt]:
    """The labelled texts for tests, each once."""
    del seed
    found = [one for file in files for one in load_prompts(_set_of(file), path=file)]
    tests = (one for one in found if "label" in one.meta and one.meta.get("part", "test") == "test")
    return list({(one.source, one.text): one for one in tests}.values())


def examine_hatecheck(cases: Scored) -> Result:
    """By language: ROC-AUC, and the harmless statements that are marked.

    Cases of one template are drawn together in intervals.
    """
    hateful_N = cases.where("label", "hateful")
    rows = []
    for code in _languages(cases):
        inside_N = cases.where("language", code)
        part, facts = cases.choose(inside_N), {"group": code, "subset": "language"}
        rows.append(part.area(hateful_N[inside_N], units=TEMPLATE, **facts))
        for name, kinds in (
            ("denouncements_marked", DENOUNCEMENTS),
            ("neutral_marked", (NEUTRAL,)),
        ):
            chosen = part.choose(part.where("functionality", *kinds))
            rows.append(chosen.marked(name, units=TEMPLATE, **facts))
    return rows, [], []


def examine_tests(texts: Scored) -> Result:
    """By language and by set: ROC-AUC, and the texts on the right side of the threshold."""
    toxic_N = texts.where("label", languages.TOXIC)
    rows = []
    for code in _languages(texts):
        rows += _against(texts, toxic_N, texts.where("language", code), code, "language")
    for name in sorted({one.source for one in texts.prompts}):
        inside_N = np.array([one.source == name for one in texts.prompts], dtype=np.bool_)
        rows += _against(texts, toxic_N, inside_N, name, "set")
    return rows, [], []


def _against(
    texts: Scored, toxic_N: BoolArray, inside_N: BoolArray, group: str, subset: str
) -> list[Measurement]:
    part, positive_N = texts.choose(inside_N), toxic_N[inside_N]
    facts = {"group": group, "subset": subset}
    return [
        part.area(positive_N, **facts),
        part.share("accuracy", part.marks == positive_N, **facts),
    ]


def _languages(texts: Scored) -> list[str]:
    return sorted(set(texts.meta("language")))


def _set_of(file: Path) -> str:
    return next(name for pattern, name in TESTS.items() if file.match(pattern))


MULTILINGUAL_HATECHECK = SectionOfSets(
    key=HATECHECK,
    title="Multilingual HateCheck",
    patterns=languages.SOURCES[HATECHECK].patterns,
    read=read_hatecheck,
    examine=examine_hatecheck,
    about="hate",
    guide="The functional tests of HateCheck, written anew by speakers of ten languages. A "
    "language that the scorer does not read has no figure.",
)

LANGUAGES = SectionOfSets(
    key="languages",
    title="Other languages than English",
    patterns=tuple(TESTS),
    read=read_tests,
    examine=examine_tests,
    about="toxicity",
    guide="Test texts that people labelled, by language and by set. The sets mean different things "
    "by toxic (offence, insults, abuse of groups), so compare scorers, not languages.",
)
