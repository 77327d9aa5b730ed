"""One report from run folders alone: reads, compares, writes; never loads a model."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from detoxlab.comparisons import ATTRIBUTE, THRESHOLD, Limits, compare_each
from detoxlab.errors import ConfigError, UnknownNameError
from detoxlab.records import RESAMPLES
from detoxlab.reports.bench import bench_tables
from detoxlab.reports.html import as_html
from detoxlab.reports.plain import as_csv, as_json, as_markdown
from detoxlab.reports.sources import provenance_tables
from detoxlab.reports.study import (
    Measured,
    Study,
    display_names,
    read_measured,
    read_trained,
)
from detoxlab.reports.tables import all_tables
from detoxlab.reports.usefulness import useful_changes, usefulness_tables
from detoxlab.reports.win_rates import read_win_rates, win_rates_table
from detoxlab.runs import Run

FORMATS = ("html", "md", "csv", "json")


def build_report(
    measured: Sequence[Run],
    out: Path | str,
    *,
    trained: Mapping[str, Run] | None = None,
    rivals: Sequence[tuple[str, str]] = (),
    win_rates: Sequence[Run] = (),
    title: str | None = None,
    formats: Sequence[str] = FORMATS,
    limits: Limits | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Path:
    """The report of measured runs (the first is the baseline), written to `out`; its path.

    `out` names the HTML file, or a folder in which it becomes `report.html`; the other
    formats stand next to it. `trained` gives the training run behind a measured one, by
    the name under which the report shows it. `rivals` are pairs of names, baseline and treated,
    that are compared besides those with the first run. `win_rates` are runs of a judge that held
    two of the models against each other. `limits` are those of the verdict.

    Raises `ConfigError` without runs, with an unknown format, or with rivals that are none of them.
    """
    if not measured:
        raise ConfigError("a report of no runs", remedy="Give at least one measured run.")
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("report format", name, FORMATS)
    study = read_study(
        measured,
        trained=trained or {},
        rivals=rivals,
        win_rates=win_rates,
        title=title,
        limits=limits or Limits(),
        seed=seed,
        resamples=resamples,
    )
    path = Path(out)
    page = path / "report.html" if path.is_dir() or not path.suffix else path
    return write_report(study, page, formats, seed=seed)


def read_study(
    measured: Sequence[Run],
    *,
    trained: Mapping[str, Run],
    rivals: Sequence[tuple[str, str]] = (),
    win_rates: Sequence[Run] = (),
    title: str | None = None,
    limits: Limits,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Study:
    """All that the report shows, read from the folders, with every variant compared.

    Comparisons with the first run come first, in the order of the runs.
    """
    runs = [
        read_measured(run, name)
        for run, name in zip(measured, display_names(measured), strict=True)
    ]
    pairs = [(runs[0], run) for run in runs[1:]] + _named(runs, rivals)
    comparisons = compare_each(
        [(before.responses, after.responses) for before, after in pairs],
        limits=limits,
        seed=seed,
        resamples=resamples,
    )
    return Study(
        title=title or default_title([run.name for run in runs]),
        measured=tuple(runs),
        comparisons=comparisons,
        trained=tuple(read_trained(run, name) for name, run in trained.items()),
        attribute=runs[0].responses.attribute or ATTRIBUTE,
        threshold=runs[0].responses.threshold or THRESHOLD,
        usefulness=useful_changes(pairs, seed=seed, resamples=resamples),
        win_rates=tuple(read_win_rates(run) for run in win_rates),
    )


def _named(
    runs: Sequence[Measured], rivals: Sequence[tuple[str, str]]
) -> list[tuple[Measured, Measured]]:
    by_name = {run.name: run for run in runs}
    for name in (name for pair in rivals for name in pair):
        if name not in by_name:
            raise UnknownNameError("run", name, by_name)
    return [(by_name[before], by_name[after]) for before, after in rivals]


def default_title(names: Sequence[str]) -> str:
    """A title that says who is held against whom.

    >>> default_title(["base", "ft", "dpo"]), default_title(["base"])
    ('Toxicity of ft and dpo against base', 'Toxicity of base')
    """
    if len(names) == 1:
        return f"Toxicity of {names[0]}"
    *first, last = names[1:]
    variants = f"{', '.join(first)} and {last}" if first else last
    return f"Toxicity of {variants} against {names[0]}"


def write_report(study: Study, page: Path, formats: Sequence[str], *, seed: int = 0) -> Path:
    """Writes the study in each format next to `page`; returns the path of the first format."""
    tables = [
        *bench_tables(study),
        *usefulness_tables(study.measured, study.usefulness),
        *filter(None, [win_rates_table(study.win_rates)]),
        *all_tables(study),
        *provenance_tables(study),
    ]
    writers: Mapping[str, Callable[[], str]] = {
        "html": lambda: as_html(study, seed=seed),
        "md": lambda: as_markdown(study, tables),
        "csv": lambda: as_csv(study),
        "json": lambda: json.dumps(as_json(study), indent=1, ensure_ascii=False, allow_nan=False),
    }
    page.parent.mkdir(parents=True, exist_ok=True)
    paths = {name: page if name == "html" else page.with_suffix(f".{name}") for name in formats}
    for name, path in paths.items():
        _replace(path, writers[name]())
    return paths["html"] if "html" in paths else next(iter(paths.values()))


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8", newline="\n")
    draft.replace(path)
