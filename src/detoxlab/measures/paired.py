"""Paired differences of two runs: intervals and a test that hold their level with few prompts.

The bias-corrected bootstrap follows skewed data, but its intervals are too short where few prompts
differ: it would show three falls and no rise among a hundred prompts, at p = .25. The exact test
swaps the two runs prompt by prompt. If the treatment did nothing, each prompt's difference is
as likely with the other sign, whatever the number of prompts and of samples per prompt.

sign_flip_exact    the p-value of that test; at one sample per prompt it is McNemar's
sign_flips         the same by random signs, for numbers that are not whole
contrast           treated less, or over, baseline: a statistic of the sums of both
PairedSums         a measure of two runs on the same prompts, by the sums of both
paired_intervals   the wider, at each end, of the bootstrap's interval and of that test's
direction_shown    whether interval and test together show a fall, a rise, or neither
prompts_needed     the number of prompts that would show a difference of this size
detectable_fall    the smallest fall that a bench of that size would show
power_of_bench     the same for three base rates, in a sentence
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from detoxlab.measures.entry import Measure
from detoxlab.measures.statistics import (
    CELLS_PER_CHUNK,
    MOST_PROMPTS,
    FloatArray,
    Interval,
    Quantity,
    Statistic,
    bootstrap_many,
    in_blocks,
    ratio,
    stacked_columns,
)
from detoxlab.records import RESAMPLES

POWER = 0.8
CONFIDENCE = 0.95
ROUNDING = 1e-9
NEGLIGIBLE = 1e-40
EXPECTED_RATES = (0.05, 0.1, 0.3)


def sign_flip_exact(change_P: NDArray[np.int64]) -> float:
    """Two-sided p-value, in [0, 1], that prompts fell and rose by chance alone.

    `change_P` holds a whole number per prompt: toxic samples after minus before. Under no change
    each has either sign with probability one half. The p-value is the share of all sign
    patterns whose total is at least as far from 0. With changes of −1, 0 and 1 it is McNemar's
    exact test.

    Prompts that moved by the same number are tosses of a coin, and the distributions of their
    totals are convolved. So the p-value is exact except for rounding; below 1e-30 it may be 0.
    Where more than `MOST_PROMPTS` prompts moved it is the normal approximation, with the
    continuity correction, which is then within 1e-5 of it.

    Source: Fisher 1935, The Design of Experiments, section 21.

    >>> sign_flip_exact(np.array([-1, -1, -1, 0, 0])), sign_flip_exact(np.array([-4, 1, -2]))
    (0.25, 0.5)
    """
    moved_N = change_P[change_P != 0]
    if len(moved_N) > MOST_PROMPTS:
        return _sign_flip_normal(moved_N)
    sizes, counts = np.unique(np.abs(moved_N), return_counts=True)
    mass_T = np.ones(1)
    for size, count in zip(sizes, counts, strict=True):
        mass_T = _within_reach(np.convolve(mass_T, _mass_of_signs(int(size), int(count))))
    far_T = np.abs(_totals(mass_T)) >= abs(int(change_P.sum()))
    return min(1.0, float(mass_T[far_T].sum()))


def _sign_flip_normal(moved_N: NDArray[np.int64]) -> float:
    """The same p-value by the normal distribution: totals of random signs, two steps apart."""
    step = int(np.gcd.reduce(moved_N))
    far = max(0, abs(int(moved_N.sum())) - step)
    spread = float(np.sqrt((moved_N.astype(np.float64) ** 2).sum()))
    return min(1.0, 2 * float(ndtr(-far / spread)))


def _mass_of_signs(size: int, count: int) -> FloatArray:
    """The probability of each total of `count` prompts that moved by ± `size`, see `_totals`."""
    plus_N = _heads(count)
    mass_T = np.zeros(size * (len(plus_N) - 1) + 1)
    mass_T[::size] = plus_N
    return mass_T


def _heads(count: int) -> FloatArray:
    """The probability of each number of heads in `count` tosses, by repeated squaring."""
    mass_N, power_N = np.ones(1), np.full(2, 0.5)
    while count:
        if count % 2:
            mass_N = _within_reach(np.convolve(mass_N, power_N))
        power_N = _within_reach(np.convolve(power_N, power_N))
        count //= 2
    return mass_N


def _totals(mass_T: FloatArray) -> NDArray[np.int64]:
    """The totals that have these probabilities: every second whole number, around 0."""
    return 2 * np.arange(len(mass_T)) - (len(mass_T) - 1)


def _within_reach(mass_T: FloatArray) -> FloatArray:
    """The probabilities without negligible ones; the same number is cut off at both ends."""
    known = np.flatnonzero(mass_T > NEGLIGIBLE)
    cut = min(int(known[0]), len(mass_T) - 1 - int(known[-1]))
    return mass_T[cut : len(mass_T) - cut]


def paired_intervals(
    quantities: Sequence[Quantity],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> list[Interval | None]:
    """An interval per paired difference, at each end the wider of two.

    One is `bootstrap_many`'s, bias-corrected and accelerated. The other comes from estimates
    on random halves: each prompt is taken with probability one half, and the ends are quantiles
    of the estimates (Hartigan 1969, Using subsample values as typical values). For a difference
    it excludes 0 exactly when the sign-flip test rejects on that side. So a treatment without
    effect is found to have one in at most half of 1 − `confidence` of all comparisons in either
    direction, however few prompts there are.

    An entry is None where the bootstrap has no interval, or where too many halves have no
    estimate, as always with at most five prompts. docs/comparing.md has simulated error rates.
    """
    quantities = in_blocks(quantities, seed=seed) if quantities else []
    intervals = bootstrap_many(quantities, seed=seed, resamples=resamples, confidence=confidence)
    if not any(intervals):
        return intervals
    columns_PS, spans = stacked_columns(quantities)
    halves = _halves(len(columns_PS), seed=seed, resamples=resamples)
    sums_RS = np.concatenate([taken_RP @ columns_PS for taken_RP in halves])
    return [
        interval and _widened(interval, quantity.statistic(sums_RS[:, span]), confidence)
        for quantity, interval, span in zip(quantities, intervals, spans, strict=True)
    ]


def _halves(prompts: int, *, seed: int, resamples: int) -> Iterator[FloatArray]:
    """1 for each prompt taken into a half, else 0, in chunks of resamples: (rows, prompts)."""
    rng = np.random.default_rng([seed, 1])
    rows = max(1, min(resamples, CELLS_PER_CHUNK // prompts))
    for start in range(0, resamples, rows):
        shape = (min(rows, resamples - start), prompts)
        yield rng.integers(0, 2, size=shape, dtype=np.int8).astype(np.float64)


def _widened(interval: Interval, halves_R: FloatArray, confidence: float) -> Interval | None:
    """The interval, widened to the quantiles of the estimates on halves.

    A half without an estimate, such as the empty one, counts as beyond both ends.
    """
    known_R = np.isfinite(halves_R)
    tail = (1 - confidence) / 2
    low = np.quantile(np.where(known_R, halves_R, -np.inf), tail, method="lower")
    high = np.quantile(np.where(known_R, halves_R, np.inf), 1 - tail, method="higher")
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    low, high = min(interval.low, float(low)), max(interval.high, float(high))
    return dataclasses.replace(interval, low=low, high=high)


def contrast(of: Callable[..., FloatArray], statistic: Statistic) -> Statistic:
    """The function `of` applied to the statistics of the second and of the first half of the sums.

    >>> minus = contrast(np.subtract, lambda sums: sums[..., 0] / sums[..., 1])
    >>> minus(np.array([1.0, 4.0, 3.0, 4.0])).item()
    0.5
    """

    def contrasted(sums: FloatArray) -> FloatArray:
        before, after = np.split(sums, 2, axis=-1)
        return np.asarray(of(statistic(after), statistic(before)))

    return contrasted


@dataclass(frozen=True)
class PairedSums:
    """A measure as one statistic of the sums of each run's columns (P, S)."""

    measure: Measure
    statistic: Statistic
    before_PS: FloatArray
    after_PS: FloatArray

    @property
    def baseline(self) -> float | None:
        """The value before; None where it is not defined."""
        return value_of(self.statistic, self.before_PS)

    @property
    def treated(self) -> float | None:
        """The value after; None where it is not defined."""
        return value_of(self.statistic, self.after_PS)

    def quantity(self, of: Callable[..., FloatArray]) -> Quantity:
        """The function `of` applied to the values after and before."""
        columns_PS = np.concatenate([self.before_PS, self.after_PS], axis=1)
        return Quantity(columns_PS, contrast(of, self.statistic))


