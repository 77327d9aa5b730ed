"""Builds a report from run folders: reads, compares, writes; never loads a model."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from detoxlab.comparisons import Limits
from detoxlab.errors import ConfigError, UnknownNameError
from detoxlab.records import RESAMPLES
from detoxlab.reports.audited import card_as_markdown
from detoxlab.reports.html import as_html
from detoxlab.reports.plain import as_csv, as_json, as_markdown
from detoxlab.reports.read import read_study
from detoxlab.reports.sections import sections
from detoxlab.reports.sections.judges import card_path
from detoxlab.reports.study import Study
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
    """Write the report of measured runs, the first of which is the baseline; returns its path.

    `out` names the HTML file, or a folder in which it becomes `report.html`; the other
    formats stand next to it. `trained` gives the training run behind a measured one, by
    the name under which the report shows it. `rivals` are pairs of names, baseline and treated,
    to compare in addition to those with the first run. `win_rates` are runs of a judge that
    compared two of the models. `limits` are those of the verdict.

    Raises `ConfigError` without runs, with an unknown format, or with unknown names in `rivals`.
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
    return write_report(study, page, formats)


def write_report(study: Study, page: Path, formats: Sequence[str]) -> Path:
    """Writes the study in each format next to `page`; returns the path of the first format.

    The cards of its judges stand in the folder `judges`, which the report links.
    """
    parts = sections(study)
    writers: Mapping[str, Callable[[], str]] = {
        "html": lambda: as_html(study, parts),
        "md": lambda: as_markdown(study, parts),
        "csv": lambda: as_csv(parts),
        "json": lambda: json.dumps(
            as_json(study, parts), indent=1, ensure_ascii=False, allow_nan=False
        ),
    }
    paths = {name: page if name == "html" else page.with_suffix(f".{name}") for name in formats}
    for name, path in paths.items():
        _replace(path, writers[name]())
    for card in study.cards.values():
        _replace(page.parent / card_path(card), card_as_markdown(card))
    return paths["html"] if "html" in paths else next(iter(paths.values()))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8", newline="\n")
    draft.replace(path)
