"""Pure losses of the regulariser, in nats.

R(x, y_<=i) is the probability that a response which began like this ends up accepted. The
auxiliary head gives its logit r for every next token, so all quantities come in log space:
log R = logsigmoid(r), log(1 - R) = logsigmoid(-r).

Axes: N prefixes, V vocabulary, K candidates, B buckets (the candidates, then one for all
other tokens).

Sources: Meng et al. 2022, "Controllable Text Generation with Neurally-Decomposed Oracle"
(NADO, arXiv 2205.14219); Meng et al. 2024, "Attribute Controlled Fine-tuning for Large
Language Models" (arXiv 2410.05559); Ganchev et al. 2010, posterior regularisation. The second
paper leaves buckets, weights of prefixes and the stopped gradient open: docs/regularised.md.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

LOWEST_ACCEPTANCE = 1e-4
SMALLEST_TAIL = 1e-6


@dataclass(frozen=True)
class Tilt:
    """The factor by which a constraint changes a next-token probability: q ~ p * factor(R).

    A hard constraint has factor R ** strength (NADO, eq. 3, at strength 1). Where the expected
    acceptance is `acceptance` and must become `required`, the factor is
    a R + b (1 - R) with a = required / acceptance, b = (1 - required) / (1 - acceptance).
    It holds over a domain, or with `per_prompt` for each prompt: `of_prompts`.
    """

    strength: float = 1.0
    required: float | None = None
    acceptance: float | Tensor | None = None
    per_prompt: bool = False

    def of_prompts(self, log_prompt_N: Tensor) -> "Tilt":
        """The tilt at prefixes whose prompts have these log R(x), (N,), as their acceptance."""
        return replace(self, acceptance=log_prompt_N.exp()) if self.per_prompt else self

    def is_constrained(self, log_prompt_N: Tensor) -> Tensor:
        """Whether the constraint acts at these prefixes, (N,): not where the prompt meets it."""
        if self.per_prompt and self.required is not None:
            return log_prompt_N.exp() < self.required
        return torch.ones_like(log_prompt_N, dtype=torch.bool)

    def log_factor(self, log_accept: Tensor, log_reject: Tensor) -> Tensor:
        """Elementwise log factor from log R and log(1 - R)."""
        if self.required is None or self.acceptance is None:
            return self.strength * log_accept
        log_a, log_b = self._log_ab(self.required, self.acceptance, log_accept.ndim)
        if self.required == 1.0:
            return log_a + log_accept
        return torch.logaddexp(log_a + log_accept, log_b + log_reject)

    def prefix_weights(self, log_accept_N: Tensor, log_prompt_N: Tensor) -> Tensor:
        """Weights (N,) by which prefixes of samples of p count like prefixes of q.

        R(x, y_<i) / R(x) for a hard constraint, a R + b (1 - R) for an expectation. Prefixes
        that are accepted less than once in 10,000 times weigh nothing: their R is noise.
        """
        if self.required is None:
            weights_N = (log_accept_N - log_prompt_N).exp()
        else:
            log_reject_N = torch.log1p(-log_accept_N.exp().clamp(max=1 - 1e-7))
            tilt = self.of_prompts(log_prompt_N)
            weights_N = tilt.log_factor(log_accept_N, log_reject_N).exp()
        return weights_N.masked_fill(log_accept_N < math.log(LOWEST_ACCEPTANCE), 0.0)

    @staticmethod
    def _log_ab(
        required: float, acceptance: float | Tensor, axes: int
    ) -> tuple[float | Tensor, float | Tensor]:
        """log a and log b; for N prompts (N, 1, ...), with `axes` axes."""
        if isinstance(acceptance, Tensor):
            pi = acceptance.clamp(LOWEST_ACCEPTANCE, 1 - SMALLEST_TAIL)
            pi = pi.reshape(-1, *[1] * (axes - 1))
            return (required / pi).log(), ((1 - required) / (1 - pi)).log()
        b = (1 - required) / (1 - acceptance)
        return math.log(required / acceptance), math.log(b) if b > 0 else -math.inf


def constraint_kl(acceptance: float, required: float | None = None) -> float:
    """KL(q* || p) in nats: the least divergence at which the constraint is met.

    -log(acceptance) for a hard constraint (NADO, eq. 4), the divergence of two coins for an
    expectation; 0 where it is met already.

    >>> round(constraint_kl(0.77), 3), round(constraint_kl(0.77, 0.9), 3), constraint_kl(0.9, 0.8)
    (0.261, 0.057, 0.0)
    """
    r = 1.0 if required is None else required
    if acceptance >= r:
        return 0.0
    rejected = 0.0 if r == 1.0 else (1 - r) * math.log((1 - r) / (1 - acceptance))
    return r * math.log(r / acceptance) + rejected


def projected(log_p: Tensor, log_factor: Tensor) -> Tensor:
    """log q, normalised over the last axis: q ~ p * factor (NADO, eq. 3)."""
    u = log_p + log_factor
    return u - torch.logsumexp(u, dim=-1, keepdim=True)


def divergence(log_q_NB: Tensor, log_p_NB: Tensor) -> Tensor:
    """KL(q || p) per prefix, (N,), in nats. The gradient is stopped at q.

    The gradient at the logits of p is p - q. A gradient through q, whose anchor moves with p,
    would change it, even to the opposite sign in most coordinates.
    """
    log_q_NB = log_q_NB.detach()
    return (log_q_NB.exp() * (log_q_NB - log_p_NB)).sum(dim=-1)


def with_tail(log_p_NK: Tensor) -> Tensor:
    """(N, K + 1): the candidates' log-probabilities, then that of all other tokens together."""
    rest_N = -torch.expm1(torch.logsumexp(log_p_NK, dim=-1))
    log_tail_N = rest_N.clamp(min=SMALLEST_TAIL).log()
    return torch.cat([log_p_NK, log_tail_N[:, None]], dim=-1)


