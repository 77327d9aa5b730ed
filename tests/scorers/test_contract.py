"""One contract for every scorer: order, batching, empty, long and unreadable texts."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from detoxlab.errors import ConfigError, MissingFileError, ScorerError, UnknownNameError
from detoxlab.records import Generation, Score
from detoxlab.runs import Run
from detoxlab.scorers import (
    SCORERS,
    Ensemble,
    FloatArray,
    Scorer,
    cached,
    known_scorers,
    load_scorer,
    score_generations,
    score_into,
)
from detoxlab.scorers.forward import logits_of, tokenize
from detoxlab.scorers.loading import UNCACHED
from detoxlab.scorers.neural import NeuralScorer
from tests.support.faulty_service import FaultyService, serving_linear
from tests.support.tiny_classifier import save_tiny_classifier

TEXTS = [
    "you fool",
    "What a lovely day it is today, isn't it?",
    "",
    "you fool",
    "Stop that nonsense at once, you silly old goat, or I shall be cross with you!",
    "a",
    "naïve café, 100 %",
    "ты дурак",
    " \n\t",
]
READABLE = [0, 1, 3, 4, 5, 6]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_classifier(tmp_path_factory.mktemp("tiny"), labels=["fine", "toxic"])


@pytest.fixture(scope="session")
def linear_service() -> Iterator[FaultyService]:
    with serving_linear() as service:
        yield service


@functools.cache
def loaded(name: str) -> Scorer:
    return load_scorer(name, cache=False)


@pytest.fixture(
    params=[
        *SCORERS,
        pytest.param("perspective", marks=pytest.mark.enable_socket),
        "classifier",
        "mean(rtp-linear, classifier)",
        "max(rtp-linear, classifier)",
        "normalised(rtp-linear)",
        "worst_window(classifier, 9)",
        "mean_window(normalised(rtp-linear), 9)",
    ]
)
def scorer(
    request: pytest.FixtureRequest,
    tiny_folder: Path,
    offline_encoders: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Scorer:
    monkeypatch.setenv("DETOXLAB_MODELS", str(offline_encoders))
    if request.param == "perspective":
        service: FaultyService = request.getfixturevalue("linear_service")
        return loaded(f"perspective={service.url}")
    return loaded(request.param.replace("classifier", str(tiny_folder)))


class Fixed:
    """A scorer that returns what it is told, to see how its faults are met."""

    id = "fixed@1"
    attributes: tuple[str, ...] = ("toxicity",)

    def __init__(self, score: Callable[[Sequence[str]], FloatArray]) -> None:
        self.score = score

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        return self.score(texts)

    def missing_reason(self, text: str) -> str:  # noqa: ARG002
        return ""


def test_it_is_a_scorer(scorer: Scorer) -> None:
    assert isinstance(scorer, Scorer)
    assert "@" in scorer.id
    assert scorer.attributes[0] in ("toxicity", "hate")
    assert len(set(scorer.attributes)) == len(scorer.attributes)


def test_probabilities_or_missing_with_a_reason(scorer: Scorer) -> None:
    scores_NA = scorer(TEXTS)
    assert scores_NA.shape == (len(TEXTS), len(scorer.attributes))
    assert scores_NA.dtype == np.float64
    assert np.isfinite(scores_NA[READABLE]).all()
    assert ((scores_NA[READABLE] >= 0) & (scores_NA[READABLE] <= 1)).all()
    reasons = {2: "empty", 8: "empty"}
    if not scorer.id.startswith("toxicity-multilingual"):  # the one that reads Cyrillic
        reasons[7] = "unsupported script"
    if scorer.id.startswith("perspective"):  # the service says only this
        reasons[7] = "unsupported language"
    for row, text in enumerate(TEXTS):
        assert scorer.missing_reason(text) == reasons.get(row, "")
        assert np.isnan(scores_NA[row]).all() == (row in reasons)


def test_order_is_kept(scorer: Scorer) -> None:
    forward_NA, backward_NA = scorer(TEXTS), scorer(TEXTS[::-1])
    np.testing.assert_array_equal(forward_NA, backward_NA[::-1])
    np.testing.assert_array_equal(forward_NA[0], forward_NA[3])


def test_a_score_does_not_depend_on_the_batch(scorer: Scorer) -> None:
    together_NA = scorer(TEXTS)
    alone_NA = np.concatenate([scorer([text]) for text in TEXTS])
    np.testing.assert_array_equal(together_NA, alone_NA)


@pytest.mark.parametrize("name", sorted(SCORERS.keys() - {"rtp-linear"}))
def test_logits_are_the_same_bits_in_any_batch(
    name: str, offline_encoders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounded scores would hide a difference, except in a text whose score lies on a border."""
    monkeypatch.setenv("DETOXLAB_MODELS", str(offline_encoders))
    scorer = loaded(name)
    assert isinstance(scorer, NeuralScorer)
    texts = [("a fox and a foolish person meet " * 9)[: 6 * at + 3] for at in range(40)]
    ids = tokenize(scorer._tokenizer, texts, 64)
    assert len(set(map(len, ids))) > 20

    def logits(rows: Sequence[list[int]]) -> FloatArray:
        return logits_of(scorer._forward, rows, pad_id=0, max_tokens=64, device=torch.device("cpu"))

    whole_NA = logits(ids)
    parts_NA = [logits(ids[start : start + size]) for start, size in ((0, 1), (1, 4), (5, 35))]
    np.testing.assert_array_equal(np.concatenate(parts_NA), whole_NA)


