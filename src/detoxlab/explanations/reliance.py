"""How much a model's predictions rely on the prompt, without any attribution.

At each step the model predicts once after the whole text, and once after the text without what
the prompt says: only the template, or the opening token, is left before the same response.

Source: Sarti et al. 2024, Quantifying the Plausibility of Context Reliance in Neural Machine
Translation (PECoRe), whose first half compares the two distributions in this way.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from detoxlab.explanations.reading import plain_logits
from detoxlab.explanations.targets import divergence, log_prob, next_tokens
from detoxlab.explanations.texts import Batch, Exchange
from detoxlab.subject import Subject

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """A model's predictions at the S steps of one response.

    `log_prob_S` is that of each token, in nats; `entropy_S` of each distribution, in bits.
    `reliance_S` is KL(p(· | prompt, response so far) ‖ p(· | template, response so far)), in
    bits: 0 where the prompt changes nothing. `information_S` is log2 p(token | prompt) −
    log2 p(token | template): the pointwise mutual information of token and prompt, in bits.
    """

    log_prob_S: FloatArray
    entropy_S: FloatArray
    reliance_S: FloatArray
    information_S: FloatArray


def predictions(
    subject: Subject, batch: Batch, templates: Sequence[tuple[int, ...]]
) -> list[Predictions]:
    """The predictions for each row; `templates` are the rows' prompts without what they say."""
    without = [
        Exchange(template, one.response_ids, one.start)
        for template, one in zip(templates, batch.exchanges, strict=True)
    ]
    with_NV = plain_logits(subject, batch)
    without_NV = plain_logits(subject, Batch.of(batch.lm, without))
    ids_N = next_tokens(batch, with_NV)
    log_prob_N = log_prob(with_NV, ids_N)
    log_p_NV = with_NV.log_softmax(dim=-1)
    entropy_N = -(log_p_NV.exp() * log_p_NV.clamp(min=-1e9)).sum(dim=-1)
    reliance_N = divergence(with_NV, without_NV.log_softmax(dim=-1))
    information_N = log_prob_N - log_prob(without_NV, ids_N)
    by_row = [
        _rows(batch, values_N)
        for values_N in (
            log_prob_N,
            entropy_N / math.log(2),
            reliance_N / math.log(2),
            information_N / math.log(2),
        )
    ]
    return [Predictions(*parts) for parts in zip(*by_row, strict=True)]


def _rows(batch: Batch, values_N: Tensor) -> list[FloatArray]:
    ends = np.cumsum([one.steps for one in batch.exchanges])[:-1]
    return np.split(values_N.float().cpu().numpy(), ends)