def tail_acceptance(log_p_NB: Tensor, log_accept_NK: Tensor, log_accept_N: Tensor) -> Tensor:
    """log R (N,) of the bucket of all other tokens, so that forward consistency holds.

    (R(prefix) - sum over the candidates of p R) / p_tail, in [1e-4, 1]: with R(prefix) from
    the head, which is not quite consistent, it could leave that range.
    """
    p_NB = log_p_NB.exp()
    known_N = (p_NB[:, :-1] * log_accept_NK.exp()).sum(dim=-1)
    tail_N = (log_accept_N.exp() - known_N) / p_NB[:, -1]
    return tail_N.clamp(LOWEST_ACCEPTANCE, 1.0).log()


def bucketed_target(log_p_NB: Tensor, r_NK: Tensor, log_accept_N: Tensor, tilt: Tilt) -> Tensor:
    """log q (N, B) of the projected anchor over candidates and tail.

    `log_p_NB` is the anchor's (`with_tail`), `r_NK` the head's logits at the candidates,
    `log_accept_N` log R of the prefixes. KL over buckets is at most that over the vocabulary
    when R(prefix) is exact and the strength 1.
    """
    log_tail_N = tail_acceptance(log_p_NB, logsigmoid(r_NK), log_accept_N)
    log_not_tail_N = torch.log1p(-log_tail_N.exp().clamp(max=1 - 1e-7))
    log_accept_NB = torch.cat([logsigmoid(r_NK), log_tail_N[:, None]], dim=-1)
    log_reject_NB = torch.cat([logsigmoid(-r_NK), log_not_tail_N[:, None]], dim=-1)
    return projected(log_p_NB, tilt.log_factor(log_accept_NB, log_reject_NB))


def full_target(log_p_NV: Tensor, r_NV: Tensor, tilt: Tilt) -> Tensor:
    """log q (N, V) of the projected anchor over the whole vocabulary."""
    return projected(log_p_NV, tilt.log_factor(logsigmoid(r_NV), logsigmoid(-r_NV)))


def dual_step(
    weight: float, acceptance: float, required: float, *, rate: float, limits: tuple[float, float]
) -> float:
    """The next weight of the regulariser: it grows while too little is accepted, else it falls.

    Exponentiated gradient ascent on the dual variable of E[C] >= required.

    >>> round(dual_step(1.0, 0.7, 0.9, rate=5.0, limits=(0.1, 30.0)), 3)
    2.718
    >>> dual_step(29.0, 0.0, 1.0, rate=5.0, limits=(0.1, 30.0))
    30.0
    """
    low, high = limits
    return min(max(weight * math.exp(rate * (required - acceptance)), low), high)
