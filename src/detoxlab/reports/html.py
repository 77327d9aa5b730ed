"""The report as one HTML file that loads nothing from the network."""

import base64
import functools
import hashlib
import importlib.resources
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from detoxlab.reports import words
from detoxlab.reports.figures.still import as_drawing
from detoxlab.reports.judged import scorer_boxes
from detoxlab.reports.parts import Figure, Section
from detoxlab.reports.safety import script_json, visible
from detoxlab.reports.sections.bench import BENCH
from detoxlab.reports.sections.facts import study_facts
from detoxlab.reports.study import Study
from detoxlab.reports.summary import main_measurements, summarise
from detoxlab.reports.tradeoff.section import TRADE_OFF

if TYPE_CHECKING:
    from jinja2 import Environment


def as_html(study: Study, parts: Sequence[Section]) -> str:
    """The whole page, scripts and styles included; sections with nothing to show are left out."""
    sections = [part for part in parts if not part.is_empty]
    return rendered(
        "template.html",
        sections,
        title=study.title,
        facts=study_facts(study),
        lead=sum(section.key in (BENCH, TRADE_OFF) for section in sections),
        summaries=[summarise(comparison) for comparison in study.comparisons],
        alone=[(name, _shown(row)) for name, row in main_measurements(study)],
        unfinished=study.unfinished,
        verdicts=words.VERDICTS,
        scorers=scorer_boxes(study),
    )


def rendered(template: str, sections: Sequence[Section], **content: Any) -> str:
    """A template that extends `page.html`, with sections, and with the scripts and the style."""
    from markupsafe import Markup

    figures = [figure for section in sections for figure in section.figures]
    scripts = [_plotly() if figures else "", asset("report.js") + asset("examples.js")]
    text = (
        environment()
        .get_template(template)
        .render(
            sections=sections,
            policy=content_policy(scripts),
            style=Markup(asset("style.css")),
            scripts=[Markup(script) for script in scripts if script],
            figure_data=Markup(script_json(figure_data(figures))),
            label=words.label,
            still=as_drawing,
            **content,
        )
    )
    return text.lstrip()


@functools.cache
def environment() -> "Environment":
    """The templates of the page, which escape all text and spell out hidden characters."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("detoxlab", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def figure_data(figures: Sequence[Figure]) -> dict[str, Any]:
    """The data for the page's script, by the key of the figure."""
    return {figure.key: {"data": figure.data, "layout": figure.layout} for figure in figures}


def content_policy(scripts: Sequence[str], *, served: bool = False) -> str:
    """The policy that allows these scripts, no other script, and no access to the network.

    A page that is `served` may ask its own server, and send forms to it.
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts if script)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; "
        + ("connect-src 'self'; form-action 'self'" if served else "form-action 'none'")
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


def asset(name: str) -> str:
    """The text of a script or style sheet of the report."""
    return (importlib.resources.files("detoxlab.reports") / name).read_text(encoding="utf-8")
