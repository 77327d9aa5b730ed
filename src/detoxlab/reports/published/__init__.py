"""Rows of the table of all variants that outlive their runs: published, joined, read again."""

from detoxlab.reports.published.files import from_plain, read_published, shipped_rows, to_plain
from detoxlab.reports.published.rows import (
    Published,
    PublishedRow,
    cells_of,
    column_key,
    difference,
)

__all__ = [
    "Published",
    "PublishedRow",
    "cells_of",
    "column_key",
    "difference",
    "from_plain",
    "read_published",
    "shipped_rows",
    "to_plain",
]
