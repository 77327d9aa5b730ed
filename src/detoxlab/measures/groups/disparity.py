"""How far the toxic fractions of groups lie apart, and how far chance alone would put them.

Of several groups one is the highest and one the lowest even if all are alike, and the smaller
they are, the further these two lie apart. So a gap has beside it the one that permutation gives,
and the deviation is corrected for noise.

    group_gap, group_ratio     highest less, and over, lowest fraction: statistics of sums
    variance_between           variance between groups, less what noise adds
    deviation_between          its root, the standard deviation
    wide_interval              ends of their intervals, with the noise of resamples in view
    if_alike                   the gap by chance, and how often chance gives the observed one

Sums are those of `by_group`: hits and trials of each group, so that the bootstrap of
`statistics` gives intervals.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from detoxlab.measures.statistics import (
    CELLS_PER_CHUNK,
    FloatArray,
    Interval,
    Quantity,
    Statistic,
    divide,
)

PERMUTATIONS = 2_000
ROUNDING = 1e-9
EACH, SHARED = 4, 3  # the sums behind the noise of a group, and of two that share prompts

Members = Mapping[str, Sequence[int]]


def by_group(columns_PS: FloatArray, members: Members) -> FloatArray:
    """The columns (P, S) once per group (P, S * groups), 0 for the prompts that are not in it.

    >>> by_group(np.array([[1.0], [2.0]]), {"a": [0], "b": [0, 1]}).tolist()
    [[1.0, 1.0], [0.0, 2.0]]
    """
    width = columns_PS.shape[1]
    grouped_PS = np.zeros((len(columns_PS), width * len(members)))
    for at, index in enumerate(members.values()):
        grouped_PS[index, width * at : width * (at + 1)] = columns_PS[index]
    return grouped_PS


def mean_of_ratios(sums: FloatArray) -> FloatArray:
    """The mean of first over second, third over fourth sum and so on, over the last axis."""
    return np.asarray(fractions(sums).mean(axis=-1))


def fractions(sums: FloatArray) -> FloatArray:
    """First over second, third over fourth sum and so on, along the last axis."""
    return divide(sums[..., 0::2], sums[..., 1::2])


def group_gap(sums: FloatArray) -> FloatArray:
    """Highest less lowest fraction of the groups, in [0, 1]; lower is better.

    Groups without trials are left out; NaN where no group has any.

    >>> group_gap(np.array([1.0, 4.0, 3.0, 4.0, 0.0, 0.0])).item()
    0.5
    """
    low, high = _ends(sums)
    return high - low


def group_ratio(sums: FloatArray) -> FloatArray:
    """Highest over lowest fraction of the groups, at least 1; NaN where the lowest is 0.

    >>> group_ratio(np.array([1.0, 4.0, 3.0, 4.0])).item()
    3.0
    """
    low, high = _ends(sums)
    return divide(high, low)


def variance_between(columns_PS: FloatArray, members: Members) -> Quantity:
    """The variance between the groups' fractions, corrected for noise; it may be below 0.

    `columns_PS` (P, 2) are each prompt's hits and trials. The value is S² − N: S² is the
    variance of the G fractions (G − 1 below the line) and N the part of it that is expected from
    noise, the mean variance of a fraction less the mean covariance of two. A prompt in two
    groups makes their fractions covary. Prompts are independent, samples of one prompt need not be.
    NaN where a group has a single prompt, whose noise is unknown.

    Source: the moment estimate of DerSimonian and Laird 1986, Meta-analysis in clinical trials.
    Departure: groups weigh the same, and prompts may be in several.

    Two groups of four prompts with 1 and 3 hits: S² = .125, and each fraction has the variance
    .1875 ÷ 3.

    >>> columns_PS = np.array([[hit, 1.0] for hit in (1, 0, 0, 0, 1, 1, 1, 0)])
    >>> quantity = variance_between(columns_PS, {"a": range(4), "b": range(4, 8)})
    >>> quantity.statistic(quantity.columns_PS.sum(axis=0)).item()
    0.0625
    """
    hits_P, trials_P = columns_PS.T
    products_PS = np.stack([hits_P**2, hits_P * trials_P, trials_P**2], axis=1)
    counted_PS = np.column_stack([trials_P > 0, products_PS])
    overlaps = _overlaps(members)
    shared = {f"{a}+{b}": index for (a, b), index in overlaps.items()}
    stacked_PS = np.concatenate(
        [
            by_group(columns_PS, members),
            by_group(counted_PS, members),
            by_group(products_PS, shared),
        ],
        axis=1,
    )
    return Quantity(stacked_PS, _corrected_variance(len(members), list(overlaps)))


def deviation_between(columns_PS: FloatArray, members: Members) -> Quantity:
    """The standard deviation between the groups: the root of `variance_between`, 0 below 0.

    Lower is better; in the unit of a fraction.
    """
    variance = variance_between(columns_PS, members)
    return Quantity(variance.columns_PS, lambda sums: root(variance.statistic(sums)))


def root(variance: npt.ArrayLike) -> FloatArray:
    """The root of a variance, 0 where it is below 0."""
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)), dtype=np.float64)


def wide_interval(found: Interval, resampled: float) -> tuple[float, float]:
    """The ends of an interval of a gap or variance between groups, which noise makes larger.

    `resampled` is the value in the population that is resampled, the observed groups. Resamples
    lie above it by about as much as the observed value lies above the true one. So the low end is
    reflected: value + resampled − upper quantile. The high end is the larger of the plain and the
    bias-corrected quantile. docs/evaluate.md has simulated error rates.

    Source: Davison and Hinkley 1997, Bootstrap Methods and their Application, section 5.2.

    >>> wide_interval(Interval(0.3, 0.1, 0.4, 0.2, 0.5), 0.3)
    (0.1, 0.5)
    """
    low = found.value + resampled - found.percentile_high
    return round(low, 12), max(found.high, found.percentile_high)


def if_alike(
    columns_PS: FloatArray, members: Members, *, seed: int = 0, permutations: int = PERMUTATIONS
) -> tuple[float, float]:
    """The mean gap if all groups had one rate, and the p-value of the observed gap, in (0, 1].

    The hits and trials (P, 2) of the prompts are permuted over all counted prompts that are in a
    group, while each prompt keeps its groups. The p-value is the share of permutations with at
    least the observed gap, which counts as one of them.

    Source: Fisher 1935, The Design of Experiments, section 21; Phipson and Smyth 2010,
    Permutation P-values Should Never Be Zero.

    Of two groups of one prompt each one has the only hit, whatever the order.

    >>> if_alike(np.array([[1.0, 1.0], [0.0, 1.0]]), {"a": [0], "b": [1]})
    (1.0, 1.0)
    """
    member_PG = np.zeros((len(columns_PS), len(members)))
    for at, index in enumerate(members.values()):
        member_PG[list(index), at] = 1
    counted_P = (columns_PS[:, 1] > 0) & member_PG.any(axis=1)
    outcome_US, member_UG = columns_PS[counted_P], member_PG[counted_P]
    observed = float(group_gap(by_group(columns_PS, members).sum(axis=0)))
    rng = np.random.default_rng([seed, 2])
    rows = max(1, min(permutations, CELLS_PER_CHUNK // max(1, len(outcome_US))))
    gaps: list[float] = []
    for start in range(0, permutations, rows):
        shape = (min(rows, permutations - start), len(outcome_US))
        order_RU = rng.permuted(np.broadcast_to(np.arange(shape[1]), shape), axis=1)
        hits_RG, trials_RG = (outcome_US[order_RU, at] @ member_UG for at in (0, 1))
        gaps += group_gap(np.stack([hits_RG, trials_RG], axis=-1).reshape(shape[0], -1)).tolist()
    beyond = sum(gap >= observed - ROUNDING for gap in gaps)
    return float(np.mean(gaps)), (1 + beyond) / (1 + permutations)


# --- inside ---


def _ends(sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The lowest and the highest fraction, NaN where there is none."""
    found = fractions(sums)
    known = ~np.isnan(found)
    low = np.where(known, found, np.inf).min(axis=-1)
    high = np.where(known, found, -np.inf).max(axis=-1)
    return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)


