"""One sentence of each kind, from a few numbers made by hand."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from detoxlab.explanations.measured.catalogue import EXPLAIN_MEASURES
from detoxlab.explanations.measured.explained import Explained
from detoxlab.explanations.measured.sentences import told
from detoxlab.explanations.measured.table import OWN, ExplainedPair
from detoxlab.records import Difference, Measurement

ON_BASE, ON_FT = "text of base", "text of ft"
CHECKED = [("deletion_gain_20", run, 3.0, 2.0, 4.0) for run in ("base", "ft")]

Moved = tuple[str, str, float, float, float]
"""View, measure, value of the baseline, value of the treated model, half of the interval."""
Known = tuple[str, str, float, float, float]
"""Measure, run, value and interval, on the run's own text."""


def measurement(name: str, run: str, value: float, low: float, high: float) -> Measurement:
    facts = {"value": value, "ci_low": low, "ci_high": high, "n": 40}
    return EXPLAIN_MEASURES[name].measurement(subset=f"{run} on its own text", **facts)


def difference(name: str, before: float, after: float, half: float) -> Difference:
    change = after - before
    return EXPLAIN_MEASURES[name].difference(
        baseline=before,
        treated=after,
        difference=change,
        ci_low=change - half,
        ci_high=change + half,
        n_prompts=40,
    )


def explained(
    moved: Sequence[Moved] = (), known: Sequence[Known] = CHECKED, runs: Sequence[str] = ()
) -> Explained:
    views = {view: [one[1:] for one in moved if one[0] == view] for view in (ON_BASE, ON_FT, OWN)}
    pairs = [
        ExplainedPair("base", "ft", view, tuple(difference(*one) for one in rows))
        for view, rows in views.items()
    ]
    rows = tuple(measurement(*one) for one in known)
    return Explained(tuple(runs or ("base", "ft")), "alti-logit", rows, tuple(pairs))


def sentences(*moved: Moved) -> list[str]:
    """Without the sentence about the check of the method."""
    first, *rest = told(explained(moved))
    assert first == "alti-logit beats random choices of tokens on base and ft."
    return rest


def test_a_change_on_both_texts() -> None:
    assert sentences(
        (ON_BASE, "context_reliance", 1.3, 0.9, 0.1), (ON_FT, "context_reliance", 1.2, 0.9, 0.1)
    ) == [
        "ft is moved less by its prompt than base: on the text of base context reliance fell from "
        "1.300 to 0.900 bits (difference −0.400, 95 % interval −0.500 to −0.300); on that of ft "
        "likewise (−0.300, 95 % interval −0.400 to −0.200)."
    ]


def test_a_change_on_one_text_alone_says_so() -> None:
    rows = (
        (ON_BASE, "predictive_entropy", 2.0, 2.1, 0.2),
        (ON_FT, "predictive_entropy", 2, 3, 0.1),
    )
    assert sentences(*rows) == [
        "On the text of ft alone, ft is less sure of its next token than base: predictive entropy "
        "rose from 2.000 to 3.000 bits (difference +1.000, 95 % interval +0.900 to +1.100); on "
        "that of base not shown (+0.100, 95 % interval −0.100 to +0.300)."
    ]


def test_texts_that_speak_against_each_other() -> None:
    rows = (
        (ON_BASE, "attribution_entropy", 2.0, 1.0, 0.1),
        (ON_FT, "attribution_entropy", 2.0, 3.0, 0.1),
    )
    (sentence,) = sentences(*rows)
    assert sentence.startswith(
        "On the text of base alone, ft rests on fewer words of the prompt than base: attribution "
        "entropy fell from 2.000 to 1.000 bits"
    )
    assert "; on that of ft the reverse (+1.000" in sentence


def test_a_model_that_its_prompt_no_longer_moves() -> None:
    row = (ON_BASE, "context_reliance", 1.3, 0.04, 0.1)
    on_base = replace(
        measurement("context_reliance", "ft", 0.04, 0.02, 0.06), subset="ft on the text of base"
    )
    for high, claim in ((0.12, "is no longer moved"), (0.14, "is moved less")):
        found = explained([row])
        rows = (*found.measurements, replace(on_base, ci_high=high))
        (_, sentence) = told(replace(found, measurements=rows))
        assert sentence.startswith(f"ft {claim} by its prompt")


