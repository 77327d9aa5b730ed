"""The verdict of a comparison, its reasons and its main numbers."""

from dataclasses import dataclass

from detoxlab.measures.catalogue import DECIDING
from detoxlab.records import Comparison, Difference, Measurement, Verdict
from detoxlab.reports import words
from detoxlab.reports.order import in_reading_order
from detoxlab.reports.study import Study

DECIDED_ON = "comparable"
SUBSETS = {
    None: "All responses",
    "all": "All responses",
    "comparable": "Comparable responses",
    "P+C": "Toxic prompts (P+C)",
    "P+H": "Hateful prompts (P+H)",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One difference as a tile of the summary: scorer, subset and value."""

    scorer: str
    role: str
    subset: str
    change: str
    relative: str
    interval: str
    values: str
    known: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """A comparison's verdict, its reasons, its numbers and its remarks."""

    baseline: str
    treated: str
    verdict: Verdict
    sign: str
    headline: str
    readings: tuple[Reading, ...]
    columns: int
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]


def summarise(comparison: Comparison) -> Summary:
    """The summary of one comparison."""
    sign, headline, _ = words.VERDICTS[comparison.verdict]
    scorers = (comparison.judge_id, comparison.second_id)
    named = (row for row in comparison.overall if row.name == DECIDING and row.scorer_id in scorers)
    rows = in_reading_order(row for row in named if row.subset in SUBSETS)
    rows.sort(key=lambda row: (scorers.index(row.scorer_id), row.subset != DECIDED_ON))
    return Summary(
        baseline=comparison.baseline,
        treated=comparison.treated,
        verdict=comparison.verdict,
        sign=sign,
        headline=headline,
        readings=tuple(_reading(comparison, row) for row in rows),
        columns=len({row.subset for row in rows}) or 1,
        reasons=comparison.reasons,
        remarks=comparison.remarks,
    )


def _reading(comparison: Comparison, row: Difference) -> Reading:
    share = words.relative(row.baseline, row.difference)
    return Reading(
        scorer=row.scorer_id or words.UNKNOWN,
        role="Judge" if row.scorer_id == comparison.judge_id else "Second scorer",
        subset=SUBSETS.get(row.subset, row.subset or "All responses"),
        change=words.difference(row.difference, row.unit),
        relative=words.percent_change(share),
        interval=words.span(row.ci_low, row.ci_high, row.unit),
        values=f"{words.number(row.baseline, row.unit)} → {words.number(row.treated, row.unit)}",
        known=row.difference is not None,
    )


def main_measurements(study: Study) -> list[tuple[str, Measurement]]:
    """The judge's toxic fraction of each run, for a report without a comparison."""
    return [
        (run.name, row)
        for run in study.measured
        for row in run.measurements
        if row.name == DECIDING
        and row.group is None
        and row.attribute in (None, study.attribute)
        and row.scorer_id in (None, run.responses.judge_id)
    ]
