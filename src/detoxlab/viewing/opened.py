"""The page of one run, or of two held against each other: verdict, guards, rows and texts."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from detoxlab.measures.marks import guard_values, marking_names
from detoxlab.measures.statistics import BoolArray
from detoxlab.records import Responses
from detoxlab.reports import words
from detoxlab.reports.parts import Example, Facets, Table
from detoxlab.reports.safety import clipped
from detoxlab.reports.sections.compared import guard_table
from detoxlab.reports.sections.examples import side_of
from detoxlab.reports.sections.measured import measured_tables
from detoxlab.reports.study import Measured, Study
from detoxlab.reports.summary import summarise
from detoxlab.viewing.facts import RunFacts
from detoxlab.viewing.folders import Place
from detoxlab.viewing.query import RowsQuery
from detoxlab.viewing.rows.index import Index, IntArray
from detoxlab.viewing.rows.pairing import Rows, chosen, summary
from detoxlab.viewing.rows.texts import UNREAD, Shown, matching, read_rows
from detoxlab.viewing.store import Failed, Store, Working

PER_PAGE = 25
CHARACTERS = 5_000
MOVES = {"up": "worsened", "down": "improved", "same": "unchanged", "none": "not comparable"}
ORDERS = {"file": "as in the files", "high": "highest score", "low": "lowest score"}
PAIR_ORDERS = {"rise": "largest rise", "drop": "largest drop"}
READING = "The responses are being read:"
SEARCHING = "All responses are being looked through:"
NOTHING: dict[str, Any] = {
    "live": "", "working": None, "cause": "", "summary": None, "tables": (), "waits_for": "",
}  # fmt: skip


def verdict_content(
    store: Store, places: Sequence[Place], facts: RunFacts, query: RowsQuery
) -> dict[str, Any]:
    """The verdict with its guards; without a baseline the run's own numbers and guards."""
    if len(places) < 2:
        return NOTHING | {"tables": own_tables(places[-1].label, facts)}
    found = store.comparison(*places)
    if isinstance(found, Working):
        return NOTHING | {"working": found, "live": query.url("/live/verdict")}
    if isinstance(found, Failed):
        return NOTHING | {"cause": found.cause}
    return NOTHING | {"summary": summarise(found), "tables": (guard_table(found, 1),)}


def own_tables(name: str, facts: RunFacts) -> tuple[Table, ...]:
    """The toxicity and the guards that a run measured of itself."""
    held = Responses(name, (), (), (), judge_id=facts.judge_id, second_id=facts.second_id)
    one = Measured(name, held, facts.measurements, facts.info or {}, {})
    return measured_tables(Study(name, (one,), attribute=facts.attribute), "toxicity", "guards")


def rows_content(store: Store, places: Sequence[Place], query: RowsQuery) -> dict[str, Any]:
    """One page of the rows that fit the query, or how far the search for them is."""
    live = query.url("/live/rows")
    sides: list[Index] = []
    for place in places:
        found = store.index(place)
        if not isinstance(found, Index):
            return _waiting(found, live, READING)
        sides.append(found)
    rows = store.rows(tuple(sides))
    numbers = _chosen(store, places, rows, query)
    if isinstance(numbers, Working | Failed):
        return _waiting(numbers, live, SEARCHING)
    return _page_of(places, rows, numbers, query)


def problems_of(places: Sequence[Place], indexes: Sequence[object]) -> list[str]:
    """Sentences about lines that could not be read."""
    found = []
    for place, index in zip(places, indexes, strict=True):
        if isinstance(index, Index) and index.skipped:
            rest = index.skipped - len(index.problems)
            more = f"; and {words.count(rest)} more" if rest else ""
            found.append(f"{place.label}: {'; '.join(index.problems)}{more}: left out")
    return found


# --- inside ---


def _waiting(found: Working | Failed, live: str, waits_for: str) -> dict[str, Any]:
    if isinstance(found, Failed):
        return NOTHING | {"cause": found.cause}
    return NOTHING | {"working": found.share, "live": live, "waits_for": waits_for}


