"""Which words pull a scorer, and which words of the prompt stand behind them: by hand."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from detoxlab.explanations.measured.prompt_words import PromptWord, most_pulling
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.measured.toxic_words import (
    PromptShares,
    Pulls,
    ToxicWords,
    WordPull,
    prompt_shares,
    prompt_words,
    toxic_words,
    word_steps,
)
from detoxlab.records import Generation, from_json, to_json
from detoxlab.scorers import load_scorer
from tests.support.shouting import Shouting

TEXT = " you silly GOAT"


class Counting:
    """0.5, and 0.04 more for each "silly"."""

    id = "counting@1"
    attributes = ("toxicity",)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([[0.5 + 0.04 * text.count("silly")] for text in texts])

    def missing_reason(self, text: str) -> str:
        return "" if text else "empty"


class Lengthy:
    """A hundredth for each character."""

    id = "lengthy@1"
    attributes = ("toxicity",)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([[len(text) / 100] for text in texts])

    def missing_reason(self, text: str) -> str:
        return "" if text else "empty"


def row(model: str, values: tuple[tuple[float, ...], ...]) -> Attribution:
    """Prompt "Feed it" after an opening token, response " you silly GOAT" in four tokens."""
    tokens = ("<s>", "Fe", "ed", " it", " you", " silly", " GO", "AT")
    words = (0, 1, 1, 2, 3, 4, 5, 5)
    return Attribution(model, "base", "p", 0, "SCCCGGGG", tokens=tokens, words=words, values=values)


def evenly(model: str, *last: tuple[float, float, float]) -> Attribution:
    """The last two steps, which make the third word, have these masses on the prompt's tokens."""
    before = ((9.0, 1.0, 1.0, 1.0), (9.0, 1.0, 1.0, 1.0, 5.0))
    tails = ((5.0, 5.0), (5.0, 5.0, 5.0))
    return row(model, (*before, *((9.0, *c, *t) for c, t in zip(last, tails, strict=True))))


def responses(*texts: str) -> list[tuple[str, int, Generation | None]]:
    return [("p", i, Generation("p", i, text, (1,), "eos")) for i, text in enumerate(texts)]


def test_a_pull_is_the_score_less_the_score_without_the_word() -> None:
    scorer = load_scorer("rtp-linear", cache=False)
    text = "you fool, what a lovely\n day"
    ((score, words),) = Pulls(scorer, least=0.01).of([text])
    without = [
        " fool, what a lovely\n day",
        "you what a lovely\n day",
        "you fool, a lovely\n day",
        "you fool, what lovely\n day",
        "you fool, what a\n day",
        "you fool, what a lovely",
    ]
    scores = scorer([text, *without])[:, scorer.attributes.index("toxicity")]
    assert score == pytest.approx(scores[0])
    assert [one.pull for one in words] == pytest.approx((scores[0] - scores[1:]).tolist(), abs=1e-6)
    assert [text[one.start : one.end] for one in words] == text.split()
    assert max(words, key=lambda one: one.pull or 0.0).word == "fool,"


def test_a_word_goes_with_the_white_space_before_it() -> None:
    ((score, words),) = Pulls(Lengthy()).of([" ab  cde\nf "])
    assert score == pytest.approx(0.11)
    assert [one.pull for one in words] == pytest.approx([0.03, 0.05, 0.02])


def test_the_scores_of_one_text_do_not_depend_on_the_others() -> None:
    pulls = Pulls(load_scorer("rtp-linear", cache=False), least=0.01)
    texts = ["you fool", "", "a lovely day", "you silly old goat"]
    together, alone = pulls.of(texts), [pulls.of([text])[0] for text in texts]
    assert [words for _, words in together] == [words for _, words in alone]
    np.testing.assert_equal([score for score, _ in together], [score for score, _ in alone])


def test_a_mild_response_is_not_taken_apart() -> None:
    assert Pulls(Shouting(), least=0.2).of(["so mild"]) == [(0.1, ())]


def test_the_only_word_pulls_by_the_whole_score() -> None:
    ((_, words),) = Pulls(Shouting()).of([" GOAT"])
    assert words == (WordPull("GOAT", 1, 5, 0.9, (), True),)


def test_without_a_large_pull_the_top_word_of_a_toxic_response_is_toxic() -> None:
    text = "silly and odd"
    for threshold, toxic in ((0.5, [True, False, False]), (0.6, [False] * 3)):
        ((score, words),) = Pulls(Counting(), threshold=threshold).of([text])
        assert score == pytest.approx(0.54)
        assert [one.pull for one in words] == pytest.approx([0.04, 0, 0])
        assert [one.toxic for one in words] == toxic


def test_no_word_is_toxic_where_each_of_two_suffices() -> None:
    ((score, words),) = Pulls(Shouting()).of(["GOAT GOAT"])
    assert score == 0.9
    assert [(one.pull, one.toxic) for one in words] == [(0.0, False), (0.0, False)]


