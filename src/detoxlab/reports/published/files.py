"""The rows of a bench as JSON; it holds numbers and names, no text of a model."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from detoxlab.errors import DataError, MissingFileError
from detoxlab.reports.parts import Cell, Column
from detoxlab.reports.published.rows import Published, PublishedRow, cells_of, column_key

VERSION = 1
SHIPPED = Path(__file__).parents[2] / "assets" / "benches"


def to_plain(content: Published) -> dict[str, Any]:
    """The rows as plain JSON."""
    return {
        "version": VERSION,
        "bench": dict(content.bench),
        "columns": [asdict(column) for column in content.columns],
        "rows": [
            {
                "name": row.name,
                "facts": dict(row.facts),
                "cells": [_plain(cell) for cell in cells_of(row, content.columns)],
            }
            for row in content.rows
        ],
    }


def from_plain(content: Mapping[str, Any], place: str) -> Published:
    """The rows of plain JSON. Raises `DataError` where it is none."""
    try:
        columns = tuple(Column(**column) for column in content["columns"])
        keys = [column_key(column) for column in columns]
        rows = tuple(
            PublishedRow(
                row["name"],
                dict(zip(keys, (Cell(**cell) for cell in row["cells"]), strict=True)),
                row["facts"],
            )
            for row in content["rows"]
        )
        return Published(content["bench"], columns, rows)
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{place}: holds no table of variants") from None


def shipped_rows(recipe: str, folder: Path = SHIPPED) -> Published | None:
    """The rows of a recipe's variants that come with detoxlab; None where there are none."""
    file = folder / f"{recipe}.json"
    return read_published(file) if file.is_file() else None


def read_published(path: Path) -> Published:
    """The rows in a file. Raises `MissingFileError` or `DataError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file") from None
    try:
        return from_plain(json.loads(text), str(path))
    except json.JSONDecodeError:
        raise DataError(f"{path}: not valid JSON") from None


def _plain(cell: Cell) -> dict[str, Any]:
    return {
        "text": cell.text,
        "kind": cell.kind,
        **({} if cell.number is None else {"number": cell.number}),
    }
