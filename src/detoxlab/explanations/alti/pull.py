"""A target's derivative with respect to the residual stream, at each step."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from detoxlab.explanations.alti.capture import FinalState, at_places
from detoxlab.explanations.alti.layouts import Parts
from detoxlab.explanations.alti.linear import Norm
from detoxlab.explanations.reading import at_steps
from detoxlab.explanations.targets import Target
from detoxlab.explanations.texts import Batch


@dataclass(frozen=True)
class Pull:
    """A target's derivative with respect to the residual stream after the last layer.

    `pull_BSD` times a part of the residual stream is that part's share of the target.
    `value_BS` is the whole, g · z; `bias_BS` the part of the last biases; `size_BS` is Σ |g| |z|.
    """

    pull_BSD: Tensor
    value_BS: Tensor
    bias_BS: Tensor
    size_BS: Tensor

    @classmethod
    def of(
        cls,
        parts: Parts,
        norm: Norm,
        batch: Batch,
        final: FinalState,
        target: Target,
        logits_NV: Tensor,
        given_N: Tensor,
    ) -> "Pull":
        """From the state around the last norm, the logits of the steps."""
        z = _Logits.of(batch, final.raw, logits_NV, given_N if target.is_local else None)
        g_NK = z.derivative(parts, target, given_N)
        before_BSD, after_BSD = (at_places(one, batch.places_BS) for one in final.around_norm)
        u_ND = _through_head(parts.head, g_NK, z.ids_NK, after_BSD[batch.is_step_BS])
        scale_BS1 = norm.scale(before_BSD, after_BSD)[..., None]
        parts_NK = g_NK * z.raw_NK
        return cls(
            norm.adjoint(batch.by_row(u_ND)) / scale_BS1,
            batch.by_row(parts_NK.sum(-1)),
            batch.by_row(u_ND @ norm.bias_D + _head_bias(parts.head, g_NK, z.ids_NK)),
            batch.by_row(parts_NK.abs_().sum(-1)),
        )


@dataclass(frozen=True)
class _Logits:
    """Logits of the steps: before scale and cap, and as steered, of the tokens `ids_NK` alone.

    None stands for all tokens of the vocabulary.
    """

    raw_NK: Tensor
    steered_NK: Tensor
    ids_NK: Tensor | None

    @classmethod
    def of(
        cls, batch: Batch, raw_BLV: Tensor, logits_NV: Tensor, given: Tensor | None
    ) -> "_Logits":
        raw_NV = at_steps(batch, raw_BLV)
        if given is None:
            return cls(raw_NV, logits_NV, None)
        ids_NK = given.reshape(len(raw_NV), -1)
        return cls(raw_NV.gather(1, ids_NK), logits_NV.gather(1, ids_NK), ids_NK)

    def derivative(self, parts: Parts, target: Target, given_N: Tensor) -> Tensor:
        """g: the target's derivative at the logits before scale and cap (N, K).

        A steering's change of the logits counts as a constant.
        """
        if self.ids_NK is not None:  # the given tokens are now the first, second, … column
            given_N = torch.arange(self.ids_NK.shape[1]).to(given_N).expand_as(self.ids_NK)
            given_N = given_N.reshape(-1) if given_N.shape[1] == 1 else given_N
        with torch.enable_grad():
            raw_NK = self.raw_NK.detach().requires_grad_()
            finished_NK = finished(parts, raw_NK)
            steered_NK = finished_NK + (self.steered_NK - finished_NK).detach()
            (g_NK,) = torch.autograd.grad(target.value(steered_NK, given_N).sum(), raw_NK)
        return g_NK


def finished(parts: Parts, raw_NV: Tensor) -> Tensor:
    """The model's logits, from what the output layer gives."""
    scaled_NV = raw_NV * parts.logit_scale
    cap = parts.logit_cap
    return scaled_NV if cap is None else cap * torch.tanh(scaled_NV / cap)


def _through_head(head: Any, g_NK: Tensor, ids_NK: Tensor | None, hidden_ND: Tensor) -> Tensor:
    """u = gᵀ W (N, D), also where the output layer is adapted."""
    if type(head) is nn.Linear:
        weight_VD = head.weight.detach()
        return g_NK @ weight_VD if ids_NK is None else _weighed(g_NK, weight_VD[ids_NK])
    with torch.enable_grad():
        hidden_ND = hidden_ND.detach().requires_grad_()
        logits_NV = head.forward(hidden_ND)
        logits_NK = logits_NV if ids_NK is None else logits_NV.gather(1, ids_NK)
        u_ND: Tensor = torch.autograd.grad(logits_NK, hidden_ND, g_NK)[0]
    return u_ND


def _weighed(g_NK: Tensor, rows_NKD: Tensor) -> Tensor:
    return torch.einsum("nk,nkd->nd", g_NK, rows_NKD)


def _head_bias(head: Any, g_NK: Tensor, ids_NK: Tensor | None) -> Tensor:
    """The part of the output layer's bias in g · z (N,)."""
    bias_V: Tensor | None = getattr(head, "bias", None)
    if bias_V is None:
        return torch.zeros_like(g_NK[:, 0])
    return g_NK @ bias_V if ids_NK is None else (g_NK * bias_V[ids_NK]).sum(-1)
