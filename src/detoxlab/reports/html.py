"""The report as one HTML file that asks nobody for anything."""

import base64
import functools
import hashlib
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from detoxlab.reports import words
from detoxlab.reports.bench import bench_tables
from detoxlab.reports.examples import RULE_NOTE, Example, examples, training_samples
from detoxlab.reports.figures import Figure, all_figures
from detoxlab.reports.safety import script_json, visible
from detoxlab.reports.sources import provenance_tables, unfinished
from detoxlab.reports.study import Study
from detoxlab.reports.summary import main_measurements, summarise
from detoxlab.reports.tables import Table, all_tables, by_key
from detoxlab.reports.usefulness import usefulness_tables
from detoxlab.reports.win_rates import win_rates_table

if TYPE_CHECKING:
    from jinja2 import Environment

LONG_TABLE = 24
BENCH = "bench"  # many variants: their table comes before the single verdicts


@dataclass(frozen=True)
class Section:
    """A part of the page and where it is."""

    key: str
    title: str
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    note: str = ""
    examples: tuple[tuple[str, list[Example]], ...] = field(default=())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.tables or self.figures or any(found for _, found in self.examples))


def as_html(study: Study, *, seed: int = 0) -> str:
    """The whole page, scripts and styles included."""
    from markupsafe import Markup

    sections = page_sections(study, seed=seed)
    figures = [figure for section in sections for figure in section.figures]
    scripts = [_plotly() if figures else "", _asset("report.js")]
    page = _environment().get_template("template.html")
    text = page.render(
        study=study,
        sections=sections,
        lead=sum(section.key == BENCH for section in sections),
        summaries=[summarise(comparison) for comparison in study.comparisons],
        alone=[(name, _shown(row)) for name, row in main_measurements(study)],
        unfinished=unfinished(study),
        facts=page_facts(study),
        verdicts=words.VERDICTS,
        policy=content_policy(scripts),
        style=Markup(_asset("style.css")),
        scripts=[Markup(script) for script in scripts if script],
        figure_data=Markup(script_json(figure_data(figures))),
        long_table=LONG_TABLE,
    )
    return text.lstrip()


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("detoxlab", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_sections(study: Study, *, seed: int = 0) -> list[Section]:
    """The page's sections in order, without those that have nothing to show."""
    figures, tables = all_figures(study), all_tables(study)
    change, guards = _starting(tables, "change-", "change-detail-"), _starting(tables, "guards-")
    named, bench = by_key(tables), tuple(bench_tables(study))
    useful = tuple(usefulness_tables(study.measured, study.usefulness))
    won = tuple(filter(None, [win_rates_table(study.win_rates)]))
    shown = [
        (variant.name, examples(study, variant, index, seed=seed))
        for index, variant in enumerate(study.variants, start=1)
    ]
    shown += [
        (f"{run.name}, while it was trained", samples)
        for index, run in enumerate(study.trained, start=1)
        if (samples := training_samples(run, index))
    ]
    sections = [
        Section(BENCH, "All variants", bench, tuple(figures["trade-off"])),
        Section("change", "What changed", change, tuple(figures["changes"])),
        Section("guards", "Guards", guards),
        Section("usefulness", "Usefulness", useful),
        Section("win-rates", "Win rates", won),
        Section("toxicity", "Toxicity", _present(named, "measured-toxicity")),
        Section("flow", "Where responses went", (), tuple(figures["flow"])),
        Section("distribution", "Scores", (), tuple(figures["distributions"])),
        Section("training", "Training", (), tuple(figures["training"])),
        Section("examples", "Examples", note=RULE_NOTE, examples=tuple(shown)),
        Section("groups", "Attributes and groups", _details(named, tables)),
        Section("quality", "Quality of each model", _present(named, "measured-guards")),
        Section("provenance", "Provenance", (*_present(named, "limits"), *_sources(study))),
    ]
    return [section for section in sections if not section.is_empty]


def _details(named: Any, tables: Sequence[Table]) -> tuple[Table, ...]:
    measured = _present(named, "measured-attributes", "measured-groups")
    return (*measured, *_starting(tables, "change-detail-"))


def _sources(study: Study) -> tuple[Table, ...]:
    return tuple(provenance_tables(study))


def _starting(tables: Sequence[Table], start: str, but: str = "\n") -> tuple[Table, ...]:
    return tuple(t for t in tables if t.key.startswith(start) and not t.key.startswith(but))


def _present(named: Any, *keys: str) -> tuple[Table, ...]:
    return tuple(named[key] for key in keys if key in named)


def figure_data(figures: Sequence[Figure]) -> dict[str, Any]:
    """What the page's script draws, by the key of the figure."""
    return {figure.key: {"data": figure.data, "layout": figure.layout} for figure in figures}


def page_facts(study: Study) -> list[tuple[str, str]]:
    """What the reader needs to know first: models, prompts, samples, protocol, scorers, date."""
    responses = study.baseline.responses
    samples = max((g.sample for g in responses.generations), default=-1) + 1
    dates = sorted(str(run.info.get("finished") or "") for run in study.measured)
    facts = [
        ("Baseline", study.baseline.name),
        ("Variants", ", ".join(run.name for run in study.variants)),
        ("Prompts", words.count(len(responses.prompts))),
        ("Responses per prompt", str(samples)),
        ("Protocol", _protocol(study)),
        ("Judge", responses.judge_id or words.UNKNOWN),
        ("Second scorer", responses.second_id or "none"),
        ("Measured", dates[-1][:10]),
    ]
    return [(title, text) for title, text in facts if text]


def _protocol(study: Study) -> str:
    named = dict.fromkeys(m.protocol for run in study.measured for m in run.measurements)
    return ", ".join(n for n in named if n) or study.baseline.responses.protocol or words.UNKNOWN


def content_policy(scripts: Sequence[str]) -> str:
    """The policy that lets these scripts run, no other, and nothing reach the network."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts if script)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _finalize(value: Any) -> Any:
    """Every text that the template prints, with hidden characters spelt out."""
    plain = isinstance(value, str) and not hasattr(value, "__html__")
    return visible(value) if plain else value


def _shown(row: Any) -> dict[str, str]:
    return {
        "value": words.number(row.value, row.unit),
        "interval": words.interval(row.ci_low, row.ci_high, row.unit),
        "coverage": words.number(row.coverage),
    }


@functools.cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _asset(name: str) -> str:
    return (importlib.resources.files("detoxlab.reports") / name).read_text(encoding="utf-8")
