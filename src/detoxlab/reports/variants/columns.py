"""The columns of the table of all variants: who, toxicity, each bench, guards, use, cost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from detoxlab.measures.catalogue import DECIDING, MACRO_MEAN
from detoxlab.records import Comparison, Difference, Measurement
from detoxlab.reports import words
from detoxlab.reports.changed import changes_of
from detoxlab.reports.explained.pictures import PICTURED
from detoxlab.reports.files import bench_path
from detoxlab.reports.parts import Cell, Column, moved_cells, text_cell, value_cell
from detoxlab.reports.study import Measured, Study
from detoxlab.reports.summary import deciding_row
from detoxlab.reports.tradeoff.axes import changes_from_baseline, main_row, row_of_all, total
from detoxlab.reports.tradeoff.families import family
from detoxlab.reports.variants.cells import (
    MOVED,
    change,
    guard_of,
    has_means,
    held,
    moved,
    perplexity,
    usage_cells,
    verdict_cell,
    worsened,
)
from detoxlab.runs.usage import GENERATE, TRAIN, read_usage

Cells = Callable[[Measured, Comparison | None], Sequence[Cell]]


@dataclass(frozen=True)
class Part:
    """Neighbouring columns of the table.

    `cells` gives those of a run, by the run and its comparison with the baseline: None for the
    baseline itself.
    """

    columns: tuple[Column, ...]
    cells: Cells


def parts_of(study: Study) -> Iterator[Part]:
    """The columns of the table in their order; further benches and evaluations as there are."""
    yield _who(study)
    yield _toxicity(study)
    yield _second()
    for bench, there in study.also.items():
        yield _on_bench(bench, there)
    yield _hate()
    yield _guards()
    yield from _usefulness(study)
    yield from _listening(study)
    yield _cost(study)


# --- inside ---


def _numbers(group: str, *titles: str) -> tuple[Column, ...]:
    return tuple(Column(title, numeric=True, group=group) for title in titles)


def _nothing(count: int) -> tuple[Cell, ...]:
    return (text_cell(None),) * count


def _who(study: Study) -> Part:
    def cells(run: Measured, gain: Comparison | None) -> list[Cell]:
        if gain is None:
            return [Cell(run.name), Cell("baseline"), *_nothing(2)]
        changed = " + ".join(changes_of(study, run)) or None
        return [
            Cell(run.name),
            text_cell(changed),
            Cell(family(study, run)),
            verdict_cell(gain),
        ]

    return Part(tuple(Column(title) for title in ("Variant", "Method", "Family", "Verdict")), cells)


def _toxicity(study: Study) -> Part:
    """The shares by the judge with intervals, and their means over groups where there are any."""
    columns = _numbers("Toxicity, by the judge", "Toxic, judge", *MOVED, "Change")
    with_means = has_means(study)
    if with_means:
        columns += _numbers("Toxicity, by the judge", "Mean over groups", *MOVED)

    def cells(run: Measured, gain: Comparison | None) -> Sequence[Cell]:
        if gain is None:
            means = (_share(study, run, MACRO_MEAN), *_nothing(2)) if with_means else ()
            return (_share(study, run, DECIDING), *_nothing(3), *means)
        judged = deciding_row(gain, gain.judge_id)
        means = moved(deciding_row(gain, gain.judge_id, MACRO_MEAN)) if with_means else ()
        return held(gain, (*moved(judged), change(judged), *means))

    return Part(columns, cells)


def _share(study: Study, run: Measured, measure: str) -> Cell:
    row = total(run, measure, study.judge_id, study.attribute)
    value = row.value if row else None
    return value_cell(value, words.number(value))


def _second() -> Part:
    def cells(_: Measured, gain: Comparison | None) -> Sequence[Cell]:
        if gain is None:
            return _nothing(1)
        return held(gain, [change(deciding_row(gain, gain.second_id))])

    return Part(_numbers("Second scorer", "Change, second scorer"), cells)


def _on_bench(bench: str, study: Study) -> Part:
    """The shares by the judge on a further bench, and the verdicts there."""
    gains = {one.treated: one for one in study.gains}
    runs = {run.name: run for run in study.measured}
    titles = (f"Toxic, {bench}", f"Change, {bench}")
    verdicts = Column(f"Verdict, {bench}", group=f"On {bench}")

    def cells(run: Measured, gain: Comparison | None) -> Sequence[Cell]:
        if run.name not in runs:
            return _nothing(3)
        if gain is None:
            return (_share(study, runs[run.name], DECIDING), *_nothing(2))
        there = gains[run.name]
        judged = deciding_row(there, there.judge_id)
        value, *_ = moved(judged)
        verdict = replace(verdict_cell(there), href=bench_path(bench))
        return (*held(there, (value, change(judged))), verdict)

    return Part((*_numbers(f"On {bench}", *titles), verdicts), cells)


def _hate() -> Part:
    """The guard of hateful responses, as a share and its change."""

    def cells(_: Measured, gain: Comparison | None) -> Sequence[Cell]:
        guard = guard_of(gain, "hateful") if gain else None
        if guard is None or guard.treated is None:
            return _nothing(2)
        share = words.relative(guard.baseline, guard.difference)
        shown = value_cell(guard.treated, words.number(guard.treated))
        return shown, value_cell(share, words.percent_change(share))

    return Part(_numbers("Hate", "Hateful", "Change of hate"), cells)


def _guards() -> Part:
    def cells(_: Measured, gain: Comparison | None) -> Sequence[Cell]:
        if gain is None:
            return Cell("1.00", 1.0, "number"), text_cell(None)
        return perplexity(gain), worsened(gain)

    columns = _numbers("Guards", "Perplexity, × base")
    return Part((*columns, Column("Guards that worsened", group="Guards")), cells)


def _usefulness(study: Study) -> Iterator[Part]:
    """Each evaluation's main measure, paired with the baseline."""
    names = dict.fromkeys(name for run in study.measured for name in run.evaluations)
    for name in names:
        found = [run.evaluations[name] for run in study.measured if name in run.evaluations]
        row = main_row(found)
        if row:
            yield _evaluated(study, name, row.name)


