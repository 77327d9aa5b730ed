"""Rows of one run, or of two runs paired by prompt and sample; and the choice among them."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from detoxlab.measures.marks import marked, marking_guards
from detoxlab.measures.statistics import BoolArray, FloatArray
from detoxlab.viewing.rows.index import Index, IntArray

Moved = Literal["", "up", "down", "same", "none"]
Order = Literal["file", "rise", "drop", "high", "low"]
NOWHERE = -1


@dataclass(frozen=True)
class Rows:
    """N rows to look at: responses of one run, or pairs of two.

    `sides` are the indexes, the baseline first if there are two; `rows_NS` has the row of each
    side's response, -1 where that run has none. `apart` counts, by its reason, what is in one run
    and cannot be held against the other.
    """

    sides: tuple[Index, ...]
    rows_NS: IntArray
    apart: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows_NS)

    @property
    def is_paired(self) -> bool:
        """Whether two runs are held against each other."""
        return len(self.sides) > 1

    @cached_property
    def scores(self) -> FloatArray:
        """The judge's score of each side; NaN where there is none."""
        columns = [_taken(side.judged, self.rows_NS[:, at]) for at, side in enumerate(self.sides)]
        return np.stack(columns, axis=1)

    @cached_property
    def moved(self) -> FloatArray:
        """Treated minus baseline; NaN for one run, without a score, or without a common judge."""
        if not self.is_paired or self.sides[0].judge != self.sides[1].judge:
            return np.full(len(self), np.nan)
        return np.asarray(self.scores[:, 1] - self.scores[:, 0])

    @cached_property
    def asked(self) -> IntArray:
        """The number of each row's prompt in the last side where it has a response, else first."""
        last = self.rows_NS[:, -1]
        first = self.rows_NS[:, 0]
        of_last = _prompt_of(self.sides[-1], last)
        if not self.is_paired:
            return of_last
        number = {name: at for at, name in enumerate(self.sides[-1].ids)}
        of_first = np.array([number.get(name, NOWHERE) for name in self.sides[0].ids] or [NOWHERE])
        return np.where(last >= 0, of_last, of_first[_prompt_of(self.sides[0], first)])

    def marks(self, values: Sequence[FloatArray]) -> BoolArray:
        """Which guards mark each row, by the guards' values of each side's responses (R, G)."""
        sides = [_taken(side_RG, self.rows_NS[:, at]) for at, side_RG in enumerate(values)]
        return marked(sides[0] if self.is_paired else 0.0, sides[-1])


@dataclass(frozen=True)
class Choice:
    """The choice of rows: change, guard, group, range of the last side's score; and their order.

    An empty text is no condition. `low` and `high` are inclusive.
    """

    moved: Moved = ""
    guard: str = ""
    group: str = ""
    low: float | None = None
    high: float | None = None
    order: Order = "file"


def alone(index: Index) -> Rows:
    """The responses of one run, in the order of its files."""
    return Rows((index,), np.arange(len(index), dtype=np.int64).reshape(-1, 1))


def paired(baseline: Index, treated: Index) -> Rows:
    """Two runs joined on prompt id and sample, in the baseline's order, then what only treated has.

    As in comparisons, the prompts are those that both runs asked, in the same words; others are
    counted in `apart` and left out. A pair with one response missing stays, without a change.
    """
    theirs_P, apart = _shared_prompts(baseline, treated)
    ours_R, theirs_R = theirs_P[baseline.rows_R2[:, 0]], treated.rows_R2[:, 0]
    first = np.flatnonzero(ours_R != NOWHERE)
    last = np.flatnonzero(np.isin(theirs_R, theirs_P[theirs_P != NOWHERE]))
    first_keys = _keys(ours_R[first], baseline.rows_R2[first, 1])
    last_keys = _keys(theirs_R[last], treated.rows_R2[last, 1])
    order = np.argsort(last_keys)
    at = np.searchsorted(last_keys[order], first_keys)
    met = np.append(last_keys[order], NOWHERE)[at] == first_keys
    rows_N2 = np.stack([first, np.where(met, np.append(last[order], NOWHERE)[at], NOWHERE)], axis=1)
    only_last = last[~np.isin(last_keys, first_keys)]
    more_N2 = np.stack([np.full(len(only_last), NOWHERE), only_last], axis=1)
    missing = int((~met).sum()) + len(only_last)
    if missing:
        apart["pairs with a response in one run only"] = missing
    return Rows((baseline, treated), np.concatenate([rows_N2, more_N2]), apart)


