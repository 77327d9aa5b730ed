"""Further pairs for the page, from which readers choose by themselves: a few hundred, by rule."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from detoxlab.comparisons.pairs import group_keys
from detoxlab.measures.grid import prompt_groups
from detoxlab.measures.marks import guard_values, marking_names
from detoxlab.measures.statistics import FloatArray
from detoxlab.reports.study import Measured, Pair

MOST, LEAST = 300, 24  # of all variants together, of each variant
DRAWN = 400  # pairs among which those that a guard marks are looked for
PER_GUARD = 12
FURTHER_NOTE = (
    f"Up to {MOST} further pairs follow: a third of them the largest rises, a third the largest "
    f"drops (of one model: half the highest scores), then a seeded random draw, from which pairs "
    "that a guard marks come first. Their filters choose among these pairs, not among all."
)

Marks = Callable[[Sequence[Pair]], Sequence[tuple[str, ...]]]


def choose_further(
    moved: Mapping[Pair, float],
    taken: Collection[Pair],
    marks: Marks,
    *,
    most: int,
    falls: bool,
    seed: int,
) -> list[Pair]:
    """At most `most` pairs that are not `taken`: the ends of `moved`, then a draw.

    `falls`: the lowest of `moved` are of interest too. `marks` names the guards that mark each of
    some pairs. Prompt id and sample decide ties, so the order of rows changes nothing.

    >>> moved = {("a", 0): .5, ("b", 0): -.5, ("c", 0): .1, ("d", 0): math.nan}
    >>> choose_further(moved, [("c", 0)], lambda p: [()] * len(p), most=3, falls=True, seed=0)
    [('a', 0), ('b', 0), ('d', 0)]
    """
    left = sorted(pair for pair in moved if pair not in set(taken))
    scored = [pair for pair in left if not math.isnan(moved[pair])]
    part = most // 3 if falls else most // 2
    rises = sorted(scored, key=lambda pair: (-moved[pair], pair))[:part]
    drops = sorted(scored, key=lambda pair: (moved[pair], pair))[:part] if falls else []
    ends = list(dict.fromkeys([*rises, *drops]))
    others = sorted(set(left) - set(ends))
    order = np.random.default_rng(seed).permutation(len(others))
    drawn = [others[at] for at in order[: max(DRAWN, most)]]
    return (ends + _marked_first(drawn, marks(drawn)))[:most]


def _marked_first(drawn: Sequence[Pair], marks: Sequence[tuple[str, ...]]) -> list[Pair]:
    """The pairs in their order, but for at most `PER_GUARD` of each guard, which come first."""
    count: dict[str, int] = {}
    first = []
    for pair, names in zip(drawn, marks, strict=True):
        if any(count.get(name, 0) < PER_GUARD for name in names):
            first.append(pair)
            for name in names:
                count[name] = count.get(name, 0) + 1
    return list(dict.fromkeys([*first, *drawn]))


def guard_marks(runs: Sequence[Measured], pairs: Sequence[Pair]) -> list[tuple[str, ...]]:
    """The names of the guards that mark the last run's response, beside the first run's if two."""
    values = [_values(run, pairs) for run in runs]
    return marking_names(values[0] if len(values) > 1 else 0.0, values[-1])


def _values(run: Measured, pairs: Sequence[Pair]) -> FloatArray:
    sampling = run.responses.sampling
    asked = [run.prompts[name] for name, _ in pairs]
    answers = [run.texts.get(pair) for pair in pairs]
    return guard_values(asked, answers, sampling.stop if sampling else ())


def groups_of(run: Measured) -> dict[str, tuple[str, ...]]:
    """The groups of each prompt, by its id, as the run's protocol names them."""
    prompts = run.responses.prompts
    found: dict[str, tuple[str, ...]] = {prompt.id: () for prompt in prompts}
    for name, members in prompt_groups(prompts, group_keys(run.responses.protocol)).items():
        for at in members:
            found[prompts[at].id] += (name,)
    return found
