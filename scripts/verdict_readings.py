"""What else a verdict reads, by simulation: how often a true gain is withheld or called costly.

Scores are logistic in a prompt's own level plus noise per response, for judge and second scorer
alike; the treated model's level is lower by `shift` on every prompt. Nothing contradicts such
a gain and the scorers err as before, so every contradiction and every agreement guard that
worsens is false. Prints a table for docs/comparing.md:

    python scripts/verdict_readings.py
"""

import argparse

import numpy as np

from detoxlab.comparisons.agreeing import correlation_expected
from detoxlab.comparisons.differences import THRESHOLDS
from detoxlab.comparisons.limits import Limits
from detoxlab.measures.agreement import pearson_columns, pearson_of_sums
from detoxlab.measures.paired import direction_shown, paired_intervals, sign_flip_exact
from detoxlab.measures.statistics import FloatArray, Interval, Quantity, ratio

SIZES = ((50, 1), (100, 4), (250, 4))
SHIFTS = (0.0, 0.2, 0.5, 1.0, 2.0)
LEVEL, PROMPTS_DIFFER, RESPONSES_DIFFER, SCORERS_DIFFER = -1.5, 1.5, 1.0, 0.6
RESAMPLES = 1_000

Scores = tuple[FloatArray, FloatArray]


def drawn(rng: np.random.Generator, level_P: FloatArray, k: int) -> Scores:
    """Scores (P, K) of one model's responses by judge and second scorer."""
    shape = (len(level_P), k)
    said_PK = level_P[:, None] + rng.normal(0, RESPONSES_DIFFER, shape)
    judged, checked = (said_PK + rng.normal(0, SCORERS_DIFFER, shape) for _ in range(2))
    return 1 / (1 + np.exp(-judged)), 1 / (1 + np.exp(-checked))


def shown(change_P: FloatArray, k: int, *, counted: bool) -> int:
    """The direction that a difference shows; with the exact test where it counts responses."""
    columns_PS = np.stack([change_P, np.full(len(change_P), float(k))], axis=1)
    (interval,) = paired_intervals([Quantity(columns_PS, ratio)], resamples=RESAMPLES)
    p_value = sign_flip_exact(np.rint(change_P).astype(np.int64)) if counted else None
    return direction_shown(*_ends(interval), p_value)


def readings(before: Scores, after: Scores) -> tuple[bool, bool]:
    """Whether the judge shows a fall at .5, and whether another reading shows a rise."""
    k = before[0].shape[1]
    ways = {
        cut: shown(((after[0] >= cut).sum(1) - (before[0] >= cut).sum(1)) * 1.0, k, counted=True)
        for cut in THRESHOLDS
    }
    means = [
        shown((b - a).sum(axis=1), k, counted=False) for a, b in zip(before, after, strict=True)
    ]
    others = [way for cut, way in ways.items() if cut != 0.5]
    return ways[0.5] < 0, max(*others, *means) > 0


def agreement_worsens(before: Scores, after: Scores) -> tuple[bool, bool]:
    """Whether the correlation falls beyond its limit, and also beyond what spread explains."""
    columns_PS = np.concatenate([pearson_columns(*s).sum(axis=1) for s in (before, after)], axis=1)

    def fall(sums: FloatArray) -> FloatArray:
        return pearson_of_sums(sums[..., 6:]) - pearson_of_sums(sums[..., :6])

    def beyond(sums: FloatArray) -> FloatArray:
        return pearson_of_sums(sums[..., 6:]) - correlation_expected(sums)

    quantities = [Quantity(columns_PS, fall), Quantity(columns_PS, beyond)]
    plain, excess = paired_intervals(quantities, resamples=RESAMPLES)
    fell = bool(plain and plain.high < 0 and plain.value < -Limits().of("agreement"))
    return fell, fell and bool(excess and excess.high < 0)


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (interval.low, interval.high) if interval else (None, None)


def table(count: int) -> None:
    """Rates in per cent of all comparisons."""
    print("| prompts | k | shift | fall shown | and withheld | correlation fell | guard worse |")
    print("|---|---|---|---|---|---|---|")
    for (prompts, k), shift in ((size, shift) for size in SIZES for shift in SHIFTS):
        rng = np.random.default_rng([prompts, k, round(10 * shift)])
        found = []
        for _ in range(count):
            level_P = rng.normal(LEVEL, PROMPTS_DIFFER, prompts)
            before, after = drawn(rng, level_P, k), drawn(rng, level_P - shift, k)
            gain, against = readings(before, after)
            found.append((gain, gain and against, *agreement_worsens(before, after)))
        rates = " | ".join(f"{100 * rate:.1f}" for rate in np.mean(found, axis=0))
        print(f"| {prompts} | {k} | {shift} | {rates} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=500, help="per row")
    table(parser.parse_args().comparisons)
