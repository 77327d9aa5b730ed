"""Win rates: the preferences of a third model."""

from collections.abc import Sequence

from detoxlab.records import Measurement, to_json
from detoxlab.reports import words
from detoxlab.reports.parts import (
    Cell,
    Column,
    Section,
    Table,
    estimate_cells,
    record,
    text_cell,
    value_cell,
    without_empty_columns,
)
from detoxlab.reports.study import Study, WinRates

COLUMNS = (
    Column("Model"),
    Column("Against"),
    Column("Judge"),
    Column("How"),
    Column("Win rate", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Wins", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Ties", numeric=True),
    Column("Losses", numeric=True),
    Column("Chose the first shown", numeric=True),
    Column("Judged", numeric=True),
)
NOTE = (
    "Shares of the judged pairs of responses to one prompt; a tie counts half a win, so 50 % is no "
    "preference. Pairs with an empty response are not judged. A judge that answers otherwise when "
    "the responses change places makes a tie; without position bias it chooses the first shown in "
    "50 % of its answers."
)


def win_rates(study: Study) -> Section:
    """The preferences of each judge."""
    return Section(
        "win-rates",
        "Win rates",
        tuple(filter(None, [win_rates_table(study.win_rates)])),
        records=tuple(
            record(row, run=one.treated, against=one.baseline, evaluation="win rate")
            for one in study.win_rates
            for row in one.measurements
        ),
        data={"win_rates": [to_json(one) for one in study.win_rates]},
    )


def win_rates_table(found: Sequence[WinRates]) -> Table | None:
    """One row per pair of models; None without any."""
    if not found:
        return None
    rows = tuple(_row(one) for one in found)
    return without_empty_columns(Table("win-rates-all", "Win rates", COLUMNS, rows, NOTE))


def _row(one: WinRates) -> tuple[Cell, ...]:
    named = {row.name: row for row in one.measurements}
    rate, wins = named["win_rate"], named["wins"]
    return (
        Cell(one.treated),
        Cell(one.baseline),
        Cell(one.judge),
        text_cell(rate.protocol),
        *estimate_cells(rate),
        *estimate_cells(wins),
        *(_share(named.get(name)) for name in ("ties", "losses", "chose_first")),
        value_cell(rate.coverage, words.number(rate.coverage)),
    )


def _share(row: Measurement | None) -> Cell:
    """The share; a dash where this kind of question does not give it."""
    return text_cell(None) if row is None else value_cell(row.value, words.number(row.value))
