"""Measurements and differences of explanations, by hand from rows made by hand."""

import numpy as np
import pytest

from detoxlab.explanations.measured.catalogue import FAITHFULNESS, STEP_MEASURES
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.measured.table import (
    OWN,
    ExplainedPair,
    How,
    Table,
    differences,
    faithfulness_measurements,
    measurements,
    sides,
    views,
)
from detoxlab.records import Difference, ItemResult, Prompt, Score, from_json, to_json

HOW = How("explain@1", seed=0, resamples=200)


def row(model: str, text: str, prompt: str, content: float, **changes: object) -> Attribution:
    """Two steps: prompt masses `content` and 1, then 1 for the one response token."""
    values = ((0.0, content, 1.0), (0.0, content, 1.0, 1.0))
    given = {
        "classes": "SCCG",
        "tokens": ("<s>", "a", " b", " c"),
        "words": (0, 1, 2, 3),
        "values": values,
        "targets": (1.0, 1.0),
        "gaps": (0.0, 0.0),
        "log_probs": (-1.0, -3.0),
        "entropies": (1.0, 2.0),
        "reliances": (content, 0.0),
        "informations": (0.5, -0.5),
    }
    return Attribution(model, text, prompt, 0, **(given | changes))  # type: ignore[arg-type]


def prompts(count: int) -> list[Prompt]:
    """Their own toxicity is low, medium and high in turn."""
    levels = (0.1, 0.5, 0.9)
    return [Prompt(f"p{i}", "x", "t", {"toxicity": levels[i % 3]}) for i in range(count)]


def table(count: int, treated: float = 1.0) -> Table:
    """The baseline gives the first prompt token 3 on every text, the treated model `treated`."""
    rows = [
        row(model, text, f"p{i}", 3.0 + i if model == "base" else treated + i)
        for model, text in sides(["base", "ft"])
        for i in range(count)
    ]
    return Table(rows, prompts(count))


def test_a_row_goes_to_a_file_and_back() -> None:
    one = row("base", "base", "p0", 3.0, gaps=(None, 0.5))
    assert from_json(Attribution, to_json(one)) == one
    failed = Attribution("base", "base", "p0", 0, error="no tokens")
    assert from_json(Attribution, to_json(failed)) == failed


def test_scores_stand_before_their_step() -> None:
    assert row("b", "b", "p", 2.0).scores.tolist() == [[0, 2, 1, 0], [0, 2, 1, 1]]
    negative = row("b", "b", "p", -2.0)
    assert negative.mass.tolist() == [[0, 2, 1, 0], [0, 2, 1, 1]]


def test_every_step_measure_by_hand() -> None:
    one = row("base", "base", "p0", 3.0)
    computed = {name: measure.computes(one) for name, measure in STEP_MEASURES.items()}
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    expected: dict[str, list[float]] = {
        "prompt_dependence": [np.nan, 0.8],
        "prompt_dependence_per_token": [np.nan, np.log(4 / 2)],
        "attribution_entropy": [entropy, entropy],
        "attribution_entropy_normalised": [entropy, entropy],
        "context_reliance": [3.0, 0.0],
        "prompt_information": [0.5, -0.5],
        "predictive_entropy": [1.0, 2.0],
        "token_log_prob": [-1.0, -3.0],
        "template_share": [0.0, 0.0],
        "first_token_share": [0.0, 0.0],
    }
    assert computed.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(computed[name], values, err_msg=name)


def test_means_are_over_steps_then_prompts_and_unknown_ones_are_counted() -> None:
    rows = [row("base", "base", "p0", 3.0), row("base", "base", "p1", 1.0)]
    rows.append(Attribution("base", "base", "p2", 0, error="no tokens"))
    found = {
        (one.name, one.group): one
        for one in measurements(Table(rows, prompts(3)), ["base"], HOW)
        if one.subset == "base on its own text"
    }
    overall = found["context_reliance", None]
    assert overall.value == pytest.approx((1.5 + 0.5) / 2)
    assert (overall.n, overall.coverage, overall.unit) == (2, 2 / 3, "bits")
    assert found["context_reliance", "low prompt toxicity"].value == pytest.approx(1.5)
    assert found["context_reliance", "high prompt toxicity"].value is None
    assert found["prompt_dependence", None].value == pytest.approx((0.8 + 2 / 3) / 2)