def chosen(rows: Rows, choice: Choice, guards_NG: BoolArray | None = None) -> IntArray:
    """The numbers of the rows that fit the choice, in its order.

    `guards_NG` is needed where a guard is asked for. Rows without the number that the order goes
    by come last; equal ones stay in the order of the files.
    """
    kept_N = np.ones(len(rows), dtype=np.bool_)
    moved_N, score_N = rows.moved, rows.scores[:, -1]
    if choice.moved:
        kept_N &= {
            "up": moved_N > 0,
            "down": moved_N < 0,
            "same": moved_N == 0,
            "none": np.isnan(moved_N),
        }[choice.moved]
    if choice.low is not None:
        kept_N &= score_N >= choice.low
    if choice.high is not None:
        kept_N &= score_N <= choice.high
    if choice.group:
        kept_N &= _in_group(rows, choice.group)
    if choice.guard and guards_NG is not None:
        names = [guard.name for guard in marking_guards()]
        kept_N &= guards_NG[:, names.index(choice.guard)] if choice.guard in names else False
    found = np.flatnonzero(kept_N)
    keys = {"rise": -moved_N, "drop": moved_N, "high": -score_N, "low": score_N}
    if choice.order not in keys:
        return found
    return found[np.argsort(keys[choice.order][found], kind="stable")]


def summary(rows: Rows) -> dict[str, int]:
    """How many rows worsened, improved, stayed, and cannot be compared; they sum to all.

    For one run: how many are toxic, how many are not, and how many have no score.
    """
    if rows.is_paired:
        named = {
            "worsened": "up",
            "improved": "down",
            "unchanged": "same",
            "not comparable": "none",
        }
        return {
            text: len(chosen(rows, Choice(moved=moved)))  # type: ignore[arg-type]
            for text, moved in named.items()
        }
    score_N = rows.scores[:, -1]
    toxic = int((score_N >= rows.sides[-1].threshold).sum())
    missing = int(np.isnan(score_N).sum())
    return {"toxic": toxic, "not toxic": len(rows) - toxic - missing, "not scored": missing}


# --- inside ---


def _taken(values: FloatArray, rows_N: IntArray) -> FloatArray:
    """The values of some rows; NaN for row -1."""
    filled = np.concatenate([values, np.full((1, *values.shape[1:]), np.nan)])
    return np.asarray(filled[rows_N])


def _prompt_of(side: Index, rows_N: IntArray) -> IntArray:
    numbers = np.concatenate([side.rows_R2[:, 0], [NOWHERE]])
    return np.asarray(numbers[rows_N])


def _keys(prompts_R: IntArray, samples_R: IntArray) -> IntArray:
    """One number per prompt and sample; samples are below 2³¹."""
    return prompts_R * 2**31 + samples_R


def _shared_prompts(baseline: Index, treated: Index) -> tuple[IntArray, dict[str, int]]:
    """The treated run's number of each prompt of the baseline (P,), -1 where it was not asked."""
    number = {name: at for at, name in enumerate(treated.ids)}
    theirs_P, apart = np.full(len(baseline.ids), NOWHERE, dtype=np.int64), Counter[str]()
    for at, name in enumerate(baseline.ids):
        other = number.pop(name, None)
        if other is None:
            apart["prompts in the baseline only"] += 1
        elif baseline.texts_P[at] != treated.texts_P[other]:
            apart["prompts of one id with different texts"] += 1
        else:
            theirs_P[at] = other
    if number:
        apart["prompts in the other run only"] += len(number)
    return theirs_P, dict(apart)


def _in_group(rows: Rows, group: str) -> BoolArray:
    side = rows.sides[-1]
    if group not in side.groups:
        return np.zeros(len(rows), dtype=np.bool_)
    return np.asarray(side.members_PG[rows.asked, side.groups.index(group)])
