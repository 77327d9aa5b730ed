"""Checks that a model whose adapter is switched off is the base again."""

import torch
from torch import Tensor

from detoxlab.errors import ModelError
from detoxlab.models.language_model import LanguageModel, evaluating


def next_token_logits(lm: LanguageModel) -> Tensor:
    """The logits (V,) that the model gives after a short text."""
    ids = torch.tensor([lm.prompt_ids("Good morning", chat=False)], device=lm.device)
    with evaluating(lm):
        logits_V: Tensor = lm.model(input_ids=ids, use_cache=False).logits[0, -1].float()
    return logits_V


def check_way_back(tuned: LanguageModel, base_V: Tensor, place: str) -> None:
    """Raises `ModelError` unless it is the base: guards and references are computed with it.

    `base_V` is the result of `next_token_logits` before the adapter was put on.
    """
    with tuned.as_base():
        left_V = next_token_logits(tuned)[: len(base_V)]
    if not torch.allclose(left_V, base_V, rtol=1e-3, atol=1e-3):
        raise ModelError(
            f"{place}: the adapter changes weights of the base itself, which is not to be had from "
            "it any more (as LoRA with bias does)",
            remedy="Merge it into its base (merge_adapter) and measure the two apart.",
        )
