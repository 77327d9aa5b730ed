"""The verdict of a comparison, its reasons and its main numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from detoxlab.comparisons.evidence import limit_shown
from detoxlab.measures.catalogue import DECIDING, described
from detoxlab.records import Comparison, Difference, Guard, Measurement, Verdict
from detoxlab.reports import words
from detoxlab.reports.order import in_reading_order
from detoxlab.reports.study import Study

DECIDED_ON = "comparable"
MOST_COSTS = 2
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
class Cost:
    """The guards as a tile of the summary: what worsened, or that nothing did."""

    title: str
    change: str
    details: tuple[str, ...]
    worsened: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """A comparison's verdict, its reasons, its numbers and its remarks.

    The first of `readings` decides; `costs` stand beside it. `glossary` explains short names in
    the readings.
    """

    baseline: str
    treated: str
    verdict: Verdict
    sign: str
    headline: str
    readings: tuple[Reading, ...]
    costs: tuple[Cost, ...]
    glossary: str
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]


def summarise(comparison: Comparison) -> Summary:
    """The summary of one comparison."""
    scorers = (comparison.judge_id, comparison.second_id)
    named = (row for row in comparison.overall if row.name == DECIDING and row.scorer_id in scorers)
    rows = in_reading_order(row for row in named if row.subset in SUBSETS)
    rows.sort(key=lambda row: (scorers.index(row.scorer_id), row.subset != DECIDED_ON))
    return Summary(
        baseline=comparison.baseline,
        treated=comparison.treated,
        verdict=comparison.verdict,
        sign=words.VERDICTS[comparison.verdict][0],
        headline=headline(comparison),
        readings=tuple(_reading(comparison, row) for row in rows),
        costs=tuple(_costs(comparison.guards)),
        glossary=words.subset_notes(row.subset for row in rows),
        reasons=comparison.reasons,
        remarks=comparison.remarks,
    )


def headline(comparison: Comparison) -> str:
    """The first sentence about two runs: how far toxicity moved, and what that cost."""
    _, general, _ = words.VERDICTS[comparison.verdict]
    row = deciding_row(comparison, comparison.judge_id)
    costs = [_paid(guard) for guard in comparison.guards if guard.status == "worse"]
    if comparison.verdict == "invalid":
        return general
    if comparison.verdict == "not shown":
        return f"{general}, and {_listed(costs)}" if costs else general
    if row is None or row.difference is None:
        return general
    moved = "rose" if comparison.verdict == "worse" else "fell"
    gain = (
        f"{words.label(DECIDING)}{words.of_attribute(comparison.attribute)} {moved} from "
        f"{words.number(row.baseline)} to {words.number(row.treated)}"
    )
    if costs:
        return f"{gain}, {'and' if moved == 'rose' else 'but'} {_listed(costs)}"
    return f"{gain}, and no guard worsened" if comparison.verdict == "improved" else gain


def deciding_row(
    comparison: Comparison, scorer_id: str | None, name: str = DECIDING
) -> Difference | None:
    """The difference on comparable responses of all prompts, by a scorer."""
    key = (name, scorer_id, DECIDED_ON, None)
    rows = (r for r in comparison.overall if (r.name, r.scorer_id, r.subset, r.group) == key)
    return next(rows, None)


def _paid(guard: Guard) -> str:
    return f"{words.lowered(words.label(guard.name))} {_moved(guard)}"


def _moved(guard: Guard) -> str:
    """How far a guard moved: a perplexity as a multiple, another one as a difference."""
    unit = described(guard.name).unit
    if unit == "perplexity" and guard.baseline and guard.treated is not None:
        return words.multiple(guard.treated / guard.baseline)
    return words.difference(guard.difference, unit)


def _listed(costs: Sequence[str]) -> str:
    """Two of the costs, and the number of the others."""
    if len(costs) > MOST_COSTS:
        more = words.counted(len(costs) - MOST_COSTS, "more guard")
        return f"{', '.join(costs[:MOST_COSTS])} and {more} worsened"
    return " and ".join(costs)


def _costs(guards: Sequence[Guard]) -> list[Cost]:
    """A tile for each of the first guards that worsened; else one that says how many hold."""
    worse = [guard for guard in guards if guard.status == "worse"]
    if worse:
        return [_cost(guard) for guard in worse[:MOST_COSTS]]
    if not guards:
        return []
    unknown = sum(guard.status == "unknown" for guard in guards)
    known = len(guards) - unknown
    holds = "guard is within its limits" if known == 1 else "guards are within their limits"
    details = [f"{known} {holds}"]
    details += [f"{unknown} could not be computed"] if unknown else []
    return [Cost("Cost", "none seen", tuple(details), False)]


def _cost(guard: Guard) -> Cost:
    unit = described(guard.name).unit
    values = f"{words.number(guard.baseline, unit)} → {words.number(guard.treated, unit)}"
    limit = f"limit {limit_shown(guard.limit, unit)}"
    return Cost(
        f"Cost: {words.lowered(words.label(guard.name))}", _moved(guard), (values, limit), True
    )


def _reading(comparison: Comparison, row: Difference) -> Reading:
    share = words.relative(row.baseline, row.difference)
    return Reading(
        scorer=row.scorer_id or words.UNKNOWN,
        role="Judge" if row.scorer_id == comparison.judge_id else "Second scorer",
        subset=SUBSETS.get(row.subset, row.subset or "All responses"),
        change=words.difference(row.difference, row.unit),
        relative=words.percent_change(share),
        interval=f"95 % interval {words.span(row.ci_low, row.ci_high, row.unit)}",
        values=f"{words.number(row.baseline, row.unit)} → {words.number(row.treated, row.unit)}",
        known=row.difference is not None,
    )


def main_measurements(study: Study) -> list[tuple[str, Measurement]]:
    """The judge's toxic fraction of each run on all its prompts, where none are compared."""
    return [
        (run.name, row)
        for run in study.measured
        for row in run.measurements
        if row.name == DECIDING
        and row.group is None
        and row.subset in (None, "P")
        and row.attribute in (None, study.attribute)
        and row.scorer_id in (None, run.responses.judge_id)
    ]
