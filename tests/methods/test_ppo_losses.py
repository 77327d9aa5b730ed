"""The arithmetic of PPO against numbers computed by hand, and the laws it must keep."""

import math

import pytest
import torch
from torch import Tensor

from detoxlab.methods.ppo.losses import (
    KLEstimator,
    adapted_coefficient,
    clipped_share,
    entropy,
    gae,
    kl_estimate,
    log_probs_of,
    masked_mean,
    penalised_rewards,
    policy_loss,
    value_loss,
    whitened,
)

T, F = True, False


def close(found: Tensor, expected: list[list[float]]) -> bool:
    return torch.allclose(found, torch.tensor(expected, dtype=found.dtype), atol=1e-6)


# --- averages ---


def test_a_mean_weighs_all_tokens_alike_and_ignores_padding() -> None:
    values = torch.tensor([[1.0, math.nan, math.nan], [2.0, 3.0, 6.0]])
    mask = torch.tensor([[T, F, F], [T, T, T]])
    assert masked_mean(values, mask).item() == 3.0


def test_whitening_gives_mean_0_and_deviation_1_over_the_tokens() -> None:
    values = torch.tensor([[2.0, 4.0, 77.0], [6.0, 77.0, 77.0]])
    mask = torch.tensor([[T, T, F], [T, F, F]])
    # mean 4, variance (4 + 0 + 4) / 3
    step = 2 / math.sqrt(8 / 3)
    assert close(whitened(values, mask), [[-step, 0, 0], [step, 0, 0]])


def test_equal_values_whiten_to_zero() -> None:
    assert close(
        whitened(torch.full((2, 2), 3.0), torch.ones(2, 2, dtype=torch.bool)), [[0, 0]] * 2
    )


# --- distributions ---


def test_log_probabilities_are_those_of_the_softmax() -> None:
    logits = torch.tensor([[[0.0, math.log(3.0)], [5.0, 5.0]]])  # 1/4 3/4, then 1/2 1/2
    assert close(log_probs_of(logits, torch.tensor([[1, 0]])).exp(), [[0.75, 0.5]])


def test_entropy_of_a_quarter_and_three_quarters() -> None:
    logits = torch.tensor([[[0.0, math.log(3.0)]]])
    assert close(entropy(logits), [[0.25 * math.log(4) + 0.75 * math.log(4 / 3)]])


def test_a_token_that_is_ruled_out_adds_nothing_to_the_entropy_or_its_gradient() -> None:
    logits = torch.tensor([[[0.0, -math.inf, math.log(3.0)]]], requires_grad=True)
    value = entropy(logits)
    assert close(value, [[0.25 * math.log(4) + 0.75 * math.log(4 / 3)]])
    value.sum().backward()
    slope = 0.25 * 0.75 * math.log(3)  # dH/dz = -p (log p + H), of opposite sign for the two
    assert logits.grad is not None
    assert close(logits.grad[0], [[slope, 0.0, -slope]])


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        ("k1", [math.log(2), -math.log(2)]),
        ("k2", [math.log(2) ** 2 / 2, math.log(2) ** 2 / 2]),
        ("k3", [0.5 - 1 + math.log(2), 2 - 1 - math.log(2)]),
    ],
)
def test_kl_estimators_at_half_and_double_the_probability(
    estimator: KLEstimator, expected: list[float]
) -> None:
    log_probs, reference = torch.tensor([[0.8, 0.2]]).log(), torch.tensor([[0.4, 0.4]]).log()
    assert close(kl_estimate(log_probs, reference, estimator), [expected])


def test_k1_and_k3_are_unbiased_and_k2_is_not() -> None:
    policy, reference = torch.tensor([0.6, 0.3, 0.1]), torch.tensor([0.05, 0.05, 0.9])
    kl = (policy * (policy / reference).log()).sum()
    expectation = {
        estimator: (policy * kl_estimate(policy.log(), reference.log(), estimator)).sum()
        for estimator in ("k1", "k2", "k3")
    }
    assert torch.isclose(expectation["k1"], kl)
    assert torch.isclose(expectation["k3"], kl)
    assert abs(expectation["k2"] - kl) > 0.05


def test_the_coefficient_moves_towards_the_target_by_at_most_a_fifth_of_n_over_horizon() -> None:
    def adapted(kl: float) -> float:
        return adapted_coefficient(0.5, kl, 2.0, responses=100, horizon=1000)

    assert adapted(2.0) == 0.5
    assert adapted(2.2) == pytest.approx(0.5 * 1.01)
    assert adapted(99.0) == pytest.approx(0.5 * 1.02)
    assert adapted(-99.0) == pytest.approx(0.5 * 0.98)


