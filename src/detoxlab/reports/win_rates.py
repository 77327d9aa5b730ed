"""Whose responses a third model prefers."""

from collections.abc import Sequence
from dataclasses import dataclass

from detoxlab.records import Measurement
from detoxlab.reports import words
from detoxlab.reports.tables import (
    Cell,
    Column,
    Table,
    text_cell,
    value_cell,
    without_empty_columns,
)
from detoxlab.runs import Run

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


@dataclass(frozen=True)
class WinRates:
    """What one judge said of two models."""

    baseline: str
    treated: str
    judge: str
    measurements: tuple[Measurement, ...]


def read_win_rates(run: Run) -> WinRates:
    """What the run of a contest holds."""
    info = run.info
    return WinRates(info["baseline"], info["treated"], info["judge_id"], tuple(run.measurements()))


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
        *_with_interval(rate),
        *_with_interval(wins),
        *(_share(named.get(name)) for name in ("ties", "losses", "chose_first")),
        value_cell(rate.coverage, words.number(rate.coverage)),
    )


def _with_interval(row: Measurement) -> tuple[Cell, Cell]:
    return (
        value_cell(row.value, words.number(row.value)),
        value_cell(row.ci_low, words.interval(row.ci_low, row.ci_high)),
    )


def _share(row: Measurement | None) -> Cell:
    """The share; a dash where the judge was not asked so."""
    return text_cell(None) if row is None else value_cell(row.value, words.number(row.value))
