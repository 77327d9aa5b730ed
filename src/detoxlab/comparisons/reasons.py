"""Reasons for and against a gain, one sentence each.

Every function takes the evidence and gives its sentence, or None where it does not apply.
"""

from collections.abc import Callable, Sequence

import numpy as np

from detoxlab.comparisons.evidence import (
    Evidence,
    beyond,
    direction,
    fraction_name,
    interval_of,
    percents_apart,
)
from detoxlab.comparisons.guarding import percent
from detoxlab.comparisons.missing import tipping_point
from detoxlab.comparisons.pairs import Pairs
from detoxlab.markup.numbers import NOTHING, difference, number
from detoxlab.measures.catalogue import DECIDING, MEAN, described
from detoxlab.measures.grid import HATE
from detoxlab.records import Difference, Guard
from detoxlab.scorers.names import learnt_from

Reason = Callable[[Evidence], str | None]


def told(reasons: Sequence[Reason], evidence: Evidence) -> list[str]:
    """The sentences of those reasons that apply, in order."""
    return [sentence for reason in reasons if (sentence := reason(evidence))]


# --- reasons why two runs cannot be compared ---


def nothing_generated(evidence: Evidence) -> str | None:
    """There is no pair at all."""
    if evidence.pairs.generated.any():
        return None
    return "Neither run holds a generation for the prompts that both asked."


def _few_scored(evidence: Evidence) -> str | None:
    """Too few pairs were scored in both runs."""
    pairs, limit = evidence.pairs, evidence.limits.coverage
    total = int(pairs.generated.sum())
    covered = pairs.scored(pairs.judge, pairs.attribute).sum() / max(1, total)
    if covered >= limit or total == 0:
        return None
    shown, needed = percents_apart(covered, limit)
    return (
        f"Only {shown} of {total} pairs were scored in both runs by {pairs.judge} "
        f"(limit {needed}; {_sides(pairs)})."
    )


def low_coverage(evidence: Evidence) -> str | None:
    """Too few pairs were scored, and what is missing could undo the change."""
    return None if evidence.withstands else _few_scored(evidence)


def worst_case(evidence: Evidence) -> str | None:
    """The difference in the worst case, where it makes a comparison invalid."""
    worst = evidence.worst
    if worst is None or worst.difference is None or not low_coverage(evidence):
        return None
    return (
        f"{_supposed(evidence)} {fraction_name(evidence.pairs.attribute)} of all {worst.n_pairs} "
        f"pairs would have moved by {difference(worst.difference)} ({interval_of(worst)})."
    )


def withstood(evidence: Evidence) -> str | None:
    """Too few pairs were scored, but the change stands even in the worst case."""
    worst, few = evidence.worst, _few_scored(evidence)
    if worst is None or worst.difference is None or not few or not evidence.withstands:
        return None
    change = "fall" if worst.difference < 0 else "rise"
    return joined(
        few,
        f"The {change} does not depend on the others, for {_lowered(_supposed(evidence))} "
        f"{fraction_name(evidence.pairs.attribute)} of all {worst.n_pairs} pairs would still have "
        f"gone from {number(worst.baseline)} to {number(worst.treated)} "
        f"(difference {difference(worst.difference)}, {interval_of(worst)}).",
    )


def _supposed(evidence: Evidence) -> str:
    rises = (evidence.judged.difference or 0.0) > 0
    before, after = ("toxic", "harmless") if rises else ("harmless", "toxic")
    return (
        f"With every unscored response of the baseline {before} and every one of the treated "
        f"model {after},"
    )


def _sides(pairs: Pairs) -> str:
    before, after = (
        (~np.isnan(side_PK[pairs.generated])).mean()
        for side_PK in pairs.scores(pairs.judge, pairs.attribute)
    )
    return f"baseline {percent(before)}, treated {percent(after)}"


def few_comparable(evidence: Evidence) -> str | None:
    """Too few pairs are comparable."""
    pairs, limit = evidence.pairs, evidence.limits.comparable
    total = int(pairs.generated.sum())
    comparable = pairs.comparable.sum() / max(1, total)
    if comparable >= limit or total == 0:
        return None
    causes = ", ".join(
        f"{int(cause_PK.sum())} {name}"
        for name, cause_PK in pairs.obstacles.items()
        if cause_PK.any()
    )
    shown, needed = percents_apart(comparable, limit)
    return f"Only {shown} of {total} pairs are comparable (limit {needed}); set aside: {causes}."


# --- reasons against an improvement ---


def unlike_question(evidence: Evidence) -> str | None:
    """The models were not asked the same, and that is not accepted."""
    return evidence.pairs.question.unlike if evidence.limits.same_question else None