def test_measurements_by_step_are_means_over_prompts() -> None:
    rows = [row("base", "base", f"p{i}", 3.0 + i) for i in range(4)]
    rows.append(row("base", "base", "p4", 9.0, values=((0.0, 9.0, 1.0),), reliances=(9.0,)))
    found = {
        (one.name, one.group): one
        for one in measurements(Table(rows, prompts(5)), ["base"], HOW)
        if one.subset == "base on its own text"
    }
    first, second = (found["context_reliance", f"step {n}"] for n in (1, 2))
    assert (first.value, first.n) == (pytest.approx((3 + 4 + 5 + 6 + 9) / 5), 5)
    assert (second.value, second.n) == (0.0, 4)
    assert first.ci_low is not None
    assert first.ci_low < 5.4 < (first.ci_high or 0)
    unknown = found["prompt_dependence", "step 1"]
    assert (unknown.value, unknown.n, unknown.ci_low) == (None, 0, None)
    known = found["prompt_dependence", "step 2"]
    assert known.value == pytest.approx((4 / 5 + 5 / 6 + 6 / 7 + 7 / 8) / 4)
    assert ("prompt_dependence", "step 3") not in found


def test_models_that_differ_in_nothing_differ_in_nothing() -> None:
    for pair in differences(table(12, treated=3.0), "base", "ft", HOW):
        overall = [one for one in pair.differences if one.group is None]
        assert len(overall) == len(STEP_MEASURES)
        for one in overall:
            assert one.difference == pytest.approx(0)
            assert one.p_value == 1.0


def test_a_shift_of_one_measure_is_found_on_every_view() -> None:
    pairs = {pair.view: pair for pair in differences(table(12), "base", "ft", HOW)}
    assert list(pairs) == ["text of base", "text of ft", OWN]
    for pair in pairs.values():
        found = {(one.name, one.group): one for one in pair.differences}
        shift = found["context_reliance", None]
        assert shift.difference == pytest.approx(-1.0)  # 2 less at the first of two steps
        assert shift.ci_high is not None
        assert shift.ci_high < 0
        assert shift.n_prompts == 12
        assert found["context_reliance", "step 1"].difference == pytest.approx(-2.0)
        assert found["context_reliance", "step 2"].difference == pytest.approx(0.0)
        assert found["context_reliance", "low prompt toxicity"].n_prompts == 4
        assert found["token_log_prob", None].difference == 0.0


def test_steps_are_one_family_of_tests() -> None:
    (pair, *_) = differences(table(12), "base", "ft", HOW)
    for one in pair.differences:
        if one.p_value is not None:
            assert one.p_holm is not None
            assert one.p_holm >= one.p_value
    steps = [one for one in pair.differences if one.name == "context_reliance" and one.group]
    first = next(one for one in steps if one.group == "step 1")
    assert first.p_holm > first.p_value  # type: ignore[operator]


def test_prompts_that_one_side_lacks_are_left_out() -> None:
    rows = [row(m, t, f"p{i}", 3.0) for m, t in sides(["base", "ft"]) for i in range(8)]
    rows = [one for one in rows if (one.model, one.prompt_id) != ("ft", "p0")]
    (pair, *_) = differences(Table(rows, prompts(8)), "base", "ft", HOW)
    overall = next(one for one in pair.differences if one.name == "context_reliance")
    assert (overall.n_prompts, overall.coverage) == (7, 7 / 8)


