"""The page of an explained run alone, as HTML, Markdown, CSV and JSON."""

from collections.abc import Sequence
from pathlib import Path

from detoxlab.reports import words
from detoxlab.reports.explained.section import explained_section
from detoxlab.reports.explained.study import ExplainedRun, read_explained
from detoxlab.reports.export import write_figures
from detoxlab.reports.files import FORMATS, check_formats, json_text, page_at, write_formats
from detoxlab.reports.html import rendered
from detoxlab.reports.parts import Section
from detoxlab.reports.plain import as_csv, section_lines, with_data
from detoxlab.reports.safety import markdown
from detoxlab.runs import Run

JSON_VERSION = 1


def write_explained(
    run: Run,
    out: Path | str,
    *,
    title: str | None = None,
    formats: Sequence[str] = FORMATS,
    figures: Path | str | None = None,
) -> Path:
    """Write the page of a run of explain, with its other formats; returns its path.

    `out` and `figures` are as in `build_report`. Raises `ConfigError` for another kind of run, and
    `UnknownNameError` for an unknown format.
    """
    check_formats(formats)
    explained = read_explained(run)
    named = title or default_title(explained.runs)
    part = explained_section(explained)
    content = {"version": JSON_VERSION, "title": named}
    if figures is not None:
        write_figures([part], figures)
    writers = {
        "html": lambda: page_of(explained, part, named),
        "md": lambda: "\n\n".join([f"# {markdown(named)}", *section_lines(part)]) + "\n",
        "csv": lambda: as_csv([part]),
        "json": lambda: json_text(with_data(content, [part])),
    }
    return write_formats(page_at(out), writers, formats)


def default_title(runs: Sequence[str]) -> str:
    """A title that names the models.

    >>> default_title(["base", "ft", "dpo"]), default_title(["base"])
    ('How much base, ft and dpo listen to their prompts', 'How much base listens to its prompts')
    """
    *first, last = runs
    if not first:
        return f"How much {last} listens to its prompts"
    return f"How much {', '.join(first)} and {last} listen to their prompts"


def page_of(explained: ExplainedRun, part: Section, title: str) -> str:
    """The self-contained page."""
    status = str(explained.info.get("status"))
    return rendered(
        "explained.html",
        [part],
        title=title,
        facts=_facts(explained),
        unfinished=[] if status == "finished" else [(explained.name, status)],
    )


def _facts(explained: ExplainedRun) -> list[tuple[str, str]]:
    others = ", ".join(explained.runs[1:])
    facts = [
        ("Baseline", explained.baseline),
        ("Variants", others),
        ("Prompts", words.count(len(explained.table.prompts))),
        ("Tokens per response", f"at most {explained.config['steps']}"),
        ("Method", explained.method),
        ("Attributed", str(explained.config["target"])),
        ("Explained", str(explained.info.get("finished") or "")[:10]),
    ]
    return [(name, text) for name, text in facts if text]
