"""The pages of the view as HTML, from templates that extend those of the report."""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from detoxlab.reports import words
from detoxlab.reports.html import asset, content_policy, environment
from detoxlab.reports.safety import visible

if TYPE_CHECKING:
    from jinja2 import Environment


def page(template: str, *, title: str, served: bool = True, **content: Any) -> str:
    """A whole page with its script and style. Texts in it are escaped by the templates."""
    from markupsafe import Markup

    frame = {
        "title": title,
        "policy": policy(served=served),
        "style": Markup(asset("style.css") + own("view.css")),
        "scripts": [Markup(script())],
        "facts": (),
        "links": (),
        "home": "",
    }
    return part(template, **{**frame, **content}).lstrip()


def part(template: str, **content: Any) -> str:
    """A part of a page, for one that asks for it again."""
    shared = {"label": words.label, "raw": _raw}
    return _templates().get_template(template).render(**shared, **content)


def policy(*, served: bool) -> str:
    """The Content-Security-Policy of the pages: their one script, and perhaps their own server."""
    return content_policy([script()], served=served)


@functools.cache
def script() -> str:
    """The script of every page."""
    return asset("examples.js") + own("view.js")


def own(name: str) -> str:
    """The text of a script or style sheet of the view."""
    import importlib.resources

    return (importlib.resources.files("detoxlab.viewing") / name).read_text(encoding="utf-8")


def choices(values: Sequence[str] | Mapping[str, str], every: str) -> list[tuple[str, str]]:
    """The options of a choice, the first of which is no condition.

    >>> choices({"up": "worsened"}, "any")
    [('', 'any'), ('up', 'worsened')]
    """
    named = values if isinstance(values, Mapping) else {value: value for value in values}
    return [("", every), *((value, text) for value, text in named.items() if value)]


# --- inside ---


@functools.cache
def _templates() -> "Environment":
    from jinja2 import ChoiceLoader, PackageLoader

    loaders = [PackageLoader("detoxlab", name) for name in ("viewing", "reports")]
    return environment().overlay(loader=ChoiceLoader(loaders))


def _raw(value: str) -> Any:
    """The value of a form's field, escaped but with hidden characters as they are."""
    from markupsafe import Markup, escape

    return Markup(escape(value)) if value != visible(value) else value