def test_words_and_their_prompt_on_the_same_text() -> None:
    base = evenly("base", (1, 1, 2), (3, 1, 0))
    tuned = evenly("ft", (0, 0, 1), (0, 0, -3))
    models = {"base": base, "ft": tuned}
    (found,) = toxic_words("base", responses(TEXT), {("p", 0): models}, Pulls(Shouting()))
    assert found == ToxicWords(
        "base",
        "p",
        0,
        score=0.9,
        words=(
            WordPull("you", 1, 4, 0.0, (0,)),
            WordPull("silly", 5, 10, 0.0, (1,)),
            WordPull("GOAT", 11, 15, 0.8, (2, 3), True),
        ),
        prompt_words=("Feed", "it"),
        shares=(PromptShares("base", 2, (0.75, 0.25)), PromptShares("ft", 2, (0.0, 1.0))),
    )
    assert from_json(ToxicWords, json.loads(json.dumps(to_json(found)))) == found


def test_responses_without_a_score_or_an_explanation() -> None:
    asked = [*responses("", TEXT, TEXT), ("p", 3, None)]
    failed = Attribution("base", "base", "p", 1, error="too long")
    explained = {("p", 1): {"base": failed}}
    empty, unexplained, absent, missing = toxic_words("base", asked, explained, Pulls(Shouting()))
    assert empty.error == "empty"
    assert missing.error == "no response"
    for one in (unexplained, absent):
        assert [word.toxic for word in one.words] == [False, False, True]
        assert not one.shares


def test_steps_end_where_the_text_does_and_where_it_cannot_be_followed() -> None:
    words = [WordPull("you", 1, 4), WordPull("silly", 5, 10), WordPull("GOAT", 11, 15)]
    one = row("base", ((),) * 4)
    assert word_steps(TEXT, words, one) == [(0,), (1,), (2, 3)]
    assert word_steps(" you silly", words[:2], one) == [(0,), (1,)]
    assert word_steps(" you solid GOAT", words, one) == [(0,), (), ()]


def test_a_model_that_ignores_the_prompt_owes_nothing_to_its_words() -> None:
    assert prompt_shares(evenly("deaf", (0, 0, 0), (0, 0, 0)), [2, 3]) == (0.0, 0.0)


def test_blank_tokens_belong_to_the_word_after_them() -> None:
    tokens = ("<s>", " ", "\n", "Fe", "ed", " ", "it", " ")
    words = (0, 1, 2, 3, 3, 4, 5, 6)
    values = (tuple(range(8)),)
    one = Attribution("m", "m", "p", 0, "SCCCCCCC", tokens=tokens, words=words, values=values)
    assert prompt_words(one) == ("Feed", "it")
    assert prompt_shares(one, [0]) == pytest.approx(((1 + 2 + 3 + 4) / 28, (5 + 6 + 7) / 28), 1e-4)


# --- the table of the prompts' words ---


def held(prompt: str, sample: int, *shares: tuple[str, int, tuple[float, ...]]) -> ToxicWords:
    """Shares by model and place of the toxic word, of the prompt "The goat; the"."""
    found = tuple(PromptShares(*one) for one in shares)
    return ToxicWords("base", prompt, sample, 0.9, (), ("The", "goat;", "the", "-"), found)


def test_words_of_prompts_by_hand() -> None:
    rows = [
        # Two samples and two toxic words of one prompt count once; places of a word are summed.
        held("p0", 0, ("base", 1, (0.1, 0.5, 0.2, 0.2)), ("ft", 1, (0.0, 0.2, 0.4, 0.4))),
        held(
            "p0",
            1,
            ("base", 0, (0.3, 0.5, 0.2, 0.0)),
            ("ft", 0, (0.2, 0.4, 0.4, 0.0)),
            ("base", 4, (0.2, 0.8, 0.0, 0.0)),
            ("ft", 4, (0.0, 0.6, 0.4, 0.0)),
        ),
        held("p1", 0, ("base", 1, (0.0, 1.0, 0.0, 0.0)), ("ft", 1, (0.0, 1.0, 0.0, 0.0))),
        held("p2", 0, ("base", 1, (1.0, 0.0, 0.0, 0.0))),  # ft has not explained it
        held("p3", 0),
    ]
    goat, the = most_pulling(rows, least=2)
    assert (goat.text, goat.word, goat.prompts, goat.even) == ("base", "goat", 2, 0.25)
    assert goat.shares == pytest.approx({"base": (0.6 + 1) / 2, "ft": (0.4 + 1) / 2})
    assert goat.pull == pytest.approx(0.8 / 0.25)
    assert (the.word, the.prompts, the.even) == ("the", 2, 0.5)
    assert the.shares == pytest.approx({"base": (1 / 3) / 2, "ft": (1.4 / 3) / 2}, abs=1e-6)
    assert most_pulling(rows, least=3) == []


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [held(f"p{i}", 0, ("base", 1, (0.1 * i, 0.5, 0.5 - 0.1 * i, 0.0))) for i in range(4)]
    forth, back = most_pulling(rows), most_pulling(rows[::-1])
    assert [one.word for one in forth] == [one.word for one in back] == ["goat", "the"]
    assert [one.shares for one in forth] == [one.shares for one in back]
    assert from_json(PromptWord, json.loads(json.dumps(to_json(forth[0])))) == forth[0]
