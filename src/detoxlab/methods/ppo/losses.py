"""The arithmetic of policy-gradient methods: rewards, advantages, losses, KL. Pure functions.

Arrays are (B, T): B responses, T token positions. `mask_BT` is true where a response has a
token; padding may stand before or after the tokens, never between them, and counts for
nothing. Log-probabilities, entropies and KL are in nats.

Sources: Schulman et al. 2016, GAE, and 2017, PPO; Ziegler et al. 2019, Fine-Tuning Language
Models from Human Preferences; Schulman 2020, Approximating KL Divergence.
"""

from typing import Literal

import torch
from torch import Tensor

KLEstimator = Literal["k1", "k2", "k3"]
EPSILON = 1e-8


# --- averages ---


def masked_mean(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over the tokens, of all responses together; a scalar, NaN where there is no token.

    >>> masked_mean(torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[True, True, False]]))
    tensor(2.)
    """
    return values_BT[mask_BT].mean()


def whitened(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Values with mean 0 and standard deviation 1 over the tokens; padding becomes 0.

    The deviation is the population's (divided by n). Values that are all equal become 0.

    >>> whitened(torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[True, True, False]]))
    tensor([[-1.,  1.,  0.]])
    """
    chosen_N = values_BT[mask_BT]
    white_BT = (values_BT - chosen_N.mean()) / (chosen_N.std(correction=0) + EPSILON)
    return white_BT.masked_fill(~mask_BT, 0.0)


# --- distributions ---


def log_probs_of(logits_BTV: Tensor, tokens_BT: Tensor) -> Tensor:
    """Log-probability of each token under its logits, in nats, (B, T), <= 0.

    >>> log_probs_of(torch.zeros(1, 1, 4), torch.tensor([[2]])).exp()
    tensor([[0.2500]])
    """
    chosen_BT = logits_BTV.gather(-1, tokens_BT[..., None])[..., 0]
    return chosen_BT - logits_BTV.logsumexp(dim=-1)


def entropy(logits_BTV: Tensor) -> Tensor:
    """Entropy of each next-token distribution, (B, T), in [0, log V] nats.

    A token that is ruled out, with the logit −inf, adds nothing to it and gets no gradient.

    >>> entropy(torch.tensor([[[0.0, 0.0, 0.0, 0.0, -torch.inf]]])).exp()
    tensor([[4.]])
    """
    log_probs_BTV = logits_BTV.log_softmax(dim=-1)
    finite_BTV = log_probs_BTV.masked_fill(log_probs_BTV.isneginf(), 0.0)
    return -(log_probs_BTV.exp() * finite_BTV).sum(dim=-1)


def kl_estimate(
    log_probs_BT: Tensor, reference_BT: Tensor, estimator: KLEstimator = "k1"
) -> Tensor:
    """Per-token estimate of KL(policy || reference) from tokens that the policy drew, (B, T).

    With r = reference probability / policy probability:

        k1 = -log r              unbiased, may be negative
        k2 = (log r)^2 / 2       biased, never negative, low variance
        k3 = r - 1 - log r       unbiased, never negative, low variance

    The value of k1 and k3 is unbiased, but as a loss to differentiate they do not have the
    gradient of the KL. Here the estimate enters the reward, as a constant.

    >>> log_probs, reference = torch.tensor([[0.5]]).log(), torch.tensor([[0.25]]).log()
    >>> [round(kl_estimate(log_probs, reference, k).item(), 4) for k in ("k1", "k2", "k3")]
    [0.6931, 0.2402, 0.1931]
    """
    log_ratio_BT = reference_BT - log_probs_BT
    if estimator == "k1":
        return -log_ratio_BT
    if estimator == "k2":
        return log_ratio_BT.square() / 2
    return torch.expm1(log_ratio_BT) - log_ratio_BT


def adapted_coefficient(
    coefficient: float, kl: float, target: float, *, responses: int, horizon: int
) -> float:
    """The KL coefficient for the next step: higher after a KL above `target`, lower below it.

    It is multiplied by 1 + e n / `horizon` with e = kl / target - 1, clipped to [-.2, .2],
    and n = `responses` drawn in this step. `kl` and `target` share their unit.

    Source: Ziegler et al. 2019, section 2.2 (horizon 10 000 there: 10 / K_beta episodes).

    >>> adapted_coefficient(0.1, kl=0.3, target=0.1, responses=50, horizon=1000)
    0.101
    """
    error = min(max(kl / target - 1, -0.2), 0.2)
    return coefficient * (1 + error * responses / horizon)


# --- rewards and advantages ---