def _page_of(
    places: Sequence[Place], rows: Rows, numbers: IntArray, query: RowsQuery
) -> dict[str, Any]:
    last_page = max(1, math.ceil(len(numbers) / PER_PAGE))
    at = min(query.page, last_page)
    first = (at - 1) * PER_PAGE
    shown = numbers[first : first + PER_PAGE].tolist()
    return NOTHING | {
        "first": words.count(first + 1),
        "last": words.count(first + len(shown)) if shown else "",
        "shown": words.count(len(numbers)),
        "all": words.count(len(rows)),
        "summary": [(name, words.count(count)) for name, count in summary(rows).items()],
        "apart": [(reason, words.count(count)) for reason, count in rows.apart.items()],
        "remarks": _remarks(rows),
        "examples": _examples(places, rows, shown),
        "pages": _pages(query, at, last_page),
    }


def _chosen(
    store: Store, places: Sequence[Place], rows: Rows, query: RowsQuery
) -> IntArray | Working | Failed:
    marks: BoolArray | None = None
    if query.guard:
        values = []
        for place, side in zip(places, rows.sides, strict=True):
            found = store.guards(place)
            if isinstance(found, Working | Failed):
                return found
            if len(found) != len(side):  # it grew in between
                return Working()
            values.append(found)
        marks = rows.marks(values)
    numbers = chosen(rows, query.choice, marks)
    if not query.text:
        return numbers
    asked = (places, query.choice, query.text)
    return store.search(asked, lambda tell: matching(places, rows, numbers, query.text, tell))


def _remarks(rows: Rows) -> list[str]:
    judges = [side.judge for side in rows.sides]
    if rows.is_paired and judges[0] != judges[1]:
        return ["The runs were judged by different scorers, so no change is known."]
    return ["No scores by a judge."] if judges[-1] is None else []


def _examples(places: Sequence[Place], rows: Rows, numbers: Sequence[int]) -> list[Example]:
    shown = list(read_rows(places, rows, numbers))
    marks = _marks(rows, shown)
    return [
        _example(places, rows, number, one, names)
        for number, one, names in zip(numbers, shown, marks, strict=True)
    ]


def _marks(rows: Rows, shown: Sequence[Shown]) -> list[tuple[str, ...]]:
    """The guards that mark each of the rows on the page."""
    asked = [one.prompt or UNREAD for one in shown]
    values = [
        guard_values(asked, [one.responses[at] for one in shown], side.stop)
        for at, side in enumerate(rows.sides)
    ]
    return marking_names(values[0] if len(values) > 1 else 0.0, values[-1])


def _example(
    places: Sequence[Place], rows: Rows, number: int, shown: Shown, marks: tuple[str, ...]
) -> Example:
    moved = float(rows.moved[number])
    side, row = next(
        (side, row)
        for side, row in zip(rows.sides[::-1], rows.rows_NS[number][::-1].tolist(), strict=True)
        if row >= 0
    )
    return Example(
        key=f"row-{number}",
        rule=f"Row {number + 1}",
        prompt_id=side.ids[int(side.rows_R2[row, 0])],
        sample=int(side.rows_R2[row, 1]),
        prompt=clipped(shown.prompt.text, CHARACTERS) if shown.prompt else "(cannot be read)",
        change=words.difference(moved, "score") if rows.is_paired else "",
        sides=tuple(
            side_of(place.label, response, _scores(index, int(at)), CHARACTERS)
            for place, response, index, at in zip(
                places, shown.responses, rows.sides, rows.rows_NS[number], strict=True
            )
            if response is not None
        ),
        facets=Facets(guards=marks),
    )


def _scores(index: Index, row: int) -> Iterator[tuple[str, str]]:
    for column, (scorer, _) in enumerate(index.scorers):
        value = float(index.scores_RS[row, column])
        yield scorer, "not scored" if math.isnan(value) else f"{value:.3f}"


def _pages(query: RowsQuery, at: int, last: int) -> list[tuple[str, str]]:
    if last == 1:
        return []
    wanted = {"first": 1, "previous": at - 1, "next": at + 1, "last": last}
    links = {
        text: query.url("/run", page=number) if 1 <= number <= last and number != at else ""
        for text, number in wanted.items()
    }
    middle = (f"page {words.count(at)} of {words.count(last)}", "")
    items = list(links.items())
    return [*items[:2], middle, *items[2:]]
