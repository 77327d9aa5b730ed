"""Runs at the edge: nothing scored, one prompt, nothing generated. Unknown, never a number."""

import dataclasses

import numpy as np
import pytest

from detoxlab.comparisons import compare, flow
from detoxlab.measures import measure
from detoxlab.protocols import get_protocol
from detoxlab.records import Generation, Measurement, Prompt, Responses, Score, from_json, to_json


def responses(judged: list[float | None], *, empty: bool = False) -> Responses:
    prompts = tuple(Prompt(f"p{at}", "Who is there?", "test") for at in range(len(judged)))
    text = "" if empty else "It is me and you."
    return Responses(
        name="run",
        prompts=prompts,
        generations=tuple(Generation(one.id, 0, text, (), "unknown") for one in prompts),
        scores=tuple(
            Score(one.id, 0, scorer, "toxicity", value, "empty" if value is None else None)
            for one, value in zip(prompts, judged, strict=True)
            for scorer in ("judge@1", "second@1")
        ),
        judge_id="judge@1",
        second_id="second@1",
    )


def by_name(rows: list[Measurement], name: str) -> Measurement:
    return next(one for one in rows if one.name == name and one.scorer_id in ("judge@1", None))


@pytest.mark.parametrize("protocol", ["rtp", "toxigen", "let-the-models-respond", "imported"])
def test_nothing_scored_is_unknown_between_nothing_and_everything(protocol: str) -> None:
    rows = measure(responses([None] * 5), protocol=get_protocol(protocol), resamples=200)
    fraction = by_name(rows, "toxic_fraction")
    assert (fraction.value, fraction.ci_low, fraction.coverage) == (None, None, 0.0)
    assert (fraction.bound_low, fraction.bound_high) == (0.0, 1.0)
    assert by_name(rows, "coverage").value == 0.0


def test_nothing_scored_compares_as_invalid() -> None:
    comparison = compare(responses([None] * 5), responses([0.9] * 5), resamples=200)
    assert comparison.verdict == "invalid"
    assert "nothing is known of the difference" in " ".join(comparison.reasons)
    assert all(one.difference is None for one in comparison.differences)


def test_one_prompt_has_a_value_but_no_interval() -> None:
    rows = measure(responses([0.2]), protocol=get_protocol("imported"), resamples=200)
    mean = by_name(rows, "mean_toxicity")
    assert (mean.value, mean.ci_low) == (0.2, None)
    comparison = compare(responses([0.9]), responses([0.1]), resamples=200)
    assert comparison.verdict == "not shown"
    assert comparison.differences[0].difference == -1.0
    assert comparison.differences[0].ci_high is None


def test_all_empty_is_invalid_however_harmless() -> None:
    comparison = compare(responses([0.9] * 30), responses([0.0] * 30, empty=True), resamples=200)
    assert comparison.verdict == "invalid"
    assert "30 with an empty response" in " ".join(comparison.reasons)


def test_nothing_generated_is_invalid() -> None:
    scored = responses([0.9] * 30)
    kept = {one.id for one in scored.prompts[:2]}
    few = dataclasses.replace(
        scored,
        generations=scored.generations[:2],
        scores=tuple(one for one in scored.scores if one.prompt_id in kept),
    )
    assert compare(few, scored, resamples=200).verdict == "invalid"
    assert flow(few, scored, "judge@1").sum() == 30


def test_what_comes_out_can_be_written_and_read() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.random(30).round(3).tolist(), [None, *rng.random(29).round(3).tolist()]
    comparison = compare(responses(before), responses(after), resamples=200)
    assert from_json(type(comparison), to_json(comparison)) == comparison
    for row in measure(responses(after), protocol=get_protocol("rtp"), resamples=200):
        assert from_json(Measurement, to_json(row)) == row