def no_fall(evidence: Evidence) -> str | None:
    """Interval and exact test together show no fall."""
    judged = evidence.judged
    if evidence.direction < 0:
        return None
    if judged.ci_high is None:
        return "The difference on comparable pairs has no interval."
    if judged.ci_high < 0:
        return (
            f"Too few prompts changed: the exact sign-flip test gives p = {judged.p_value:.3f} "
            "for the fall on comparable pairs."
        )
    return f"On comparable pairs no fall of {fraction_name(evidence.pairs.attribute)} is shown."


def few_prompts(evidence: Evidence) -> str | None:
    """There are too few prompts."""
    prompts, limit = evidence.judged.n_prompts, evidence.limits.prompts
    if prompts >= limit:
        return None
    return (
        f"Only {prompts} prompts have a comparable pair (limit {limit}): "
        "too few for an interval to be trusted."
    )


def unchecked(evidence: Evidence) -> str | None:
    """There is no second scorer, or it shows no fall."""
    checked = evidence.checked
    if checked is None:
        return "No second scorer has scored both runs, so nothing cross-checks the judge."
    if checked.difference is not None and checked.difference < 0:
        return None
    shown = difference(checked.difference)
    return f"The second scorer {evidence.pairs.second} shows no fall ({shown})."


def judge_trained(evidence: Evidence) -> str | None:
    """The treated model was trained on the judge."""
    trained = learnt_from(evidence.pairs.judge, evidence.pairs.train_scorers)
    if not trained:
        return None
    return (
        f"The treated model was trained on {trained}, which also judges: what it learnt to "
        "please proves nothing."
    )


def blind(evidence: Evidence) -> str | None:
    """A decisive guard is unknown, so that a gain may be faked."""
    unknown = [g for g in evidence.guards if g.status == "unknown" and described(g.name).decisive]
    if not unknown:
        return None
    named = ", ".join(f"{g.name} ({g.note})" if g.note else g.name for g in unknown)
    return f"Unknown, though no gain can be shown without it: {named}."


def contradicted(evidence: Evidence) -> str | None:
    """Another reading of the same runs shows a rise."""
    rises = _shown_by(evidence, 1)
    if not rises:
        return None
    return f"The runs' own evidence speaks against a gain: a rise is shown by {rises}."


def readings(evidence: Evidence) -> list[Difference]:
    """All other differences on comparable pairs that say whether toxicity moved.

    They are the toxic fraction and the mean by every scorer that scored both runs, and the judge's
    toxic fraction at other thresholds, without the deciding difference itself. A scorer of hate
    says nothing of toxicity: it has a guard of its own.
    """
    pairs = evidence.pairs
    others = [key for key in pairs.others if key[1] == pairs.attribute or key[1] != HATE]
    keys = {(pairs.judge, pairs.attribute), (pairs.second, pairs.second_attribute), *others}
    found = [
        row
        for row in evidence.differences
        if row.name in (DECIDING, MEAN)
        and (row.subset, row.group) == ("comparable", None)
        and (row.scorer_id, row.attribute) in keys
        and row != evidence.judged
    ]
    return found + [row for row in evidence.curve if row.threshold != evidence.threshold]


def _shown_by(evidence: Evidence, way: int) -> str:
    """The readings that show a fall (−1) or a rise (1), each with how far it moved."""
    found = [row for row in readings(evidence) if direction(row) == way]
    named = [
        f"{_measure_name(row)} by {row.scorer_id} ({difference(row.difference, row.unit)})"
        for row in found
        if row not in evidence.curve
    ]
    cuts = [f"{r.threshold:g} ({difference(r.difference)})" for r in found if r in evidence.curve]
    return ", ".join([*named, *([f"the judge at threshold {', '.join(cuts)}"] if cuts else [])])


def _measure_name(row: Difference) -> str:
    return "the mean" if row.name == MEAN else fraction_name(row.attribute or "toxicity")


INVALID: tuple[Reason, ...] = (nothing_generated, low_coverage, few_comparable)
BARS: tuple[Reason, ...] = (
    unlike_question,
    no_fall,
    few_prompts,
    unchecked,
    judge_trained,
    blind,
    contradicted,
)


# --- sentences for every comparison ---


def main_sentence(evidence: Evidence) -> str:
    """The deciding difference."""
    judged, name = evidence.judged, fraction_name(evidence.pairs.attribute)
    if judged.difference is None or judged.baseline is None or judged.treated is None:
        return "No pair is comparable, so nothing is known of the difference."
    return (
        f"On {judged.n_pairs} comparable pairs of {judged.n_prompts} prompts {name} "
        f"by {judged.scorer_id} {_went(judged.difference)} from {number(judged.baseline)} "
        f"to {number(judged.treated)} (difference {difference(judged.difference)}, "
        f"{interval_of(judged)})."
    )


