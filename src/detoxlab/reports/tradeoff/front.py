"""The Pareto front of toxicity and usefulness: who is on it, who is dominated, who is barred."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detoxlab.measures.pareto import dominates, front_shares, on_front
from detoxlab.measures.statistics import FloatArray
from detoxlab.reports import words
from detoxlab.reports.study import Study
from detoxlab.reports.tradeoff.axes import Axis
from detoxlab.scorers.names import single_scorers


@dataclass(frozen=True)
class Front:
    """The standing of every run in two measures.

    `members` are on the front, the least toxic first. `dominated` names the members of the front
    that beat a run in both. `barred` says why a run cannot be on it, `missing` which measure of a
    run is unknown. `shares` is the share of resamples in which a run is on the front; `drawn_anew`
    names what was resampled, `fixed` the measures that stayed as they are.
    """

    members: tuple[str, ...]
    dominated: Mapping[str, tuple[str, ...]]
    barred: Mapping[str, str]
    missing: Mapping[str, str]
    shares: Mapping[str, float]
    drawn_anew: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()

    @property
    def standings(self) -> list[str]:
        """All runs: the front, the dominated, the barred, those that are not drawn."""
        return list(dict.fromkeys([*self.members, *self.dominated, *self.barred, *self.missing]))


def pareto(study: Study, useful: Axis, toxic: Axis) -> Front:
    """The front of all runs whose two measures are known and that are not barred."""
    barred = {name: why for name in study.names if (why := why_barred(study, name))}
    missing = {
        name: " and ".join(lacking)
        for name in study.names
        if (lacking := [axis.title for axis in (toxic, useful) if name not in axis.values])
    }
    able = [name for name in study.names if name not in barred and name not in missing]
    costs_MD = np.array(
        [[axis.sign * axis.values[name].value for axis in (toxic, useful)] for name in able]
    ).reshape(len(able), 2)
    member_M, beaten_MM = on_front(costs_MD), dominates(costs_MD)
    order = sorted(range(len(able)), key=lambda at: (*costs_MD[at], able[at]))
    members = tuple(able[at] for at in order if member_M[at])
    dominated = {
        able[at]: tuple(able[by] for by in order if member_M[by] and beaten_MM[by, at])
        for at in order
        if not member_M[at]
    }
    drawn = {axis.key: _drawn(axis, able) for axis in (toxic, useful)}
    return Front(
        members,
        dominated,
        barred,
        missing,
        _shares(able, costs_MD, (toxic, useful), drawn),
        tuple(dict.fromkeys(a.source for a in (toxic, useful) if drawn[a.key] is not None)),
        tuple(axis.title for axis in (toxic, useful) if drawn[axis.key] is None),
    )


def why_barred(study: Study, name: str) -> str | None:
    """Why a run cannot be on the front: a drop counts only with its guards. None where it can."""
    comparison = next((one for one in study.gains if one.treated == name), None)
    if comparison is None:
        return None
    if comparison.verdict == "invalid":
        return "verdict: invalid"
    worse = [words.label(one.name) for one in comparison.guards if one.status == "worse"]
    if worse:
        return f"guard failed: {', '.join(worse)}"
    learnt = next(run for run in study.measured if run.name == name).responses.train_scorers
    known = [single_scorers(one) for one in learnt]
    if single_scorers(comparison.judge_id) & frozenset().union(*known):
        return "trained on the judge"
    return None


def _drawn(axis: Axis, names: list[str]) -> FloatArray | None:
    """The resamples of an axis; None where it has none or nothing of them is known."""
    values = axis.sample(names) if names else None
    return None if values is None or not np.isfinite(values).any() else values


def _shares(
    able: list[str],
    costs_MD: FloatArray,
    axes: tuple[Axis, Axis],
    drawn: Mapping[str, FloatArray | None],
) -> dict[str, float]:
    """The share of resamples in which each is on the front; none where nothing is resampled."""
    known = [values for values in drawn.values() if values is not None]
    if not known:
        return {}
    columns = [
        np.broadcast_to(costs_MD[:, at], known[0].shape)
        if (values := drawn[axis.key]) is None
        else axis.sign * values
        for at, axis in enumerate(axes)
    ]
    found_M = front_shares(np.stack(columns, axis=-1))
    return {
        name: float(share) for name, share in zip(able, found_M, strict=True) if np.isfinite(share)
    }
