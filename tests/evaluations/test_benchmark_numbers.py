"""Numbers of benchmarks from results alone: means, exact tests, corrections, by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from detoxlab.evaluations import Benchmark
from detoxlab.records import Difference, ItemResult, Measurement


def right(task: str, answers: Sequence[int], name: str = "acc") -> list[ItemResult]:
    return [ItemResult(f"{task}:{at}", {name: float(one)}) for at, one in enumerate(answers)]


def measured(task: str, results: Sequence[ItemResult]) -> dict[tuple[str | None, str], Measurement]:
    rows = Benchmark(task=task).measurements(results, resamples=400)
    return {(row.group, row.name): row for row in rows}


def changed(
    task: str, before: Sequence[ItemResult], after: Sequence[ItemResult]
) -> dict[tuple[str | None, str], Difference]:
    rows = Benchmark(task=task).differences(before, after, resamples=400)
    return {(row.group, row.name): row for row in rows}


def test_mmlu_over_subjects_and_over_questions() -> None:
    results = right("mmlu_anatomy", [1, 1, 0, 0]) + right("mmlu_virology", [1] * 12)
    rows = measured("mmlu", results)
    assert rows[None, "macro_accuracy"].value == 0.75  # (1/2 + 1) / 2
    assert rows[None, "accuracy"].value == 14 / 16
    assert rows["mmlu_anatomy", "accuracy"].value == 0.5
    assert (rows[None, "accuracy"].n, rows["mmlu_virology", "accuracy"].n) == (16, 12)
    assert rows[None, "macro_accuracy"].note == "mean over 2 tasks"


def test_the_mean_over_tasks_takes_the_normalised_number_where_there_is_one() -> None:
    piqa = [ItemResult(f"piqa:{at}", {"acc": 1.0, "acc_norm": float(at < 1)}) for at in range(4)]
    rows = measured("commonsense", right("boolq", [1, 1, 1, 0]) + piqa)
    assert rows[None, "macro_accuracy"].value == (0.75 + 0.25) / 2
    assert rows["piqa", "accuracy"].value == 1
    assert (None, "accuracy") not in rows


def test_a_question_without_a_result_lowers_the_coverage() -> None:
    results = [*right("boolq", [1, 1, 0]), ItemResult("boolq:3", error="not computable")]
    rows = measured("boolq", results)
    assert (rows[None, "accuracy"].n, rows[None, "accuracy"].coverage) == (3, 0.75)
    assert rows[None, "accuracy"].value == pytest.approx(2 / 3)


def test_perplexities_and_other_metrics() -> None:
    nats = [ItemResult(f"lambada_openai:{at}", {"nats": one}) for at, one in enumerate((1.0, 3.0))]
    assert measured("lambada", nats)[None, "target_perplexity"].value == pytest.approx(np.exp(2))
    running = [ItemResult("wikitext:0", {"nats": 6.0, "words": 2.0, "bytes": 12.0})] * 2
    rows = measured("wikitext", running)
    assert rows[None, "word_perplexity"].value == pytest.approx(np.exp(3))
    assert rows[None, "byte_perplexity"].value == pytest.approx(np.exp(0.5))
    matches = measured("gsm8k", right("gsm8k", [1, 0], "exact_match, strict-match"))
    assert matches[None, "benchmark_score"].attribute == "exact_match, strict-match"


def test_mcnemar_is_exact_and_corrected_over_the_tasks() -> None:
    """Ten right answers lost, none won: p = 2 / 2^10. Two lost: p = 1/2. Holm: × 2, and × 1."""
    before = right("boolq", [1] * 10 + [0] * 10) + right("piqa", [1, 1, 0, 0])
    after = right("boolq", [0] * 20) + right("piqa", [0, 0, 0, 0])
    rows = changed("commonsense", before, after)
    assert rows["boolq", "accuracy"].p_value == 2 / 2**10
    assert rows["boolq", "accuracy"].p_holm == 4 / 2**10
    assert (rows["piqa", "accuracy"].p_value, rows["piqa", "accuracy"].p_holm) == (0.5, 0.5)
    assert rows["boolq", "accuracy"].difference == -0.5
    assert rows[None, "macro_accuracy"].difference == -0.5
    alone = changed("boolq", before[:20], after[:20])[None, "accuracy"]
    assert (alone.p_value, alone.p_holm) == (2 / 2**10, None)


def test_differences_are_paired_by_question_whatever_the_order() -> None:
    """Where each model errs elsewhere, unpaired shares would be alike and say nothing."""
    before = right("boolq", [1, 0] * 20)
    same = changed("boolq", before, before[::-1])[None, "accuracy"]
    assert (same.difference, same.ci_low, same.ci_high, same.p_value) == (0, 0, 0, 1)
    part = changed("boolq", before, before[:30])[None, "accuracy"]
    assert (part.n_pairs, part.coverage) == (30, 0.75)
    flipped = [ItemResult(one.item, {"acc": 1 - one.values["acc"]}) for one in before]
    moved = changed("boolq", before, flipped)[None, "accuracy"]
    assert moved.difference == 0
    assert moved.ci_low is not None
    assert moved.ci_low < -0.15


def test_over_all_questions_of_mmlu_the_test_is_pooled() -> None:
    before = right("mmlu_anatomy", [1] * 5) + right("mmlu_virology", [1] * 5)
    after = right("mmlu_anatomy", [0] * 5) + right("mmlu_virology", [0] * 5)
    row = changed("mmlu", before, after)[None, "accuracy"]
    assert (row.difference, row.p_value, row.n_pairs) == (-1, 2 / 2**10, 10)
