"""Training of `rtp-neural`: LoRA on all-MiniLM-L6-v2 towards Perspective's scores.

One soft-label cross-entropy per attribute, toxicity counted three times. Some of the
neural half is set aside: it stops nothing, it only fits the calibration curves.
"""

import math
import time

import numpy as np
import torch
from scorer_corpus import FloatArray, NewFromOld, Text, targets
from torch import nn

from detoxlab.scorers import neural
from detoxlab.scorers.base import PERSPECTIVE_ATTRIBUTES
from detoxlab.scorers.training.calibration import fit_calibration

RANK = 32
EPOCHS = 6
BATCH = 32
LEARNING_RATE = 1.5e-3
WARMUP_SHARE = 0.06
WEIGHT_DECAY = 0.01
TOXICITY_WEIGHT = 3.0
CARRIED_OVER_WEIGHT = 0.7
CALIBRATION_EVERY = 9


class LoraLinear(nn.Module):
    """A frozen linear layer plus a trained product of rank `RANK`; starts as the plain layer."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.A = nn.Parameter(torch.randn(RANK, base.in_features) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, RANK))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + (x @ self.A.T) @ self.B.T


def with_lora(encoder: nn.Module) -> dict[str, LoraLinear]:
    """Freeze the encoder and put LoRA on each linear layer; returns the new layers by name."""
    encoder.requires_grad_(False)
    layers = {}
    for name, layer in list(encoder.named_modules()):
        if isinstance(layer, nn.Linear):
            parent, _, child = name.rpartition(".")
            layers[name] = LoraLinear(layer)
            setattr(encoder.get_submodule(parent), child, layers[name])
    return layers


def train_neural(
    texts: list[Text], new_from_old: NewFromOld, *, seed: int, epochs: int = EPOCHS
) -> dict[str, torch.Tensor]:
    """The tensors of the asset: adapter, head and calibration."""
    torch.manual_seed(seed)
    folder = neural.base_folder()
    model = neural.ToxicityEncoder(neural.load_encoder(folder))
    lora = with_lora(model.encoder)
    kept = texts[::CALIBRATION_EVERY]
    learnt = [text for i, text in enumerate(texts) if i % CALIBRATION_EVERY]
    tokenizer = neural.load_tokenizer(folder)
    trainer = Trainer(model, tokenizer, np.random.default_rng(seed), epochs)
    trainer.fit(learnt, targets(learnt, new_from_old))
    raw_NA = trainer.logits(kept)
    curves = fit_calibration(raw_NA, targets(kept, new_from_old))
    tensors = {
        f"lora.{name}.{part}": getattr(layer, part).detach().half()
        for name, layer in lora.items()
        for part in "AB"
    }
    for part in ("hidden", "out"):
        for name, value in getattr(model, part).named_parameters():
            tensors[f"head.{part}.{name}"] = value.detach().half()
    tensors["calibration.inputs"] = torch.tensor(curves.inputs_AM, dtype=torch.float32)
    tensors["calibration.outputs"] = torch.tensor(curves.outputs_AM, dtype=torch.float32)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


class Trainer:
    """AdamW with warm-up and linear decay over batches of like length."""

    def __init__(
        self, model: nn.Module, tokenizer: object, rng: np.random.Generator, epochs: int
    ) -> None:
        self.model, self.tokenizer, self.rng, self.epochs = model, tokenizer, rng, epochs
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98)
        )
        weights_A = torch.ones(len(PERSPECTIVE_ATTRIBUTES))
        weights_A[0] = TOXICITY_WEIGHT
        self.weights_A = weights_A / weights_A.sum()

    def fit(self, texts: list[Text], targets_NA: FloatArray) -> None:
        goals_NA = torch.tensor(targets_NA, dtype=torch.float32)
        weights_N = torch.tensor(
            [1.0 if text.new else CARRIED_OVER_WEIGHT for text in texts], dtype=torch.float32
        )
        steps = self.epochs * math.ceil(len(texts) / BATCH)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: _warm_then_linear(step, steps)
        )
        self.model.train()
        started = time.monotonic()
        for epoch in range(self.epochs):
            losses = []
            for batch in self._shuffled_batches(texts):
                with torch.autocast("cpu", torch.bfloat16):
                    logits_BA = self._forward([texts[i].text for i in batch])
                loss_BA = nn.functional.binary_cross_entropy_with_logits(
                    logits_BA, goals_NA[batch], reduction="none"
                )
                loss = ((loss_BA @ self.weights_A) * weights_N[batch]).mean()
                loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                schedule.step()
                self.optimizer.zero_grad()
                losses.append(loss.item())
            seconds = time.monotonic() - started
            print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, {seconds:.0f} s", flush=True)
        self.model.eval()

    @torch.inference_mode()
    def logits(self, texts: list[Text]) -> FloatArray:
        """(N, A) raw outputs, the model in evaluation mode."""
        parts = [
            self._forward([text.text for text in texts[i : i + 128]]).double().numpy()
            for i in range(0, len(texts), 128)
        ]
        return np.concatenate(parts)

    def _forward(self, texts: list[str]) -> torch.Tensor:
        encoded = self.tokenizer(
            texts, truncation=True, max_length=neural.MAX_TOKENS, padding=True, return_tensors="pt"
        )
        logits_BA: torch.Tensor = self.model(encoded["input_ids"], encoded["attention_mask"])
        return logits_BA.float()

    def _shuffled_batches(self, texts: list[Text]) -> list[list[int]]:
        """Batches of like length (in pools of 16 batches), in random order."""
        order = self.rng.permutation(len(texts))
        batches = []
        for start in range(0, len(order), BATCH * 16):
            pool = sorted(order[start : start + BATCH * 16], key=lambda i: len(texts[i].text))
            batches += [pool[i : i + BATCH] for i in range(0, len(pool), BATCH)]
        return [batches[i] for i in self.rng.permutation(len(batches))]


def _warm_then_linear(step: int, steps: int) -> float:
    warmup = max(1, int(WARMUP_SHARE * steps))
    return min((step + 1) / warmup, max(0.0, (steps - step) / (steps - warmup)))
