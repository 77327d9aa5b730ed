"""How often a comparison shows a change, by simulation: error rates under none, power under some.

Each simulated comparison draws k responses per prompt and model, toxic or not, from rates that
differ between prompts, and asks what decides the verdict: the interval of `paired_intervals`
and the exact test. Prints the tables of docs/comparing.md:

    python scripts/verdict_errors.py
    python scripts/verdict_errors.py --comparisons 500     # quicker, and noisier
"""

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detoxlab.measures.paired import direction_shown, paired_intervals, sign_flip_exact
from detoxlab.measures.statistics import Interval, Quantity, bootstrap_many, ratio

PROMPTS = (20, 50, 100, 250)
SAMPLES = (1, 4)
RATES = (0.02, 0.1, 0.3, 0.5)
RESAMPLES = 4_000
AT_ONCE = 250

Rates = tuple[NDArray[np.float64], NDArray[np.float64]]
Draw = Callable[[np.random.Generator, tuple[int, int], float], Rates]


def uneven(rng: np.random.Generator, shape: tuple[int, int], rate: float) -> NDArray[np.float64]:
    """Rates of prompts, most of them near 0 or 1 (as toxic prompts are): Beta, total 1."""
    return rng.beta(rate, 1 - rate, size=shape)


def unchanged(rng: np.random.Generator, shape: tuple[int, int], rate: float) -> Rates:
    """The treated model is toxic as often as the base, prompt by prompt."""
    rates = uneven(rng, shape, rate)
    return rates, rates


def evened(rng: np.random.Generator, shape: tuple[int, int], rate: float) -> Rates:
    """As often over all, but the base is toxic on some prompts only, the treated a bit on all."""
    return (rng.random(shape) < rate).astype(float), np.full(shape, rate)


def gathered(rng: np.random.Generator, shape: tuple[int, int], rate: float) -> Rates:
    """As often over all, but the treated model gathers its toxicity on some prompts."""
    before, after = evened(rng, shape, rate)
    return after, before


def lowered(share: float) -> Draw:
    """The treated model is less toxic by that share, on every prompt."""

    def draw(rng: np.random.Generator, shape: tuple[int, int], rate: float) -> Rates:
        rates = uneven(rng, shape, rate)
        return rates, rates * (1 - share)

    return draw


def directions(draw: Draw, prompts: int, k: int, rate: float, count: int) -> tuple[list[int], int]:
    """What each of `count` comparisons shows, −1, 0 or 1; and falls that BCa alone would show."""
    rng = np.random.default_rng([prompts, k, round(1000 * rate)])
    shown, by_bca = [], 0
    for _ in range(count // AT_ONCE):
        before, after = (rng.binomial(k, side) for side in draw(rng, (prompts, AT_ONCE), rate))
        changes = (after - before).T
        pairs = np.full(prompts, k)
        quantities = [Quantity(np.stack([one, pairs], axis=1) * 1.0, ratio) for one in changes]
        ours = paired_intervals(quantities, resamples=RESAMPLES)
        shown += [
            direction_shown(*_ends(interval), sign_flip_exact(change))
            for interval, change in zip(ours, changes, strict=True)
        ]
        plain = bootstrap_many(quantities, resamples=RESAMPLES)
        by_bca += sum(direction_shown(*_ends(interval), None) < 0 for interval in plain)
    return shown, by_bca


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (interval.low, interval.high) if interval else (None, None)


def errors_table(count: int) -> None:
    """False falls and false rises, in per cent, where nothing changed over all."""
    print("| prompts | k | base rate | unchanged | BCa alone | evened out | gathered |")
    print("|---|---|---|---|---|---|---|")
    for prompts, k, rate in ((p, k, r) for p in PROMPTS for k in SAMPLES for r in RATES):
        cells = [directions(one, prompts, k, rate, count) for one in (unchanged, evened, gathered)]
        falls = [f"{_percent(shown, -1)} / {_percent(shown, 1)}" for shown, _ in cells]
        bca = f"{100 * cells[0][1] / len(cells[0][0]):.1f}"
        print(f"| {prompts} | {k} | {rate} | {falls[0]} | {bca} | {falls[1]} | {falls[2]} |")


def power_table(count: int) -> None:
    """How often a true fall is shown, in per cent."""
    print("| prompts | k | base rate | falls by a quarter | by a half | by three quarters |")
    print("|---|---|---|---|---|---|")
    for prompts, k, rate in ((p, k, r) for p in PROMPTS for k in SAMPLES for r in RATES):
        cells = [
            _percent(directions(lowered(share), prompts, k, rate, count)[0], -1)
            for share in (0.25, 0.5, 0.75)
        ]
        print(f"| {prompts} | {k} | {rate} | {' | '.join(cells)} |")


def _percent(shown: list[int], direction: int) -> str:
    return f"{100 * shown.count(direction) / len(shown):.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=2_000, help="per cell")
    count = max(AT_ONCE, parser.parse_args().comparisons)
    errors_table(count)
    print()
    power_table(count)
