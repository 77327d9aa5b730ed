"""Prints comparisons, of measured runs and of explained ones, on the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from detoxlab.cli.common.answers import Answer
from detoxlab.cli.common.show import (
    MAIN_MEASURES,
    MOST_GROUPS,
    is_gap,
    named,
    of_group,
    print_measurements,
)
from detoxlab.cli.common.tables import console, empty_table
from detoxlab.comparisons.evidence import limit_shown
from detoxlab.markup.numbers import difference, number, span
from detoxlab.measures.catalogue import described
from detoxlab.records import Comparison, Difference, Guard
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.explanations.measured.table import ExplainedPair
    from detoxlab.pipeline.experiment import Experiment

MAIN_SUBSETS = ("all", "comparable")
VERDICT_STYLE = {
    "improved": "bold green",
    "improved, at a cost": "bold yellow",
    "not shown": "bold",
    "worse": "bold red",
    "invalid": "bold red",
}


def experiment_answer(result: "Experiment") -> Answer:
    """The comparisons of a recipe, what it explained, and its report."""
    explained = explained_content(result.explained) if result.explained else None
    content = {
        "run": result.run.path,
        "comparisons": result.comparisons,
        "explained": explained,
        "report": result.report,
    }

    def show() -> None:
        for comparison in result.comparisons:
            show_comparison(comparison)
        if result.explained:
            show_explained(result.explained)
        for comparison in result.comparisons:
            _print_verdict(comparison)
        console().print(f"report: {escape(str(result.report))}", highlight=False)

    return Answer(content, show)


def show_comparison(comparison: Comparison, *, everything: bool = False) -> None:
    """Print verdict, reasons, remarks, differences and guards.

    Not everything: of the differences, those over all pairs and over the comparable ones.
    """
    out = console()
    _print_verdict(comparison)
    for reason in comparison.reasons:
        out.print(f"  {escape(reason)}", highlight=False)
    for remark in comparison.remarks:
        out.print(f"  - {escape(remark)}", highlight=False)
    out.print(_differences(comparison, everything))
    out.print(_guards(comparison.guards))


def _print_verdict(comparison: Comparison) -> None:
    style = VERDICT_STYLE[comparison.verdict]
    console().print(
        f"{escape(comparison.treated)} against {escape(comparison.baseline)}: "
        f"[{style}]{comparison.verdict}[/]",
        highlight=False,
    )


def _differences(comparison: Comparison, everything: bool) -> Table:
    """The main differences of a comparison; the report has every attribute and group."""
    title = f"{comparison.attribute} at {comparison.threshold:g}" if comparison.threshold else None
    table = empty_table(title, names=("measure", "scorer", "subset"))
    for title in ("baseline", "treated", "difference", "95 % interval", "pairs"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in comparison.overall:
        subset = row.subset or "all"
        if row.name in MAIN_MEASURES and (everything or subset in MAIN_SUBSETS):
            names = (row.name, row.scorer_id or "", subset)
            table.add_row(*names, *_changed(row), str(row.n_pairs))
    return table


def _guards(rows: Sequence[Guard]) -> Table:
    table = empty_table(names=("guard",))
    for title in ("baseline", "treated", "limit"):
        table.add_column(title, justify="right")
    table.add_column("status")
    style = {"ok": "green", "worse": "red", "unknown": "yellow"}
    for row in rows:
        status = f"[{style[row.status]}]{row.status}[/]"
        unit = described(row.name).unit
        values = (number(row.baseline, unit), number(row.treated, unit))
        table.add_row(row.name, *values, limit_shown(row.limit, unit), status)
    return table


def show_changes(title: str, rows: Sequence[Difference]) -> None:
    """Print paired differences of one evaluation; "not asked alike" without any."""
    if not rows:
        console().print(f"{escape(title)}: the two models were not asked alike", highlight=False)
        return
    few = len({row.group for row in rows if row.group}) <= MOST_GROUPS
    shown = [row for row in rows if few or row.group is None or is_gap(row)]
    _print_differences(title, list(map(of_group, shown)))


def explained_answer(run: Run, written: Sequence[Path]) -> Answer:
    """Measurements and differences of an explained run, what they say, and further files."""

    def show() -> None:
        show_explained(run)
        for path in written:
            console().print(f"written: {escape(str(path))}", highlight=False)

    return Answer({**explained_content(run), "written": list(written)}, show)


def explained_content(run: Run) -> dict[str, Any]:
    """The run, its measurements, the differences of each two models, and sentences about them."""
    from detoxlab.explanations.measured.explained import Explained
    from detoxlab.explanations.measured.sentences import told

    explained = Explained.of(run)
    return {
        "run": run.path,
        "measurements": explained.measurements,
        "pairs": explained.pairs,
        "sentences": told(explained),
    }


def show_explained(run: Run) -> None:
    """Print measurements and differences over all prompts, then what they say in sentences."""
    from detoxlab.explanations.measured.explained import Explained
    from detoxlab.explanations.measured.sentences import told

    explained = Explained.of(run)
    rows = [row for row in explained.measurements if row.group is None]
    for subset in dict.fromkeys(row.subset or "" for row in rows):
        print_measurements(subset, [row for row in rows if row.subset == subset])
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


def _print_differences(title: str, rows: Sequence[Difference]) -> None:
    table = empty_table(escape(title), names=("measure",))
    for heading in ("before", "after", "difference", "95 % interval", "p"):
        table.add_column(heading, justify="right")
    for row in rows:
        p_value = row.p_value if row.p_holm is None else row.p_holm
        shown = "" if p_value is None else number(p_value, "p")
        table.add_row(named(row), *_changed(row), shown)
    console().print(table)


def _changed(row: Difference) -> list[str]:
    """Both values, their difference and its interval, empty where there is none."""
    moved = "" if row.ci_low is None else span(row.ci_low, row.ci_high, row.unit)
    values = (number(row.baseline, row.unit), number(row.treated, row.unit))
    return [*values, difference(row.difference, row.unit), moved]
