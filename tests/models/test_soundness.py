"""A model that reads a text otherwise in a batch, or token by token, is not loaded."""

from typing import Any

import pytest
import torch

from detoxlab.errors import ModelError
from detoxlab.models import LanguageModel
from detoxlab.models.soundness import check_reading
from tests.support.layouts import layout_lm
from tests.support.tiny import tiny_lm

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def without(name: str, dtype: torch.dtype, kind: str = "llama") -> LanguageModel:
    """A model whose forward pass is not told something."""
    lm = layout_lm(kind)
    lm.model.to(dtype)

    def leave_out(_module: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, {key: value for key, value in kwargs.items() if key != name}

    lm.model.register_forward_pre_hook(leave_out, with_kwargs=True)
    return lm


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sound_model_passes_and_keeps_its_mode(dtype: torch.dtype) -> None:
    lm = without("nothing", dtype)
    lm.model.train()
    check_reading(lm)
    assert lm.model.training


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("kind", "name", "fault"),
    [
        ("llama", "attention_mask", "beside a longer one"),
        ("bloom", "attention_mask", "beside a longer one"),
        ("gpt2", "position_ids", "beside a longer one"),  # rotary ones need none: they are relative
        ("llama", "past_key_values", "token by token"),
        ("lfm2", "past_key_values", "token by token"),
        ("mamba", "cache_params", "token by token"),
    ],
)
def test_what_a_model_does_not_heed_is_noticed(
    kind: str, name: str, fault: str, dtype: torch.dtype
) -> None:
    with pytest.raises(ModelError, match=rf"\({kind}\) is not supported: .*{fault}"):
        check_reading(without(name, dtype, kind))


def test_a_tokenizer_that_makes_one_token_of_everything_is_no_hindrance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LanguageModel, "prompt_ids", lambda *_args, **_kwargs: [70])
    check_reading(tiny_lm())


def test_tokens_that_are_ruled_out_are_no_fault() -> None:
    lm = tiny_lm()
    bias_V = torch.zeros(260)
    bias_V[200:] = float("-inf")
    lm.model.lm_head.bias = torch.nn.Parameter(bias_V)
    check_reading(lm)


def test_broken_weights_are_noticed_when_they_are_loaded() -> None:
    lm = tiny_lm()
    with torch.no_grad():
        lm.model.model.layers[1].mlp.up_proj.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match="logits are not finite"):
        check_reading(lm)
