"""Differences of toxicity by group between two models that answered the same prompts."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from detoxlab.evaluations.sums import paired_differences
from detoxlab.measures.catalogue import DECIDING, MACRO_MEAN, MEASURES
from detoxlab.measures.grid import compared_groups, prompt_groups
from detoxlab.measures.groups.changes import gap_sums
from detoxlab.measures.groups.disparity import by_group, mean_of_ratios
from detoxlab.measures.paired import PairedSums, sign_flip_exact
from detoxlab.measures.statistics import FloatArray, holm, ratio
from detoxlab.protocols import Protocol
from detoxlab.records import Difference, Prompt


@dataclasses.dataclass(frozen=True)
class Answered:
    """The prompts whose responses both models have scored, with toxic and scored of each (P, 2).

    `asked` are all prompts, scored or not.
    """

    prompts: Sequence[Prompt]
    before_PS: FloatArray
    after_PS: FloatArray
    asked: Sequence[Prompt]

    def of(self, index: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Toxic and scored of some prompts, before and after."""
        return self.before_PS[list(index)], self.after_PS[list(index)]


def group_differences(
    answered: Answered, protocol: Protocol, *, seed: int, resamples: int
) -> list[Difference]:
    """Treated minus baseline: all prompts and the mean over groups, each group, then the gaps.

    Shares have McNemar's exact p-value; `p_holm` is corrected over the groups.
    """

    def made(group: str | None, sides: Sequence[PairedSums], asked: int) -> list[Difference]:
        rows = paired_differences(sides, items=asked, seed=seed, resamples=resamples)
        return [dataclasses.replace(row, group=group) for row in rows]

    overall = [_share(*answered.of(range(len(answered.prompts))))]
    if protocol.macro_mean:
        overall.append(_macro_mean(answered, protocol))
    rows = made(None, overall, len(answered.asked))
    rows[0] = dataclasses.replace(rows[0], p_value=_p_value(overall[0]))
    asked = prompt_groups(answered.asked, protocol.group_keys)
    of_groups = []
    for group, index in prompt_groups(answered.prompts, protocol.group_keys).items():
        side = _share(*answered.of(index))
        (row,) = made(group, [side], len(asked[group]))
        of_groups.append(dataclasses.replace(row, p_value=_p_value(side)))
    rows += _corrected(of_groups)
    for part, sides, count in _gaps(answered, protocol):
        rows += made(part, sides, count)
    return rows


# --- inside ---


def _share(before_PS: FloatArray, after_PS: FloatArray) -> PairedSums:
    return PairedSums(MEASURES[DECIDING], ratio, before_PS, after_PS)


def _macro_mean(answered: Answered, protocol: Protocol) -> PairedSums:
    members = prompt_groups(answered.prompts, protocol.group_keys)
    sides = (by_group(one, members) for one in (answered.before_PS, answered.after_PS))
    return PairedSums(MEASURES[MACRO_MEAN], mean_of_ratios, *sides)


def _gaps(
    answered: Answered, protocol: Protocol
) -> Iterator[tuple[str | None, list[PairedSums], int]]:
    """The gaps in each part of the prompts, on its own prompts, and the number of all of these."""
    asked = compared_groups(answered.asked, protocol.compared_groups)
    for part, members in compared_groups(answered.prompts, protocol.compared_groups).items():
        index = sorted({at for places in members.values() for at in places})
        placed = {name: np.searchsorted(index, places).tolist() for name, places in members.items()}
        count = len({at for places in asked[part].values() for at in places})
        yield part, list(gap_sums(*answered.of(index), placed)), count


def _p_value(side: PairedSums) -> float:
    return sign_flip_exact((side.after_PS - side.before_PS)[:, 0].astype(np.int64))


def _corrected(rows: Sequence[Difference]) -> list[Difference]:
    adjusted = holm([row.p_value if row.p_value is not None else 1.0 for row in rows])
    return [
        dataclasses.replace(row, p_holm=p_holm) for row, p_holm in zip(rows, adjusted, strict=True)
    ]
