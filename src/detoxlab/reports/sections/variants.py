"""The one table of all variants: what each gained on every bench, and what it cost."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from detoxlab.measures.catalogue import DECIDING, MACRO_MEAN
from detoxlab.records import Comparison, Difference, Measurement
from detoxlab.reports import words
from detoxlab.reports.changed import changes_of
from detoxlab.reports.explained.pictures import PICTURED
from detoxlab.reports.judged import bench_path
from detoxlab.reports.parts import (
    Cell,
    Column,
    Table,
    moved_cells,
    text_cell,
    value_cell,
    without_empty_columns,
)
from detoxlab.reports.published import (
    Published,
    PublishedRow,
    cells_of,
    column_key,
    difference,
)
from detoxlab.reports.study import Measured, Study
from detoxlab.reports.summary import deciding_row
from detoxlab.reports.tradeoff.axes import main_row, total
from detoxlab.reports.tradeoff.families import family
from detoxlab.runs.usage import GENERATE, TRAIN, Usage, read_usage

PERPLEXITY, HATEFUL = "perplexity", "hateful"  # guards
MOVED = ("Difference", "95 % interval")
NOTE = (
    "Toxic shares are on comparable responses; the baseline's own is of all of its responses. "
    "Perplexity is that of the responses under the untouched base model."
)
BENCHES_NOTE = " The same models on further benches: {}; each has a report of its own."
USEFUL_NOTE = " Usefulness: treated minus baseline, or a multiple of it, with its 95 % interval."
COST_NOTE = (
    " Time is that of the clock; training includes drawing and scoring the model's own responses. "
    "Memory is the peak while it trained, of the GPU or else of the whole process, libraries "
    "included. Seconds per 1,000 tokens are those of drawing the measured responses: of the "
    "processor, or of the clock on a GPU. ≥ says that a part of the run was killed and its time is "
    "unknown."
)
PUBLISHED = "{} (published)"
BESIDE_NOTE = " Published rows were measured before, on the same bench, and come with detoxlab."
OTHER_BENCH = "No published rows stand beside these, since they are of another bench: {}."
VOID_NOTE = " In parentheses: the two runs cannot be compared, and the number shows no gain."

Row = TypeVar("Row", Measurement, Difference)
Cells = Callable[[Measured, Comparison | None], Sequence[Cell]]


@dataclass(frozen=True)
class Part:
    """Neighbouring columns of the table.

    `cells` gives those of a run, by the run and its comparison with the baseline: None for the
    baseline itself.
    """

    columns: tuple[Column, ...]
    cells: Cells


def variants_table(study: Study) -> Table | None:
    """One row for each run, the baseline first; None where there are no two variants.

    Columns that are empty for all runs are left out.
    """
    if len(study.gains) < (1 if study.beside else 2):
        return None
    whole = _own_table(study)
    shown = _with_rows_beside(study, whole) if study.beside else whole
    return without_empty_columns(shown)


def published_of(study: Study) -> Published | None:
    """The rows of the table for other experiments on this bench; None where there is no variant.

    Each says on which day it was measured, and by which commit where the run knows it. Rows of
    other experiments are not among them.
    """
    if not study.gains:
        return None
    table = _own_table(study)
    infos = {run.name: run.info for run in study.measured}
    keys = [column_key(column) for column in table.columns]
    rows = []
    for cells in table.rows:
        name = cells[0].text
        # A link leads from the report to another file of its folder.
        kept = dict(zip(keys, (replace(cell, href=None) for cell in cells), strict=True))
        rows.append(PublishedRow(name, kept, _facts(infos[name])))
    return Published(bench_of(study), table.columns, tuple(rows))


def _facts(info: Mapping[str, Any]) -> dict[str, str]:
    found = {"measured": str(info.get("finished") or "")[:10], "commit": info.get("code_commit")}
    return {name: str(value) for name, value in found.items() if value}


def bench_of(study: Study) -> dict[str, Any]:
    """The facts that must be equal for rows of several experiments to stand in one table."""
    base = study.baseline
    model, asked = base.info.get("model"), base.info.get("asked")
    if isinstance(model, Mapping):  # else a run from elsewhere, with a mere name
        model = model.get("weights_sha256") or model.get("id")
    return {
        "model": model,
        "protocol": base.responses.protocol,
        "prompts": asked.get("prompts_sha256") if isinstance(asked, Mapping) else None,
        "judge": study.judge_id,
        "second": base.responses.second_id,
        "seed": base.info.get("seed"),
    }


# --- inside ---


def _with_rows_beside(study: Study, own: Table) -> Table:
    """The table with the rows of other experiments, but those of names that are measured here."""
    assert study.beside is not None
    if found := difference(bench_of(study), study.beside.bench):
        return replace(own, note=f"{own.note} {OTHER_BENCH.format(found)}")
    rows = [row for row in study.beside.rows if row.name not in study.names]
    known = {column_key(column) for column in own.columns}
    more = [one for one in study.beside.columns if column_key(one) not in known]
    columns = (*own.columns, *more)
    blank = (text_cell(None),) * len(more)
    theirs = [cells_of(row, columns) for row in rows]
    shown = [(Cell(PUBLISHED.format(cells[0].text)), *cells[1:]) for cells in theirs]
    whole = (*((*cells, *blank) for cells in own.rows), *shown)
    return replace(own, columns=columns, rows=whole, first=len(whole), note=own.note + BESIDE_NOTE)


def _own_table(study: Study) -> Table:
    parts = list(_parts(study))
    gains = {one.treated: one for one in study.gains}
    rows = tuple(
        tuple(cell for part in parts for cell in part.cells(run, gains.get(run.name)))
        for run in study.measured
        if run.name in gains or run is study.baseline
    )
    benches = ", ".join(study.also)
    note = (
        NOTE
        + (BENCHES_NOTE.format(benches) if benches else "")
        + (USEFUL_NOTE if study.usefulness else "")
        + COST_NOTE
    )
    columns = tuple(column for part in parts for column in part.columns)
    return Table(
        "variants",
        "All variants on one bench",
        columns,
        rows,
        with_void_note(note, study.gains),
        first=len(rows),
        sortable=True,
    )


def _parts(study: Study) -> Iterator[Part]:
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
    rows = (row for one in study.comparisons for row in one.differences)
    has_means = any(row.name == MACRO_MEAN for row in rows)
    if has_means:
        columns += _numbers("Toxicity, by the judge", "Mean over groups", *MOVED)

    def cells(run: Measured, gain: Comparison | None) -> Sequence[Cell]:
        if gain is None:
            means = (_share(study, run, MACRO_MEAN), *_nothing(2)) if has_means else ()
            return (_share(study, run, DECIDING), *_nothing(3), *means)
        judged = deciding_row(gain, gain.judge_id)
        means = moved(deciding_row(gain, gain.judge_id, MACRO_MEAN)) if has_means else ()
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
        guards = (one for one in gain.guards if one.name == HATEFUL) if gain else ()
        guard = next(iter(guards), None)
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
    changes = {
        one.treated: _total(one.differences, measure)
        for one in study.usefulness
        if (one.evaluation, one.against) == (evaluation, study.baseline.name)
    }

    def cells(run: Measured, gain: Comparison | None) -> Sequence[Cell]:
        if gain is None:
            known = run.evaluations.get(evaluation)
            rows = known.measurements if known else ()
            own = next((one for one in rows if (one.name, one.group) == (measure, None)), None)
            return (
                value_cell(own.value, words.number(own.value, own.unit))
                if own
                else text_cell(None),
            )
        row = changes.get(run.name)
        return (_with_interval(row) if row else text_cell(None),)

    return Part(_numbers("Usefulness", f"{words.label(measure)}, {evaluation}"), cells)


def _total(rows: Iterable[Row], measure: str) -> Row | None:
    """The row of a measure over all items."""
    return next((one for one in rows if (one.name, one.group) == (measure, None)), None)


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


# --- cells, also of the table of variants against each other ---


def usage_cells(usage: Usage | None) -> tuple[Cell, Cell]:
    """Seconds and peak memory of a stage; lower bounds say so, dashes are not recorded."""
    if usage is None:
        return text_cell(None), text_cell(None)
    least = "" if usage.is_complete else "≥\u00a0"
    seconds, peak = usage.wall_seconds, usage.peak_working_bytes
    return (
        Cell(least + words.duration(seconds), seconds, "number"),
        Cell(least + words.size(peak), float(peak), "number"),
    )


def verdict_cell(comparison: Comparison) -> Cell:
    """The verdict with its sign."""
    text = f"{words.VERDICTS[comparison.verdict][0]} {comparison.verdict}"
    return Cell(text, None, "worse" if comparison.verdict in ("worse", "invalid") else "text")


def held(comparison: Comparison, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The numbers of a gain; greyed and in parentheses where the comparison is invalid."""
    if comparison.verdict != "invalid":
        return tuple(cells)
    return tuple(replace(cell, text=f"({cell.text})", kind="void") for cell in cells)


