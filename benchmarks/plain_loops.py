"""Trainings as one writes them with torch and peft alone, the peers of `real_model_training.py`.

The model's logits for the whole batch, the loss, AdamW: no trainer. Each loop gets the very
batches of ours, and reports the processor seconds of its steps.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from peft import get_peft_model
from torch import Tensor
from torch.nn.functional import logsigmoid

from detoxlab.methods.imitation.sft import SFTConfig
from detoxlab.methods.loop.adapters import lora_config
from detoxlab.methods.loop.borrowed import borrowed_model, quiet_libraries
from detoxlab.methods.loop.config import TrainingConfig
from detoxlab.methods.ppo import losses
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.methods.preference.dpo import DPOConfig
from detoxlab.models import LanguageModel
from detoxlab.models.likelihood import left_padded

Batch = dict[str, Any]


@dataclass
class Steps:
    """What a training did: processor seconds and tokens of each step, and the first loss."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    first_loss: float = float("nan")
    batches: list[Batch] = field(default_factory=list)

    @property
    def tokens_per_second(self) -> float:
        """Without the first step, which warms up."""
        return sum(self.tokens[1:]) / sum(self.seconds[1:])

    @contextlib.contextmanager
    def step(self, tokens: int) -> Iterator[None]:
        """Time the block as a step that reads so many tokens."""
        began = time.process_time()
        yield
        self.seconds.append(time.process_time() - began)
        self.tokens.append(tokens)

    def note_loss(self, loss: float) -> None:
        """Keep the first."""
        if np.isnan(self.first_loss):
            self.first_loss = loss


@contextlib.contextmanager
def learner(lm: LanguageModel, config: TrainingConfig) -> Iterator[tuple[Any, Any]]:
    """The model with a new adapter, and its optimizer; the model is given back as it was."""
    with quiet_libraries(), borrowed_model(lm):
        torch.manual_seed(config.seed)
        model = get_peft_model(lm.model, lora_config(config, lm.model))
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        yield model, torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=0.0)


def update(optimizer: Any, loss: Tensor) -> None:
    """One gradient step."""
    loss.backward()  # type: ignore[no-untyped-call]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    optimizer.zero_grad()


def plain_sft(lm: LanguageModel, batches: Sequence[Batch], config: SFTConfig) -> Steps:
    steps = Steps()
    with learner(lm, config) as (model, optimizer):
        model.train()
        for batch in batches:
            with steps.step(int(batch["attention_mask"].sum())):
                loss = model(**batch).loss
                update(optimizer, loss)
                steps.note_loss(loss.item())
    return steps


def plain_dpo(lm: LanguageModel, batches: Sequence[Batch], config: DPOConfig) -> Steps:
    steps = Steps()
    with learner(lm, config) as (model, optimizer):
        model.eval()
        for batch in batches:
            with steps.step(int(batch["attention_mask"].sum())):
                policy_N = response_nats(model, batch)
                with torch.no_grad(), model.disable_adapter():
                    reference_N = response_nats(model, batch)
                chosen_B, rejected_B = (policy_N - reference_N).chunk(2)
                loss = -logsigmoid(config.beta * (chosen_B - rejected_B)).mean()
                update(optimizer, loss)
                steps.note_loss(loss.item())
    return steps


def response_nats(model: Any, batch: Batch) -> Tensor:
    """Log-probability of each row's response, from the logits of the whole batch."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    log_probs_NTV = model(input_ids=ids, attention_mask=mask).logits[:, :-1].log_softmax(-1)
    chosen_NT = log_probs_NTV.gather(-1, ids[:, 1:, None])[..., 0]
    return (chosen_NT * batch["completion_mask"][:, 1:]).sum(-1)


def plain_ppo(lm: LanguageModel, batches: Sequence[Batch], config: PPOConfig) -> Steps:
    """Draws with `generate` as many responses, then learns from ours, so that both do the same."""
    steps = Steps()
    with learner(lm, config) as (model, optimizer):
        head = torch.nn.Linear(lm.model.config.hidden_size, 1)
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
        optimizer.add_param_group({"params": head.parameters(), "lr": config.value_learning_rate})
        model.eval()
        for batch in batches:
            responses = batch["responses"]
            with steps.step(sum(len(one.context) + len(one.drawn) for one in responses)):
                draw_plainly(lm, model, responses, config)
                steps.note_loss(learn_plainly(lm, model, head, optimizer, batch, config))
    return steps


def draw_plainly(
    lm: LanguageModel, model: Any, responses: Sequence[Any], config: PPOConfig
) -> None:
    """`generate`, 16 prompts a call, k samples of each."""
    k = config.rollout.k
    contexts = [one.context for one in responses][::k]
    for start in range(0, len(contexts), 16):
        inputs = left_padded(lm, contexts[start : start + 16])
        inputs.pop("position_ids")
        with torch.no_grad():
            model.generate(
                **inputs, do_sample=True, top_p=1.0, top_k=0, num_return_sequences=k,
                max_new_tokens=config.rollout.max_new_tokens, pad_token_id=lm.pad_id,
            )  # fmt: skip


def learn_plainly(
    lm: LanguageModel, model: Any, head: Any, optimizer: Any, batch: Batch, config: PPOConfig
) -> float:
    """PPO's passes over the responses; returns the reference's nats per token."""
    responses, size = batch["responses"], config.batch_size
    parts = [responses[i : i + size] for i in range(0, len(responses), size)]
    rewards_N = torch.tensor(batch["rewards_N"], dtype=torch.float32)
    old, nats, tokens = [], 0.0, 0
    with torch.no_grad():
        for i, part in enumerate(parts):
            log_probs, values, mask = look(lm, model, head, part, entropies=True)
            with model.disable_adapter():
                reference, _, _ = look(lm, model, head, part)
            kl = losses.kl_estimate(log_probs, reference)
            reward = rewards_N[i * size : (i + 1) * size]
            paid = losses.penalised_rewards(reward, kl, mask, config.kl_coefficient)
            gains = losses.gae(paid, values, mask, gamma=config.gamma, lam=config.gae_lambda)
            old.append((log_probs, values, losses.whitened(gains, mask), gains + values))
            nats, tokens = nats + float(reference[mask].sum()), tokens + int(mask.sum())
    for _ in range(config.ppo_epochs):
        for part, (before, values_before, gains, returns) in zip(parts, old, strict=True):
            log_probs, values, mask = look(lm, model, head, part)
            policy = losses.policy_loss(log_probs, before, gains, config.clip_range)
            value = losses.value_loss(values, values_before, returns, config.value_clip_range)
            loss = losses.masked_mean(policy, mask)
            update(optimizer, loss + config.value_coefficient * losses.masked_mean(value, mask))
    return nats / tokens


def look(
    lm: LanguageModel, model: Any, head: Any, part: Sequence[Any], *, entropies: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities, values and mask of the responses; logs want the entropies besides."""
    inputs = left_padded(lm, [one.context + one.drawn for one in part])
    width = max(len(one.drawn) for one in part)
    outputs = model(**inputs, use_cache=False, output_hidden_states=True)
    log_probs_BTV = outputs.logits[:, -width - 1 : -1].log_softmax(-1)
    if entropies:
        (log_probs_BTV.exp() * log_probs_BTV).sum(-1)
    chosen_BT = log_probs_BTV.gather(-1, inputs["input_ids"][:, -width:, None])[..., 0]
    values_BT = head(outputs.hidden_states[-1][:, -width - 1 : -1])[..., 0]
    lengths_B = torch.tensor([len(one.drawn) for one in part])
    return chosen_BT, values_BT, torch.arange(width) >= width - lengths_B[:, None]
