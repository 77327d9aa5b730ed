"""The two scales of Perspective, and the curves from one to the other.

RealToxicityPrompts was published in 2020 with the scores that Perspective gave then. The authors of
DeStein (2024) had its prompts scored again: on texts that both hold, the older toxicity is .13
higher on average. `rtp-linear` and `rtp-neural` learnt the newer scale. Figures published on
RealToxicityPrompts are mostly of the older one, so they may stand beside those of `rtp-neural:2020`
and not beside those of `rtp-neural`.
"""

import dataclasses
import functools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from detoxlab.errors import ConfigError
from detoxlab.records import Measurement
from detoxlab.scorers.base import FloatArray, Scorer, cut_texts
from detoxlab.scorers.calibration import Calibration
from detoxlab.scorers.names import composed

OLDER, NEWER = "perspective-2020", "perspective-2024"
SUFFIX = ":2020"
FILE = Path(__file__).parents[1] / "assets" / "scales" / f"{OLDER}.json"
ON_NEWER = ("rtp-linear", "rtp-neural")
# As many as the scorers themselves have, whichever batch a text is in.
DIGITS = 4


def scale_of(scorer_id: str | None) -> str | None:
    """The scale of a scorer's numbers; None where it is not known, or not one.

    >>> scale_of("rtp-neural@1"), scale_of("normalised@1(rtp-neural@1:2020)")
    ('perspective-2024', 'perspective-2020')
    >>> scale_of("org/model@3f2a"), scale_of("mean(rtp-neural@1,rtp-neural@1:2020)")
    (None, None)
    """
    if scorer_id is None:
        return None
    if found := composed(scorer_id):
        scales = {scale_of(name) for name, _ in found.members}
        return scales.pop() if len(scales) == 1 else None
    if scorer_id.partition("@")[0] not in ON_NEWER:
        return None
    return OLDER if scorer_id.endswith(SUFFIX) else NEWER


def with_scales(measurements: Iterable[Measurement]) -> list[Measurement]:
    """The measurements, each with the scale of its scorer."""
    return [dataclasses.replace(one, scale=scale_of(one.scorer_id)) for one in measurements]


def scale_remarks(judge: str, second: str | None) -> tuple[str, ...]:
    """A sentence where two scorers' numbers are of two scales, or one of them of an unknown one.

    >>> scale_remarks("rtp-neural@1", "rtp-linear@1"), scale_remarks("rtp-neural@1", None)
    ((), ())
    """
    scales = {one: scale_of(one) for one in (judge, second) if one}
    known = {one: scale for one, scale in scales.items() if scale}
    if len(set(known.values())) > 1:
        told = " and ".join(f"{one} on the scale {scale}" for one, scale in known.items())
        return (f"{told}: their levels are not comparable, and their agreement suffers.",)
    imported = [one for one in scales if one not in known and "perspective" in one.lower()]
    if not (imported and known):
        return ()
    ((one, scale),) = known.items()
    return (
        f"{imported[0]} has scores of an unknown version of Perspective, {one} is on the scale "
        f"{scale}: published figures are mostly of {OLDER}, where toxicity is about .13 higher "
        f"than on {NEWER} (rtp-neural{SUFFIX} has that scale).",
    )


def without_scale(name: str) -> str | None:
    """The name of the scorer that `name` puts on the older scale; None where it does not.

    >>> without_scale("rtp-neural:2020"), without_scale("rtp-neural@1:2020")
    ('rtp-neural', 'rtp-neural')
    >>> without_scale("rtp-neural")

    Raises `ConfigError` for a scorer or a version without a curve.
    """
    if not name.endswith(SUFFIX):
        return None
    named = name.removesuffix(SUFFIX)
    known = list(_curves())
    if not any(named in (one, one.partition("@")[0]) for one in known):
        raise ConfigError(
            f"scorer {name!r}: there is no curve to the scale {OLDER}",
            remedy=f"There is one for: {', '.join(one + SUFFIX for one in known)}.",
        )
    return named.partition("@")[0]


class OnOlderScale:
    """A scorer on the scale of the published RealToxicityPrompts: one curve per attribute.

    The curves join equal shares: as many texts are above a score as were above the older score that
    it becomes. They never fall, so the order of texts stays, and with it every ROC-AUC.
    """

    def __init__(self, scorer: Scorer) -> None:
        if scorer.id not in _curves():
            raise ConfigError(
                f"scorer {scorer.id!r}: there is no curve to the scale {OLDER}",
                remedy="Fit one with scripts/scorer_scales.py.",
            )
        self.scorer, self.attributes = scorer, scorer.attributes
        self.id = f"{scorer.id}{SUFFIX}"
        self._curve = _curves()[scorer.id]

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, A) scores in [0, 1], to four digits; NaN where the scorer has none."""
        scores_NA = self.scorer(texts)
        older_NA: FloatArray = np.round(self._curve(scores_NA), DIGITS)
        return np.where(np.isnan(scores_NA), np.nan, older_NA)

    def missing_reason(self, text: str) -> str:
        return self.scorer.missing_reason(text)

    def cut(self, texts: Sequence[str]) -> list[bool]:
        return cut_texts(self.scorer, texts)


@functools.cache
def _curves() -> dict[str, Calibration]:
    """The curve of each scorer id, from its scores to the older scale."""
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        scorer_id: Calibration(np.array(one["inputs"]), np.array(one["outputs"]))
        for scorer_id, one in stored["curves"].items()
    }