def test_divergence_is_measured_on_the_same_text_alone() -> None:
    found = [
        one
        for one in measurements(table(12), ["base", "ft"], HOW)
        if one.name == "attribution_divergence" and one.group is None
    ]
    subsets = [one.subset for one in found]
    assert subsets == ["ft against base, text of base", "ft against base, text of ft"]
    assert all(one.value is not None and one.value > 0 for one in found)
    same = measurements(table(6, treated=3.0), ["base", "ft"], HOW)
    assert [
        one.value for one in same if one.name == "attribution_divergence" and one.group is None
    ] == pytest.approx([0, 0], abs=1e-12)


def similar(*values: float | None) -> list[Score]:
    """The similarity of each prompt's response, or the reason for none."""
    return [
        Score(f"p{i}", 0, "similarity:e@1", "similarity", value, None if value else "empty")
        for i, value in enumerate(values)
    ]


def test_similarity_is_of_a_runs_own_text_alone() -> None:
    scores = {
        "base": similar(*[0.5] * 6, None),
        "ft": similar(*[0.2, 0.4] * 3, 0.9),
    }
    rows = [row(m, t, f"p{i}", 3.0) for m, t in sides(["base", "ft"]) for i in range(7)]
    whole = Table(rows, prompts(7), scores)
    found = {
        one.subset: one
        for one in measurements(whole, ["base", "ft"], HOW)
        if one.name == "prompt_response_similarity" and one.group is None
    }
    assert list(found) == ["base on its own text", "ft on its own text"]
    one = found["base on its own text"]
    assert (one.value, one.n, one.scorer_id) == (0.5, 6, "similarity:e@1")
    assert one.coverage == 6 / 7
    pairs = {pair.view: pair.differences for pair in differences(whole, "base", "ft", HOW)}
    by_view = {
        view: {d.group: d for d in rows if d.name == "prompt_response_similarity"}
        for view, rows in pairs.items()
    }
    own = by_view.pop(OWN)
    assert by_view == {"text of base": {}, "text of ft": {}}
    assert own[None].difference == pytest.approx(0.3 - 0.5)
    assert own[None].n_prompts == 6
    assert own[None].ci_high is not None
    assert own[None].ci_high < 0
    assert own["low prompt toxicity"].difference == pytest.approx((0.2 + 0.4) / 2 - 0.5)
    assert not [group for group in own if group and group.startswith("step")]


def test_sides_and_views_agree() -> None:
    runs = ["base", "ft", "rl"]
    asked = sides(runs)
    assert len(asked) == len(set(asked)) == 7
    for treated in runs[1:]:
        for pair in views("base", treated).values():
            assert set(pair) <= set(asked)


def test_gains_over_random_by_hand() -> None:
    values = {
        "deletion_20": 5.0,
        "deletion_20_random": 2.0,
        "sufficiency_20": 1.0,
        "sufficiency_20_random": 4.0,
        "deletion_50": 1.0,
        "deletion_50_random": 2.0,
        "sufficiency_50": 1.0,
        "sufficiency_50_random": 1.0,
    }
    results = [ItemResult(f"base/p{i}/0", values) for i in range(5)]
    results += [ItemResult("base/p9/0", error="no tokens"), ItemResult("ft/p1/0", values)]
    found = {one.name: one for one in faithfulness_measurements(results, "base", HOW)}
    assert found.keys() == FAITHFULNESS.keys()
    gains = {name: one.value for name, one in found.items()}
    assert gains == {
        "deletion_gain_20": 3.0,
        "sufficiency_gain_20": 3.0,
        "deletion_gain_50": -1.0,
        "sufficiency_gain_50": 0.0,
    }
    assert found["deletion_gain_20"].n == 5
    assert found["deletion_gain_20"].coverage == 5 / 6


def test_pairs_go_to_a_file_and_back() -> None:
    (pair, *_) = differences(table(6), "base", "ft", HOW)
    assert from_json(ExplainedPair, to_json(pair)) == pair
    assert all(isinstance(one, Difference) for one in pair.differences)