def penalised_rewards(rewards_B: Tensor, kl_BT: Tensor, mask_BT: Tensor, beta: float) -> Tensor:
    """Reward of each token, (B, T): -beta times its KL, and the response's at its last token.

    Source: Ziegler et al. 2019, equation 2, taken token by token.

    >>> mask = torch.tensor([[True, True, False]])
    >>> penalised_rewards(torch.tensor([1.0]), torch.tensor([[0.5, 1.0, 9.0]]), mask, 0.1)
    tensor([[-0.0500,  0.9000,  0.0000]])
    """
    rewards_BT = (-beta * kl_BT).masked_fill(~mask_BT, 0.0)
    places_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    last_B = (places_T * mask_BT).argmax(dim=1)
    rows_B = torch.arange(len(rewards_B), device=mask_BT.device)
    rewards_BT[rows_B, last_B] += rewards_B.to(rewards_BT.dtype)
    return rewards_BT


def gae(
    rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, *, gamma: float, lam: float
) -> Tensor:
    """Generalised advantage estimates, (B, T); 0 where there is no token.

    delta_t = r_t + gamma V_(t+1) - V_t and A_t = delta_t + gamma lam A_(t+1). The value after
    the last token is 0: a response that hit the cap counts as one that ended by itself.
    A_t + V_t are the returns that the values learn. With gamma = lam = 1, A_t is the sum of
    all rewards from t on, less V_t.

    Source: Schulman et al. 2016, equations 11 and 16.

    >>> rewards, values = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.25]])
    >>> gae(rewards, values, torch.tensor([[True, True]]), gamma=1.0, lam=0.5)
    tensor([[0.1250, 0.7500]])
    """
    advantages_BT = torch.zeros_like(rewards_BT)
    next_value_B = next_advantage_B = torch.zeros_like(rewards_BT[:, 0])
    for t in reversed(range(rewards_BT.shape[1])):
        here_B = mask_BT[:, t]
        delta_B = rewards_BT[:, t] + gamma * next_value_B - values_BT[:, t]
        advantage_B = delta_B + gamma * lam * next_advantage_B
        next_value_B = torch.where(here_B, values_BT[:, t], 0.0)
        next_advantage_B = torch.where(here_B, advantage_B, 0.0)
        advantages_BT[:, t] = next_advantage_B
    return advantages_BT


# --- losses, per token ---


def policy_loss(
    log_probs_BT: Tensor, old_BT: Tensor, advantages_BT: Tensor, clip_range: float
) -> Tensor:
    """Clipped policy loss of each token, (B, T): -min(ratio A, clip(ratio, 1 -+ clip_range) A).

    The ratio is policy over the policy that drew the tokens.

    Source: Schulman et al. 2017, equation 7, with the sign of a loss.

    >>> new, old = torch.tensor([[0.6, 0.1]]).log(), torch.tensor([[0.4, 0.4]]).log()
    >>> policy_loss(new, old, torch.tensor([[1.0, 1.0]]), 0.2)
    tensor([[-1.2000, -0.2500]])
    """
    ratio_BT = (log_probs_BT - old_BT).exp()
    clipped_BT = ratio_BT.clamp(1 - clip_range, 1 + clip_range)
    return -torch.minimum(ratio_BT * advantages_BT, clipped_BT * advantages_BT)


def value_loss(
    values_BT: Tensor, old_BT: Tensor, returns_BT: Tensor, clip_range: float | None
) -> Tensor:
    """Half the squared error of each value, (B, T); the worse of it and the clipped value's.

    The clipped value stays within `clip_range` of the old one; None clips nothing.

    Source: the PPO implementation of OpenAI Baselines; not in the paper.

    >>> value_loss(torch.tensor([[1.0]]), torch.tensor([[0.0]]), torch.tensor([[2.0]]), 0.2)
    tensor([[1.6200]])
    """
    loss_BT = (values_BT - returns_BT).square() / 2
    if clip_range is None:
        return loss_BT
    clipped_BT = old_BT + (values_BT - old_BT).clamp(-clip_range, clip_range)
    return torch.maximum(loss_BT, (clipped_BT - returns_BT).square() / 2)


def clipped_share(log_probs_BT: Tensor, old_BT: Tensor, mask_BT: Tensor, clip: float) -> Tensor:
    """Share of tokens whose ratio left 1 -+ `clip`, a scalar in [0, 1].

    >>> new, old = torch.tensor([[0.6, 0.4]]).log(), torch.tensor([[0.4, 0.4]]).log()
    >>> clipped_share(new, old, torch.tensor([[True, True]]), 0.2)
    tensor(0.5000)
    """
    ratio_BT = (log_probs_BT - old_BT).exp()
    return masked_mean(((ratio_BT - 1).abs() > clip).float(), mask_BT)
