"""The same tables as Markdown, CSV and JSON. None of the three holds a model's text."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detoxlab.records import Comparison, Difference, Guard, Measurement, to_json
from detoxlab.reports import words
from detoxlab.reports.safety import csv_cell, markdown, visible
from detoxlab.reports.sources import unfinished
from detoxlab.reports.study import Study
from detoxlab.reports.summary import summarise
from detoxlab.reports.tables import Table

JSON_VERSION = 1

# --- Markdown ---


def as_markdown(study: Study, tables: Sequence[Table]) -> str:
    """The report without figures and examples, as GitHub-flavoured Markdown."""
    parts = [f"# {markdown(study.title)}"]
    for name, state in unfinished(study):
        parts.append(f"**Run {markdown(name)} is {markdown(state)}: numbers may be partial.**")
    for comparison in study.comparisons:
        parts.append(_markdown_summary(comparison))
    parts += [_markdown_table(table) for table in tables]
    return "\n\n".join(parts) + "\n"


def _markdown_summary(comparison: Comparison) -> str:
    summary = summarise(comparison)
    title = markdown(f"{summary.treated} against {summary.baseline}")
    parts = [
        f"## {title}: {summary.verdict}",
        f"**{summary.headline}.**",
        *map(markdown, summary.reasons),
        "\n".join(f"- {markdown(remark)}" for remark in summary.remarks),
    ]
    return "\n\n".join(filter(None, parts))


def _markdown_table(table: Table) -> str:
    lines = [
        "| " + " | ".join(markdown(column.title) for column in table.columns) + " |",
        "|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|",
    ]
    lines += ["| " + " | ".join(markdown(cell.text) for cell in row) + " |" for row in table.rows]
    note = f"\n\n{markdown(table.note)}" if table.note else ""
    return f"## {markdown(table.title)}{note}\n\n" + "\n".join(lines)


# --- CSV ---

KINDS = (Measurement, Difference, Guard)
FIELDS = tuple(dict.fromkeys(field.name for kind in KINDS for field in dataclasses.fields(kind)))
CSV_COLUMNS = ("record", "run", "against", "evaluation", "state", *FIELDS)


def as_csv(study: Study) -> str:
    """One row per measurement, difference, guard and threshold, with exact numbers.

    `state` is "unknown" where the row has no point estimate; unknown numbers are empty
    cells, never 0. Text that a spreadsheet would take for a formula gets a leading quote.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in _csv_rows(study):
        writer.writerow({key: _csv_value(value) for key, value in row.items()})
    return out.getvalue()


def _csv_rows(study: Study) -> Iterator[dict[str, Any]]:
    for run in study.measured:
        for measurement in run.measurements:
            head = {"record": "measurement", "run": run.name, "state": _state(measurement.value)}
            yield head | to_json(measurement)
    for comparison in study.comparisons:
        names = {"run": comparison.treated, "against": comparison.baseline}
        rows: tuple[Difference | Guard, ...] = (*comparison.differences, *comparison.guards)
        for row in rows:
            head = {"record": type(row).__name__.lower(), "state": _state(row.difference)}
            yield head | names | to_json(row)
        for point in comparison.sensitivity:
            head = {"record": "sensitivity", "state": _state(point.difference)}
            yield head | names | to_json(point)
    yield from _usefulness_rows(study)


def _usefulness_rows(study: Study) -> Iterator[dict[str, Any]]:
    for run in study.measured:
        for name, one in run.evaluations.items():
            names = {"run": run.name, "evaluation": name}
            for measurement in one.measurements:
                head = {"record": "measurement", "state": _state(measurement.value)}
                yield head | names | to_json(measurement)
    for change in study.usefulness:
        names = {
            "run": change.treated,
            "against": change.against,
            "evaluation": change.evaluation,
        }
        for row in change.differences:
            head = {"record": "difference", "state": _state(row.difference)}
            yield head | names | to_json(row)
    for contest in study.win_rates:
        names = {"run": contest.treated, "against": contest.baseline, "evaluation": "win rate"}
        for measurement in contest.measurements:
            head = {"record": "measurement", "state": _state(measurement.value)}
            yield head | names | to_json(measurement)


def _state(value: float | None) -> str:
    return words.UNKNOWN if value is None else "known"


def _csv_value(value: Any) -> Any:
    if value is None:
        return ""
    return csv_cell(value) if isinstance(value, str) else value


# --- JSON ---


def as_json(study: Study) -> dict[str, Any]:
    """Every measurement, comparison, training log and source as plain JSON; null is unknown."""
    content = {
        "version": JSON_VERSION,
        "title": study.title,
        "baseline": study.baseline.name,
        "attribute": study.attribute,
        "threshold": study.threshold,
        "runs": [
            {
                "name": run.name,
                "info": run.info,
                "config": run.config,
                "measurements": [to_json(row) for row in run.measurements],
                "evaluations": {
                    name: {
                        "settings": one.settings,
                        "measurements": [to_json(row) for row in one.measurements],
                    }
                    for name, one in run.evaluations.items()
                },
            }
            for run in study.measured
        ],
        "comparisons": [to_json(comparison) for comparison in study.comparisons],
        "usefulness": [to_json(change) for change in study.usefulness],
        "win_rates": [to_json(contest) for contest in study.win_rates],
        "trained": [
            {"name": run.name, "info": run.info, "config": run.config, "log": run.log}
            for run in study.trained
        ],
    }
    return {key: _clean(value) for key, value in content.items()}


def _clean(value: Any) -> Any:
    """The value with hidden characters spelt out and non-finite numbers as null."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {visible(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value if value is None or isinstance(value, bool | int) else str(value)
