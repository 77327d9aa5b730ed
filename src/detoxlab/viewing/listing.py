"""The list of runs: their facts, found anew for each page, filtered and sorted."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detoxlab.measures.catalogue import described
from detoxlab.records import Measurement
from detoxlab.runs.tables import count_rows
from detoxlab.viewing.facts import RunFacts, cause_of, read_facts
from detoxlab.viewing.folders import Place, Stamp, find_runs
from detoxlab.viewing.query import ListQuery
from detoxlab.viewing.rows.texts import folded

PROBLEM = "problem"
GUARDS = ("empty", "capped", "other_language", "repetition", "refusals", "perplexity")


@dataclass(frozen=True)
class Listed:
    """A run of the list. `responses` counts whole lines of its files of responses."""

    place: Place
    facts: RunFacts
    responses: int

    @property
    def guards(self) -> list[tuple[str, Measurement]]:
        """The measured guards with their labels, over all prompts."""
        named = {row.name: row for row in reversed(self.facts.measurements) if row.group is None}
        return [(described(name).label, named[name]) for name in GUARDS if name in named]


class Listing:
    """The runs under a folder; what did not change since the last page is not read again."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._known: dict[Path, tuple[tuple[Stamp, ...], Listed]] = {}

    def all(self) -> list[Listed]:
        """Every run, in the order of their keys."""
        found = {place.path: self._listed(place) for place in find_runs(self.root)}
        self._known = {path: self._known[path] for path in found if path in self._known}
        return list(found.values())

    def place(self, key: str) -> Place | None:
        """The run of that key, if there is one; a key is looked up and never made a path."""
        return next((place for place in find_runs(self.root) if place.key == key), None)

    def _listed(self, place: Place) -> Listed:
        try:
            stamps = place.stamps()
            known = self._known.get(place.path)
            if known is None or known[0] != stamps:
                lines = sum(map(_lines, place.files("generations")))
                known = stamps, Listed(place, read_facts(place), lines)
        except OSError as error:
            return Listed(place, RunFacts(problem=cause_of(place, error)), 0)
        self._known[place.path] = known
        return known[1]


def shown(runs: list[Listed], query: ListQuery) -> list[Listed]:
    """The runs that fit the query, sorted; runs without the number sorted by come last."""
    kept = [run for run in runs if _fits(run, query)]
    known = [run for run in kept if KEYS[query.sort](run) is not None]
    unknown = [run for run in kept if KEYS[query.sort](run) is None]
    return sorted(known, key=KEYS[query.sort], reverse=query.down) + unknown  # type: ignore[arg-type]


def _fits(run: Listed, query: ListQuery) -> bool:
    facts = run.facts
    named = " ".join((run.place.label, facts.model, facts.method, facts.protocol))
    has_status = (
        (facts.problem is not None)
        if query.status == PROBLEM
        else (query.status in ("", facts.status))
    )
    return query.kind in ("", facts.kind) and has_status and folded(query.text) in folded(named)


def _toxic(run: Listed) -> float | None:
    return run.facts.judged.value if run.facts.judged else None


def _scored(run: Listed) -> float | None:
    return run.facts.judged.coverage if run.facts.judged else None


KEYS: dict[str, Callable[[Listed], str | float | None]] = {
    "run": lambda run: run.place.key,
    "model": lambda run: run.facts.model or None,
    "status": lambda run: run.facts.status or None,
    "when": lambda run: run.facts.when or None,
    "responses": lambda run: run.responses or None,
    "toxic": _toxic,
    "scored": _scored,
}


def _lines(path: Path) -> int:
    if path.suffix == ".parquet":
        return count_rows(path)
    with path.open("rb") as handle:
        return sum(block.count(b"\n") for block in iter(lambda: handle.read(1 << 20), b""))
