"""How far groups lie apart in two runs on the same prompts."""

from collections.abc import Iterator

from detoxlab.measures.catalogue import MEASURES
from detoxlab.measures.groups.disparity import Members, by_group, deviation_between, group_gap
from detoxlab.measures.paired import PairedSums
from detoxlab.measures.statistics import FloatArray


def gap_sums(before_PS: FloatArray, after_PS: FloatArray, members: Members) -> Iterator[PairedSums]:
    """Gap and deviation between the groups that have a counted prompt; none for fewer than two.

    Both runs' hits and trials (P, 2) are on the same pairs, so that trials are equal.
    """
    known = {name: index for name, index in members.items() if before_PS[list(index), 1].sum() > 0}
    if len(known) < 2:
        return
    sides = (before_PS, after_PS)
    yield PairedSums(MEASURES["group_gap"], group_gap, *(by_group(one, known) for one in sides))
    before, after = (deviation_between(one, known) for one in sides)
    yield PairedSums(
        MEASURES["group_deviation"], before.statistic, before.columns_PS, after.columns_PS
    )
