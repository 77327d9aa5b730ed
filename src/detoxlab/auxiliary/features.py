"""Labelled responses, and the hidden states from which the auxiliary head reads them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detoxlab.errors import TrainingError
from detoxlab.models import LanguageModel, evaluating
from detoxlab.models.finite import check_finite
from detoxlab.models.hidden import OutputLayer, watching_hidden_states
from detoxlab.models.likelihood import left_padded
from detoxlab.records import Generation

ROWS = 64  # responses per forward pass
POSITIONS = 512  # next-token distributions in memory at once


@dataclass(frozen=True)
class Sample:
    """One response with its verdict; `log_s` is its log-probability as it was drawn, nats.

    `iteration` is the one in which it was drawn: samples that are too old leave the buffer.
    """

    prompt_id: str
    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    accepted: bool
    iteration: int = 0
    log_s: float | None = None

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Sample":
        """The sample from the output of `dataclasses.asdict`, saved as JSON and read back."""
        return cls(**{**row, "prompt_ids": tuple(row["prompt_ids"]), "ids": tuple(row["ids"])})


def labelled(
    generations: Sequence[Generation],
    prompts_ids: Mapping[str, tuple[int, ...]],
    accepted_N: Sequence[bool] | NDArray[np.bool_],
    iteration: int = 0,
) -> list[Sample]:
    """The drawn responses with their verdicts, in order."""
    return [
        Sample(one.prompt_id, prompts_ids[one.prompt_id], one.token_ids, bool(accepted), iteration)
        for one, accepted in zip(generations, accepted_N, strict=True)
    ]


def accepted_share(samples: Sequence[Sample], weights_N: Tensor) -> float:
    """The share of accepted samples by weight; exactly 1 where all are."""
    accepted_N = torch.tensor([sample.accepted for sample in samples], dtype=torch.float64)
    weights_N = weights_N.cpu()
    return float((accepted_N * weights_N).sum() / weights_N.sum())


def acceptance_rate(samples: Sequence[Sample], weights_N: Tensor) -> float:
    """The accepted share, smoothed: (accepted + 1/2) / (N + 1), in (0, 1).

    Raises `TrainingError` when none is accepted: such a constraint cannot be learnt.
    """
    if not any(sample.accepted for sample in samples):
        raise TrainingError(
            f"none of {len(samples)} responses meets the constraint (acceptance 0)",
            remedy="Draw more of them, raise a threshold, or drop a condition.",
        )
    return (len(samples) * accepted_share(samples, weights_N) + 0.5) / (len(samples) + 1)


@dataclass(frozen=True)
class Features:
    """The data to fit a head on: N responses of at most L tokens, read by one model.

    `hidden_NLD[n, j]` has read the prompt and the first j tokens; `ids_NL[n, j]` is the token
    that follows it. `mask_NL` is False after a response's end. `log_p_N` is the model's
    log-probability of the whole response.
    """

    hidden_NLD: Tensor
    ids_NL: Tensor
    mask_NL: Tensor
    accepted_N: Tensor
    log_p_N: Tensor

    def __len__(self) -> int:
        return len(self.ids_NL)

    def part(self, chosen_N: Tensor) -> "Features":
        """The features of the marked responses."""
        return Features(*(getattr(self, one.name)[chosen_N] for one in dataclasses.fields(self)))


def read_features(
    lm: LanguageModel, output: OutputLayer, samples: Sequence[Sample], length: int
) -> Features:
    """The hidden states of `lm` as it is now over `samples`, each cut at `length` tokens."""
    device, width = lm.device, output.weight_VD.shape[1]
    hidden_NLD = torch.zeros(len(samples), length, width, device=device, dtype=lm.dtype)
    ids_NL = torch.zeros(len(samples), length, dtype=torch.long, device=device)
    mask_NL = torch.zeros(len(samples), length, dtype=torch.bool, device=device)
    with evaluating(lm), watching_hidden_states(lm) as watched:
        for rows in _alike(samples):
            inputs = left_padded(lm, [samples[i].prompt_ids + samples[i].ids for i in rows])
            lm.model(**inputs, **lm.last_logits(1), use_cache=False)
            hidden_BTD = watched.take()
            for hidden_TD, i in zip(hidden_BTD, rows, strict=True):
                count = min(len(samples[i].ids), length)
                first = len(hidden_TD) - len(samples[i].ids) - 1
                hidden_NLD[i, :count] = hidden_TD[first : first + count]
                ids_NL[i, :count] = torch.tensor(samples[i].ids[:count])
                mask_NL[i, :count] = True
    accepted_N = torch.tensor([sample.accepted for sample in samples], device=device)
    log_p_N = sequence_log_probs(output, hidden_NLD, ids_NL, mask_NL)
    check_finite(log_p_N, lm, lambda n: f"in a response to prompt {samples[n].prompt_id!r}")
    return Features(hidden_NLD, ids_NL, mask_NL, accepted_N, log_p_N)


def sequence_log_probs(
    output: OutputLayer,
    hidden_NLD: Tensor,
    ids_NL: Tensor,
    mask_NL: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """Log-probability (N,) of each response, in nats, drawn at a temperature."""
    places = mask_NL.nonzero()
    total_N = torch.zeros(len(ids_NL), dtype=torch.float64, device=ids_NL.device)
    for part in torch.split(places, POSITIONS):
        rows, columns = part[:, 0], part[:, 1]
        log_p_PV = torch.log_softmax(output(hidden_NLD[rows, columns]) / temperature, dim=-1)
        chosen_P = log_p_PV.gather(1, ids_NL[rows, columns][:, None])[:, 0]
        total_N.index_add_(0, rows, chosen_P.double())
    return total_N


def drawn_from(
    samples: Sequence[Sample], features: Features, output: OutputLayer, temperature: float
) -> list[Sample]:
    """The samples, with `log_s` filled in for fresh ones, which the reading model drew itself.

    Fresh samples have no `log_s` yet.
    """
    if all(sample.log_s is not None for sample in samples):
        return list(samples)
    drawn_N = (
        features.log_p_N
        if temperature == 1.0
        else sequence_log_probs(
            output, features.hidden_NLD, features.ids_NL, features.mask_NL, temperature
        )
    )
    return [
        sample if sample.log_s is not None else dataclasses.replace(sample, log_s=float(log_s))
        for sample, log_s in zip(samples, drawn_N, strict=True)
    ]


def log_weights(samples: Sequence[Sample], features: Features) -> Tensor:
    """log p(y) - log s(y), (N,): by how much each sample is likelier now than when it was drawn."""
    log_s_N = torch.tensor([sample.log_s for sample in samples], dtype=torch.float64)
    return features.log_p_N - log_s_N.to(features.log_p_N.device)


def _alike(samples: Sequence[Sample]) -> Iterator[list[int]]:
    """Batches of indices of samples of similar length."""
    order = np.argsort([-len(s.prompt_ids) - len(s.ids) for s in samples], kind="stable")
    for start in range(0, len(order), ROWS):
        yield [int(i) for i in order[start : start + ROWS]]
