"""Policy, reference and value function on one copy of the base weights.

The policy is the model with its adapter on, the reference the same model with it off, and the
values a linear map of the policy's last hidden state. Imports peft, which takes seconds: import
this file only to train.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from peft import get_peft_model
from torch import Tensor, nn

from detoxlab.errors import TrainingError
from detoxlab.methods.loop.adapters import lora_config
from detoxlab.methods.loop.quiet import forget_activations
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.models import LanguageModel
from detoxlab.models.finite import check_finite
from detoxlab.models.likelihood import left_padded

Ids = tuple[int, ...]


class Response(NamedTuple):
    """Token ids of the context that the model was given and of the response that it drew."""

    context: Ids
    drawn: Ids


@dataclass(frozen=True)
class ResponseBatch:
    """Responses as the model's inputs; the drawn tokens `tokens_BT` end at the last position.

    `mask_BT` is true at the tokens that were drawn, the end token among them.
    """

    inputs: dict[str, Any]
    tokens_BT: Tensor
    mask_BT: Tensor


@dataclass(frozen=True)
class Outputs:
    """Next-token logits (B, T, V) and values (B, T) at the positions that drew the tokens."""

    logits_BTV: Tensor
    values_BT: Tensor


class Policy:
    """`lm` with a new adapter and a value head that starts at zero.

    It is always in evaluation mode: dropout would make the ratio of two policies random.
    `weights` are all weights that are learnt: the adapter's, and those of `value_head`.
    """

    def __init__(self, lm: LanguageModel, config: PPOConfig) -> None:
        _check_precision(lm)
        torch.manual_seed(config.seed)
        model = get_peft_model(lm.model, lora_config(config, lm.model)).eval()
        if config.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
            forget_activations(model)
        self.lm = replace(lm, model=model)
        self.value_head = _value_head(lm)
        self._half = _autocasts(lm, config)

    @property
    def adapter_weights(self) -> list[nn.Parameter]:
        """The adapter's trainable weights."""
        return [weight for weight in self.lm.model.parameters() if weight.requires_grad]

    @property
    def weights(self) -> list[nn.Parameter]:
        """All weights that are learnt."""
        return [*self.adapter_weights, *self.value_head.parameters()]

    def batch(self, responses: Sequence[Response]) -> ResponseBatch:
        """The responses padded on the left, so that early logits can be left out."""
        inputs = left_padded(self.lm, [one.context + one.drawn for one in responses])
        width = max(len(one.drawn) for one in responses)
        lengths_B = torch.tensor([len(one.drawn) for one in responses], device=self.lm.device)
        places_T = torch.arange(width, device=self.lm.device)
        return ResponseBatch(
            inputs, inputs["input_ids"][:, -width:], places_T >= width - lengths_B[:, None]
        )

    def forward(self, batch: ResponseBatch) -> Outputs:
        """Logits and values of the policy, in float32."""
        with _hidden_states(self.lm.model) as hidden:
            logits_BTV = self._logits(batch)
        width = batch.tokens_BT.shape[1] + 1
        values_BT1: Tensor = self.value_head(hidden[0][:, -width:-1].float())
        return Outputs(logits_BTV, values_BT1[..., 0])

    def reference_logits(self, batch: ResponseBatch) -> Tensor:
        """Logits of the untouched base model (B, T, V), in float32."""
        with self.lm.as_base():
            return self._logits(batch)

    def _logits(self, batch: ResponseBatch) -> Tensor:
        width = batch.tokens_BT.shape[1] + 1
        last = self.lm.last_logits(width)
        with torch.autocast(self.lm.device.type, torch.bfloat16, enabled=self._half):
            outputs = self.lm.model(**batch.inputs, **last, use_cache=False)
        logits_BTV: Tensor = outputs.logits[:, -width:-1].float()
        largest_BT = logits_BTV.detach().amax(dim=-1).masked_fill(~batch.mask_BT, 0.0)
        check_finite(largest_BT.abs().amax(dim=-1), self.lm, "in row {} of a batch".format)
        return logits_BTV


# --- inside ---


def _check_precision(lm: LanguageModel) -> None:
    if lm.dtype is torch.float16:
        raise TrainingError(
            f"{lm.ref}: PPO has no loss scaling, which float16 weights need",
            remedy="Load the model with dtype bfloat16 or float32.",
        )


def _autocasts(lm: LanguageModel, config: PPOConfig) -> bool:
    if config.bf16 == "auto":
        return lm.device.type == "cuda" and torch.cuda.is_bf16_supported()
    return config.bf16


def _value_head(lm: LanguageModel) -> nn.Linear:
    width = lm.model.get_output_embeddings().weight.shape[1]
    head = nn.Linear(width, 1, device=lm.device, dtype=torch.float32)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


@contextlib.contextmanager
def _hidden_states(model: Any) -> Iterator[list[Tensor]]:
    """Collects the inputs of the output embedding while the block lasts: the last hidden states.

    Each hidden state belongs to the logits at its position, whatever the architecture.
    """
    seen: list[Tensor] = []
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        hook.remove()
