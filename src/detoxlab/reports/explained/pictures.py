"""Curves over steps, and distributions over prompts, of the main measures of explanations."""

from collections.abc import Callable, Sequence

import numpy as np

from detoxlab.explanations.measured.catalogue import STEP_MEASURES
from detoxlab.explanations.measured.table import Side, per_prompt, step_group
from detoxlab.measures.entry import Measure
from detoxlab.measures.statistics import FloatArray
from detoxlab.reports import words
from detoxlab.reports.drawings import Curve, Histogram, curves, distributions
from detoxlab.reports.explained.study import ExplainedRun
from detoxlab.reports.figures.base import headings
from detoxlab.reports.parts import Cell, Column, Drawing, Table, value_cell

PICTURED = ("prompt_dependence", "context_reliance", "attribution_entropy")
BINS = 24
QUARTILES = (0.25, 0.5, 0.75)


def step_curves(explained: ExplainedRun) -> list[Drawing]:
    """The main measures by step, on the baseline's text, then of each model on its own."""
    baseline = explained.baseline
    same = explained.on_text(baseline)
    own: list[Side] = [(run, run) for run in explained.runs]
    texts = [("same", f"on the text of {baseline}", same)]
    if len(own) > 1:
        texts.append(("own", "each on its own text", own))
    found = (
        _by_step(explained, f"by-step-{key}-{name}", STEP_MEASURES[name], where, sides)
        for key, where, sides in texts
        for name in PICTURED
    )
    return [drawing for drawing in found if drawing]


def spreads(explained: ExplainedRun) -> list[Drawing]:
    """How the values of single prompts are distributed, on the baseline's text."""
    found = (_spread(explained, STEP_MEASURES[name]) for name in PICTURED)
    return [drawing for drawing in found if drawing]


# --- inside ---


def _by_step(
    explained: ExplainedRun, key: str, measure: Measure, where: str, sides: Sequence[Side]
) -> Drawing | None:
    known = [curve for side in sides if (curve := _curve(explained, side, measure)).points]
    if not known:
        return None
    title = f"{measure.label}, {where}"
    return curves(
        key,
        title,
        f"{_sentence(measure)} Mean over prompts at each step, with its 95 % interval.",
        known,
        _step_table(key, title, measure, known),
        x_title="step",
        shown=_tick(measure),
    )


def _curve(explained: ExplainedRun, side: Side, measure: Measure) -> Curve:
    rows = explained.rows_of(side)
    points, band = [], []
    step = 0
    while row := rows.get((measure.name, step_group(step))):
        step += 1
        if row.value is not None:
            points.append((float(step), row.value))
            if row.ci_low is not None and row.ci_high is not None:
                band.append((float(step), row.ci_low, row.ci_high))
    return Curve(side[0], tuple(points), tuple(band))


def _step_table(key: str, title: str, measure: Measure, known: Sequence[Curve]) -> Table:
    interval = Column("95 % interval", numeric=True)
    named = [column for one in known for column in (Column(one.name, numeric=True), interval)]
    values = [dict(one.points) for one in known]
    ends = [{step: (low, high) for step, low, high in one.band} for one in known]
    rows = tuple(
        (
            Cell(f"{step:g}", step, "number"),
            *(
                cell
                for value, band in zip(values, ends, strict=True)
                for cell in _estimate(value.get(step), band.get(step, (None, None)), measure)
            ),
        )
        for step in sorted({step for value in values for step in value})
    )
    return Table(f"figure-{key}", title, (Column("Step", numeric=True), *named), rows)


def _estimate(
    value: float | None, ends: tuple[float | None, float | None], measure: Measure
) -> tuple[Cell, Cell]:
    return (
        value_cell(value, words.number(value, measure.unit)),
        value_cell(ends[0], words.interval(*ends, measure.unit)),
    )


def _spread(explained: ExplainedRun, measure: Measure) -> Drawing | None:
    values = {
        side[0]: np.array(list(per_prompt(explained.table.values(side, measure.name)).values()))
        for side in explained.on_text(explained.baseline)
    }
    values = {name: values_P for name, values_P in values.items() if values_P.size}
    if not values:
        return None
    every = np.concatenate(list(values.values()))
    low, high = float(every.min()), float(every.max())
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    title = f"{measure.label} of single prompts"
    key = f"spread-{measure.name}"
    return distributions(
        key,
        title,
        f"On the text of {explained.baseline}, the mean over the steps of each prompt. Height: "
        "share of the prompts; line: the middle half of them; sign: the median.",
        [_histogram(name, values_P, (low, high), measure) for name, values_P in values.items()],
        _spread_table(key, title, values, measure),
        low=low,
        high=high,
        x_title=_unit(measure),
        shown=_tick(measure),
    )


def _histogram(
    name: str, values_P: FloatArray, ends: tuple[float, float], measure: Measure
) -> Histogram:
    shares = np.histogram(values_P, BINS, ends)[0] / values_P.size
    first, median, third = np.quantile(values_P, QUARTILES).tolist()
    label = f": median {words.number(median, measure.unit)}"
    return Histogram(name, tuple(shares.tolist()), (first, median, third), label)


def _spread_table(key: str, title: str, values: dict[str, FloatArray], measure: Measure) -> Table:
    columns = ("Model", "Prompts", "Lowest", "First quarter", "Median", "Third quarter", "Highest")
    rows = tuple(
        (
            Cell(name),
            Cell(words.count(values_P.size), float(values_P.size), "number"),
            *(
                value_cell(value, words.number(value, measure.unit))
                for value in np.quantile(values_P, (0, *QUARTILES, 1)).tolist()
            ),
        )
        for name, values_P in values.items()
    )
    return Table(f"figure-{key}", title, headings(columns, 1), rows)


def _sentence(measure: Measure) -> str:
    return f"{measure.description[0].upper()}{measure.description[1:]}, in {_unit(measure)}."


def _unit(measure: Measure) -> str:
    return "per cent" if measure.unit == "share" else measure.unit


def _tick(measure: Measure) -> Callable[[float], str]:
    scale = 100 if measure.unit == "share" else 1
    return lambda value: f"{scale * value:.6g}".replace("-", "−")