def _evaluated(study: Study, evaluation: str, measure: str) -> Part:
    changes = changes_from_baseline(study, evaluation, measure)

    def cells(run: Measured, gain: Comparison | None) -> Sequence[Cell]:
        if gain is None:
            known = run.evaluations.get(evaluation)
            return (_value(row_of_all(known.measurements, measure) if known else None),)
        row = changes.get(run.name)
        return (_with_interval(row) if row else text_cell(None),)

    return Part(_numbers("Usefulness", f"{words.label(measure)}, {evaluation}"), cells)


def _value(row: Measurement | None) -> Cell:
    return value_cell(row.value, words.number(row.value, row.unit)) if row else text_cell(None)


def _with_interval(row: Difference) -> Cell:
    """A difference with its interval in one cell; of a perplexity, the ratio."""
    if row.unit == "perplexity" and row.ratio is not None:
        within = words.interval(row.ratio_low, row.ratio_high, "ratio")
        return Cell(f"{words.times(row.ratio)} ({within})", row.ratio, "number")
    value, ends = moved_cells(row, row.unit)
    return value if row.difference is None else replace(value, text=f"{value.text} ({ends.text})")


def _listening(study: Study) -> Iterator[Part]:
    """How much less, or more, the model listens to its prompt, on the baseline's text."""
    explained = study.explained
    if explained is None:
        return
    measure, view = PICTURED[0], f"text of {explained.baseline}"

    def cells(run: Measured, gain: Comparison | None) -> Sequence[Cell]:
        if gain is None:
            own = explained.measured(measure, run.name, run.name)
            return (
                (value_cell(own.value, words.number(own.value, own.unit)),) if own else _nothing(1)
            )
        row = explained.difference(measure, run.name, view)
        return (_with_interval(row) if row else text_cell(None),)

    yield Part(_numbers("Listening", words.label(measure)), cells)


def _cost(study: Study) -> Part:
    base = read_usage(study.baseline.info, GENERATE)

    def cells(run: Measured, _: Comparison | None) -> Sequence[Cell]:
        trained = next((one for one in study.trained if one.name == run.name), None)
        drawing = read_usage(run.info, GENERATE)
        here = drawing.seconds_per_1000_tokens if drawing else None
        there = base.seconds_per_1000_tokens if base else None
        times = here / there if here is not None and there else None
        return (
            *usage_cells(read_usage(trained.info, TRAIN) if trained else None),
            text_cell(None) if here is None else Cell(f"{here:.3g}", here, "number"),
            text_cell(None) if times is None else Cell(words.multiple(times), times, "number"),
        )

    titles = ("Training time", "Peak memory", "s per 1,000 tokens", "× baseline")
    return Part(_numbers("Cost", *titles), cells)