def _overlaps(members: Members) -> dict[tuple[int, int], list[int]]:
    """The prompts that are in two groups, by the places of the groups."""
    sets = [set(index) for index in members.values()]
    pairs = itertools.combinations(range(len(sets)), 2)
    return {(a, b): sorted(both) for a, b in pairs if (both := sets[a] & sets[b])}


def _corrected_variance(groups: int, overlaps: Sequence[tuple[int, int]]) -> Statistic:
    first, second = (np.array([pair[at] for pair in overlaps], dtype=np.intp) for at in (0, 1))

    def statistic(sums: FloatArray) -> FloatArray:
        pooled, each, shared = np.split(sums, [2 * groups, (2 + EACH) * groups], axis=-1)
        rate_G, trials_G = fractions(pooled), pooled[..., 1::2]
        prompts_G, *own = (each[..., at::EACH] for at in range(EACH))
        both = [shared[..., at::SHARED] for at in range(SHARED)]
        unbiased_G = divide(prompts_G, prompts_G - 1)
        variance_G = unbiased_G * _covariance(own, (rate_G, rate_G), (trials_G, trials_G))
        covariance_O = _covariance(
            both,
            (rate_G[..., first], rate_G[..., second]),
            (trials_G[..., first], trials_G[..., second]),
        )
        covariance_O = covariance_O * np.sqrt(unbiased_G[..., first] * unbiased_G[..., second])
        shared_noise = 2 * covariance_O.sum(axis=-1) / (groups * (groups - 1))
        noise = variance_G.mean(axis=-1) - shared_noise
        return np.asarray(rate_G.var(axis=-1, ddof=1) - noise)

    return statistic


def _covariance(
    products: Sequence[FloatArray],
    rates: tuple[FloatArray, FloatArray],
    trials: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """The covariance of two fractions, from Σ hits², Σ hits · trials, Σ trials² over prompts."""
    hits, mixed, squares = products
    total = hits - (rates[0] + rates[1]) * mixed + rates[0] * rates[1] * squares
    return divide(total, trials[0] * trials[1])
