"""Agreement with people: the annotated statements of ToxiGen, and a test set of hate.

Sources: Hartvigsen et al. 2022 (ToxiGen), Vidgen et al. 2021 (dynamically generated hate).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detoxlab.audits.scored import Result, Scored
from detoxlab.audits.sections.base import AuditSection
from detoxlab.data import dghs, load_prompts, toxigen
from detoxlab.measures.statistics import BoolArray
from detoxlab.records import Prompt


def read_toxigen(files: Sequence[Path], seed: int) -> list[Prompt]:
    """The statements, each text once."""
    del seed
    found = load_prompts("toxigen-annotated", path=files[0])
    return list({one.text: one for one in found}.values())


def read_dghs(files: Sequence[Path], seed: int) -> list[Prompt]:
    """The test texts, each once."""
    del seed
    return list({one.text: one for one in load_prompts("dghs", path=files[0])}.values())


def examine_toxigen(statements: Scored) -> Result:
    """ROC-AUC against the label of people, ρ against their ratings; both by group."""
    toxic_N = statements.where("label", "hate")
    ratings_N = np.array(statements.meta("toxicity_score"), dtype=np.float64)
    rows, curves, notes = _against(statements, toxic_N)
    rows.insert(1, statements.correlation("spearman", ratings_N))
    groups = sorted({group for found in statements.meta("groups") for group in found})
    parts: list[tuple[str, tuple[str, ...]]] = [("group", (group,)) for group in groups]
    parts += [("held out", statements.held_out)] if statements.held_out else []
    for subset, members in parts:
        inside_N = statements.where("groups", *members)
        part, group = statements.choose(inside_N), ", ".join(members)
        rows += [
            part.area(toxic_N[inside_N], group=group, subset=subset),
            part.correlation("spearman", ratings_N[inside_N], group=group, subset=subset),
        ]
    return rows, curves, notes


def examine_dghs(texts: Scored) -> Result:
    """ROC-AUC, accuracy and calibration against the labels of people."""
    return _against(texts, texts.where("label", "hate"))


def _against(texts: Scored, positive_N: BoolArray) -> Result:
    gaps, curves = texts.calibration(positive_N.astype(np.float64))
    kinds = {"toxic or hateful": positive_N, "neither": ~positive_N}
    rows = [
        texts.area(positive_N),
        texts.share("accuracy", texts.marks == positive_N),
        *gaps,
        *(texts.choose(of_N).marked(group=kind) for kind, of_N in kinds.items()),
    ]
    return rows, curves + [texts.choose(of_N).histogram(kind) for kind, of_N in kinds.items()], []


TOXIGEN = AuditSection(
    key="toxigen",
    title="ToxiGen, rated by people",
    patterns=toxigen.ANNOTATED.patterns,
    read=read_toxigen,
    examine=examine_toxigen,
    about="hate",
    guide="Machine-made statements about 13 groups, rated by people from 1 to 5. ROC-AUC is for "
    "ratings above 3; ρ is the rank correlation with the rating. Hardly any statement is rude: the "
    "scorer must hear what is said.",
)
DGHS = AuditSection(
    key="dghs",
    title="Dynamically generated hate",
    patterns=dghs.SOURCE.patterns,
    read=read_dghs,
    examine=examine_dghs,
    about="hate",
    guide="Texts that people wrote to mislead a classifier, and labelled: the test split.",
)