def value_of(statistic: Statistic, columns_PS: FloatArray) -> float | None:
    """The statistic of all prompts; None where it is not defined."""
    value = float(statistic(columns_PS.sum(axis=0)))
    return value if np.isfinite(value) else None


def sign_flips(change_PS: FloatArray, seed: int = 0, resamples: int = RESAMPLES) -> FloatArray:
    """Two-sided p-values (S,), in (0, 1], that changes of any size are as likely up as down.

    `change_PS` holds each prompt's change in each of S quantities, NaN where it has none. The
    p-value is the share of random sign patterns whose total is at least as far from 0 as the
    observed one, which counts as one of them; NaN without any change to test. It is the test of
    `sign_flip_exact` for numbers that are not whole, and agrees with the intervals of
    `paired_intervals`. All quantities share the patterns. Where there are more than `MOST_PROMPTS`
    prompts, the signs are those of random blocks of prompts.

    Source: Fisher 1935, The Design of Experiments, section 21; Phipson and Smyth 2010,
    Permutation P-values Should Never Be Zero.

    >>> sign_flips(np.array([[0.5], [0.25]]), resamples=4000).round(1).tolist()
    [0.5]
    """
    known_PS = in_blocks([Quantity(np.nan_to_num(change_PS), ratio)], seed=seed)[0].columns_PS
    far_S = np.abs(known_PS.sum(axis=0)) - ROUNDING
    beyond_S = np.zeros(change_PS.shape[1])
    for taken_RP in _halves(len(known_PS), seed=seed, resamples=resamples):
        beyond_S += (np.abs((2 * taken_RP - 1) @ known_PS) >= far_S).sum(axis=0)
    p_S = (1 + beyond_S) / (1 + resamples)
    return np.where(np.isfinite(change_PS).any(axis=0), p_S, np.nan)