@pytest.mark.parametrize(
    ("name", "after", "claim"),
    [
        ("context_reliance", 2.0, "ft is moved more by its prompt than base"),
        ("prompt_dependence", 0.5, "ft owes less to the prompt, and more to its own words, than"),
        ("prompt_dependence", 2.0, "ft owes more to the prompt, and less to its own words, than"),
        ("attribution_entropy", 2.0, "ft spreads its attribution more evenly over the prompt than"),
        ("predictive_entropy", 0.5, "ft is surer of its next token than base"),
    ],
)
def test_every_wording(name: str, after: float, claim: str) -> None:
    (sentence,) = sentences((ON_BASE, name, 1.0, after, 0.1))
    assert sentence.startswith(claim)


def test_measures_that_did_not_change_share_a_sentence() -> None:
    assert sentences(
        (ON_BASE, "context_reliance", 1.0, 1.1, 0.2), (ON_BASE, "prompt_dependence", 0.5, 0.5, 0.1)
    ) == [
        "No change from base to ft is shown on the same text in context reliance (+0.100, 95 % "
        "interval −0.100 to +0.300) and prompt dependence (0.000, 95 % interval −0.100 to +0.100)."
    ]


def test_context_reliance_against_an_attribution() -> None:
    *_, last = sentences(
        (ON_BASE, "context_reliance", 1.0, 0.5, 0.1), (ON_BASE, "prompt_dependence", 0.5, 0.6, 0.05)
    )
    assert last == (
        "Context reliance and prompt dependence disagree: believe context reliance, which compares "
        "predictions of the model itself."
    )


def test_log_probability_is_shifted_both_ways() -> None:
    assert sentences(
        (ON_BASE, "token_log_prob", -3.0, -3.5, 0.1), (ON_FT, "token_log_prob", -4.0, -3.9, 0.2)
    ) == [
        "The responses of base are less likely under ft than under base itself (−0.500 nats per "
        "token, 95 % interval −0.600 to −0.400).",
        "The responses of ft are not shown to be less likely or likelier under base than under ft "
        "itself (−0.100 nats per token, 95 % interval −0.300 to +0.100).",
    ]


def test_similarity_on_own_texts() -> None:
    assert sentences((OWN, "prompt_response_similarity", 0.4, 0.1, 0.1)) == [
        "The responses of ft resemble their prompts less than those of base: similarity fell from "
        "0.400 to 0.100 (difference −0.300, 95 % interval −0.400 to −0.200)."
    ]
    assert sentences((OWN, "prompt_response_similarity", 0.4, 0.45, 0.1)) == [
        "No change from base to ft is shown in how much responses resemble their prompts "
        "(similarity +0.050, 95 % interval −0.050 to +0.150)."
    ]


def test_the_text_changed_and_the_model_did_not() -> None:
    *_, last = sentences(
        (ON_BASE, "context_reliance", 1.0, 1.0, 0.1),
        (ON_FT, "context_reliance", 1.0, 1.0, 0.1),
        (OWN, "context_reliance", 1.0, 0.5, 0.1),
    )
    assert last == (
        "On their own texts alone base and ft differ in context reliance (−0.500, 95 % interval "
        "−0.600 to −0.400): the text changed; that the model did is not shown."
    )


def test_a_method_that_does_not_beat_random() -> None:
    known = [CHECKED[0], ("deletion_gain_20", "ft", 0.1, -0.2, 0.4)]
    assert told(explained(known=known)) == [
        "alti-logit beats random choices of tokens on base.",
        "alti-logit is not shown to beat random choices of tokens on ft (gain +0.100, 95 % "
        "interval −0.200 to +0.400, 40 responses): do not rely on its attributions there, nor on "
        "prompt dependence and attribution entropy, unless a check of more responses shows it.",
    ]
    (only,) = told(explained(known=()))
    assert only == "alti-logit was not checked against random choices of tokens."


def test_few_prompts_are_a_caution() -> None:
    row = measurement("context_reliance", "base", 1.0, 0.9, 1.1)
    for count, expected in ((19, True), (20, False)):
        found = replace(explained(), measurements=(replace(row, n=count),))
        caution = "Only 19 prompts were explained: too few for an interval to be trusted."
        assert (caution in told(found)) is expected


def test_a_single_run_has_its_levels() -> None:
    known = [
        ("context_reliance", "base", 1.3, 1.2, 1.4),
        ("prompt_dependence", "base", 0.4, 0.3, 0.5),
        CHECKED[0],
    ]
    assert told(explained(known=known, runs=["base"])) == [
        "base on its own text: context reliance is 1.300 bits (95 % interval 1.200 to 1.400) and "
        "prompt dependence is 0.400 (95 % interval 0.300 to 0.500).",
        "alti-logit beats random choices of tokens on base.",
    ]
