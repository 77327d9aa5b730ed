"""Whose responses a third model prefers."""

from collections.abc import Sequence
from dataclasses import dataclass

from detoxlab.records import Measurement
from detoxlab.report import words
from detoxlab.report.tables import Cell, Column, Table, text_cell, value_cell, without_empty_columns
from detoxlab.runs import Run

COLUMNS = (
    Column("Model"),
    Column("Against"),
    Column("Judge"),
    Column("How"),
    Column("Win rate", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Wins", numeric=True),
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
    rate = named["win_rate"]
    return (
        Cell(one.treated),
        Cell(one.baseline),
        Cell(one.judge),
        text_cell(rate.protocol),
        value_cell(rate.value, words.number(rate.value)),
        value_cell(rate.ci_low, words.interval(rate.ci_low, rate.ci_high)),
        *(_share(named.get(name)) for name in ("wins", "ties", "losses", "chose_first")),
        value_cell(rate.coverage, words.number(rate.coverage)),
    )


def _share(row: Measurement | None) -> Cell:
    """The share with its interval; a dash where the judge was not asked so."""
    if row is None:
        return text_cell(None)
    shown = f"{words.number(row.value)} ({words.interval(row.ci_low, row.ci_high)})"
    return value_cell(row.value, shown if row.value is not None else words.UNKNOWN)
