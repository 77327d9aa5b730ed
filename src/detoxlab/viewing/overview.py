"""The list of runs as a page: rows of facts, links that sort and pin, verdicts that are known."""

from collections.abc import Callable
from typing import Any

from detoxlab.records import Comparison, Measurement
from detoxlab.reports import words
from detoxlab.viewing.listing import PROBLEM, Listed, shown
from detoxlab.viewing.pages import choices
from detoxlab.viewing.query import ListQuery, RowsQuery

TITLES = {
    "run": "Run",
    "model": "Model",
    "status": "State",
    "when": "When",
    "responses": "Responses",
    "toxic": "Toxic",
    "scored": "Scored",
}
REST = ("Guards", "Verdict")
DASH = "–"

Verdict = Callable[[Listed], Comparison | None]
Link = Callable[[Listed], str]


def runs_content(runs: list[Listed], query: ListQuery, verdict_of: Verdict) -> dict[str, Any]:
    """The content of the table of runs."""
    return {
        "rows": [
            row(run, run_link(run, query), verdict_of(run), query) for run in shown(runs, query)
        ],
        "all": len(runs),
        "columns": [*_columns(query), *((name.lower(), name, "", "") for name in (*REST, ""))],
        "pinned": _pinned(runs, query),
        "live": query.url("/live/runs"),
        "exported": False,
    }


def form_content(runs: list[Listed], query: ListQuery) -> dict[str, Any]:
    """The content of the form above the table."""
    kinds = sorted({run.facts.kind for run in runs} - {""})
    statuses = {name: name for name in sorted({run.facts.status for run in runs} - {""})}
    problem = {PROBLEM: "with a problem"} if any(run.facts.problem for run in runs) else {}
    states = choices({**statuses, **problem}, "all")
    return {"query": query, "kinds": choices(kinds, "all"), "statuses": states}


def row(run: Listed, link: str, found: Comparison | None, query: ListQuery) -> dict[str, Any]:
    """One row of the table."""
    facts, judged = run.facts, run.facts.judged
    is_pinned = run.place.key == query.baseline
    can_pin = bool(run.responses) and not facts.problem
    worse = [one.name for one in (found.guards if found else ()) if one.status == "worse"]
    return {
        "label": run.place.label,
        "link": link,
        "kind": facts.kind,
        "model": facts.model,
        "problem": facts.problem,
        "status": facts.status,
        "when": facts.when.replace("T", " ")[:16],
        "responses": words.count(run.responses) if run.responses else "",
        "toxic": words.number(judged.value) if judged else "",
        "interval": _interval(judged),
        "scored": words.number(judged.coverage) if judged else "",
        "guards": [(name, words.number(one.value, one.unit)) for name, one in run.guards],
        "verdict": found.verdict if found else "",
        "sign": words.VERDICTS[found.verdict][0] if found else "",
        "worse": ", ".join(map(words.label, worse)),
        "no_verdict": _no_verdict(query, is_pinned=is_pinned, can_pin=can_pin),
        "is_pinned": is_pinned,
        "pin": query.url("/", baseline=run.place.key) if can_pin else "",
    }


def run_link(run: Listed, query: ListQuery) -> str:
    """The page of a run, held against the pinned one."""
    baseline = "" if run.place.key == query.baseline else query.baseline
    return RowsQuery(run=run.place.key, baseline=baseline).url("/run")


# --- inside ---


def _interval(judged: Measurement | None) -> str:
    if judged is None or judged.ci_low is None:
        return ""
    return words.interval(judged.ci_low, judged.ci_high)


def _columns(query: ListQuery) -> list[tuple[str, str, str, str]]:
    """Name, title, link that sorts by it, and how it is sorted now."""
    found = []
    for name, title in TITLES.items():
        is_sorted = query.sort == name
        now = ("descending" if query.down else "ascending") if is_sorted else ""
        down = not query.down if is_sorted else False
        found.append((name, title, query.url("/", sort=name, down=down), now))
    return found


def _pinned(runs: list[Listed], query: ListQuery) -> dict[str, str] | None:
    if not query.baseline:
        return None
    named = (run.place.label for run in runs if run.place.key == query.baseline)
    return {
        "label": next(named, "a run that is not there any more"),
        "unpin": query.url("/", baseline=""),
    }


def _no_verdict(query: ListQuery, *, is_pinned: bool, can_pin: bool) -> str:
    if is_pinned:
        return "baseline"
    if not can_pin:
        return DASH
    return "open the run" if query.baseline else "no baseline"
