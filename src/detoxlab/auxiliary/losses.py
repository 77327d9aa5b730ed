"""Pure losses of the auxiliary model, in nats, and the weights of its samples.

R(x, y_<=i) is the probability that a response which began like this ends up accepted. The
auxiliary head gives its logit r for every next token, so all quantities come in log space:
log R = logsigmoid(r), log(1 - R) = logsigmoid(-r).

Axes: N prefixes (samples for the weights), V vocabulary.

Source: Meng et al. 2022, "Controllable Text Generation with Neurally-Decomposed Oracle"
(NADO, arXiv 2205.14219).
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def log_next_acceptance(log_p_NV: Tensor, r_NV: Tensor) -> tuple[Tensor, Tensor]:
    """log S and log(1 - S), each (N,): S = sum over v of p(v) sigmoid(r[v]) (forward, eq. 5).

    The logarithm of 1 - S is a sum of its own: 1 - S itself would vanish in float32.
    """
    log_s_N = torch.logsumexp(log_p_NV + logsigmoid(r_NV), dim=-1)
    log_not_s_N = torch.logsumexp(log_p_NV + logsigmoid(-r_NV), dim=-1)
    return log_s_N, log_not_s_N


def acceptance_loss(r_N: Tensor, accepted_N: Tensor) -> Tensor:
    """Binary cross-entropy (N,) of R at each prefix against whether its sequence was accepted.

    >>> acceptance_loss(torch.zeros(1), torch.ones(1)).item()  # -log 0.5
    0.6931471824645996
    """
    return -torch.where(accepted_N.bool(), logsigmoid(r_N), logsigmoid(-r_N))


def consistency_loss(r_N: Tensor, log_s_N: Tensor, log_not_s_N: Tensor) -> Tensor:
    """KL(S || R) of two coins, (N,): the gap between R and the next step's expectation (eq. 5).

    The gradient reaches R alone, `r_N`; S is a target. Never below 0.
    """
    log_s_N, log_not_s_N = log_s_N.detach(), log_not_s_N.detach()
    accepted_N = log_s_N.exp() * (log_s_N - logsigmoid(r_N))
    return accepted_N + log_not_s_N.exp() * (log_not_s_N - logsigmoid(-r_N))


def importance_weights(log_weights_N: Tensor, *, limit: float = 10.0) -> Tensor:
    """Weights (N,) with mean 1 from log p(y) - log s(y), at most `limit` times the median.

    >>> importance_weights(torch.tensor([0.0, 0.0, 0.0]))
    tensor([1., 1., 1.])
    """
    centred_N = (log_weights_N - log_weights_N.median()).clamp(max=math.log(limit))
    return len(log_weights_N) * torch.softmax(centred_N, dim=0)