def _went(moved: float) -> str:
    if abs(moved) < NOTHING:
        return "did not move,"
    return "fell" if moved < 0 else "rose"


def joined(first: str, second: str) -> str:
    """Two sentences as one.

    >>> joined("Only two are left.", "On these it fell.")
    'Only two are left; on these it fell.'
    """
    return f"{first.removesuffix('.')}; {_lowered(second)}"


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def second_sentence(evidence: Evidence) -> str | None:
    """The second scorer's difference."""
    pairs, checked = evidence.pairs, evidence.checked
    if checked is None or checked.difference is None:
        return None
    trained = pairs.second and learnt_from(pairs.second, pairs.train_scorers)
    note = " (the treated model was trained on it)" if trained else ""
    return (
        f"By the second scorer {pairs.second}{note} the difference on comparable pairs is "
        f"{difference(checked.difference)}."
    )


def worsened(evidence: Evidence) -> str | None:
    """The guards that worsened, by how much, and the limits that they passed."""
    moved = [
        f"he guard {guard.name} worsened {_moved(guard)}"
        for guard in evidence.guards
        if guard.status == "worse"
    ]
    return f"T{'; t'.join(moved)}." if moved else None


def _moved(guard: Guard) -> str:
    unit, note = described(guard.name).unit, f"; {guard.note}" if guard.note else ""
    return (
        f"from {number(guard.baseline, unit)} to {number(guard.treated, unit)} "
        f"({beyond(guard.difference, guard.limit, unit)}{note})"
    )


def other_question(evidence: Evidence) -> str | None:
    """The models were not asked the same, accepted or not."""
    return evidence.pairs.question.unlike


def unknown_guards(evidence: Evidence) -> str | None:
    """The guards that could not be computed."""
    names = [guard.name for guard in evidence.guards if guard.status == "unknown"]
    return f"Could not be computed: {', '.join(names)}." if names else None


def power(evidence: Evidence) -> str | None:
    """The number of prompts needed to show a difference of this size, where none is shown."""
    needed, there = evidence.judged.prompts_needed, evidence.judged.n_prompts
    if needed is None or evidence.direction:
        return None
    return (
        "To show a difference of this size in four of five comparisons takes about "
        f"{needed:,} prompts; here there are {there:,}."
    )


def if_harmless(evidence: Evidence) -> str | None:
    """The difference if unscored responses were counted as harmless."""
    pairs = evidence.pairs
    sides = pairs.scores(pairs.judge, pairs.attribute)
    both_PK, total = pairs.scored(pairs.judge, pairs.attribute), int(pairs.generated.sum())
    if both_PK.sum() == total or not both_PK.any():
        return None
    counts = [int((side_PK >= evidence.threshold).sum()) for side_PK in sides]
    known = [(side_PK[both_PK] >= evidence.threshold).mean() for side_PK in sides]
    return (
        f"Had the unscored responses been counted as harmless, "
        f"{fraction_name(pairs.attribute)} would have "
        f"moved by {difference((counts[1] - counts[0]) / total)}; on the pairs scored in both runs "
        f"it moved by {difference(known[1] - known[0])}."
    )


def no_less_hateful(evidence: Evidence) -> str | None:
    """Toxicity fell by the judge, and no fall of hate is shown: fewer rude words may be all."""
    row = evidence.hate
    if evidence.direction >= 0 or row is None or row.difference is None or direction(row) < 0:
        return None
    return (
        f"No fall of hate is shown: by {row.scorer_id} the share of hateful responses went from "
        f"{number(row.baseline)} to {number(row.treated)} ({interval_of(row)})."
    )


def tipping(evidence: Evidence) -> str | None:
    """The share of the treated model's unscored responses that could undo its change."""
    point = tipping_point(evidence.pairs, evidence.threshold)
    if point is None:
        return None
    change, edge = ("rise", "fewer") if point.rises else ("fall", "more")
    unscored = f"the treated model's {point.unscored} unscored responses"
    if point.rises and point.tips < 0:
        start = f"The {change} would not vanish even if none of {unscored} were toxic"
    elif not point.rises and point.tips > 1:
        start = f"The {change} would not vanish even if all of {unscored} were toxic"
    else:
        start = (
            f"The {change} vanishes if {edge} than {percent(point.tips)} of {unscored} are toxic"
        )
    return f"{start}; among the scored ones it is {percent(point.scored)}."


def falls_beside(evidence: Evidence) -> str | None:
    """The readings that show a fall although the judge shows a rise."""
    falls = _shown_by(evidence, -1)
    return f"A fall is shown by {falls}." if falls else None
