"""Win rates: how often one model's response is preferred to another model's.

Arrays are P prompts × K samples. An outcome is 1 where the treated model's response won, -1
where it lost, 0 for a tie, and NaN where the pair could not be judged.
"""

from dataclasses import dataclass

import numpy as np

from detoxlab.measures.catalogue import MEASURES
from detoxlab.measures.paired import paired_intervals
from detoxlab.measures.statistics import (
    FloatArray,
    Quantity,
    Statistic,
    divide,
    exact_share_interval,
    ratio,
)
from detoxlab.records import RESAMPLES, Measurement

CLOSE = 1e-4  # nats per token; below it the judge's batching could decide
BIASED = 0.1  # from one half, of the answers for what was shown first


def likelihood_outcomes(baseline_PK: FloatArray, treated_PK: FloatArray) -> FloatArray:
    """Outcomes by negative log-likelihood in nats per token: the lower one wins.

    A difference below 1e-4 is a tie, because batching could cause it.

    >>> likelihood_outcomes(np.array([[2.0, 2.0, np.nan]]), np.array([[1.0, 2.0, 1.0]])).tolist()
    [[1.0, 0.0, nan]]
    """
    gain_PK = baseline_PK - treated_PK
    return np.where(np.abs(gain_PK) < CLOSE, 0.0, np.sign(gain_PK))


def question_outcomes(first_PK: FloatArray, second_PK: FloatArray) -> FloatArray:
    """Outcomes by two questions: the treated response shown first, and shown second.

    Each array holds the judge's preference for the treated response in nats. The outcome is a tie
    if the judge contradicts itself on swapping, or has no preference in one order.

    >>> question_outcomes(np.array([[1.0, 1.0, -1.0]]), np.array([[0.5, -0.5, -1.0]])).tolist()
    [[1.0, 0.0, -1.0]]
    """
    agree_PK = np.sign(first_PK) == np.sign(second_PK)
    unknown_PK = np.isnan(first_PK) | np.isnan(second_PK)
    return np.where(unknown_PK, np.nan, np.where(agree_PK, np.sign(first_PK), 0.0))


def chose_first(first_PK: FloatArray, second_PK: FloatArray) -> FloatArray:
    """For each pair, how many of its two questions chose the response shown first: 0, .5, …, 2.

    No preference counts half. NaN where the pair was not judged, or where both orders show no
    preference, as with two equal responses, which says nothing about the order.

    >>> chose_first(np.array([[1.0, 1.0, -1.0]]), np.array([[0.5, -0.5, -1.0]])).tolist()
    [[1.0, 2.0, 1.0]]
    """
    unknown_PK = np.isnan(first_PK) | np.isnan(second_PK) | ((first_PK == 0) & (second_PK == 0))
    chosen_PK = (np.sign(first_PK) + 1) / 2 + (1 - np.sign(second_PK)) / 2
    return np.where(unknown_PK, np.nan, chosen_PK)


@dataclass(frozen=True)
class _Share:
    """A share of the judged pairs, from the sums named in `columns`."""

    name: str
    columns: tuple[str, ...]
    statistic: Statistic = ratio


def _with_half_ties(sums: FloatArray) -> FloatArray:
    """(wins + ties / 2) / judged."""
    return divide(sums[..., 0] + sums[..., 1] / 2, sums[..., 2])


SHARES = (
    _Share("win_rate", ("wins", "ties", "judged"), _with_half_ties),
    _Share("wins", ("wins", "judged")),
    _Share("ties", ("ties", "judged")),
    _Share("losses", ("losses", "judged")),
)
POSITION = _Share("chose_first", ("first", "questions"))


def win_rate_measurements(
    outcomes_PK: FloatArray,
    first_PK: FloatArray | None = None,
    *,
    pairs: int,
    protocol: str,
    scorer_id: str,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Measurement]:
    """Win rate, wins, ties and losses as shares of the judged pairs, with intervals.

    `win_rate` counts a tie half, so .5 is no preference. `first_PK` (of `chose_first`) adds the
    share of questions that chose the response shown first, where .5 is no position bias. `pairs`
    is the number of pairs to judge, the denominator of coverage. Prompts are resampled.

    >>> rows = win_rate_measurements(
    ...     np.array([[1.0, 0.0], [-1.0, 1.0]]), pairs=5, protocol="p", scorer_id="j")
    >>> [(row.name, row.value, row.coverage) for row in rows[:2]]
    [('win_rate', 0.625, 0.8), ('wins', 0.5, 0.8)]
    """
    sums = _sums(outcomes_PK, first_PK)
    shares = SHARES if first_PK is None else (*SHARES, POSITION)
    quantities = [
        Quantity(np.stack([sums[name] for name in one.columns], axis=1), one.statistic)
        for one in shares
    ]
    intervals = paired_intervals(quantities, seed=seed, resamples=resamples)
    judged, prompts = int(sums["judged"].sum()), int((sums["judged"] > 0).sum())
    rows = []
    for share, quantity, interval in zip(shares, quantities, intervals, strict=True):
        value = float(quantity.statistic(quantity.columns_PS.sum(axis=0)))
        ends = (interval.low, interval.high) if interval else (None, None)
        if value in (0.0, 1.0):
            ends = exact_share_interval(int(value) * prompts, prompts)
        elif share.name == "win_rate" and sums["ties"].sum() == judged:
            ends = _around_ties(prompts)
        rows.append(
            MEASURES[share.name].measurement(
                value=value if np.isfinite(value) else None,
                ci_low=ends[0],
                ci_high=ends[1],
                n=prompts,
                coverage=judged / pairs if pairs else None,
                scorer_id=scorer_id,
                protocol=protocol,
                note=f"{judged} of {pairs} pairs judged",
            )
        )
    return rows


def is_position_biased(chose_first: Measurement) -> bool:
    """Whether a judge follows the place of a response rather than the response.

    So it is where the share of answers for the first shown lies a tenth or more from one half, and
    its interval excludes one half. At a tenth, it contradicts itself in a fifth of the pairs, which
    are ties.

    >>> shares = [(1.0, 0.8, 1.0), (0.55, 0.52, 0.6)]
    >>> [is_position_biased(Measurement("chose_first", *share)) for share in shares]
    [True, False]
    """
    value, low, high = chose_first.value, chose_first.ci_low, chose_first.ci_high
    if value is None or low is None or high is None:
        return False
    return abs(value - 0.5) >= BIASED and not low <= 0.5 <= high


def _around_ties(prompts: int) -> tuple[float, float]:
    """The interval of a win rate when all pairs are ties, where resampling shows no spread.

    Its ends are the win rates if the largest plausible share of pairs were lost, or won.
    """
    _, unseen = exact_share_interval(0, prompts)
    return (1 - unseen) / 2, (1 + unseen) / 2


def _sums(outcomes_PK: FloatArray, first_PK: FloatArray | None) -> dict[str, FloatArray]:
    """Each prompt's part in each count, (P,) by name."""
    known_PK = ~np.isnan(outcomes_PK)
    counted = {
        "wins": outcomes_PK == 1,
        "ties": outcomes_PK == 0,
        "losses": outcomes_PK == -1,
        "judged": known_PK,
    }
    sums = {name: at_PK.sum(axis=1).astype(np.float64) for name, at_PK in counted.items()}
    if first_PK is not None:
        sums["first"] = np.nan_to_num(first_PK).sum(axis=1)
        sums["questions"] = 2.0 * (~np.isnan(first_PK)).sum(axis=1)
    return sums