# --- rewards and advantages ---


def test_the_reward_falls_on_the_last_token_wherever_the_padding_stands() -> None:
    mask = torch.tensor([[T, T, F], [F, T, T], [T, F, F]])
    kl = torch.tensor([[1.0, 2.0, 50.0], [50.0, 3.0, 4.0], [-1.0, 50.0, 50.0]])
    rewards = penalised_rewards(torch.tensor([10.0, 20.0, 30.0]), kl, mask, 0.1)
    assert close(rewards, [[-0.1, 9.8, 0.0], [0.0, -0.3, 19.6], [30.1, 0.0, 0.0]])


def test_advantages_by_hand() -> None:
    rewards, values = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.5, 1.0, 1.5]])
    # gamma .9, lambda .5: delta = 1 + .9 - .5, .9 * 1.5 - 1, 2 - 1.5 = 1.4, .35, .5
    # A_3 = .5, A_2 = .35 + .45 * .5 = .575, A_1 = 1.4 + .45 * .575 = 1.65875
    mask = torch.ones(1, 3, dtype=torch.bool)
    assert close(gae(rewards, values, mask, gamma=0.9, lam=0.5), [[1.65875, 0.575, 0.5]])


def test_with_gamma_and_lambda_1_an_advantage_is_the_reward_to_come_less_the_value() -> None:
    rewards, values = torch.tensor([[1.0, -3.0, 2.0]]), torch.tensor([[0.5, 1.0, 1.5]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    assert close(gae(rewards, values, mask, gamma=1, lam=1), [[-0.5, -2.0, 0.5]])


def test_with_lambda_0_an_advantage_is_the_one_step_error() -> None:
    rewards, values = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.5, 1.0, 1.5]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    assert close(gae(rewards, values, mask, gamma=0.9, lam=0), [[1.4, 0.35, 0.5]])


def test_padding_on_either_side_changes_no_advantage() -> None:
    short = gae(
        torch.tensor([[1.0, 2.0]]),
        torch.tensor([[0.5, 0.25]]),
        torch.tensor([[T, T]]),
        gamma=0.9,
        lam=0.8,
    )
    padded = gae(
        torch.tensor([[7.0, 1.0, 2.0], [1.0, 2.0, 7.0]]),
        torch.tensor([[9.0, 0.5, 0.25], [0.5, 0.25, 9.0]]),
        torch.tensor([[F, T, T], [T, T, F]]),
        gamma=0.9,
        lam=0.8,
    )
    assert torch.equal(padded[0, 1:], short[0])
    assert torch.equal(padded[1, :2], short[0])
    assert padded[0, 0] == padded[1, 2] == 0


# --- losses ---


def test_the_policy_loss_is_clipped_only_where_that_is_the_worse() -> None:
    ratio = torch.tensor([[1.5, 0.5, 1.5, 0.5, 1.1]])
    advantages = torch.tensor([[2.0, 2.0, -2.0, -2.0, 2.0]])
    loss = policy_loss(ratio.log(), torch.zeros(1, 5), advantages, 0.2)
    assert close(loss, [[-2.4, -1.0, 3.0, 1.6, -2.2]])


def test_a_clipped_token_has_no_gradient_and_a_fresh_one_that_of_reinforce() -> None:
    log_probs = torch.tensor([[math.log(1.5), 0.0]], requires_grad=True)
    policy_loss(log_probs, torch.zeros(1, 2), torch.tensor([[2.0, 2.0]]), 0.2).sum().backward()
    assert log_probs.grad is not None
    assert close(log_probs.grad, [[0.0, -2.0]])


def test_the_value_loss_takes_the_worse_of_clipped_and_unclipped() -> None:
    values = torch.tensor([[1.0, 1.0, 0.1]])
    old, returns = torch.zeros(1, 3), torch.tensor([[2.0, 1.0, 1.0]])
    # unclipped .5, 0, .405; clipped to .2, .2, .1: 1.62, .32, .405
    assert close(value_loss(values, old, returns, 0.2), [[1.62, 0.32, 0.405]])
    assert close(value_loss(values, old, returns, None), [[0.5, 0.0, 0.405]])


def test_the_clipped_share_counts_ratios_outside_on_either_side() -> None:
    ratio = torch.tensor([[1.3, 0.7, 1.1, 9.0]])
    share = clipped_share(ratio.log(), torch.zeros(1, 4), torch.tensor([[T, T, T, F]]), 0.2)
    assert share.item() == pytest.approx(2 / 3)
