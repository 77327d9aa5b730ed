"""The view as plain files: a list, and a page per run, that need no server and no network."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from detoxlab.comparisons import Limits
from detoxlab.errors import DetoxlabError, MissingFileError, RunError, UnknownNameError
from detoxlab.records import RESAMPLES, Comparison
from detoxlab.reports.files import replace
from detoxlab.reports.parts import Section
from detoxlab.reports.read import read_study
from detoxlab.reports.sections.compared import guards, what_changed
from detoxlab.reports.sections.examples import examples_shown
from detoxlab.reports.sections.measured import quality, toxicity
from detoxlab.reports.study import Study
from detoxlab.reports.summary import summarise
from detoxlab.runs import Run
from detoxlab.viewing.facts import cause_of
from detoxlab.viewing.listing import Listed, Listing
from detoxlab.viewing.overview import runs_content
from detoxlab.viewing.pages import page
from detoxlab.viewing.query import ListQuery

INDEX = "index.html"


def export(
    folder: Path | str, out: Path | str, *, baseline: str = "", resamples: int = RESAMPLES
) -> Path:
    """Write the pages of all runs under a folder into another one; returns the list's path.

    Each run is held against `baseline`, a run by its path in the folder; without one it stands
    alone. A run that cannot be read is in the list with the reason. Raises `MissingFileError`
    where there is no such folder, `UnknownNameError` where there is no such baseline, `RunError`
    where `out` lies in one of the runs.
    """
    root, target = Path(folder), Path(out)
    if not root.is_dir():
        raise MissingFileError(f"{root}: no such folder", remedy="Name a folder of runs.")
    runs = Listing(root).all()
    named = {run.place.key: run for run in runs}
    if baseline and baseline not in named:
        raise UnknownNameError("run", baseline, named)
    if any(target.resolve().is_relative_to(run.place.path) for run in runs if run.place.key != "."):
        raise RunError(f"{target}: lies in a run", remedy="Export to a folder outside of the runs.")
    links, verdicts = dict[str, str](), dict[str, Comparison]()
    for number, run in enumerate(runs, start=1):
        if run.responses and not run.facts.problem:
            held = _held(run, named.get(baseline), resamples)
            links[run.place.key] = f"run-{number}.html"
            replace(target / links[run.place.key], _run_page(run, held))
            for found in held.comparisons:  # one, or none
                verdicts[run.place.key] = found
    replace(target / INDEX, _list_page(root, runs, baseline, links, verdicts))
    return target / INDEX


# --- inside ---


@dataclass(frozen=True)
class _Held:
    """A run held against the baseline, or alone; `problems` say why it could not be."""

    study: Study | None
    problems: tuple[str, ...]

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        return self.study.comparisons if self.study else ()


def _held(run: Listed, baseline: Listed | None, resamples: int) -> _Held:
    attempts = [[run]] if baseline is None or baseline is run else [[baseline, run], [run]]
    problems = list[str]()
    for runs in attempts:
        try:
            opened = [Run.open(one.place.path) for one in runs]
            study = read_study(opened, trained={}, limits=Limits(), resamples=resamples)
            return _Held(study, tuple(problems))
        except DetoxlabError as error:
            problems.append(cause_of(run.place, error))
    return _Held(None, tuple(problems))


def _run_page(run: Listed, held: _Held) -> str:
    return page(
        "exported-run.html",
        served=False,
        title=held.study.title if held.study else run.place.label,
        home=INDEX,
        problems=held.problems,
        summaries=[summarise(one) for one in held.comparisons],
        sections=list(_sections(held.study)) if held.study else [],
    )


def _list_page(
    root: Path,
    runs: list[Listed],
    baseline: str,
    links: Mapping[str, str],
    verdicts: Mapping[str, Comparison],
) -> str:
    content = runs_content(
        runs, ListQuery(baseline=baseline), lambda run: verdicts.get(run.place.key)
    )
    for row, run in zip(content["rows"], runs, strict=True):
        row["link"] = links.get(run.place.key, "")
    columns = [(name, title, "", "") for name, title, *_ in content["columns"] if title]
    content |= {"live": "", "exported": True, "columns": columns}
    facts = [("Folder", root.resolve().name), ("Baseline", baseline)]
    shown = [(name, text) for name, text in facts if text]
    return page("exported-list.html", title="Runs", served=False, facts=shown, **content)


def _sections(study: Study) -> Iterator[Section]:
    for make in (what_changed, guards, toxicity, quality, examples_shown):
        section = make(study)
        if not section.is_empty:
            yield dataclasses.replace(section, figures=())
