"""A study in each format of the report."""

from typing import Any

from detoxlab.reports.html import as_html
from detoxlab.reports.parts import Drawing, Figure, Table
from detoxlab.reports.plain import as_csv, as_json, as_markdown
from detoxlab.reports.sections import sections
from detoxlab.reports.study import Study


def html_of(study: Study) -> str:
    """The page."""
    return as_html(study, sections(study))


def markdown_of(study: Study) -> str:
    """The Markdown file."""
    return as_markdown(study, sections(study))


def csv_of(study: Study) -> str:
    """The CSV file."""
    return as_csv(sections(study))


def json_of(study: Study) -> dict[str, Any]:
    """The content of the JSON file."""
    return as_json(study, sections(study))


def tables_of(study: Study) -> list[Table]:
    """The tables of all sections, in order."""
    return [table for section in sections(study) for table in section.tables]


def figures_of(study: Study) -> dict[str, tuple[Figure, ...]]:
    """The figures of each section, by its key."""
    return {section.key: section.figures for section in sections(study)}


def drawings_of(study: Study) -> dict[str, list[Drawing]]:
    """The drawings of each section that has some, by its key."""
    return {
        section.key: [drawn for _, found in section.drawings for drawn in found]
        for section in sections(study)
        if section.drawings
    }
