"""Figures of a training with a constraint: its acceptance, and its head on held-out responses."""

from collections.abc import Mapping, Sequence
from typing import Any

from detoxlab.reports import words
from detoxlab.reports.figures.curves import curves_figure, points_of
from detoxlab.reports.parts import Figure
from detoxlab.reports.study import Trained

BY_ITERATION = (
    ("acceptance", "Share of drawn responses accepted", ("acceptance",)),
    ("weight", "Weight of the constraint", ("weight",)),
    ("auroc", "AUROC of the auxiliary head", ("held_out_auroc", "held_out_prompt_auroc")),
    (
        "errors",
        "Errors of the auxiliary head",
        ("held_out_calibration_error", "held_out_consistency_gap"),
    ),
)
BY_POSITION = (
    ("auroc", "AUROC of the auxiliary head by position", ("auroc",)),
    (
        "calibration",
        "Calibration of the auxiliary head by position",
        ("mean_r", "acceptance", "calibration_error"),
    ),
)


def constraint(trained: Trained, index: int) -> list[Figure]:
    """Curves by step of each iteration and by position in a response; none without a constraint."""
    domains: dict[str, list[Mapping[str, Any]]] = {}
    for row in trained.iterations:
        domains.setdefault(str(row.get("domain")), []).append(row)
    heads = {name: rows[-1].get("held_out_positions") or [] for name, rows in domains.items()}
    if trained.head:
        heads[""] = trained.head.get("positions") or []
    return [
        figure
        for axis, tables, wanted in (
            ("step", domains, BY_ITERATION),
            ("position", heads, BY_POSITION),
        )
        for key, title, names in wanted
        if (figure := _figure(trained.name, f"{axis}-{index}-{key}", title, tables, names, axis))
    ]


def _figure(
    run: str,
    key: str,
    title: str,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    names: Sequence[str],
    axis: str,
) -> Figure | None:
    """The curves of these names in each table; with several domains, labels name the domain.

    A constant weight gives no curve.
    """
    curves = {}
    for domain, rows in tables.items():
        for name in names:
            points = points_of(rows, name, axis=axis)
            if points and not (name == "weight" and len({y for _, y in points}) == 1):
                label = words.label(name)
                curves[f"{label}, {domain}" if len(tables) > 1 else label] = points
    return curves_figure(key, f"{title} · {run}", curves, axis=axis) if curves else None
