"""Win rates: the preferences of a third model, of every two models where all were judged."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from detoxlab.evaluations.win_rate import Contested, Ranking
from detoxlab.measures.usefulness.win_rate import is_position_biased
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
from detoxlab.reports.study import Study

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
    Column("95 % interval", numeric=True),
    Column("Judged", numeric=True),
    Column("Pairs without a vote", numeric=True),
)
NOTE = (
    "Shares of the judged pairs of responses to one prompt; a tie counts half a win, so 50 % is no "
    "preference. Pairs with an empty response are not judged. A judge that answers otherwise when "
    "the responses change places makes a tie; without position bias it chooses the first shown in "
    "50 % of its answers."
)
MATRIX_NOTE = (
    "The win rate of the model on the left against the one above, and its 95 % interval. The "
    "strongest comes first."
)
RANKING = (
    Column("Model"),
    Column("Rank", numeric=True),
    Column("Strength", numeric=True),
    Column("95 % interval", numeric=True),
    Column("Mean win rate", numeric=True),
    Column("95 % interval", numeric=True),
)
SAME = 6  # decimals; models whose strengths agree in them share a rank
RANKING_NOTE = (
    "Bradley–Terry strengths in nats, with mean 0: of two models whose strengths differ by 1, the "
    "stronger one wins 73 % of the pairs, a tie counted half. Intervals are bootstrapped over "
    "prompts; where they overlap widely, the order is not shown."
)


def win_rates(study: Study) -> Section:
    """The preferences of each judge."""
    tables = [win_rates_table(study.win_rates)]
    for number, one in enumerate(study.rankings, start=1):
        ending = f"-{number}" if len(study.rankings) > 1 else ""
        tables += [_matrix(study.win_rates, one, ending), _ranking_table(one, ending)]
    return Section(
        "win-rates",
        "Win rates",
        tuple(filter(None, tables)),
        statements=tuple(_warnings(study.win_rates)),
        records=tuple(_records(study)),
        data={
            "win_rates": [_plain(one) for one in study.win_rates],
            "win_rate_rankings": [to_json(one) for one in study.rankings],
        },
    )


def win_rates_table(found: Sequence[Contested]) -> Table | None:
    """One row per pair of models; None without any."""
    if not found:
        return None
    rows = tuple(_row(one) for one in found)
    return without_empty_columns(Table("win-rates-all", "Win rates", COLUMNS, rows, NOTE))


# --- inside ---


def _records(study: Study) -> Iterator[dict[str, Any]]:
    for one in study.win_rates:
        for row in one.measurements:
            yield record(row, run=one.treated, against=one.baseline, evaluation="win rate")
    for ranking in study.rankings:
        for row in ranking.measurements:
            yield record(row, run=str(row.group), evaluation="win rate")


def _plain(one: Contested) -> dict[str, Any]:
    return {
        "baseline": one.baseline,
        "treated": one.treated,
        "judge": one.judge,
        "no_votes": dict(one.no_votes),
        "position_biased": _is_biased(one),
        "measurements": [to_json(row) for row in one.measurements],
    }


def _warnings(found: Sequence[Contested]) -> Iterator[str]:
    """A sentence per contest of a biased judge, and one per contest with pairs without a vote."""
    for one in found:
        named = {row.name: row for row in one.measurements}
        contest = f"{one.treated} against {one.baseline}"
        if _is_biased(one):
            chose, ties = (
                words.number(named["chose_first"].value),
                words.number(named["ties"].value),
            )
            yield (
                f"{contest}: the judge {one.judge} is biased by position. It chose the first shown "
                f"in {chose} of its answers. {ties} of the pairs are ties, those in which it "
                "contradicts itself among them."
            )
    for one in found:
        if one.no_votes:
            reasons = ", ".join(f"{reason} {count}" for reason, count in one.no_votes.items())
            contest = f"{one.treated} against {one.baseline}"
            yield f"{contest}: pairs without a vote of {one.judge}: {reasons}."


def _is_biased(one: Contested) -> bool:
    return any(is_position_biased(row) for row in one.measurements if row.name == "chose_first")


def _row(one: Contested) -> tuple[Cell, ...]:
    named = {row.name: row for row in one.measurements}
    rate, wins = named["win_rate"], named["wins"]
    lost = sum(one.no_votes.values())
    return (
        Cell(one.treated),
        Cell(one.baseline),
        Cell(one.judge),
        text_cell(rate.protocol),
        *estimate_cells(rate),
        *estimate_cells(wins),
        *(_share(named[name]) for name in ("ties", "losses")),
        *_first_shown(named.get("chose_first"), biased=_is_biased(one)),
        value_cell(rate.coverage, words.number(rate.coverage)),
        Cell(words.count(lost), float(lost), "number"),
    )


def _share(row: Measurement) -> Cell:
    return value_cell(row.value, words.number(row.value))


def _first_shown(row: Measurement | None, *, biased: bool) -> tuple[Cell, Cell]:
    """The share and its interval; dashes where the kind of question does not give it."""
    if row is None:
        return text_cell(None), text_cell(None)
    share, interval = estimate_cells(row)
    if not biased:
        return share, interval
    return replace(share, text=f"{share.text} (biased)", kind="worse"), interval


def _matrix(found: Sequence[Contested], ranking: Ranking, ending: str) -> Table:
    """Each model's win rate against each other one."""
    rates = {
        (one.treated, one.baseline): row
        for one in found
        if (one.judge, one.protocol) == (ranking.judge, ranking.protocol)
        for row in one.measurements
        if row.name == "win_rate"
    }
    columns = (
        Column("Model"),
        *(Column(f"against {name}", numeric=True) for name in ranking.models),
    )
    rows = tuple(
        (Cell(model), *(_met(rates, model, other) for other in ranking.models))
        for model in ranking.models
    )
    title = f"Every two models, judged by {ranking.judge}"
    return Table(f"win-rates-matrix{ending}", title, columns, rows, MATRIX_NOTE)


def _met(rates: dict[tuple[str, str], Measurement], model: str, other: str) -> Cell:
    if model == other:
        return text_cell(None)
    row = rates.get((model, other)) or _turned(rates[other, model])
    value, interval = estimate_cells(row)
    text = value.text if row.ci_low is None else f"{value.text} ({interval.text})"
    return replace(value, text=text)


def _turned(row: Measurement) -> Measurement:
    """The win rate of the other side."""

    def other(value: float | None) -> float | None:
        return None if value is None else 1 - value

    return replace(
        row, value=other(row.value), ci_low=other(row.ci_high), ci_high=other(row.ci_low)
    )


def _ranking_table(ranking: Ranking, ending: str) -> Table:
    named = {(row.group, row.name): row for row in ranking.measurements}
    strengths = [round(named[model, "strength"].value or 0.0, SAME) for model in ranking.models]
    places = [1 + sum(other > one for other in strengths) for one in strengths]
    rows = tuple(
        (
            Cell(model),
            Cell(str(place), float(place), "number"),
            *estimate_cells(named[model, "strength"]),
            *estimate_cells(named[model, "mean_win_rate"]),
        )
        for place, model in zip(places, ranking.models, strict=True)
    )
    title = f"Ranking by {ranking.judge}"
    return Table(f"win-rates-ranking{ending}", title, RANKING, rows, RANKING_NOTE)