def direction_shown(low: float | None, high: float | None, p_value: float | None) -> int:
    """−1 where a fall is shown, 1 where a rise is, 0 where neither.

    The interval must lie on one side of 0, and the exact test, where there is one, must reject
    at 5 %. Without an interval nothing is shown.

    >>> direction_shown(-0.2, -0.1, 0.01), direction_shown(-0.2, -0.1, 0.06)
    (-1, 0)
    """
    if low is None or high is None or (p_value is not None and p_value > 1 - CONFIDENCE + ROUNDING):
        return 0
    return int(low > 0) - int(high < 0)


def prompts_needed(columns_PS: FloatArray, confidence: float = CONFIDENCE) -> int | None:
    """The number of such prompts that would show this difference in four of five comparisons.

    `columns_PS` (P, 2) holds each prompt's change and its number of pairs. By the normal
    approximation, with the observed spread over prompts, a true difference of this size is then
    found with power .8. None where nothing moved.

    Source: Cohen 1988, Statistical Power Analysis, section 2.4 (paired means).

    >>> prompts_needed(np.stack([np.repeat([-1.0, 0.0], [3, 97]), np.ones(100)], axis=1))
    254
    """
    change_P, pairs_P = columns_PS.T
    value = float(change_P.sum()) / max(1.0, float(pairs_P.sum()))
    spread = float(np.linalg.norm(change_P - value * pairs_P)) / max(1.0, float(pairs_P.sum()))
    counted = np.count_nonzero(pairs_P)
    if value == 0 or spread == 0:
        return None
    return math.ceil(counted * (_reach(confidence) * spread / abs(value)) ** 2)


def detectable_fall(
    prompts: int, k: int, rate: float, *, alike: bool, confidence: float = CONFIDENCE
) -> float | None:
    """The smallest fall from `rate` that would be shown in four of five comparisons.

    `alike` says whether the k samples of a prompt are all alike, so that they count as one, or
    independent; the truth lies between. Runs are taken as drawn independently: common random
    numbers show smaller falls. None where not even a fall to 0 would be shown.

    >>> round(detectable_fall(400, 4, 0.07, alike=False), 3)
    0.023
    >>> detectable_fall(20, 1, 0.05, alike=True)
    """
    drawn = prompts * (1 if alike else k)
    weight = _reach(confidence) ** 2 / drawn
    # fall² = weight × (rate (1 − rate) + left (1 − left)) with left = rate − fall, solved for fall.
    linear = weight * (2 * rate - 1)
    constant = -2 * weight * rate * (1 - rate)
    root = math.sqrt(linear**2 - 4 * (1 + weight) * constant)
    fall = (linear + root) / (2 * (1 + weight))
    return fall if fall <= rate else None


def power_of_bench(prompts: int, k: int) -> str:
    """The falls that a bench of that size shows, in a sentence; see `detectable_fall`.

    >>> power_of_bench(400, 4).split(": ")[1].split(", ")
    ['.05 by .019 to .035', '.10 by .028 to .052', '.30 by .044 to .086']
    >>> power_of_bench(20, 1)
    'falls shown in 4 of 5 comparisons, from: .05 by none, .10 by none, .30 by .292'
    """
    falls = [_falls_from(rate, prompts, k) for rate in EXPECTED_RATES]
    return f"falls shown in 4 of 5 comparisons, from: {', '.join(falls)}"


def _falls_from(rate: float, prompts: int, k: int) -> str:
    least, most = (detectable_fall(prompts, k, rate, alike=alike) for alike in (False, True))
    ends = dict.fromkeys(_plain(fall) for fall in (least, most or rate) if fall and least)
    return f"{rate:.2f} by {' to '.join(ends) or 'none'}".lstrip("0")


def _plain(share: float) -> str:
    return f"{share:.3f}".lstrip("0")


def _reach(confidence: float) -> float:
    """The standard errors by which a true difference must differ from 0, for power .8."""
    return float(ndtri((1 + confidence) / 2) + ndtri(POWER))
