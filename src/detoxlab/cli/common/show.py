"""Prints plans and measured tables on the terminal."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.markup import escape

from detoxlab.cli.common.answers import Answer
from detoxlab.cli.common.ending import ending_of, overall
from detoxlab.cli.common.tables import console, empty_table, show_names
from detoxlab.markup.numbers import interval, number
from detoxlab.measures.catalogue import DECIDING, described, guards
from detoxlab.measures.grid import HATE
from detoxlab.records import Difference, Measurement
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.recipe.measuring import MeasureSettings

MAIN_MEASURES = (DECIDING, "expected_maximum_toxicity", "toxicity_probability")
MAIN_GUARDS = {*(one.name for one in guards()), "agreement_pearson"}
MOST_GROUPS = 14
Row = TypeVar("Row", Measurement, Difference)


def plan_of(settings: "MeasureSettings", out: Path) -> str:
    """The plan of `measure` in words."""
    from detoxlab.data.reading import read_prompts
    from detoxlab.measures.paired import power_of_bench
    from detoxlab.pipeline.measuring import protocol_label

    prompts = read_prompts(settings.prompts, settings.seed)
    label = protocol_label(settings, len(prompts))
    sampling = settings.resolved_sampling()
    return (
        f"would draw {len(prompts)} prompts x {sampling.k} = {len(prompts) * sampling.k} "
        f"responses of at most {sampling.max_new_tokens} tokens from {settings.model}\n"
        f"protocol {label}, judge {settings.judge}, second {settings.second}; "
        f"into {out}\n{power_of_bench(len(prompts), sampling.k)}"
    )


def run_answer(run: Run, *, everything: bool = False) -> Answer:
    """The measured run: its main measurements or all, and at the end its headline."""
    ending = ending_of(run)
    content = {"run": run.path, **vars(ending), "measurements": run.measurements()}

    def show() -> None:
        show_run(run, everything=everything)
        for line in ending.lines():
            console().print(escape(line), highlight=False, soft_wrap=True)

    return Answer(content, show)


def show_run(run: Run, *, everything: bool) -> None:
    """Print the measured table of a run, over all its prompts, and the folder of the run.

    Not everything: the measures of toxicity by each scorer, and the guards.
    """
    rows = overall(run.measurements())
    shown = [row for row in rows if everything or _is_main(row, rows[0].attribute)]
    print_measurements(run.name, shown)
    if left := len(rows) - len(shown):
        console().print(f"{left} further measurements: --all, or measurements.json")
    console().print(f"run: {escape(str(run.path))}", highlight=False)


def win_rates_answer(run: Run) -> Answer:
    """The win rates of a contest, or of every two of several models with their ranking."""
    from detoxlab.pipeline.winning import contests_in

    contests = [
        {"name": one.name, "measurements": one.measurements(), "no_votes": one.info["no_votes"]}
        for one in contests_in(run)
    ]
    content = {"run": run.path, "measurements": run.measurements(), "contests": contests}
    return Answer(content, lambda: show_win_rates(run))


def _is_main(row: Measurement, attribute: str | None) -> bool:
    """Whether a row is a measure of toxicity or a guard; not of an attribute beside the main."""
    if row.name in MAIN_MEASURES:
        return row.attribute in (attribute, HATE)
    return row.name in MAIN_GUARDS


def show_win_rates(run: Run) -> None:
    """Print the win rates of a contest, or of every two of several models with their ranking."""
    from detoxlab.pipeline.winning import contests_in

    contests = contests_in(run)
    for one in contests:
        print_measurements(one.name, one.measurements())
        for reason, count in one.info["no_votes"].items():
            console().print(f"no vote: {escape(reason)}, {count} pairs", highlight=False)
    if len(contests) > 1:
        print_measurements("ranking", [of_group(row) for row in run.measurements()])
    console().print(f"run: {escape(str(run.path))}", highlight=False)


def evaluated_answer(run: Run, names: Sequence[str]) -> Answer:
    """These evaluations of a run."""
    from detoxlab.evaluations import read_evaluated

    found = read_evaluated(run)
    content = {"run": run.path, "evaluations": {name: found[name].measurements for name in names}}

    def show() -> None:
        for name in names:
            show_evaluated(run, name)

    return Answer(content, show)


def show_evaluated(run: Run, name: str) -> None:
    """Print the measurements of one evaluation of a run, and the folder of the run.

    Its groups, such as tasks or subjects, are printed only where they are few.
    """
    from detoxlab.evaluations import read_evaluated

    found = read_evaluated(run)[name].measurements
    groups = {row.group for row in found if row.group}
    few = len(groups) <= MOST_GROUPS
    rows = [of_group(row) for row in found if few or row.group is None or is_gap(row)]
    print_measurements(f"{run.name}: {name}", rows)
    if not few:
        console().print(f"and {len(groups)} groups in evaluation/{name}.json", highlight=False)
    console().print(f"run: {escape(str(run.path))}", highlight=False)


def of_group(row: Row) -> Row:
    return replace(row, name=f"{row.group}: {row.name}", group=None) if row.group else row


def is_gap(row: Row) -> bool:
    """Whether a row is about several groups, although it has the name of the part they are in."""
    return described(row.name).part == "disparity"


def evaluations_answer() -> Answer:
    """The names of tasks and of kinds of evaluation, each with a line about it."""
    from detoxlab.evaluations import EVALUATIONS, TASKS

    summaries = {name: (kind.__doc__ or "").split("\n")[0] for name, kind in EVALUATIONS.items()}
    tasks = {name: task.summary for name, task in TASKS.items()}

    def show() -> None:
        show_names("--tasks", tasks, "evaluates")
        show_names("kinds", summaries, "evaluates")
        console().print("--tasks also takes any task of lm-evaluation-harness, from the hub")

    return Answer({"tasks": tasks, "kinds": summaries}, show)


def sweep_answer(run: Run) -> Answer:
    """The tried strengths, and the choice for each budget."""
    from detoxlab.comparisons.sweeps import read_sweep

    sweep = read_sweep(run)
    content = {"run": run.path, "points": sweep.points, "choices": sweep.choices}
    return Answer(content, lambda: show_sweep(run))


def show_sweep(run: Run) -> None:
    """Print the tried strengths with their costs and toxicity, and the choice for each budget."""
    from detoxlab.comparisons.sweeps import read_sweep

    sweep = read_sweep(run)
    table = empty_table(f"{run.name}: perplexity as a multiple of the untouched model's")
    for title in ("strength", *(cost.name for cost in sweep.points[0].costs), "toxic fraction"):
        table.add_column(title, justify="right")
    for point in sweep.points:
        costs = [f"{cost.ratio:.3f}" for cost in point.costs]
        toxic = f"{number(point.toxic_fraction)} ({interval(point.ci_low, point.ci_high)})"
        table.add_row(f"{point.strength:g}", *costs, toxic)
    console().print(table)
    for choice in sweep.choices:
        console().print(escape(choice.told), highlight=False)
    console().print(f"run: {escape(str(run.path))}", highlight=False)


def print_measurements(title: str, rows: Sequence[Measurement]) -> None:
    scored = any(row.scorer_id for row in rows)
    table = empty_table(escape(title), names=("measure", "scorer") if scored else ("measure",))
    for title in ("value", "95 % interval", "n", "coverage"):
        table.add_column(title, justify="right")
    for row in rows:
        name, scorer, *cells = measurement_cells(row)
        table.add_row(name, *([scorer] if scored else []), *cells)
    console().print(table)


def named(row: Measurement | Difference) -> str:
    return row.name if row.attribute in (None, "toxicity") else f"{row.name} ({row.attribute})"


def measurement_cells(row: Measurement) -> list[str]:
    """One line of the measured table, as texts; an unknown value is "unknown"."""
    return [
        named(row),
        row.scorer_id or "",
        number(row.value, row.unit),
        "" if row.ci_low is None else interval(row.ci_low, row.ci_high, row.unit),
        str(row.n),
        "" if row.coverage is None else number(row.coverage),
    ]


def audits_answer(run: Run) -> Answer:
    """The figures of audited scorers, and the page."""
    from detoxlab.reports.audited import read_audits

    content = {"page": run.path / "audit.html", "audits": read_audits(run.path)}
    return Answer(content, lambda: show_audits(run))


def show_audits(run: Run) -> None:
    """Print the main figures of audited scorers, and the page."""
    from detoxlab.reports.audited import read_audits
    from detoxlab.reports.audited.sections import main_figures

    for table in main_figures(read_audits(run.path)).tables:
        shown = empty_table("audit")
        for column in table.columns:
            shown.add_column(escape(column.title), justify="right" if column.numeric else "left")
        for row in table.rows:
            shown.add_row(*(escape(cell.text) for cell in row))
        console().print(shown)
    console().print(f"page: {escape(str(run.path / 'audit.html'))}", highlight=False)
