"""A picture for each guard: how far every variant moved it, and how far it may move."""

from collections.abc import Sequence

from detoxlab.comparisons.evidence import allowed, limit_shown
from detoxlab.measures.catalogue import described
from detoxlab.records import Comparison, Guard
from detoxlab.reports import words
from detoxlab.reports.drawings import Span, spans
from detoxlab.reports.parts import Cell, Column, Drawing, Table, moved_cells
from detoxlab.reports.study import Study

NOTE = "Treated minus {} with the 95 % interval; {}the limit {}; in red, a guard that is worse."
COLUMNS = (
    Column("Variant"),
    Column("Difference", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Status"),
)


def guard_pictures(study: Study) -> list[Drawing]:
    """One picture for each guard that is known of two variants or more."""
    names = dict.fromkeys(guard.name for one in study.gains for guard in one.guards)
    found = (_picture(study, name) for name in names)
    return [drawn for drawn in found if drawn]


# --- inside ---


def _picture(study: Study, name: str) -> Drawing | None:
    known = [
        (one, guard)
        for one in study.gains
        for guard in one.guards
        if guard.name == name and None not in (guard.difference, guard.ci_low, guard.ci_high)
    ]
    if len(known) < 2:
        return None
    unit = described(name).unit
    limit = known[0][1].limit
    drawn = "" if allowed(limit) is None else "dashed, "
    title = words.label(name)
    return spans(
        f"figure-guard-{name.replace('_', '-')}",
        title,
        NOTE.format(study.baseline.name, drawn, limit_shown(limit, unit)),
        [_span(one.treated, guard) for one, guard in known],
        _table(name, title, unit, known),
        limit=allowed(limit),
        x_title="difference",
        shown=lambda tick: words.difference(tick, unit),
    )


def _span(name: str, guard: Guard) -> Span:
    value, low, high = guard.difference, guard.ci_low, guard.ci_high
    assert value is not None
    assert low is not None
    assert high is not None
    return Span(name, value, low, high, is_bad=guard.status == "worse")


def _table(name: str, title: str, unit: str, known: Sequence[tuple[Comparison, Guard]]) -> Table:
    rows = tuple(
        (Cell(one.treated), *moved_cells(guard, unit), Cell(guard.status)) for one, guard in known
    )
    return Table(f"numbers-guard-{name}", title, COLUMNS, rows, first=len(rows))
