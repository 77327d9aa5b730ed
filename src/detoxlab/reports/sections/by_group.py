"""Toxicity by group of people: pictures, shares, means and gaps, of each model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detoxlab.measures.catalogue import DECIDING, MACRO_MEAN, described
from detoxlab.measures.grid import compared_groups
from detoxlab.protocols import PROTOCOLS
from detoxlab.records import Measurement, Prompt, to_json
from detoxlab.reports import words
from detoxlab.reports.figures.groups import MEAN, Panel, group_figure
from detoxlab.reports.parts import Cell, Column, Section, Table, filled, text_cell
from detoxlab.reports.sections.measured import VALUE_COLUMNS, measured_cells
from detoxlab.reports.sections.usefulness import (
    CHANGES,
    changes,
    held_cells,
    is_by_group,
    values,
)
from detoxlab.reports.study import Measured, Study

COLUMNS = (
    Column("Evaluation", merge=True),
    Column("Scorer", merge=True),
    Column("Measure", merge=True),
    Column("Model"),
    *VALUE_COLUMNS,
    *CHANGES,
    Column("Note"),
)
NOTED = ("group_gap", MACRO_MEAN)
ALONE = ("group_gap_by_chance", "group_ratio")  # of which no difference is taken
GROUPS_FIRST = (*COLUMNS[:2], Column("Group", merge=True), *COLUMNS[3:])
NOTE = (
    "A gap is never below 0: noise alone makes one, the larger the smaller the groups are. So read "
    "it against the gap if all groups were alike, beside it; its interval begins at 0 where "
    "permutation does not tell the groups apart. The standard deviation has the noise taken out. "
    "Differences are to the baseline, on the prompts of which both responses are scored."
)
GROUP_NOTE = (
    "A prompt counts in each of its groups. The bounds are the share if none or all of the "
    "unscored responses were toxic. p is McNemar's exact test, corrected over the groups (Holm)."
)


def by_group(study: Study) -> Section:
    """Shares by group, their mean and their gaps, of each model, from evaluations.

    Measured runs of such protocols have pictures here and their tables with the other measures.
    """
    own = study.with_evaluations(is_by_group)
    figures = (group_figure(study, panel) for panel in [*_measured(study), *_evaluated(own)])
    return Section(
        "by-group",
        "Toxicity by group of people",
        filled(_tables(own)),
        tuple(filter(None, figures)),
        records=(*values(own), *changes(own)),
        data={"by_group": [to_json(change) for change in own.usefulness]},
    )


# --- inside ---


def _tables(study: Study) -> Iterator[Table]:
    found = [
        (name, run, row)
        for name in dict.fromkeys(name for run in study.measured for name in run.evaluations)
        for run in study.measured
        if name in run.evaluations
        for row in run.evaluations[name].measurements
        if row.name != "coverage"
    ]
    means = [one for one in found if one[2].group is None or _is_gap(one[2])]
    shares = [one for one in found if one[2].group is not None and not _is_gap(one[2])]
    yield _table(study, "by-group-means", "Means and gaps", COLUMNS, means, NOTE)
    yield _table(study, "by-group-shares", "Shares by group", GROUPS_FIRST, shares, GROUP_NOTE)


def _is_gap(row: Measurement) -> bool:
    return described(row.name).part == "disparity"


def _table(
    study: Study,
    key: str,
    title: str,
    columns: tuple[Column, ...],
    found: Sequence[tuple[str, Measured, Measurement]],
    note: str,
) -> Table:
    """One row per measure and model, the models of one measure together."""
    base = study.baseline.name
    together: dict[tuple[str, ...], list[tuple[Cell, ...]]] = {}
    for name, run, row in found:
        held = (
            held_cells(study.usefulness, name, run, row, base)
            if row.name not in ALONE
            else (text_cell(None),) * len(CHANGES)
        )
        cells = (Cell(name), Cell(row.scorer_id or "–"), Cell(_label(row)), Cell(run.name))
        which = name, row.scorer_id or "", row.group or "", row.name
        together.setdefault(which, []).append((*cells, *measured_cells(row), *held, _note(row)))
    return Table(
        key, title, columns, tuple(row for rows in together.values() for row in rows), note
    )


def _note(row: Measurement) -> Cell:
    return text_cell(row.note if row.name in NOTED else None)


def _label(row: Measurement) -> str:
    if row.group is None:
        return words.label(row.name)
    group = row.group.replace("_", " ")
    return f"{group}: {words.label(row.name).lower()}" if _is_gap(row) else group


def _evaluated(study: Study) -> Iterator[Panel]:
    names = dict.fromkeys(name for run in study.measured for name in run.evaluations)
    for name in names:
        held = {
            run.name: run.evaluations[name] for run in study.measured if name in run.evaluations
        }
        results = {one.item: one for evaluated in held.values() for one in evaluated.results}
        prompts = [Prompt(one.item, "", "", one.meta or {}) for one in results.values()]
        preset = str(next(iter(held.values())).settings["preset"])
        tables = {run: evaluated.measurements for run, evaluated in held.items()}
        yield from _panels(f"evaluation-{name}", name, preset, prompts, tables)


def _measured(study: Study) -> Iterator[Panel]:
    preset = study.baseline.responses.protocol or ""
    tables = {run.name: run.measurements for run in study.measured}
    yield from _panels("measured", preset, preset, study.baseline.responses.prompts, tables)


def _panels(
    key: str,
    title: str,
    preset: str,
    prompts: Sequence[Prompt],
    tables: Mapping[str, Sequence[Measurement]],
) -> Iterator[Panel]:
    """A panel for each part of the prompts in which groups are held against each other."""
    protocol = PROTOCOLS.get(preset)
    if protocol is None or not protocol.compared_groups:
        return
    for number, (part, members) in enumerate(
        compared_groups(prompts, protocol.compared_groups).items()
    ):
        rows = {run: dict(_rows(table, part, members)) for run, table in tables.items()}
        summary = MEAN if part is None else f"all of {part}"
        shown = f"{title}: {part.replace('_', ' ')}" if part else title
        found = {run: own for run, own in rows.items() if summary in own}
        if found:
            yield Panel(f"groups-{key}-{number}", f"Toxicity by group, {shown}", summary, found)


def _rows(
    table: Sequence[Measurement], part: str | None, members: Mapping[str, Any]
) -> Iterator[tuple[str, Measurement]]:
    """The judge's rows of the part as a whole, and of its groups."""
    judge = table[0].scorer_id if table else None
    for row in table:
        if row.scorer_id != judge or row.subset not in (None, "P"):
            continue
        if part is None and row.name == MACRO_MEAN:
            yield MEAN, row
        if row.name == DECIDING and row.group is not None:
            if row.group == part:
                yield f"all of {part}", row
            elif row.group in members:
                yield row.group, row
