"""Measured runs on disk, and rows of the report's bench."""

from pathlib import Path

from detoxlab.measures.table import measure
from detoxlab.protocols import get_protocol
from detoxlab.reports.sections.bench import bench_tables
from detoxlab.reports.study import Study
from detoxlab.runs import Run
from tests.support.report_study import measured_run


def plain(text: str) -> str:
    return " ".join(text.split())


def bench_row(shown: Study, variant: str) -> dict[str, str]:
    (table,) = bench_tables(shown)
    titles = [column.title for column in table.columns]
    (row,) = [row for row in table.rows if row[0].text == variant]
    return {t: plain(cell.text) for t, cell in zip(titles, row, strict=True)}


def real_runs(folder: Path, names: tuple[str, ...] = ("base", "ft")) -> list[Run]:
    runs = []
    for name, level in zip(names, (0.4, 0.08, 0.2), strict=False):
        run = measured_run(folder / name, level=level, prompts=30, k=2, missing=0.0)
        rows = measure(run.responses(), protocol=get_protocol("rtp"), resamples=100)
        run.write_measurements(rows)
        runs.append(run)
    return runs
