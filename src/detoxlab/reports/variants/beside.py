"""Rows of other experiments beside those of a study, and a study's own rows for others."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from detoxlab.reports.parts import Cell, Table, text_cell
from detoxlab.reports.published import (
    Published,
    PublishedRow,
    cells_of,
    column_key,
    difference,
)
from detoxlab.reports.study import Study

PUBLISHED = "{} (published)"
BESIDE_NOTE = " Published rows were measured before, on the same bench, and come with detoxlab."
OTHER_BENCH = "No published rows stand beside these, since they are of another bench: {}."


def rows_to_publish(study: Study, table: Table) -> Published:
    """The rows of a study's own table.

    Each says on which day it was measured, and by which commit where the run knows it.
    """
    infos = {run.name: run.info for run in study.measured}
    keys = [column_key(column) for column in table.columns]
    rows = []
    for cells in table.rows:
        name = cells[0].text
        # A link leads from the report to another file of its folder.
        kept = dict(zip(keys, (replace(cell, href=None) for cell in cells), strict=True))
        rows.append(PublishedRow(name, kept, _facts(infos[name])))
    return Published(bench_of(study), table.columns, tuple(rows))


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


def with_rows_beside(study: Study, own: Table) -> Table:
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


# --- inside ---


def _facts(info: Mapping[str, Any]) -> dict[str, str]:
    found = {"measured": str(info.get("finished") or "")[:10], "commit": info.get("code_commit")}
    return {name: str(value) for name, value in found.items() if value}
