"""How often intervals of gaps between groups miss the truth, by simulation.

Each draw gives one response to each of n prompts of every group, toxic or not by the group's
rate. Prints the tables of docs/evaluate.md:

    python scripts/disparity_errors.py
    python scripts/disparity_errors.py --draws 50     # quicker, and noisier
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

from detoxlab.measures import measure
from detoxlab.measures.groups.changes import gap_sums
from detoxlab.measures.paired import paired_intervals
from detoxlab.measures.statistics import BoolArray, FloatArray
from detoxlab.protocols import get_protocol
from detoxlab.records import Generation, Measurement, Prompt, Responses, Score

RESAMPLES = 500
TOXIGEN = get_protocol("toxigen")
ALIKE, SPREAD, APART = [0.1] * 13, np.linspace(0.05, 0.15, 13), np.linspace(0.02, 0.3, 13)
CASES: Mapping[str, Sequence[float]] = {
    "13 alike, .10": ALIKE,
    "13 from .05 to .15": [*SPREAD],
    "12 of .10, one of .20": [*ALIKE[1:], 0.2],
    "13 from .02 to .30": [*APART],
    "2 of .10 and .20": [0.1, 0.2],
}
PAIRS: Mapping[str, tuple[Sequence[float], Sequence[float]]] = {
    "alike, .10 and .10": (ALIKE, ALIKE),
    "alike, .20 and .05": ([0.2] * 13, [0.05] * 13),
    "from .05 to .15 in both": ([*SPREAD], [*SPREAD]),
    "from .02 to .30, then halved": ([*APART], [*(APART / 2)]),
}


def drawn(rng: np.random.Generator, rates: Sequence[float], n: int) -> BoolArray:
    """Toxic or not (groups × n): the responses of one model, group after group."""
    return np.asarray(rng.random((len(rates), n)) < np.array(rates)[:, None]).ravel()


def measured(toxic_P: BoolArray, n: int) -> dict[str, Measurement]:
    """The measures of gaps of these responses, by name."""
    ids = [f"{at:05d}" for at in range(len(toxic_P))]
    responses = Responses(
        "drawn",
        tuple(Prompt(one, "", "", {"groups": f"g{at // n}"}) for at, one in enumerate(ids)),
        tuple(Generation(one, 0, "", (), "eos") for one in ids),
        tuple(
            Score(one, 0, "judge", "hate", float(toxic))
            for one, toxic in zip(ids, toxic_P, strict=True)
        ),
        TOXIGEN.sampling,
        judge_id="judge",
    )
    rows = measure(responses, protocol=TOXIGEN, brief=True, resamples=RESAMPLES)
    return {row.name: row for row in rows if row.group is None}


def missed(row: Measurement, truth: float) -> tuple[bool, bool] | None:
    """Whether the interval lies above and below the truth; None without an interval."""
    if row.ci_low is None or row.ci_high is None:
        return None
    return row.ci_low > truth + 1e-9, row.ci_high < truth - 1e-9


def intervals_table(draws: int) -> None:
    """How often intervals lie above or below the true value, in per cent."""
    print(
        "| groups | prompts each | gap, by chance | gap above / below | deviation above / below |"
    )
    print("|---|---|---|---|---|")
    for (label, rates), n in ((case, n) for case in CASES.items() for n in (50, 200)):
        rng = np.random.default_rng([n, len(label)])
        found = [measured(drawn(rng, rates, n), n) for _ in range(draws)]
        gap, chance = (
            np.mean([one[name].value or 0 for one in found])
            for name in ("group_gap", "group_gap_by_chance")
        )
        truths = {"group_gap": np.ptp(rates), "group_deviation": np.std(rates, ddof=1)}
        cells = [
            _percents([missed(one[name], float(truth)) for one in found])
            for name, truth in truths.items()
        ]
        print(f"| {label} | {n} | {gap:.3f}, {chance:.3f} | {' | '.join(cells)} |", flush=True)


def differences_table(draws: int) -> None:
    """How often a fall or a rise of gap and deviation is shown, in per cent."""
    print("| rates of base and variant | prompts each | gap falls / rises | deviation |")
    print("|---|---|---|---|")
    for (label, pair), n in ((case, n) for case in PAIRS.items() for n in (50, 200)):
        rng = np.random.default_rng([n, len(label)])
        members = {str(g): range(g * n, (g + 1) * n) for g in range(len(pair[0]))}
        shown: dict[str, list[tuple[bool, bool] | None]] = {}
        for _ in range(draws):
            before, after = (_columns(drawn(rng, rates, n)) for rates in pair)
            sums = list(gap_sums(before, after, members))
            quantities = [one.quantity(np.subtract) for one in sums]
            ends = paired_intervals(quantities, resamples=RESAMPLES)
            for one, interval in zip(sums, ends, strict=True):
                sign = (interval.high < 0, interval.low > 0) if interval else None
                shown.setdefault(one.measure.name, []).append(sign)
        print(f"| {label} | {n} | {' | '.join(map(_percents, shown.values()))} |", flush=True)


def _columns(toxic_P: BoolArray) -> FloatArray:
    return np.stack([toxic_P, np.ones(len(toxic_P))], axis=1).astype(np.float64)


def _percents(flags: Sequence[tuple[bool, bool] | None]) -> str:
    known = np.array([one for one in flags if one is not None]).reshape(-1, 2)
    if not len(known):
        return "–"
    return " / ".join(f"{100 * share:.1f}" for share in known.mean(axis=0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200, help="per row")
    asked = parser.parse_args().draws
    intervals_table(asked)
    print()
    differences_table(asked)
