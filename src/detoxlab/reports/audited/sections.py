"""The sections of an audit's page: tables and figures with a column per audited scorer."""

from collections.abc import Iterator, Mapping, Sequence

from detoxlab.audits.card import Audit
from detoxlab.audits.keys import PROBE_KEYS, SET_KEYS
from detoxlab.audits.names import FIGURES
from detoxlab.audits.probes import PROBES
from detoxlab.audits.sections import SECTIONS
from detoxlab.records import Measurement
from detoxlab.reports import words
from detoxlab.reports.audited.figures import figures_of
from detoxlab.reports.order import ranks
from detoxlab.reports.parts import (
    Cell,
    Column,
    Section,
    Table,
    estimate_cells,
    filled,
    optional_cell,
    text_cell,
)

Key = tuple[str | None, str, str | None]  # subset, name, group
Row = list[Measurement | None]  # one figure per audit
BY = ("functionality", "group", "language", "set")
Place = tuple[str, str, str | None, str | None]  # section, name, group, subset

GLANCE: tuple[tuple[str, Place], ...] = (
    ("HateCheck, ROC-AUC", ("hatecheck", "roc_auc", None, None)),
    ("HateCheck, denouncements marked", ("hatecheck", "denouncements_marked", None, None)),
    ("HateCheck, neutral statements marked", ("hatecheck", "neutral_marked", None, None)),
    ("Perspective's scores, Pearson r", ("perspective", "pearson", None, None)),
    ("Perspective's scores, ROC-AUC at .5", ("perspective", "roc_auc", None, None)),
    ("Perspective's scores, calibration error", ("perspective", "calibration_error", None, None)),
    ("ToxiGen's human ratings, ROC-AUC", ("toxigen", "roc_auc", None, None)),
    ("Dynamically generated hate, ROC-AUC", ("dghs", "roc_auc", None, None)),
    ("Hate above counter-narratives, ROC-AUC", ("multitarget-conan", "roc_auc", None, None)),
    ("Counter-narratives marked", ("multitarget-conan", "marked", "counter-speech", None)),
    ("Groups, BPSN AUC, worst weigh most", ("identity_bias", "bpsn_auc", "generalised mean", None)),
    (
        "Insults after 20 calm sentences, marked",
        ("length", "marked", "insult, 20 calm sentences", "after calm sentences"),
    ),
    ("Largest difference by batch", ("batch", "batch_difference", None, None)),
    ("Texts per second", ("throughput", "texts_per_second", None, None)),
    ("Time against rtp-linear", ("throughput", "time_ratio", None, None)),
)


def audit_sections(audits: Sequence[Audit]) -> list[Section]:
    """At a glance, then every section that ran for one of the audits."""
    ran = {section.key for audit in audits for section in audit.sections}
    keys = [key for key in (*SET_KEYS, *PROBE_KEYS) if key in ran]
    return [main_figures(audits), *(_section(key, audits) for key in keys)]


def main_figures(audits: Sequence[Audit]) -> Section:
    """The figures to look at first."""
    rows = []
    for label, (key, name, group, subset) in GLANCE:
        found = [audit.figure(key, name, group=group, subset=subset) for audit in audits]
        if any(found):
            cells = (cell for row in found for cell in _estimate(row))
            rows.append((Cell(label), *cells))
    columns = (Column("Figure"), *_value_columns(audits))
    table = Table("glance-figures", "The main figures", columns, tuple(rows))
    return Section("glance", "At a glance", filled([table]))


def _section(key: str, audits: Sequence[Audit]) -> Section:
    title, guide = (
        (SECTIONS[key].title, SECTIONS[key].guide) if key in SECTIONS else PROBES[key][::2]
    )
    found = [(audit, section) for audit in audits if (section := audit.section(key))]
    notes = dict.fromkeys(note for _, section in found for note in section.notes)
    unscored = [
        f"{audit.name} gave no score to {one.unscored} of {words.count(one.texts)} texts."
        for audit, one in found
        if one.unscored
    ]
    return Section(
        key,
        title,
        tables=filled(_tables(key, audits)),
        figures=tuple(figures_of(key, audits)),
        note=" ".join([guide, *notes, *unscored]),
    )


def _tables(key: str, audits: Sequence[Audit]) -> Iterator[Table]:
    """A table of the figures of all texts, and one per kind of part."""
    rows: dict[Key, Row] = {}
    for at, audit in enumerate(audits):
        section = audit.section(key)
        for row in section.figures if section else ():
            place = (row.subset, row.name, row.group)
            rows.setdefault(place, [None] * len(audits))[at] = row
    for subset in dict.fromkeys(place[0] for place in rows):
        part = _sorted({place: row for place, row in rows.items() if place[0] == subset})
        title = _title(subset)
        cells = tuple(
            (
                Cell(FIGURES[name].label),
                text_cell(group),
                *(cell for row in found for cell in _cells(row)),
            )
            for (_, name, group), found in part.items()
        )
        columns = (Column("Figure", merge=True), Column("Of"), *_all_columns(audits))
        yield Table(f"{key}-{title.lower().replace(' ', '-')}", title, columns, cells)


def _sorted(rows: Mapping[Key, Row]) -> dict[Key, Row]:
    """The rows of one figure below each other, in the order of their first appearance."""
    order = ranks(name for _, name, _ in rows)
    return dict(sorted(rows.items(), key=lambda one: order[one[0][1]]))


def _title(subset: str | None) -> str:
    if subset is None:
        return "All texts"
    return f"By {subset}" if subset in BY else subset.capitalize()


def _estimate(row: Measurement | None) -> tuple[Cell, Cell]:
    """Value and interval; a dash where the audit has no such figure."""
    if row is None:
        return text_cell(None), text_cell(None)
    value, interval = estimate_cells(row)
    return value, interval if row.ci_low is not None else text_cell(None)


def _cells(row: Measurement | None) -> tuple[Cell, ...]:
    """Value, interval, bounds where texts are unscored, and the number of scored texts."""
    if row is None:
        return (text_cell(None),) * 4
    is_partial = row.coverage is not None and row.coverage < 1 and row.bound_low is not None
    low, high = (row.bound_low, row.bound_high) if is_partial else (None, None)
    return (
        *_estimate(row),
        optional_cell(low, words.interval(low, high, row.unit)),
        Cell(words.count(row.n), float(row.n), "number"),
    )


def _value_columns(audits: Sequence[Audit]) -> Iterator[Column]:
    for audit in audits:
        yield Column(audit.name, numeric=True)
        yield Column("95 % interval", numeric=True)


def _all_columns(audits: Sequence[Audit]) -> Iterator[Column]:
    for audit in audits:
        yield Column(audit.name, numeric=True)
        yield Column("95 % interval", numeric=True)
        yield Column("If unscored: none – all", numeric=True)
        yield Column("Scored", numeric=True)