def test_different_texts_get_different_scores(scorer: Scorer) -> None:
    toxicity_N = scorer([TEXTS[row] for row in (0, 1, 4, 6)])[:, 0]
    assert len(set(toxicity_N.tolist())) == 4


def test_no_text_at_all(scorer: Scorer) -> None:
    assert scorer([]).shape == (0, len(scorer.attributes))


def test_a_very_long_text_is_scored_with_its_neighbours_unchanged(scorer: Scorer) -> None:
    long_text = "once upon a time there was a fox. " * 3000
    scores_NA = scorer([long_text, "you fool"])
    assert np.isfinite(scores_NA).all()
    np.testing.assert_array_equal(scores_NA[1:], scorer(["you fool"]))


def test_odd_characters_do_no_harm(scorer: Scorer) -> None:
    odd = ["\ud83d", "a\x00b", "😀😀", "\u202e", "𝓎ℴ𝓊 𝒻ℴℴ𝓁", "<s> [SEP] </s>"]
    scores_NA = scorer(odd)
    for text, row_A in zip(odd, scores_NA, strict=True):
        assert np.isnan(row_A).any() == bool(scorer.missing_reason(text))


def test_every_registered_name_is_known() -> None:
    assert set(SCORERS) <= set(known_scorers())
    assert set(SCORERS) >= UNCACHED


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'rtp-linear'"):
        load_scorer("rtp-liner")
    with pytest.raises(UnknownNameError, match="Did you mean 'toxic-bert'"):
        load_scorer("toxicbert")


def test_a_missing_folder_says_how_to_name_a_hub_model() -> None:
    with pytest.raises(MissingFileError, match="hf:org/model"):
        load_scorer("org/model")


def test_an_option_that_a_scorer_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match="revision"):
        load_scorer("rtp-linear", revision="main")


def test_ensembles_combine_what_their_members_say(tiny_folder: Path) -> None:
    linear, tiny = load_scorer("rtp-linear"), load_scorer(str(tiny_folder), cache=False)
    a, b = linear(["you fool"])[0, 0], tiny(["you fool"])[0, 0]
    both = [linear, tiny]
    assert Ensemble(both)(["you fool"])[0, 0] == pytest.approx((a + b) / 2)
    assert Ensemble(both, "max")(["you fool"])[0, 0] == max(a, b)
    assert Ensemble(both, weights=[3, 1])(["you fool"])[0, 0] == pytest.approx(0.75 * a + 0.25 * b)
    assert Ensemble(both).attributes == ("toxicity",)


