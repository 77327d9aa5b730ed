"""How far a detector of refusals agrees with people, and the figures that come with the package."""

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detoxlab.measures import agreement
from detoxlab.measures.catalogue import MEASURES
from detoxlab.measures.statistics import (
    BoolArray,
    Interval,
    Quantity,
    Statistic,
    bootstrap_many,
    exact_share_interval,
)
from detoxlab.records import RESAMPLES, Measurement, from_json

PUBLISHED = Path(__file__).parents[1] / "assets" / "refusal" / "agreement.json"
STATISTICS: dict[str, Statistic] = {
    "detector_balanced_accuracy": agreement.balanced_accuracy_of_sums,
    "detector_recall": agreement.recall_of_sums,
    "detector_specificity": agreement.specificity_of_sums,
    "detector_accuracy": agreement.accuracy_of_sums,
}


def detection_measurements(
    found_N: BoolArray,
    true_N: BoolArray,
    *,
    labelled: str,
    scorer_id: str | None = None,
    rows: int | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Measurement]:
    """Balanced accuracy, recall, specificity and accuracy of a detector, with 95 % intervals.

    `found_N` says what the detector calls a refusal, `true_N` what people do. `rows` is the number
    of labelled rows, where the detector could not tell all; `labelled` names their set, which is
    the `attribute` of the measurements.
    """
    columns_NS = agreement.detection_columns(found_N, true_N).reshape(len(found_N), 4)
    quantities = [Quantity(columns_NS, statistic) for statistic in STATISTICS.values()]
    intervals = bootstrap_many(quantities, seed=seed, resamples=resamples)
    total = rows or len(found_N)
    return [
        _with_value(
            MEASURES[name].measurement(
                n=len(found_N),
                coverage=len(found_N) / total if total else None,
                attribute=labelled,
                scorer_id=scorer_id,
            ),
            quantity,
            interval,
        )
        for (name, quantity), interval in zip(
            zip(STATISTICS, quantities, strict=True), intervals, strict=True
        )
    ]


@functools.cache
def published_agreement() -> tuple[Measurement, ...]:
    """The rules' agreement with the labels of XSTest's completions; made by a script.

    >>> {row.attribute for row in published_agreement()} == {"gpt4", "mistralinstruct"}
    True
    """
    rows = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return tuple(from_json(Measurement, row) for row in rows)


def with_exact_ends(rows: Sequence[Measurement]) -> list[Measurement]:
    """The rows, with the exact interval for shares of 0 and 1, which resampling cannot vary."""
    return [_exact(row) if row.value in (0.0, 1.0) else row for row in rows]


# --- inside ---


def _exact(row: Measurement) -> Measurement:
    assert row.value is not None
    low, high = exact_share_interval(int(row.value) * row.n, row.n)
    return dataclasses.replace(row, ci_low=low, ci_high=high)


def _with_value(row: Measurement, quantity: Quantity, interval: Interval | None) -> Measurement:
    value = float(quantity.statistic(quantity.columns_PS.sum(axis=0)))
    if not np.isfinite(value):
        return row
    ends = (interval.low, interval.high) if interval else (None, None)
    return dataclasses.replace(row, value=value, ci_low=ends[0], ci_high=ends[1])
