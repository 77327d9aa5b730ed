"""Bias against groups: do harmless texts that mention a group score higher?

Source: Borkan et al. 2019, with the comments and identity terms of Dixon et al. 2018.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from detoxlab.audits.names import FIGURES
from detoxlab.audits.scored import Result, Scored
from detoxlab.audits.sections.base import AuditSection
from detoxlab.data import load_prompts, unintended_bias
from detoxlab.measures.identity_bias import BIAS_AREAS, generalised_mean, ranked_texts
from detoxlab.measures.statistics import BoolArray
from detoxlab.records import Measurement, Prompt

FEWEST = 5  # toxic texts, and harmless ones, that a group must have
MEAN, LOWEST = "generalised mean", "minimum"


def read(files: Sequence[Path], seed: int) -> list[Prompt]:
    """The comments."""
    del seed
    return load_prompts("unintended-bias", path=files[0])


def examine(texts: Scored) -> Result:
    """ROC-AUC over all comments; the three areas of each group, their minimum and their mean."""
    toxic_N = texts.where("label", "toxic")
    counts = {term: _counts(texts, toxic_N, term) for term in unintended_bias.IDENTITY_TERMS}
    enough = [term for term, found in counts.items() if min(found) >= FEWEST]
    rows = [row for term in enough for row in _areas(texts, toxic_N, term)]
    few = sorted(term for term, found in counts.items() if sum(found) and term not in enough)
    notes = [
        f"Groups with under {FEWEST} toxic or harmless comments are left out: {', '.join(few)}."
    ]
    return [texts.area(toxic_N), *_summary(texts, rows), *rows], [], notes if few else []


def _counts(texts: Scored, toxic_N: BoolArray, term: str) -> tuple[int, int]:
    """Toxic and harmless texts with a score that mention the group."""
    inside_N = texts.where("groups", term) & ~np.isnan(texts.scores)
    return int((inside_N & toxic_N).sum()), int((inside_N & ~toxic_N).sum())


def _areas(texts: Scored, toxic_N: BoolArray, term: str) -> Iterator[Measurement]:
    for name, ranked_N in ranked_texts(toxic_N, texts.where("groups", term)).items():
        yield texts.choose(ranked_N).area(toxic_N[ranked_N], name, group=term, subset="group")


def _summary(texts: Scored, rows: Sequence[Measurement]) -> Iterator[Measurement]:
    """The generalised mean and the minimum over groups of each area."""
    for name in BIAS_AREAS:
        values = [row.value for row in rows if row.name == name and row.value is not None]
        found = {MEAN: generalised_mean(values), LOWEST: min(values)} if values else {}
        for kind, value in found.items():
            yield FIGURES[name].measurement(
                value=value,
                n=len(values),
                scorer_id=texts.scorer_id,
                attribute=texts.attribute,
                group=kind,
            )


IDENTITY = AuditSection(
    key="identity_bias",
    title="Bias against groups",
    patterns=unintended_bias.SOURCE.patterns,
    read=read,
    examine=examine,
    about="toxicity",
    guide="Three areas per group (Borkan et al. 2019). A low BPSN AUC: harmless texts that mention "
    "the group score as high as toxic ones that do not. A low BNSP AUC: toxic texts that mention "
    "it score too low. In the generalised mean (power −5) the worst groups weigh most.",
)
