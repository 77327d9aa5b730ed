"""How far the judge and the second scorer can be believed, from the cards of their audits."""

from detoxlab.records import Measurement, to_json
from detoxlab.reports import words
from detoxlab.reports.judged import card_path, figures_that_matter, text_kind
from detoxlab.reports.parts import (
    Cell,
    Column,
    Section,
    Table,
    estimate_cells,
    filled,
    record,
    text_cell,
    value_cell,
)
from detoxlab.reports.study import Study
from detoxlab.scorers.scales import OLDER, scale_of


def judges(study: Study) -> Section:
    """Two figures of each scorer's card, the ones that matter for these texts, and its card."""
    kind = text_kind(study.baseline.responses)
    found = {one: figures_that_matter(study.cards.get(one), kind) for one in study.scorer_ids}
    columns = [Column("Scorer"), Column("Role")]
    for _, _, label in kind.figures:
        columns += [Column(label, numeric=True), Column("95 % interval", numeric=True)]
    rows = tuple(_row(study, scorer_id, figures) for scorer_id, figures in found.items())
    note = (
        f"From audits on labelled sets. The texts of these runs are {kind.name}: for them these "
        "figures matter most. A scorer without a card was not audited: `detoxlab audit` makes one. "
        f"Figures published on RealToxicityPrompts are mostly of the scale {OLDER}: set them "
        "beside scores of that scale alone."
    )
    table = Table(
        "judges-cards",
        "Judge and second scorer",
        (*columns, Column("Scale"), Column("Card")),
        rows,
        note,
    )
    known = [row for figures in found.values() for row in figures if row]
    return Section(
        "judges",
        "Judges",
        tables=filled([table]),
        records=tuple(record(row, "judge", run=row.scorer_id or "") for row in known),
        data={
            "judges": [
                {
                    "scorer_id": scorer_id,
                    "audited": scorer_id in study.cards,
                    "scale": scale_of(scorer_id),
                    "figures": [to_json(row) for row in figures if row],
                }
                for scorer_id, figures in found.items()
            ]
        },
    )


def _row(study: Study, scorer_id: str, figures: list[Measurement | None]) -> tuple[Cell, ...]:
    card = study.cards.get(scorer_id)
    role = "judge" if scorer_id == study.judge_id else "second scorer"
    link = Cell(f"audited {card.facts.get('made', '')}", href=card_path(card)) if card else None
    estimates = [cell for row in figures for cell in _estimate(row)]
    scale = text_cell(scale_of(scorer_id) or "its own")
    return (Cell(scorer_id), Cell(role), *estimates, scale, link or text_cell("not audited"))


def _estimate(row: Measurement | None) -> tuple[Cell, Cell]:
    unknown = value_cell(None, words.UNKNOWN)
    return estimate_cells(row) if row else (unknown, unknown)
