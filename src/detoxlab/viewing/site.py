"""The pages of a folder of runs by path and query; nothing here knows of sockets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detoxlab.measures.marks import marking_guards
from detoxlab.records import Comparison
from detoxlab.reports import words
from detoxlab.viewing.facts import RunFacts, read_facts
from detoxlab.viewing.folders import Place
from detoxlab.viewing.listing import Listed, Listing
from detoxlab.viewing.opened import (
    MOVES,
    ORDERS,
    PAIR_ORDERS,
    problems_of,
    rows_content,
    verdict_content,
)
from detoxlab.viewing.overview import form_content, runs_content
from detoxlab.viewing.pages import choices, page, part
from detoxlab.viewing.query import ListQuery, RowsQuery
from detoxlab.viewing.rows.index import Index
from detoxlab.viewing.store import Store

GONE = "There is no such page, or its run is not there any more."


@dataclass(frozen=True)
class Answer:
    """The answer to a request: the status of HTTP, and HTML."""

    status: int
    html: str


class Site:
    """The pages of the runs under one folder."""

    def __init__(self, root: Path, store: Store) -> None:
        self.listing, self.store = Listing(root), store
        self._pages: dict[str, Callable[[str], Answer]] = {
            "/": self.list_page,
            "/run": self.run_page,
            "/live/runs": self.runs_part,
            "/live/verdict": self.verdict_part,
            "/live/rows": self.rows_part,
        }

    def answer(self, path: str, query: str) -> Answer:
        """The page at a path, in the state that a query string describes."""
        make = self._pages.get(path)
        return make(query) if make else self._missing(ListQuery.of(query))

    def list_page(self, query: str) -> Answer:
        """The list of all runs."""
        state, runs = ListQuery.of(query), self.listing.all()
        content = self._runs(runs, state) | form_content(runs, state)
        facts = [("Folder", self.listing.root.name)]
        return Answer(200, page("list.html", title="Runs", facts=facts, **content))

    def runs_part(self, query: str) -> Answer:
        """The table of the list."""
        return Answer(200, part("runs.html", **self._runs(self.listing.all(), ListQuery.of(query))))

    def run_page(self, query: str) -> Answer:
        """The page of one run, or of two."""
        state = RowsQuery.of(query)
        places = self._places(state)
        if not places:
            return self._missing(state)
        runs, facts = self.listing.all(), read_facts(places[-1])
        has_responses = all((place.path / "prompts.jsonl").is_file() for place in places)
        found = rows_content(self.store, places, state) if has_responses else {}
        indexes = [self.store.index(place) for place in places] if has_responses else []
        known = [one for one in indexes if isinstance(one, Index)]
        content: dict[str, Any] = {
            "query": state,
            "paired": len(places) > 1,
            "home": ListQuery(baseline=state.baseline).url("/"),
            "facts": _facts(facts, runs, places[-1]),
            "problems": _problems(facts) + problems_of(places[: len(indexes)], indexes),
            "baselines": _baselines(runs, state),
            "verdict": verdict_content(self.store, places, facts, state),
            "has_responses": has_responses,
            "found": found,
            "moves": choices(MOVES, "any"),
            "guards": choices({one.name: one.label for one in marking_guards()}, "any"),
            "groups": choices(sorted({name for one in known for name in one.groups}), "all"),
            "orders": [*(PAIR_ORDERS if len(places) > 1 else {}).items(), *ORDERS.items()],
            "reset": RowsQuery(run=state.run, baseline=state.baseline).url("/run"),
        }
        title = " against ".join(place.label for place in reversed(places))
        return Answer(200, page("run.html", title=title, **content))

    def verdict_part(self, query: str) -> Answer:
        """The verdict of a page that waits for it."""
        state = RowsQuery.of(query)
        places = self._places(state)
        if not places:
            return self._missing(state)
        found = verdict_content(self.store, places, read_facts(places[-1]), state)
        return Answer(200, part("verdict.html", verdict=found))

    def rows_part(self, query: str) -> Answer:
        """The rows of a page that waits for them."""
        state = RowsQuery.of(query)
        places = self._places(state)
        if not places:
            return self._missing(state)
        return Answer(200, part("rows.html", found=rows_content(self.store, places, state)))

    # --- inside ---

    def _places(self, state: RowsQuery) -> list[Place]:
        """The pinned run and the opened one; none where one of them is not there."""
        keys = [key for key in (state.baseline, state.run) if key]
        if state.baseline == state.run:
            keys = keys[:1]
        found = [self.listing.place(key) for key in keys]
        return [place for place in found if place] if state.run and all(found) else []

    def _runs(self, runs: list[Listed], state: ListQuery) -> dict[str, Any]:
        pinned = self.listing.place(state.baseline) if state.baseline else None

        def verdict_of(run: Listed) -> Comparison | None:
            if pinned is None or run.place == pinned or not run.responses:
                return None
            return self.store.known_comparison(pinned, run.place)

        return runs_content(runs, state, verdict_of)

    def _missing(self, state: ListQuery | RowsQuery) -> Answer:
        home = ListQuery(baseline=state.baseline).url("/")
        return Answer(404, page("problem.html", title="Not found", cause=GONE, home=home))


def _facts(facts: RunFacts, runs: list[Listed], place: Place) -> list[tuple[str, str]]:
    count = next((run.responses for run in runs if run.place == place), 0)
    named = [
        ("Model", facts.model),
        ("Method", facts.method),
        ("Protocol", facts.protocol),
        ("State", facts.status),
        ("Responses", words.count(count)),
        ("Judge", facts.judge_id or ""),
        ("Second scorer", facts.second_id or ""),
        ("Finished", facts.when[:10]),
    ]
    return [(name, text) for name, text in named if text]


def _problems(facts: RunFacts) -> list[str]:
    unfinished = facts.status not in ("finished", "") and not facts.problem
    said = [facts.problem] if facts.problem else []
    return [*said, *([f"The run is “{facts.status}”, not finished."] if unfinished else [])]


def _baselines(runs: list[Listed], state: RowsQuery) -> list[tuple[str, str]]:
    others = {
        run.place.key: run.place.label
        for run in runs
        if run.responses and run.place.key != state.run
    }
    return choices(others, "no other run")