def with_void_note(note: str, comparisons: Sequence[Comparison]) -> str:
    """The note, and what parentheses say where there are any."""
    return note + (VOID_NOTE if any(one.verdict == "invalid" for one in comparisons) else "")


def worsened(comparison: Comparison | None) -> Cell:
    """The guards that worsened."""
    guards = comparison.guards if comparison else ()
    worse = [words.label(guard.name) for guard in guards if guard.status == "worse"]
    return text_cell(", ".join(worse) or None)


def moved(row: Difference | None) -> tuple[Cell, Cell, Cell]:
    """The treated model's value, its difference from the baseline's, and that one's interval."""
    if row is None:
        unknown = value_cell(None, words.UNKNOWN)
        return unknown, unknown, unknown
    return (value_cell(row.treated, words.number(row.treated)), *moved_cells(row, row.unit))


def change(row: Difference | None) -> Cell:
    """The difference as a share of the baseline's value."""
    share = words.relative(row.baseline, row.difference) if row else None
    return value_cell(share, words.percent_change(share))


def perplexity(comparison: Comparison) -> Cell:
    """The perplexity of the responses as a multiple of the baseline's."""
    guard = next((guard for guard in comparison.guards if guard.name == PERPLEXITY), None)
    if guard is None or not guard.baseline or guard.treated is None:
        return value_cell(None, words.UNKNOWN)
    ratio = guard.treated / guard.baseline
    return Cell(f"{ratio:.2f}", ratio, "number")
