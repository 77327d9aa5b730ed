"""The page of an audit, as HTML, Markdown and JSON: all audited scorers side by side."""

import json
from collections.abc import Sequence
from pathlib import Path

from detoxlab.audits.card import Audit
from detoxlab.records import from_json, to_json
from detoxlab.reports import words
from detoxlab.reports.audited.sections import audit_sections
from detoxlab.reports.html import rendered
from detoxlab.reports.parts import Section
from detoxlab.reports.plain import fact_lines, table_lines
from detoxlab.reports.safety import markdown
from detoxlab.runs import read_json
from detoxlab.runs.files import write_atomically

JSON_VERSION = 1


def write_audits(audits: Sequence[Audit], folder: Path) -> Path:
    """Write `audit.html`, `audit.md` and `audit.json` into a folder; returns the first path."""
    parts = audit_sections(audits)
    content = {"version": JSON_VERSION, "audits": [to_json(audit) for audit in audits]}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / "audit.md", audits_as_markdown(audits, parts))
    write_atomically(folder / "audit.json", f"{text}\n")
    write_atomically(folder / "audit.html", audits_as_html(audits, parts))
    return folder / "audit.html"


def read_audits(folder: Path) -> list[Audit]:
    """The audits in the `audit.json` of a folder."""
    return [from_json(Audit, one) for one in read_json(folder / "audit.json")["audits"]]


def audits_as_html(audits: Sequence[Audit], parts: Sequence[Section]) -> str:
    """The self-contained page, with pictures."""
    return rendered(
        "audit.html",
        parts,
        title=title_of(audits),
        facts=page_facts(audits),
        absent=_absent(audits),
    )


def audits_as_markdown(audits: Sequence[Audit], parts: Sequence[Section]) -> str:
    """The page without pictures."""
    lines = [f"# {markdown(title_of(audits))}"]
    lines.append(fact_lines(page_facts(audits)))
    for part in parts:
        lines.append(f"## {markdown(part.title)}")
        lines += [markdown(part.note)] if part.note else []
        for table in part.tables:
            lines += [f"### {markdown(table.title)}"] if len(part.tables) > 1 else []
            lines.append(table_lines(table))
    lines += [f"Absent: {markdown(line)}" for line in _absent(audits)]
    return "\n\n".join(lines) + "\n"


def card_as_markdown(audit: Audit) -> str:
    """The page of one audit alone."""
    return audits_as_markdown([audit], audit_sections([audit]))


def title_of(audits: Sequence[Audit]) -> str:
    """The title: the audited scorers."""
    return f"Audit of {', '.join(dict.fromkeys(audit.scorer_id for audit in audits))}"


def page_facts(audits: Sequence[Audit]) -> list[tuple[str, str]]:
    """The first facts for the reader."""
    first = audits[0]
    machine = first.facts.get("hardware", {})
    texts = max(sum(section.texts for section in audit.sections) for audit in audits)
    return [
        ("Audited", ", ".join(f"{one.name} (threshold {one.threshold:g})" for one in audits)),
        ("Texts", words.count(texts) + (f", at most {first.limit} per set" if first.limit else "")),
        ("Intervals", f"95 %, bootstrap of {words.count(first.resamples)} resamples"),
        ("Made", f"{first.facts.get('made', '')}, detoxlab {first.facts.get('code_version', '')}"),
        ("Machine", str(machine.get("gpu") or machine.get("machine", words.UNKNOWN))),
    ]


def _absent(audits: Sequence[Audit]) -> list[str]:
    """A line per section that did not run."""
    return list(
        dict.fromkeys(f"{one.key}: {one.reason}" for audit in audits for one in audit.absent)
    )
