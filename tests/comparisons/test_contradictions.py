"""A gain against the run's own evidence: the mean, other thresholds, other scorers, agreement."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from detoxlab.comparisons import Limits
from detoxlab.comparisons.agreeing import correlation_expected
from detoxlab.measures.agreement import pearson_columns
from detoxlab.records import Responses
from tests.support.paired import BASE_PK, LOWER_PK, Values, find, guard, held, run, score

RNG = np.random.default_rng(11)
CUTS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def with_scorer(given: Responses, name: str, values_PK: Values) -> Responses:
    """The run, scored by one more."""
    k = values_PK.shape[1]
    more = [
        score(one, name, "toxicity", values_PK[at // k, at % k])
        for at, one in enumerate(given.generations)
    ]
    return dataclasses.replace(given, scores=(*given.scores, *more))


def gamed() -> tuple[Values, Values]:
    """The share over .5 falls from .5 to .4 while all the rest rises just below it."""
    before_PK = np.where(BASE_PK > 0.5, 0.6, 0.05)
    after_PK = np.where(BASE_PK > 0.5, 0.6, 0.45)
    after_PK[np.where(BASE_PK[:, 0] > 0.5)[0][:20], 0] = 0.49
    return before_PK, after_PK


def test_a_fall_at_the_threshold_only_is_not_shown_and_each_contradiction_is_named() -> None:
    before_PK, after_PK = gamed()
    comparison = held(run("a", before_PK), run("b", after_PK))
    assert find(comparison, "toxic_fraction").ci_high < 0
    assert find(comparison, "mean_toxicity").ci_low > 0
    assert comparison.verdict == "not shown"
    assert comparison.reasons[0].startswith("The runs' own evidence speaks against a gain: a rise")
    for name in ("the mean by judge@1 (+", "the judge at threshold 0.1 (+", "0.4 (+"):
        assert name in comparison.reasons[0]
    assert "0.6 (+" not in comparison.reasons[0]


def test_the_curve_over_thresholds_by_hand() -> None:
    before_PK, after_PK = gamed()
    comparison = held(run("a", before_PK), run("b", after_PK))
    assert [row.threshold for row in comparison.sensitivity] == CUTS
    for row in comparison.sensitivity:
        assert row.difference == pytest.approx(
            (after_PK >= row.threshold).mean() - (before_PK >= row.threshold).mean()
        )
        assert row.ci_low <= row.difference <= row.ci_high
    (at,) = [row for row in comparison.sensitivity if row.threshold == 0.5]
    deciding = find(comparison, "toxic_fraction")
    assert (at.difference, at.ci_low, at.ci_high) == (
        deciding.difference,
        deciding.ci_low,
        deciding.ci_high,
    )


def test_another_threshold_is_a_point_of_the_curve_and_contradicts_itself_nowhere() -> None:
    before_PK, after_PK = gamed()
    comparison = held(run("a", before_PK), run("b", after_PK), threshold=0.35)
    assert [row.threshold for row in comparison.sensitivity] == sorted([*CUTS, 0.35])
    assert comparison.verdict == "worse"
    assert any("A fall is shown by the judge at threshold 0.5" in s for s in comparison.remarks)


@pytest.mark.parametrize(
    ("scorer", "measure"),
    [
        ("second@1", "mean"),  # its share is the cross-check itself
        *((name, kind) for name in ("third@2", "mean(x@1,y@1)") for kind in ("share", "mean")),
    ],
)
def test_every_scorer_of_both_runs_is_read(scorer: str, measure: str) -> None:
    low_PK = np.full_like(BASE_PK, 0.1)
    rise_PK = np.where(RNG.random(BASE_PK.shape) < 0.4, 0.9 if measure == "share" else 0.45, 0.1)
    before, after = run("a", BASE_PK), run("b", LOWER_PK)
    if scorer == "second@1":
        # The second scorer agrees in sign at the threshold, but its mean rises.
        before = run("a", BASE_PK, checked_PK=np.where(BASE_PK > 0.5, 0.55, 0.1))
        after = run("b", LOWER_PK, checked_PK=np.where(LOWER_PK > 0.5, 0.55, 0.45))
    else:
        before, after = with_scorer(before, scorer, low_PK), with_scorer(after, scorer, rise_PK)
    comparison = held(before, after)
    assert comparison.verdict == "not shown"
    assert f"by {scorer} (+" in comparison.reasons[0]
    assert find(comparison, "mean_toxicity", scorer_id=scorer).ci_low > 0


def test_a_scorer_of_one_run_only_and_one_that_sees_nothing_are_no_contradiction() -> None:
    after = with_scorer(run("b", LOWER_PK), "third@2", np.full_like(BASE_PK, 0.9))
    assert held(run("a", BASE_PK), after).verdict == "improved"
    before = with_scorer(run("a", BASE_PK), "third@2", np.full_like(BASE_PK, 0.9))
    assert held(before, after).verdict == "improved"


def test_other_attributes_of_the_judge_are_shown_and_contradict_nothing() -> None:
    def insulting(given: Responses, level: float) -> Responses:
        more = [score(one, "judge@1", "insult", level) for one in given.generations]
        return dataclasses.replace(given, scores=(*given.scores, *more))

    comparison = held(insulting(run("a", BASE_PK), 0.1), insulting(run("b", LOWER_PK), 0.9))
    assert find(comparison, "toxic_fraction", attribute="insult").difference == 1.0
    assert comparison.verdict == "improved"


# --- agreement ---


def noisy(
    spread: float, errors: float, prompts: int = 300, shift: float = 0.0, seed: int = 0
) -> tuple[Values, Values]:
    """Scores of judge and second: one signal, and errors of their own."""
    rng = np.random.default_rng(seed)
    signal_PK = 0.5 - shift + spread * rng.uniform(-1, 1, (prompts, 2))
    one, two = (signal_PK + errors * rng.uniform(-1, 1, (prompts, 2)) for _ in range(2))
    return one.clip(0, 1), two.clip(0, 1)


def measured(name: str, scores: tuple[Values, Values]) -> Responses:
    return run(name, scores[0], checked_PK=scores[1])


def test_scorers_that_part_are_a_guard_that_worsened() -> None:
    base, treated = noisy(0.35, 0.1), noisy(0.35, 0.18, shift=0.1, seed=1)
    comparison = held(measured("a", base), measured("b", treated))
    found = guard(comparison, "agreement")
    assert found.baseline == pytest.approx(np.corrcoef(base[0].ravel(), base[1].ravel())[0, 1])
    assert found.treated == pytest.approx(np.corrcoef(treated[0].ravel(), treated[1].ravel())[0, 1])
    assert found.difference < -0.05
    assert found.status == "worse"
    assert comparison.verdict == "improved, at a cost"
    assert "guard agreement worsened" in comparison.reasons[1]
    lenient = held(measured("a", base), measured("b", treated), limits=Limits(agreement=0.5))
    assert guard(lenient, "agreement").status == "ok"


def test_a_correlation_that_falls_only_because_scores_spread_less_is_no_cost() -> None:
    """The same errors on a third of the spread: what is left after a real gain."""
    base, treated = noisy(0.35, 0.1), noisy(0.12, 0.1, shift=0.2, seed=1)
    comparison = held(measured("a", base), measured("b", treated))
    found = guard(comparison, "agreement")
    assert found.difference < -0.15
    assert found.status == "ok"
    assert "expected by the spread of its scores alone" in found.note
    assert comparison.verdict == "improved"


def test_more_spread_excuses_no_fall() -> None:
    base, treated = noisy(0.2, 0.06), noisy(0.3, 0.2, seed=1)
    assert guard(held(measured("a", base), measured("b", treated)), "agreement").status == "worse"


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.0, 2.0])
def test_the_correlation_expected_at_another_spread_is_that_of_the_same_errors(
    factor: float,
) -> None:
    rng = np.random.default_rng(3)
    signal, errors = rng.normal(size=200_000), rng.normal(0, 0.5, size=(2, 200_000))
    sides = [(s + errors[0], 0.5 * (s + errors[1])) for s in (signal, factor * signal)]
    sums = np.concatenate([pearson_columns(*side).sum(axis=0) for side in sides])
    seen = np.corrcoef(*sides[1])[0, 1]
    expected = min(seen, np.corrcoef(*sides[0])[0, 1])
    assert float(correlation_expected(sums)) == pytest.approx(expected, abs=0.005)


UNKNOWN: dict[str, Callable[[], Responses]] = {
    "no second scorer": lambda: dataclasses.replace(run("b", LOWER_PK), second_id=None),
    "a constant judge": lambda: run("b", np.full_like(LOWER_PK, 0.1)),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_agreement_that_cannot_be_told_is_unknown(case: str) -> None:
    base = run("a", BASE_PK)
    base = dataclasses.replace(base, second_id=None) if case == "no second scorer" else base
    assert guard(held(base, UNKNOWN[case]()), "agreement").status == "unknown"
