"""The section of the trade-off: pictures, sentences about the front, a table."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from detoxlab.measures.catalogue import MEASURES
from detoxlab.reports import words
from detoxlab.reports.parts import Drawing, Section, record
from detoxlab.reports.study import Study
from detoxlab.reports.tradeoff.axes import Axis, hate_axis, toxicity_axis, usefulness_axis
from detoxlab.reports.tradeoff.families import family
from detoxlab.reports.tradeoff.front import Front, pareto
from detoxlab.reports.tradeoff.picture import picture
from detoxlab.reports.tradeoff.table import drawn_table, trade_off_table
from detoxlab.runs.usage import ENTRY, Usage, read_usage

TRADE_OFF = "trade-off"
NOTE = (
    "A model is on the Pareto front if no other one is both less toxic and more useful. A drop "
    "counts only with its guards: a model whose comparison is invalid, of which a guard worsened, "
    "or whose judge trained it cannot be on the front, and dominates no other. "
)


def trade_off(study: Study) -> Section:
    """Toxicity against usefulness of all models, where there are two variants or more."""
    if len(study.variants) < 2:
        return Section(TRADE_OFF, "Trade-off", data={"trade_off": None})
    useful, toxic, hate = usefulness_axis(study), toxicity_axis(study), hate_axis(study)
    front = pareto(study, useful, toxic)
    axes = [toxic, *([hate] if hate else []), useful]
    order = _in_order(study, front, toxic)
    table = trade_off_table(study, axes, front, order, "trade-off-all")
    fronts = [(toxic, front), *([(hate, pareto(study, useful, hate))] if hate else [])]
    drawings = [
        drawn for axis, found in fronts if (drawn := _drawn(study, useful, axis, found, order))
    ]
    return Section(
        TRADE_OFF,
        "Trade-off",
        (table,),
        note=NOTE + _how_resampled(front),
        statements=(
            *_statements(front),
            *(_by_hate(found) for axis, found in fronts if axis is hate and found.members),
        ),
        drawings=(("", drawings),) if drawings else (),
        records=tuple(_records(study, front)),
        data={"trade_off": _data(study, axes, fronts)},
    )


# --- inside ---


def _in_order(study: Study, front: Front, toxic: Axis) -> list[str]:
    """The front, the dominated, the barred, those not drawn; each with the least toxic first."""

    def rank(name: str) -> tuple[int, float, str]:
        groups: Sequence[Any] = (front.members, front.dominated, front.barred)
        place = next((at for at, group in enumerate(groups) if name in group), len(groups))
        known = toxic.values.get(name)
        return place, known.value if known else float("inf"), name

    return sorted(study.names, key=rank)


def _drawn(
    study: Study, useful: Axis, toxic: Axis, front: Front, order: Sequence[str]
) -> Drawing | None:
    key = f"figure-trade-off-{toxic.key}"
    table = drawn_table((toxic, useful), front, order, key)
    return picture(study, useful, toxic, front, table)


def _statements(front: Front) -> list[str]:
    said = []
    if front.members:
        members = [f"{name}{_in_resamples(front, name)}" for name in front.members]
        said.append(f"On the Pareto front, the least toxic first: {', '.join(members)}.")
    if front.dominated:
        beaten = (f"{name} by {_listed(by)}" for name, by in front.dominated.items())
        said.append(f"Dominated: {'; '.join(beaten)}.")
    if front.barred:
        barred = (f"{name} ({why})" for name, why in front.barred.items())
        said.append(f"Drawn hollow, and not on the front: {'; '.join(barred)}.")
    for name, lacking in front.missing.items():
        said.append(f"{name} is not drawn: unknown is {lacking}.")
    return said


def _by_hate(front: Front) -> str:
    members = [f"{name}{_in_resamples(front, name)}" for name in front.members]
    return f"By hate in place of toxicity, on the front: {', '.join(members)}."


def _in_resamples(front: Front, name: str) -> str:
    share = front.shares.get(name)
    return f" (on it in {words.number(share)} of resamples)" if share is not None else ""


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _how_resampled(front: Front) -> str:
    if not front.drawn_anew:
        return "How sure the front is, is unknown: nothing could be resampled."
    drawn = " and ".join(
        one if one == "prompts" else f"the items of {one}" for one in front.drawn_anew
    )
    fixed = f" {_listed(front.fixed)} is taken as it is." if front.fixed else ""
    return (
        f"For the shares, {drawn} were drawn anew, the same ones for all models; which guards "
        f"worsened is taken as it is.{fixed}"
    )


def _records(study: Study, front: Front) -> list[dict[str, Any]]:
    shares = [
        record(MEASURES["front_share"].measurement(value=share), "front", run=name)
        for name, share in front.shares.items()
    ]
    runs = [*((run.name, run.info) for run in study.measured)]
    runs += [(run.name, run.info) for run in study.trained]
    for name, info in runs:
        for stage in info.get(ENTRY) or {}:
            found = read_usage(info, stage)
            shares += _usage_records(name, stage, found) if found else []
    return shares


def _usage_records(name: str, stage: str, usage: Usage) -> list[dict[str, Any]]:
    note = None if usage.is_complete else "lower bound: a part was killed"
    values = {
        "wall_seconds": usage.wall_seconds,
        "cpu_seconds": usage.cpu_seconds,
        "peak_bytes": float(usage.peak_bytes),
    }
    if usage.peak_device_bytes is not None:
        values["peak_device_bytes"] = float(usage.peak_device_bytes)
    rows = [MEASURES[one].measurement(value=value, note=note) for one, value in values.items()]
    return [record(row, "usage", run=name, stage=stage) for row in rows]


def _data(
    study: Study, axes: Sequence[Axis], fronts: Sequence[tuple[Axis, Front]]
) -> dict[str, Any]:
    return {
        "axes": {
            axis.key: {
                "title": axis.title,
                "unit": axis.unit,
                "better": "higher" if axis.higher_is_better else "lower",
                "values": {name: dataclasses.asdict(one) for name, one in axis.values.items()},
            }
            for axis in axes
        },
        "families": {run.name: family(study, run) for run in study.measured},
        "fronts": {axis.key: dataclasses.asdict(front) for axis, front in fronts},
    }
