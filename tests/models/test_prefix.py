"""Prompts that begin alike: the same numbers, with their beginning read once."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from detoxlab.models import LanguageModel, next_token_log_probs, shared_next_token_log_probs
from tests.support.layouts import SUPPORTED, layout_lm
from tests.support.tiny import tiny_lm

TOKENS = [5, 9, 77]


def prompts(common: int, ends: Sequence[int], seed: int = 0) -> list[list[int]]:
    """Random tokens: so many in common, then so many of its own for each prompt."""
    chance = np.random.default_rng(seed)
    head = chance.integers(4, 260, common).tolist()
    return [head + chance.integers(4, 260, count).tolist() for count in ends]


def tokens_read(lm: LanguageModel) -> list[int]:
    """A list that grows by the number of tokens in each forward pass."""
    counts: list[int] = []
    lm.model.register_forward_pre_hook(
        lambda _module, _args, given: counts.append(given["input_ids"].numel()), with_kwargs=True
    )
    return counts


@pytest.mark.parametrize("kind", SUPPORTED)
def test_every_architecture_gives_the_numbers_of_whole_prompts(kind: str) -> None:
    lm, asked = layout_lm(kind), prompts(40, [3, 9, 1, 14, 9])
    whole_NC = next_token_log_probs(lm, asked, TOKENS)
    shared_NC = shared_next_token_log_probs(lm, asked, TOKENS)
    np.testing.assert_allclose(np.exp(shared_NC), np.exp(whole_NC), atol=1e-5)


def test_the_beginning_is_read_once() -> None:
    lm = tiny_lm()
    asked = prompts(100, [2, 3, 3])
    counts = tokens_read(lm)
    shared_next_token_log_probs(lm, asked, TOKENS)
    assert counts == [100, 3 * 3]


def test_a_batch_of_any_size_gives_the_same() -> None:
    lm, asked = tiny_lm(), prompts(50, [2, 30, 7, 7, 1])
    together_NC = shared_next_token_log_probs(lm, asked, TOKENS)
    for batch_tokens in (1, 120):
        one_by_one_NC = shared_next_token_log_probs(lm, asked, TOKENS, batch_tokens=batch_tokens)
        np.testing.assert_allclose(one_by_one_NC, together_NC, atol=1e-4)


@pytest.mark.parametrize(
    ("common", "ends"), [(3, [4, 5]), (40, [6]), (0, [3, 3])], ids=["short", "one", "unlike"]
)
def test_where_nothing_is_gained_prompts_are_read_whole(common: int, ends: list[int]) -> None:
    lm, asked = tiny_lm(), prompts(common, ends)
    counts = tokens_read(lm)
    found_NC = shared_next_token_log_probs(lm, asked, TOKENS)
    assert counts == [len(asked) * max(map(len, asked))]
    np.testing.assert_array_equal(found_NC, next_token_log_probs(lm, asked, TOKENS))


def test_equal_prompts_and_none_at_all() -> None:
    lm, (asked,) = tiny_lm(), prompts(40, [5])
    one_C, other_C = shared_next_token_log_probs(lm, [asked, asked], TOKENS)
    np.testing.assert_allclose(one_C, next_token_log_probs(lm, [asked], TOKENS)[0], atol=1e-5)
    np.testing.assert_array_equal(one_C, other_C)
    assert shared_next_token_log_probs(lm, [], TOKENS).shape == (0, 3)


def test_the_model_stays_in_its_mode() -> None:
    lm = tiny_lm()
    lm.model.train()
    shared_next_token_log_probs(lm, prompts(40, [2, 3]), TOKENS)
    assert lm.model.training
    assert torch.is_grad_enabled()
