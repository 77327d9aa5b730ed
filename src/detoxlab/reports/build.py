"""Builds a report from run folders: reads, compares, writes; never loads a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from detoxlab.comparisons import Limits
from detoxlab.errors import ConfigError
from detoxlab.records import RESAMPLES
from detoxlab.reports.audited import card_as_markdown
from detoxlab.reports.export import write_figures
from detoxlab.reports.files import (
    FORMATS,
    bench_path,
    check_formats,
    check_replaceable,
    json_text,
    page_at,
    replace,
    write_formats,
)
from detoxlab.reports.html import as_html
from detoxlab.reports.judged import card_path
from detoxlab.reports.plain import as_csv, as_json, as_markdown
from detoxlab.reports.read import read_study
from detoxlab.reports.sections import sections
from detoxlab.reports.study import Study
from detoxlab.runs import Run


def build_report(
    measured: Sequence[Run],
    out: Path | str,
    *,
    trained: Mapping[str, Run] | None = None,
    rivals: Sequence[tuple[str, str]] = (),
    win_rates: Sequence[Run] = (),
    sweeps: Mapping[str, Run] | None = None,
    explained: Run | None = None,
    also: Mapping[str, Sequence[Run]] | None = None,
    title: str | None = None,
    formats: Sequence[str] = FORMATS,
    figures: Path | str | None = None,
    limits: Limits | None = None,
    useful_by: str | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Path:
    """Write the report of measured runs, the first of which is the baseline; returns its path.

    `out` names the HTML file, or a folder in which it becomes `report.html`; the other
    formats stand next to it. `trained` gives the training run behind a measured one, by
    the name under which the report shows it. `rivals` are pairs of names, baseline and treated,
    to compare in addition to those with the first run. `win_rates` are runs of a judge that
    compared two of the models, `sweeps` are runs of sweep by the name of their method,
    `explained` is a run of explain. `also` are the runs of the same models on further benches, by
    the name of the bench; each has a report of its own in `also/<bench>`. `limits` are those of
    the verdict. `figures` is a folder for the report's figures as SVG and PNG files. `useful_by`
    names the evaluation on the horizontal axis of the trade-off.

    Raises `ConfigError` without runs, with an unknown format, with unknown names in `rivals` or
    `useful_by`, or where `explained` is another kind of run.
    """
    if not measured:
        raise ConfigError("a report of no runs", remedy="Give at least one measured run.")
    check_formats(formats)
    check_replaceable(page_at(out), formats)
    study = read_study(
        measured,
        trained=trained or {},
        rivals=rivals,
        win_rates=win_rates,
        sweeps=sweeps,
        explained=explained,
        also=also,
        title=title,
        limits=limits or Limits(),
        useful_by=useful_by,
        seed=seed,
        resamples=resamples,
    )
    return write_report(study, page_at(out), formats, figures=figures)


def write_report(
    study: Study, page: Path, formats: Sequence[str], *, figures: Path | str | None = None
) -> Path:
    """Writes the study in each format next to `page`; returns the path of the first format.

    The cards of its judges stand in the folder `judges`, which the report links, and the reports
    of further benches in the folder `also`. `figures` is a
    folder for its figures as SVG and PNG files.
    """
    for bench, there in study.also.items():
        write_report(there, page.parent / bench_path(bench), formats)
    parts = sections(study)
    if figures is not None:
        write_figures(parts, figures)
    writers = {
        "html": lambda: as_html(study, parts),
        "md": lambda: as_markdown(study, parts),
        "csv": lambda: as_csv(parts),
        "json": lambda: json_text(as_json(study, parts)),
    }
    first = write_formats(page, writers, formats)
    for card in study.cards.values():
        replace(page.parent / card_path(card), card_as_markdown(card))
    return first
