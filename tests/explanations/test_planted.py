"""A word that is planted to move the model stands on top."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detoxlab.explanations import TARGETS, Exchange, attribute
from detoxlab.models import LanguageModel
from detoxlab.subject import Subject
from tests.support.explained import LinearToy, linear_lm
from tests.support.tiny import tiny_lm

TRIGGER = 70
GAIN = 12.0
PROMPTS = 40


def attending_lm() -> LanguageModel:
    """The tiny model, in which one token alone has a direction that attention passes on."""
    lm = tiny_lm()
    weights = lm.model.model
    generator = torch.Generator().manual_seed(5)
    signal_D = torch.nn.functional.normalize(torch.randn(32, generator=generator), dim=0)
    with torch.no_grad():
        embeddings_VD = weights.embed_tokens.weight
        embeddings_VD -= (embeddings_VD @ signal_D)[:, None] * signal_D
        embeddings_VD[TRIGGER] = embeddings_VD.norm(dim=1).mean() * signal_D
        for layer in weights.layers:
            layer.self_attn.v_proj.weight *= 0.1
        heard_D = torch.randn(32, generator=generator) / 32**0.5
        weights.layers[0].self_attn.v_proj.weight += GAIN * heard_D[:, None] * signal_D
    return lm


def adding_lm() -> LanguageModel:
    """A linear model, in which one token's embedding is ten times as long as the others."""
    lm, generator = linear_lm(), torch.Generator().manual_seed(5)
    embeddings_VD, output_VD = (torch.randn(260, 16, generator=generator) for _ in range(2))
    embeddings_VD[TRIGGER] *= 10
    lm.model = LinearToy(embeddings_VD, output_VD)
    return lm


class SquaringToy(LinearToy):
    """Logits after token t: the output rows times the sum of the squared embeddings up to t."""

    def forward(self, input_ids: Tensor, use_cache: bool = False) -> Any:
        del use_cache
        squares_BTD = self.embeddings(input_ids).square()
        return SimpleNamespace(logits=squares_BTD.cumsum(dim=1) @ self.output_VD.T)


def squaring_lm() -> LanguageModel:
    """The linear model, but for squares: a longer embedding also has a larger gradient."""
    lm = adding_lm()
    lm.model = SquaringToy(lm.model.embeddings.weight, lm.model.output_VD)
    return lm


def asked(lm: LanguageModel) -> tuple[list[Exchange], list[int]]:
    """Prompts of nine tokens with the trigger inside, and the likeliest token after each."""
    rng = np.random.default_rng(0)
    exchanges, places = [], []
    for _ in range(PROMPTS):
        ids, place = rng.integers(100, 250, 9), int(rng.integers(1, 8))
        ids[place] = TRIGGER
        with torch.no_grad():
            best = int(lm.model(torch.from_numpy(ids)[None]).logits[0, -1].argmax())
        exchanges.append(Exchange(tuple(ids.tolist()), (best,)))
        places.append(place)
    return exchanges, places


def share_on_top(lm: LanguageModel, method: str) -> float:
    """How often the trigger has the largest score of the tokens between the first and the last."""
    exchanges, places = asked(lm)
    found = attribute(Subject(lm), exchanges, method=method, target=TARGETS["logit"])
    tops = [int(np.abs(one.values_ST[0, 1:-1]).argmax()) + 1 for one in found]
    return float(np.mean([top == place for top, place in zip(tops, places, strict=True)]))


@pytest.mark.parametrize("method", ["alti-logit", "alti-logit-plain", "deletion"])
def test_a_word_that_attention_passes_on(method: str) -> None:
    assert share_on_top(attending_lm(), method) >= 0.95


@pytest.mark.parametrize(
    "method", ["input-x-gradient", "input-x-gradient-dot", "integrated-gradients", "deletion"]
)
def test_a_word_that_is_added(method: str) -> None:
    assert share_on_top(adding_lm(), method) >= 0.95


@pytest.mark.parametrize("method", ["saliency", "input-x-gradient", "integrated-gradients"])
def test_a_word_to_which_the_model_is_most_sensitive(method: str) -> None:
    assert share_on_top(squaring_lm(), method) >= 0.95


def test_saliency_cannot_see_what_is_added() -> None:
    """The gradient of a sum is the same for every token."""
    assert share_on_top(adding_lm(), "saliency") < 0.3


def test_input_x_gradient_cannot_see_what_a_norm_makes_constant() -> None:
    """A token that is nothing but the signal stays the signal when it is scaled."""
    assert share_on_top(attending_lm(), "input-x-gradient-dot") < 0.1
