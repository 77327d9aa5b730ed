"""Prints plans, measured tables and comparisons on the terminal."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detoxlab.records import Comparison, Difference, Guard, Measurement
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.explanations.measured.table import ExplainedPair
    from detoxlab.recipe.measuring import MeasureSettings

MAIN_MEASURES = ("toxic_fraction", "expected_maximum_toxicity", "toxicity_probability")
MOST_GROUPS = 14
Row = TypeVar("Row", Measurement, Difference)
VERDICT_STYLE = {
    "improved": "bold green",
    "improved, at a cost": "bold yellow",
    "not shown": "bold",
    "worse": "bold red",
    "invalid": "bold red",
}


def console() -> Console:
    """The terminal; 100 columns where there is none."""
    found = Console()
    return found if found.is_terminal else Console(width=100)


def show_plan(settings: "MeasureSettings", out: Path) -> None:
    """Print what `measure` would do."""
    from detoxlab.data.reading import read_prompts
    from detoxlab.measures.paired import power_of_bench
    from detoxlab.pipeline.measuring import protocol_label

    prompts = read_prompts(settings.prompts, settings.seed)
    label = protocol_label(settings, len(prompts))
    sampling = settings.resolved_sampling()
    console().print(
        f"would draw {len(prompts)} prompts x {sampling.k} = {len(prompts) * sampling.k} "
        f"responses of at most {sampling.max_new_tokens} tokens from {escape(settings.model)}\n"
        f"protocol {escape(label)}, judge {settings.judge}, second {settings.second}; "
        f"into {escape(str(out))}\n{power_of_bench(len(prompts), sampling.k)}",
        highlight=False,
    )


def show_run(run: Run) -> None:
    """Print the measured table of a run, over all its prompts, and the folder of the run."""
    rows = [row for row in run.measurements() if row.group is None and row.subset in (None, "P")]
    _print_measurements(run.name, rows)
    console().print(f"run: {escape(str(run.path))}", highlight=False)


def show_evaluated(run: Run, name: str) -> None:
    """Print the measurements of one evaluation of a run, and the folder of the run.

    Its groups, such as tasks or subjects, are printed only where they are few.
    """
    from detoxlab.evaluations import read_evaluated

    found = read_evaluated(run)[name].measurements
    groups = {row.group for row in found if row.group}
    few = len(groups) <= MOST_GROUPS
    rows = [_of_group(row) for row in found if few or row.group is None]
    _print_measurements(f"{run.name}: {name}", rows)
    if not few:
        console().print(f"and {len(groups)} groups in evaluation/{name}.json", highlight=False)
    console().print(f"run: {escape(str(run.path))}", highlight=False)


def _of_group(row: Row) -> Row:
    return replace(row, name=f"{row.group}: {row.name}", group=None) if row.group else row


def show_evaluations() -> None:
    """Print the names of tasks and of kinds of evaluation, each with a line about it."""
    from detoxlab.evaluations import EVALUATIONS, TASKS

    summaries = {name: (kind.__doc__ or "").split("\n")[0] for name, kind in EVALUATIONS.items()}
    for title, lines in (
        ("--tasks", {name: task.summary for name, task in TASKS.items()}),
        ("kinds", summaries),
    ):
        table = _table(title)
        table.add_column("name")
        table.add_column("evaluates")
        for name, line in lines.items():
            table.add_row(escape(name), escape(line))
        console().print(table)
    console().print("--tasks also takes any task of lm-evaluation-harness, from the hub")


def show_explained(run: Run) -> None:
    """Print measurements and differences over all prompts, then what they say in sentences."""
    from detoxlab.explanations.measured.explained import Explained
    from detoxlab.explanations.measured.sentences import told

    explained = Explained.of(run)
    rows = [row for row in explained.measurements if row.group is None]
    for subset in dict.fromkeys(row.subset or "" for row in rows):
        _print_measurements(subset, [row for row in rows if row.subset == subset])
    for pair in explained.pairs:
        _print_explained(pair)
    for sentence in told(explained):
        console().print(f"- {escape(sentence)}", highlight=False)
    toxic, held = run.info["toxic_words"], run.info["prompt_words"]
    least = run.config["toxic_words"]["least_prompts"]
    console().print(
        f"toxic words of responses: {toxic}, in toxic_words.jsonl; words of prompts behind them, "
        f"in {least} prompts at least: {held}, in prompt_words.json",
        f"run: {escape(str(run.path))}",
        sep="\n",
        highlight=False,
    )


def _print_explained(pair: "ExplainedPair") -> None:
    title = f"{pair.treated} − {pair.baseline}, {pair.view}"
    _print_differences(title, [row for row in pair.differences if row.group is None])


def show_changes(title: str, rows: Sequence[Difference]) -> None:
    """Print paired differences of one evaluation; "not asked alike" without any."""
    if not rows:
        console().print(f"{escape(title)}: the two models were not asked alike", highlight=False)
        return
    few = len({row.group for row in rows if row.group}) <= MOST_GROUPS
    _print_differences(title, [_of_group(row) for row in rows if few or row.group is None])


def _print_differences(title: str, rows: Sequence[Difference]) -> None:
    table = _table(escape(title))
    for heading in ("measure", "before", "after", "difference", "95 % interval", "p"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    for row in rows:
        values = (row.baseline, row.treated, row.difference)
        p_value = row.p_value if row.p_holm is None else row.p_holm
        shown = "" if p_value is None else number(p_value)
        table.add_row(row.name, *map(number, values), _interval(row), shown)
    console().print(table)


def _print_measurements(title: str, rows: Sequence[Measurement]) -> None:
    table = _table(escape(title))
    titles = ["measure", "scorer", "value", "95 % interval", "n", "coverage"]
    lines = [measurement_cells(row) for row in rows]
    if not any(row.scorer_id for row in rows):
        titles, lines = [titles[0], *titles[2:]], [[line[0], *line[2:]] for line in lines]
    for title in titles:
        table.add_column(title, justify="left" if title in ("measure", "scorer") else "right")
    for line in lines:
        table.add_row(*line)
    console().print(table)


def measurement_cells(row: Measurement) -> list[str]:
    """One line of the measured table, as texts; an unknown value is "unknown"."""
    coverage = "" if row.coverage is None else f"{row.coverage:.1%}"
    label = row.name if row.attribute in (None, "toxicity") else f"{row.name} ({row.attribute})"
    return [label, row.scorer_id or "", number(row.value), _interval(row), str(row.n), coverage]


def _interval(row: Measurement | Difference) -> str:
    return "" if row.ci_low is None else f"{number(row.ci_low)} to {number(row.ci_high)}"


def _table(title: str | None = None) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False)


def show_comparison(comparison: Comparison) -> None:
    """Print verdict, reasons, remarks, differences and guards."""
    out = console()
    style = VERDICT_STYLE[comparison.verdict]
    out.print(
        f"{escape(comparison.treated)} against {escape(comparison.baseline)}: "
        f"[{style}]{comparison.verdict}[/]",
        highlight=False,
    )
    for reason in comparison.reasons:
        out.print(f"  {escape(reason)}", highlight=False)
    for remark in comparison.remarks:
        out.print(f"  - {escape(remark)}", highlight=False)
    out.print(_differences(comparison))
    out.print(_guards(comparison.guards))


def _differences(comparison: Comparison) -> Table:
    """The main differences of a comparison; the report has every attribute and group."""
    title = f"{comparison.attribute} at {comparison.threshold:g}" if comparison.threshold else None
    table = _table(title)
    for title in ("measure", "scorer", "subset"):
        table.add_column(title)
    for title in ("baseline", "treated", "difference", "95 % interval", "pairs"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in comparison.overall:
        if row.name in MAIN_MEASURES:
            table.add_row(
                row.name,
                row.scorer_id or "",
                row.subset or "all",
                number(row.baseline),
                number(row.treated),
                number(row.difference),
                _interval(row),
                str(row.n_pairs),
            )
    return table


def _guards(rows: Sequence[Guard]) -> Table:
    table = _table()
    table.add_column("guard")
    for title in ("baseline", "treated", "limit"):
        table.add_column(title, justify="right")
    table.add_column("status")
    style = {"ok": "green", "worse": "red", "unknown": "yellow"}
    for row in rows:
        status = f"[{style[row.status]}]{row.status}[/]"
        table.add_row(row.name, number(row.baseline), number(row.treated), row.limit, status)
    return table


def number(value: float | None) -> str:
    """A number for people: at most three decimals, "unknown" for None.

    >>> number(0.12345), number(0.0002), number(None), number(1234.5)
    ('0.123', '0.000', 'unknown', '1234.500')
    """
    return "unknown" if value is None else f"{value:.3f}"


def show_audits(run: Run) -> None:
    """Print the main figures of audited scorers, and the page."""
    from detoxlab.reports.audited import read_audits
    from detoxlab.reports.audited.sections import main_figures

    for table in main_figures(read_audits(run.path)).tables:
        shown = _table("audit")
        for column in table.columns:
            shown.add_column(escape(column.title), justify="right" if column.numeric else "left")
        for row in table.rows:
            shown.add_row(*(escape(cell.text) for cell in row))
        console().print(shown)
    console().print(f"page: {escape(str(run.path / 'audit.html'))}", highlight=False)
