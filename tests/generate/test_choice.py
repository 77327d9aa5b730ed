"""Which tokens are kept, and that the draw among them is exact."""

import pytest
import torch
from scipy import stats
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from detoxlab.generate.choice import draw, kept_tokens
from detoxlab.generate.noise import noise_key
from detoxlab.records import Sampling


def kept_set(logits_BV: torch.Tensor, sampling: Sampling, candidates: int) -> torch.Tensor:
    kept = kept_tokens(logits_BV, sampling, candidates)
    inside_BV = torch.zeros_like(logits_BV, dtype=torch.bool)
    for row, (ids, weights) in enumerate(zip(kept.ids_BC, kept.weights_BC, strict=True)):
        inside_BV[row, ids[weights > float("-inf")]] = True
    return inside_BV


def transformers_set(logits_BV: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    scores_BV = TemperatureLogitsWarper(sampling.temperature)(None, logits_BV)
    if sampling.top_k:
        scores_BV = TopKLogitsWarper(sampling.top_k)(None, scores_BV)
    if sampling.top_p < 1.0:
        scores_BV = TopPLogitsWarper(sampling.top_p)(None, scores_BV)
    return scores_BV > float("-inf")


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("top_k", [0, 1, 10, 400])
@pytest.mark.parametrize("candidates", [4, 32, 300])
def test_the_kept_sets_are_those_of_transformers(
    temperature: float, top_p: float, top_k: int, candidates: int
) -> None:
    generator = torch.Generator().manual_seed(1)
    scale_B1 = torch.tensor([[0.1], [1.0], [2.0], [4.0], [8.0]]).repeat(4, 1)
    logits_BV = torch.randn(20, 300, generator=generator) * scale_B1
    sampling = Sampling(temperature=temperature, top_p=top_p, top_k=top_k)
    ours = kept_set(logits_BV, sampling, candidates)
    assert torch.equal(ours, transformers_set(logits_BV, sampling))


@pytest.mark.parametrize("top_k", [0, 3, 7])
@pytest.mark.parametrize("top_p", [0.31, 0.62, 0.87, 1.0])
def test_where_tokens_tie_the_kept_logits_agree_and_the_lower_ids_stay(
    top_k: int, top_p: float
) -> None:
    """transformers leaves it to an unstable sort which of equal tokens top-p keeps."""
    generator = torch.Generator().manual_seed(2)
    logits_BV = torch.randint(0, 4, (30, 40), generator=generator).float()
    sampling = Sampling(top_p=top_p, top_k=top_k)
    ours = kept_set(logits_BV, sampling, 40)
    theirs = transformers_set(logits_BV, sampling)
    for logits_V, our_V, their_V in zip(logits_BV, ours, theirs, strict=True):
        assert logits_V[our_V].sort().values.tolist() == logits_V[their_V].sort().values.tolist()
        edge = (logits_V == logits_V[our_V].min()).nonzero()[:, 0]
        kept = our_V[edge].tolist()
        assert kept == sorted(kept, reverse=True)
    for candidates in (2, 5):
        assert torch.equal(kept_set(logits_BV, sampling, candidates), ours)


@pytest.mark.parametrize("values", [30, 1000, 100_000])
@pytest.mark.parametrize(
    "sampling", [Sampling(top_p=0.05), Sampling(top_k=30), Sampling(top_p=0.5)]
)
def test_long_rows_are_warped_like_short_ones(values: int, sampling: Sampling) -> None:
    """Their best are looked for in groups. Few values tie often, some tokens are in no group."""
    generator = torch.Generator().manual_seed(4)
    logits_BV = torch.randint(0, values, (8, 16 * 300 + 5), generator=generator) / (values / 20)
    logits_BV[0, -1], logits_BV[1, :-2] = 21.0, float("-inf")
    in_groups, at_once = (kept_set(logits_BV, sampling, n) for n in (40, logits_BV.shape[-1]))
    assert torch.equal(in_groups, at_once)


def test_a_draw_is_the_same_whether_noise_is_drawn_for_all_tokens_or_picked_out() -> None:
    """Most tokens are ruled out in the second half: noise is drawn for the others alone."""
    logits_V = torch.randn(600, generator=torch.Generator().manual_seed(5))
    few_V = torch.cat([logits_V, torch.full((1400,), float("-inf"))])
    assert torch.equal(drawn(logits_V, Sampling(), 50), drawn(few_V, Sampling(), 50))


def test_top_p_by_hand() -> None:
    logits_BV = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    for top_p, kept in ((0.39, 1), (0.41, 2), (0.69, 2), (0.71, 3), (0.95, 4)):
        assert int(kept_set(logits_BV, Sampling(top_p=top_p), 4).sum()) == kept


def drawn(logits_V: torch.Tensor, sampling: Sampling, count: int, *, step: int = 0) -> torch.Tensor:
    """One draw for each of `count` prompts with two samples each."""
    keys_N2 = torch.tensor([noise_key(5, f"prompt-{i}") for i in range(count)])
    keys_R2 = keys_N2.repeat_interleave(2, dim=0)
    kept = kept_tokens(logits_V.expand(2 * count, -1), sampling)
    samples_R = torch.arange(2).repeat(count)
    return draw(kept, (keys_R2[:, 0], keys_R2[:, 1]), samples_R, step)[0]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.7, top_p=0.9, top_k=6)])
def test_draws_follow_the_warped_distribution(sampling: Sampling) -> None:
    logits_V = torch.tensor([1.0, 0.2, -0.5, 2.0, 0.0, -3.0, 1.5, 0.9])
    counts_V = torch.bincount(drawn(logits_V, sampling, 5000), minlength=8)
    inside_V = transformers_set(logits_V[None], sampling)[0]
    weights_V = (logits_V / sampling.temperature).masked_fill(~inside_V, float("-inf"))
    expected_V = weights_V.double().softmax(-1) * 10_000
    assert int(counts_V[~inside_V].sum()) == 0
    observed, expected = counts_V[inside_V].numpy(), expected_V[inside_V].numpy()
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_steps_and_samples_draw_anew() -> None:
    logits_V = torch.zeros(50)
    first, second = (drawn(logits_V, Sampling(), 200, step=step) for step in (0, 1))
    assert float((first == second).float().mean()) < 0.1
    assert float((first[::2] == first[1::2]).float().mean()) < 0.1


def test_what_else_is_kept_does_not_change_the_winner() -> None:
    """A token that wins among all still wins when others are dropped."""
    logits_V = torch.randn(50, generator=torch.Generator().manual_seed(3))
    wide = drawn(logits_V, Sampling(), 300)
    narrow = drawn(logits_V, Sampling(top_p=0.6), 300)
    inside_V = kept_set(logits_V[None], Sampling(top_p=0.6), 50)[0]
    assert torch.equal(wide[inside_V[wide]], narrow[inside_V[wide]])
    assert 0.5 < float(inside_V[wide].float().mean()) < 0.7


def test_temperature_zero_takes_the_best_token_and_its_margin_is_infinite() -> None:
    logits_BV = torch.tensor([[0.0, 3.0, 1.0], [2.0, 0.0, 2.5]])
    kept = kept_tokens(logits_BV, Sampling(temperature=0.0))
    zeros = torch.zeros(2, dtype=torch.int64)
    tokens, _ = draw(kept, (zeros, zeros), zeros, 0)
    assert tokens.tolist() == [1, 2]
