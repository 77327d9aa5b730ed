"""The sections as Markdown, CSV and JSON. None of the three holds a model's text."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping
from typing import Any

from detoxlab.records import Comparison, Difference, Guard, Measurement
from detoxlab.reports.judged import box_text, scorer_boxes
from detoxlab.reports.parts import Cell, Section, Table
from detoxlab.reports.safety import csv_cell, markdown, visible
from detoxlab.reports.sections.facts import study_facts
from detoxlab.reports.study import Study
from detoxlab.reports.summary import summarise

JSON_VERSION = 1

# --- Markdown ---


def as_markdown(study: Study, sections: Iterable[Section]) -> str:
    """The report without figures and examples, as GitHub-flavoured Markdown."""
    parts = [f"# {markdown(study.title)}", fact_lines(study_facts(study))]
    for name, state in study.unfinished:
        parts.append(f"**Run {markdown(name)} is {markdown(state)}: numbers may be partial.**")
    for comparison in study.comparisons:
        parts.append(_markdown_summary(comparison))
    if boxes := scorer_boxes(study):
        parts.append("\n".join(f"- {markdown(box_text(box))}" for box in boxes))
    parts += [part for section in sections for part in section_lines(section)]
    return "\n\n".join(parts) + "\n"


def fact_lines(facts: Iterable[tuple[str, str]]) -> str:
    """The facts in the head of a page as a list in Markdown."""
    return "\n".join(f"- {markdown(title)}: {markdown(text)}" for title, text in facts)


def section_lines(section: Section) -> list[str]:
    """The sentences of a section as a list, its commands, then its tables, in Markdown."""
    said = [f"- {markdown(text)}" for text in section.statements]
    lines = [f"- {markdown(line)}" for line in section.commands]
    listed = [f"## {section.title}", "\n".join(lines)] if lines else []
    return [*(["\n".join(said)] if said else []), *listed, *map(_markdown_table, section.tables)]


def _markdown_summary(comparison: Comparison) -> str:
    summary = summarise(comparison)
    title = markdown(f"{summary.treated} against {summary.baseline}")
    parts = [
        f"## {title}: {summary.verdict}",
        f"**{markdown(summary.headline)}.**",
        *map(markdown, summary.reasons),
        "\n".join(f"- {markdown(remark)}" for remark in summary.remarks),
    ]
    return "\n\n".join(filter(None, parts))


def _markdown_table(table: Table) -> str:
    note = f"\n\n{markdown(table.note)}" if table.note else ""
    return f"## {markdown(table.title)}{note}\n\n{table_lines(table)}"


def table_lines(table: Table) -> str:
    """The rows of a table in Markdown, without its title."""
    lines = [
        "| " + " | ".join(markdown(column.title) for column in table.columns) + " |",
        "|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|",
    ]
    lines += ["| " + " | ".join(map(_markdown_cell, row)) + " |" for row in table.rows]
    return "\n".join(lines)


def _markdown_cell(cell: Cell) -> str:
    text = markdown(cell.text)
    return f"[{text}]({cell.href})" if cell.href else text


# --- CSV ---

KINDS = (Measurement, Difference, Guard)
FIELDS = tuple(dict.fromkeys(field.name for kind in KINDS for field in dataclasses.fields(kind)))
CSV_COLUMNS = ("record", "run", "against", "evaluation", "state", *FIELDS)


def as_csv(sections: Iterable[Section]) -> str:
    """One row per measurement, difference, guard and threshold, with exact numbers.

    `state` is "unknown" where the row has no point estimate; unknown numbers are empty
    cells, never 0. Text that a spreadsheet would take for a formula gets a leading quote.
    Columns added by a section come last.
    """
    rows = [row for section in sections for row in section.records]
    columns = dict.fromkeys([*CSV_COLUMNS, *(key for row in rows for key in row)])
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _csv_value(value) for key, value in row.items()})
    return out.getvalue()


def _csv_value(value: Any) -> Any:
    if value is None:
        return ""
    return csv_cell(value) if isinstance(value, str) else value


# --- JSON ---


def as_json(study: Study, sections: Iterable[Section]) -> dict[str, Any]:
    """Every measurement, comparison, training log and source as plain JSON; null is unknown."""
    content: dict[str, Any] = {
        "version": JSON_VERSION,
        "title": study.title,
        "baseline": study.baseline.name,
        "attribute": study.attribute,
        "threshold": study.threshold,
    }
    return with_data(content, sections)


def with_data(content: Mapping[str, Any], sections: Iterable[Section]) -> dict[str, Any]:
    """The content and the data of all sections as plain JSON."""
    whole = dict(content)
    for section in sections:
        whole |= section.data
    return {key: _clean(value) for key, value in whole.items()}


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
