"""One measure of several models on the same resamples of items, for pictures of all of them."""

import numpy as np

from detoxlab.evaluations import Benchmark, Evaluation, Perplexity
from detoxlab.records import ItemResult

MMLU = Benchmark(task="mmlu", shots=5, harness="0")


def answered(task: str, right: list[int], *, unlike: int | None = None) -> list[ItemResult]:
    return [
        ItemResult(f"{task}:{at}", error="lost")
        if at == unlike
        else ItemResult(f"{task}:{at}", {"acc": float(value)})
        for at, value in enumerate(right)
    ]


def read(nats: list[float]) -> list[ItemResult]:
    shared = {"tokens": 10.0, "words": 5.0, "bytes": 40.0}
    return [ItemResult(f"d{at}", {"nats": value, **shared}) for at, value in enumerate(nats)]


def test_equal_models_are_equal_on_every_resample() -> None:
    texts = read([10.0, 12.0, 20.0, 11.0])
    found = Perplexity(source="t").resampled("token_perplexity", [texts, texts], resamples=50)
    assert found is not None
    assert found.shape == (50, 2)
    assert (found[:, 0] == found[:, 1]).all()
    assert np.ptp(found[:, 0]) > 0


def test_nats_that_are_twice_as_many_square_the_perplexity_on_every_resample() -> None:
    sides = [read([10.0, 12.0, 20.0, 11.0]), read([20.0, 24.0, 40.0, 22.0])]
    found = Perplexity(source="t").resampled("word_perplexity", sides, resamples=50)
    assert found is not None
    np.testing.assert_allclose(found[:, 1], found[:, 0] ** 2)


def test_questions_are_resampled_within_their_task() -> None:
    first = [*answered("a", [1, 1, 1, 1]), *answered("b", [0, 0])]
    second = [*answered("a", [1, 0, 1, 0]), *answered("b", [0, 1])]
    for name, always in (("macro_accuracy", 1 / 2), ("accuracy", 4 / 6)):
        found = MMLU.resampled(name, [first, second], resamples=400)
        assert found is not None
        np.testing.assert_allclose(found[:, 0], always)  # neither task varies within itself
        expected = 0.5
        assert abs(found[:, 1].mean() - expected) < 0.05


def test_only_items_that_all_models_have_count() -> None:
    first = answered("a", [1, 1, 0], unlike=2)
    second = answered("a", [0, 1, 1])
    found = Benchmark(task="piqa", shots=0).resampled("accuracy", [first, second], resamples=200)
    assert found is not None
    assert (found[:, 0] == 1.0).all()  # the wrong answer has no partner
    assert set(found[:, 1]) == {0.0, 0.5, 1.0}


def test_what_cannot_be_resampled_is_unknown() -> None:
    texts = read([10.0, 12.0])
    assert Perplexity(source="t").resampled("accuracy", [texts, texts]) is None
    assert MMLU.resampled("accuracy", [answered("a", [1]), answered("b", [1])]) is None
    assert Evaluation.resampled(MMLU, "accuracy", [texts]) is None
