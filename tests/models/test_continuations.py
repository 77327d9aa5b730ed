"""Scores of continuations: the numbers of whole texts, with what they share read once."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from detoxlab.errors import DataError
from detoxlab.models import LanguageModel, continuation_scores
from tests.models.test_prefix import prompts, tokens_read
from tests.support.layouts import SUPPORTED, layout_lm
from tests.support.tiny import tiny_lm

# Of each context, the lengths of its continuations: several, one, and of one token.
ANSWERS = ([3, 5, 2], [1, 1], [4], [1, 6, 2, 1])


def questions(
    common: int, ends: Sequence[int] = (7, 2, 9, 4), answers: Sequence[Sequence[int]] = ANSWERS
) -> tuple[list[list[int]], list[list[int]]]:
    """Random contexts that begin alike, each as often as it has continuations; and these."""
    chance = np.random.default_rng(1)
    contexts, continuations = [], []
    for context, lengths in zip(prompts(common, ends), answers, strict=True):
        for length in lengths:
            contexts.append(context)
            continuations.append(chance.integers(4, 260, length).tolist())
    return contexts, continuations


def expected(lm: LanguageModel, context: list[int], continuation: list[int]) -> tuple[float, bool]:
    """Of one text, by one forward pass over all of it."""
    with torch.no_grad():
        logits_TV = lm.model(input_ids=torch.tensor([context + continuation])).logits[0].double()
    own_TV = torch.log_softmax(logits_TV[len(context) - 1 : -1], dim=-1)
    asked_T = torch.tensor(continuation)
    greedy = bool((own_TV.argmax(dim=-1) == asked_T).all())
    return float(own_TV.gather(1, asked_T[:, None]).sum()), greedy


@pytest.mark.parametrize("common", [0, 30])
@pytest.mark.parametrize("kind", SUPPORTED)
def test_every_architecture_gives_the_numbers_of_whole_texts(kind: str, common: int) -> None:
    lm = layout_lm(kind)
    contexts, continuations = questions(common)
    found = continuation_scores(lm, contexts, continuations)
    for context, continuation, one in zip(contexts, continuations, found, strict=True):
        total, greedy = expected(lm, context, continuation)
        assert one.log_prob == pytest.approx(total, abs=2e-4)
        assert (one.is_greedy, one.cut) == (greedy, False)


def test_what_the_model_would_say_itself_is_greedy() -> None:
    lm, (context,) = tiny_lm(), prompts(0, [12])
    with torch.no_grad():
        for _ in range(3):
            logits_TV = lm.model(input_ids=torch.tensor([context])).logits[0]
            context = [*context, int(logits_TV[-1].argmax())]
    asked, own = context[:-3], context[-3:]
    other = [*own[:2], (own[2] + 1) % 260]
    for answers in ([own], [own, other], [own[:1], own]):
        found = continuation_scores(lm, [asked] * len(answers), answers)
        assert [one.is_greedy for one in found] == [one != other for one in answers]


def test_examples_and_questions_are_read_once() -> None:
    lm = tiny_lm()
    contexts, continuations = questions(100, (5, 5), ([1, 1, 1, 1], [3, 3]))
    counts = tokens_read(lm)
    continuation_scores(lm, contexts, continuations)
    assert counts == [100, 2 * 5, 2 * 2]  # examples, questions, answers without their last token


def test_a_batch_of_any_size_gives_the_same() -> None:
    lm, (contexts, continuations) = tiny_lm(), questions(40)
    together = continuation_scores(lm, contexts, continuations)
    for batch_tokens in (1, 150):
        apart = continuation_scores(lm, contexts, continuations, batch_tokens=batch_tokens)
        np.testing.assert_allclose(
            [o.log_prob for o in apart], [o.log_prob for o in together], atol=1e-4
        )


def test_a_long_context_loses_its_beginning_and_says_so() -> None:
    lm = tiny_lm()
    (long,), answer = prompts(0, [300]), [7, 8, 9]
    fits = lm.context_length + 1 - len(answer)  # the last token of an answer is not read
    (whole, cut) = continuation_scores(lm, [long[-fits:], long], [answer, answer])
    assert (whole.cut, cut.cut) == (False, True)
    assert cut.log_prob == whole.log_prob


def test_equal_pairs_and_none_at_all() -> None:
    lm, (contexts, continuations) = tiny_lm(), questions(20)
    twice = continuation_scores(lm, contexts * 2, continuations * 2)
    assert twice[: len(contexts)] == twice[len(contexts) :]
    assert continuation_scores(lm, [], []) == []


@pytest.mark.parametrize(
    ("contexts", "answers", "said"),
    [
        ([[5]], [[]], "continuation 0 has no token"),
        ([[]], [[5]], "context 0 has no token"),
        ([[5]], [[6] * 300], "300 tokens"),
        ([[5], [6]], [[5]], "2 contexts but 1"),
    ],
)
def test_what_cannot_be_asked(
    contexts: list[list[int]], answers: list[list[int]], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        continuation_scores(tiny_lm(), contexts, answers)