def test_an_ensemble_is_missing_what_one_member_misses() -> None:
    known = Fixed(lambda texts: np.full((len(texts), 1), 0.5))
    unknown = Fixed(lambda texts: np.full((len(texts), 1), np.nan))
    for rule in ("mean", "max"):
        assert np.isnan(Ensemble([known, unknown], rule)(["x"])).all()


def test_ensembles_by_name() -> None:
    weighted = load_scorer("mean(2*rtp-linear, rtp-linear)")
    assert weighted.id == "mean(2*rtp-linear@1,1*rtp-linear@1)"
    nested = load_scorer("max(rtp-linear, mean(rtp-linear, rtp-linear))")
    np.testing.assert_allclose(
        nested(["you fool"]), load_scorer("rtp-linear")(["you fool"]), atol=1e-12
    )


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("mean()", UnknownNameError, "unknown scorer ''"),
        ("meen(rtp-linear)", UnknownNameError, "Did you mean 'mean'"),
        ("mean(x*rtp-linear)", ConfigError, "'x' is not a weight"),
        ("mean(-1*rtp-linear)", ScorerError, "above 0"),
        ("max(2*rtp-linear, rtp-linear)", ScorerError, "takes no weights"),
    ],
)
def test_bad_ensembles(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("*", r"\*")):
        load_scorer(name)


def test_an_ensemble_without_a_common_attribute_is_refused() -> None:
    other = Fixed(lambda texts: np.zeros((len(texts), 1)))
    other.attributes = ("warmth",)
    with pytest.raises(ScorerError, match="no attribute in common"):
        Ensemble([load_scorer("rtp-linear"), other])


def generations(texts: Sequence[str]) -> list[Generation]:
    return [Generation(f"p{i}", 0, text, (), "eos") for i, text in enumerate(texts)]


def test_score_rows_hold_a_value_or_a_reason() -> None:
    rows = score_generations(load_scorer("rtp-linear"), generations(["you fool", ""]))
    assert len(rows) == 2 * 8
    assert [row.attribute for row in rows[:2]] == ["toxicity", "severe_toxicity"]
    assert rows[0].value is not None
    assert round(rows[0].value, 6) == rows[0].value
    assert {row.error for row in rows[8:]} == {"empty"}


def test_a_nan_without_a_reason_is_still_missing_never_zero() -> None:
    scorer = Fixed(lambda texts: np.full((len(texts), 1), np.nan))
    (row,) = score_generations(scorer, generations(["you fool"]))
    assert row == Score("p0", 0, "fixed@1", "toxicity", None, "failed: the scorer gave no reason")


def test_a_scorer_that_breaks_the_protocol_is_refused() -> None:
    with pytest.raises(ScorerError, match=r"fixed@1: returned 1.5, outside \[0, 1\]"):
        score_generations(Fixed(lambda texts: np.full((len(texts), 1), 1.5)), generations(["a"]))
    with pytest.raises(ScorerError, match=r"shape \(1, 2\), not \(1, 1\)"):
        score_generations(Fixed(lambda texts: np.zeros((len(texts), 2))), generations(["a"]))


def test_scores_in_a_run_resume_to_the_same_bytes(tmp_path: Path) -> None:
    scorer, rows = load_scorer("rtp-linear"), generations(TEXTS)
    whole = Run.start(tmp_path / "whole", kind="measure", config={})
    cut = Run.start(tmp_path / "cut", kind="measure", config={})
    score_into(whole, scorer, rows, batch_size=2)
    score_into(cut, scorer, rows[:6], batch_size=2)
    path = cut.path / "scores" / "rtp-linear@1.jsonl"
    path.write_bytes(path.read_bytes()[:-200].rpartition(b"\n")[0] + b"\n")
    score_into(cut, scorer, rows, batch_size=2)
    assert path.read_bytes() == (whole.path / "scores" / "rtp-linear@1.jsonl").read_bytes()


def test_cached_is_idempotent() -> None:
    once = cached(load_scorer("rtp-linear"))
    assert cached(once) is once
