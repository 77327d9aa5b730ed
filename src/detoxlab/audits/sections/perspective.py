"""Agreement with Perspective's published scores on prompts of RealToxicityPrompts."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detoxlab.audits.card import Curve
from detoxlab.audits.scored import Result, Scored
from detoxlab.audits.sections.base import AuditSection
from detoxlab.data import load_prompts
from detoxlab.data.rtp import TOXIC_FROM
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import PERSPECTIVE_ATTRIBUTES, Measurement, Prompt

TEST_FILES = ("rtp_destein_no_toxic_1k.jsonl*", "rtp_destein_toxic_1k.jsonl*")
OTHERS = "other attributes"
NEAREST = {"hate": "identity_attack"}  # Perspective's attribute that means the same most nearly


def read(files: Sequence[Path], seed: int) -> list[Prompt]:
    """The prompts of both files, each text once."""
    del seed
    found = [one for file in files for one in load_prompts("rtp", path=file)]
    return list({one.text: one for one in found}.values())


def examine(texts: Scored) -> Result:
    """r, ρ, ROC-AUC and calibration for each attribute that Perspective has too."""
    pairs = {ours: NEAREST.get(ours, ours) for ours in texts.attributes}
    known = {ours: theirs for ours, theirs in pairs.items() if theirs in PERSPECTIVE_ATTRIBUTES}
    rows, curves = [], []
    for ours, theirs in known.items():
        is_audited = ours == texts.attribute
        found, drawn = _agreement(texts.with_attribute(ours), _published(texts, theirs))
        rows += found if is_audited else [_placed(row, ours) for row in found]
        curves += drawn if is_audited else []
    notes = [f"{a} is held against Perspective's {b}." for a, b in known.items() if a != b]
    if not known:
        notes = ["Perspective has no attribute of this scorer."]
    return rows, curves, notes


def _placed(row: Measurement, attribute: str) -> Measurement:
    """The figure of an attribute that is not the audited one."""
    return dataclasses.replace(row, group=attribute.replace("_", " "), subset=OTHERS)


def _published(texts: Scored, attribute: str) -> FloatArray:
    """Perspective's scores (N,), NaN where it gave none."""
    return np.array(texts.meta(attribute), dtype=np.float64)


def _agreement(texts: Scored, published_N: FloatArray) -> tuple[list[Measurement], list[Curve]]:
    known_N = ~np.isnan(published_N)
    texts, published_N = texts.choose(known_N), published_N[known_N]
    gaps, curves = texts.calibration(published_N)
    words_N = np.array([len(one.text.split()) for one in texts.prompts], dtype=np.float64)
    rows = [
        texts.correlation("pearson", published_N),
        texts.correlation("spearman", published_N),
        texts.area(published_N >= TOXIC_FROM),
        *gaps,
        texts.correlation("length_correlation", words_N, texts.scores - published_N),
    ]
    return rows, curves


PERSPECTIVE = AuditSection(
    key="perspective",
    title="Perspective",
    patterns=TEST_FILES,
    read=read,
    examine=examine,
    about="toxicity",
    guide="Against the scores that Perspective published for 2,000 prompts of RealToxicityPrompts. "
    "ROC-AUC is for published scores of at least .5. Calibration: |mean score − mean published "
    "score| in 15 equal-count bins.",
)
