"""The verdict of a comparison in words and in four numbers."""

from dataclasses import dataclass

from detoxlab.records import Comparison, Difference, Measurement, Verdict
from detoxlab.report import words
from detoxlab.report.study import Study
from detoxlab.report.tables import in_reading_order, main_differences

MAIN = "toxic_fraction"
SUBSETS = {
    None: "All responses",
    "all": "All responses",
    "comparable": "Comparable responses",
    "P+C": "Toxic prompts (P+C)",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One difference as a tile of the summary: who says it, on what, how much."""

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
    """A comparison's verdict, what it means, its numbers and its reasons."""

    baseline: str
    treated: str
    verdict: Verdict
    sign: str
    headline: str
    meaning: str
    sentence: str
    readings: tuple[Reading, ...]
    columns: int
    reasons: tuple[str, ...]
    worse_guards: tuple[str, ...]
    unknown_guards: tuple[str, ...]


def summarise(comparison: Comparison, study: Study) -> Summary:
    """The summary of one comparison."""
    sign, headline, meaning = words.VERDICTS[comparison.verdict]
    found = main_differences(comparison, study.attribute)
    rows = in_reading_order(row for row in found if row.name == MAIN)
    return Summary(
        baseline=comparison.baseline,
        treated=comparison.treated,
        verdict=comparison.verdict,
        sign=sign,
        headline=headline,
        meaning=meaning,
        sentence=_sentence(comparison, rows),
        readings=tuple(_reading(comparison, row) for row in rows),
        columns=len({row.subset for row in rows}) or 1,
        reasons=comparison.reasons,
        worse_guards=_guards(comparison, "worse"),
        unknown_guards=_guards(comparison, "unknown"),
    )


def _guards(comparison: Comparison, status: str) -> tuple[str, ...]:
    return tuple(words.label(g.name) for g in comparison.guards if g.status == status)


def _sentence(comparison: Comparison, rows: list[Difference]) -> str:
    """What changed, by how much and on what, by the judge over all responses."""
    row = next((d for d in rows if _is_of(d, comparison.judge_id, None)), None)
    if row is None or row.difference is None:
        note = f" ({row.note})" if row and row.note else ""
        return f"How the share of toxic responses changed is unknown{note}."
    verb = "fell" if row.difference < 0 else "rose" if row.difference > 0 else "did not move"
    size = words.difference(abs(row.difference)).lstrip("+").replace("pts", "percentage points")
    change = f" by {size}" if row.difference else ""
    reach = words.span(row.ci_low, row.ci_high) + _crossing(row)
    prompts = f"{words.count(row.n_prompts)} prompts ({words.count(row.n_pairs)} pairs)"
    return (
        f"The share of toxic responses {verb}{change}, from {words.number(row.baseline)} in "
        f"{comparison.baseline} to {words.number(row.treated)} in {comparison.treated} "
        f"(95\u00a0% interval of the difference: {reach}), on {prompts}, "
        f"judged by {comparison.judge_id}."
    )


def _crossing(row: Difference) -> str:
    if row.ci_low is None or row.ci_high is None:
        return ""
    return ", which includes 0" if row.ci_low <= 0 <= row.ci_high else ""


def _is_of(row: Difference, scorer_id: str | None, subset: str | None) -> bool:
    wanted = ("all", None) if subset is None else (subset,)
    return row.scorer_id == scorer_id and row.subset in wanted


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
        if row.name == MAIN
        and row.group is None
        and row.attribute in (None, study.attribute)
        and row.scorer_id in (None, run.responses.judge_id)
    ]
