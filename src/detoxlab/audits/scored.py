"""Texts of a set with their scores, and the figures that sections make of them.

Unknown is not zero: a text without a score is left out of every figure and counted. A share also
has two bounds: its value if none, and if all, of these texts counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detoxlab.audits.card import Curve
from detoxlab.audits.names import FIGURES
from detoxlab.measures.agreement import (
    calibration_bins,
    pearson,
    pearson_columns,
    pearson_of_sums,
    ranks,
    roc_auc,
)
from detoxlab.measures.ranking import roc_auc_interval
from detoxlab.measures.statistics import (
    BoolArray,
    FloatArray,
    Interval,
    bootstrap,
    exact_share_interval,
)
from detoxlab.measures.toxicity import fraction_columns, mean_columns
from detoxlab.records import RESAMPLES, Measurement, Prompt

HISTOGRAM_BINS = 20
CALIBRATION_BINS = 15
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Scored:
    """N texts with the scores of all attributes (N, A), NaN where there is none.

    `attribute` and `threshold` are those that are audited. `held_out` are the groups of people
    about whom the scorer was not trained. `seed` and `resamples` are of the intervals.
    """

    prompts: Sequence[Prompt]
    scores_NA: FloatArray
    attributes: tuple[str, ...]
    scorer_id: str
    attribute: str
    threshold: float = 0.5
    held_out: tuple[str, ...] = ()
    seed: int = 0
    resamples: int = RESAMPLES

    @property
    def scores(self) -> FloatArray:
        """The scores of the audited attribute."""
        return self.of(self.attribute)

    @property
    def marks(self) -> BoolArray:
        """Whether each text is at or above the threshold; False for one without a score."""
        return self.scores >= self.threshold

    def of(self, attribute: str) -> FloatArray:
        """The scores of an attribute (N,)."""
        return self.scores_NA[:, self.attributes.index(attribute)]

    def meta(self, name: str) -> list[Any]:
        """One entry of each text's meta; None where it has none."""
        return [prompt.meta.get(name) for prompt in self.prompts]

    def where(self, name: str, *values: Any) -> BoolArray:
        """Whether each text's meta entry is one of the values, or lists one of them (N,)."""
        entries = [one if isinstance(one, list) else [one] for one in self.meta(name)]
        return np.array([any(v in values for v in one) for one in entries], dtype=np.bool_)

    def with_attribute(self, attribute: str) -> "Scored":
        """The same texts, with another attribute of the scorer audited."""
        return replace(self, attribute=attribute)

    def choose(self, chosen_N: BoolArray) -> "Scored":
        """The chosen texts alone."""
        kept = [one for one, keep in zip(self.prompts, chosen_N, strict=True) if keep]
        return replace(self, prompts=kept, scores_NA=self.scores_NA[chosen_N])

    # --- figures ---

    def marked(
        self, name: str = "marked", *, units: str | None = None, **facts: Any
    ) -> Measurement:
        """The share of the texts at or above the threshold."""
        return self.share(name, self.marks, units=units, **facts)

    def share(
        self, name: str, hits_N: BoolArray, *, units: str | None = None, **facts: Any
    ) -> Measurement:
        """The share of hits among the scored texts, with its interval and bounds.

        Texts with the same meta entry `units` are drawn together. A share of 0 or 1, which
        resampling cannot vary, has the exact interval of as many units.
        """
        known_N = ~np.isnan(self.scores)
        hits, known, total = int((hits_N & known_N).sum()), int(known_N.sum()), len(known_N)
        if not known:
            return self._row(name, None, known_N, **facts)
        bounds = {"bound_low": hits / total, "bound_high": (hits + total - known) / total}
        units_N = self._units(units)
        if hits in (0, known):
            drawn = len(set(units_N[known_N].tolist()))
            low, high = exact_share_interval(drawn if hits else 0, drawn)
            interval: Interval | None = Interval(hits / known, low, high, low, high)
        else:
            columns_N2 = fraction_columns(hits_N[:, None], known_N[:, None])
            interval = self._bootstrap(columns_N2, units_N)
        facts = {"threshold": self.threshold} | bounds | facts
        return self._row(name, hits / known, known_N, interval, **facts)

    def mean_score(self, *, units: str | None = None, **facts: Any) -> Measurement:
        """The mean of the scores."""
        known_N = ~np.isnan(self.scores)
        if not known_N.any():
            return self._row("mean_score", None, known_N, **facts)
        columns_N2 = mean_columns(self.scores[:, None], known_N[:, None])
        interval = self._bootstrap(columns_N2, self._units(units))
        return self._row(
            "mean_score", float(self.scores[known_N].mean()), known_N, interval, **facts
        )

    def area(
        self,
        positive_N: BoolArray,
        name: str = "roc_auc",
        *,
        units: str | None = None,
        **facts: Any,
    ) -> Measurement:
        """ROC-AUC of the scores for the positive texts; unknown where a class is empty."""
        known_N = ~np.isnan(self.scores)
        value, interval = None, None
        if known_N.any():
            scores_N, positive_N = self.scores[known_N], positive_N[known_N]
            value = roc_auc(scores_N, positive_N)
        if value is not None:
            units_N = None if units is None else _numbered(self._units(units)[known_N].tolist())
            interval = roc_auc_interval(
                scores_N, positive_N, units_N=units_N, seed=self.seed, resamples=self.resamples
            )
        return self._row(name, value, known_N, interval, **facts)

    def correlation(
        self, name: str, target_N: FloatArray, values_N: FloatArray | None = None, **facts: Any
    ) -> Measurement:
        """Correlation of the scores, or other values, with a target where both are known.

        `name` is pearson; any other name is that of a rank correlation. Departure: its interval
        resamples the ranks in the whole set, which are not made anew for each resample.
        """
        values_N = self.scores if values_N is None else values_N
        known_N = ~np.isnan(values_N) & ~np.isnan(target_N)
        if not known_N.any():
            return self._row(name, None, known_N, **facts)
        first_N, second_N = values_N[known_N], target_N[known_N]
        if name != "pearson":
            first_N, second_N = ranks(first_N), ranks(second_N)
        interval = bootstrap(
            pearson_columns(first_N, second_N),
            pearson_of_sums,
            seed=self.seed,
            resamples=self.resamples,
        )
        return self._row(name, pearson(first_N, second_N), known_N, interval, **facts)

    def calibration(self, target_N: FloatArray) -> tuple[list[Measurement], list[Curve]]:
        """The mean and the worst gap of the calibration curve, and the curve itself."""
        known_N = ~np.isnan(self.scores) & ~np.isnan(target_N)
        if not known_N.any():
            return [], []
        found = calibration_bins(self.scores[known_N], target_N[known_N], bins=CALIBRATION_BINS)
        gaps = [abs(one.predicted - one.target) for one in found]
        mean = float(np.average(gaps, weights=[one.n for one in found]))
        rows = [
            self._row("calibration_error", mean, known_N),
            self._row("calibration_worst", max(gaps), known_N),
        ]
        x, y = _rounded([b.predicted for b in found]), _rounded([b.target for b in found])
        return rows, [Curve("calibration", self.attribute, x, y, int(known_N.sum()))]

    def histogram(self, name: str) -> Curve:
        """The share of the scored texts in each of 20 bins of the score, by its middle."""
        known_N = self.scores[~np.isnan(self.scores)]
        counts, edges = np.histogram(known_N, HISTOGRAM_BINS, (0.0, 1.0))
        middles = (edges[1:] + edges[:-1]) / 2
        shares = counts / max(1, len(known_N))
        return Curve("histogram", name, _rounded(middles), _rounded(shares), len(known_N))

    def _row(
        self,
        name: str,
        value: float | None,
        known_N: BoolArray,
        interval: Interval | None = None,
        **facts: Any,
    ) -> Measurement:
        given = {
            "value": value,
            "ci_low": interval.low if interval else None,
            "ci_high": interval.high if interval else None,
            "n": int(known_N.sum()),
            "coverage": float(known_N.mean()) if len(known_N) else None,
            "scorer_id": self.scorer_id,
            "attribute": self.attribute,
        }
        return FIGURES[name].measurement(**given | facts)

    def _units(self, name: str | None) -> IntArray:
        """A number per text (N,), the same for texts that are drawn together."""
        if name is None:
            return np.arange(len(self.prompts))
        return _numbered([prompt.meta.get(name, (prompt.id,)) for prompt in self.prompts])

    def _bootstrap(self, columns_N2: FloatArray, units_N: IntArray) -> Interval | None:
        columns_U2 = np.stack(
            [np.bincount(units_N, column_N).astype(np.float64) for column_N in columns_N2.T], axis=1
        )
        return bootstrap(columns_U2, seed=self.seed, resamples=self.resamples)


Result = tuple[list[Measurement], list[Curve], list[str]]
Examine = Callable[[Scored], Result]


def _numbered(keys: Sequence[Any]) -> IntArray:
    """The distinct keys as numbers from 0, by first appearance."""
    places: dict[Any, int] = {}
    return np.array([places.setdefault(key, len(places)) for key in keys], dtype=np.int64)


def _rounded(values: Sequence[float] | FloatArray) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
