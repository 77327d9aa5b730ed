"""The last hidden states of every architecture: found, and the logits are made of them."""

from pathlib import Path

import pytest
import torch

from detoxlab.errors import ModelError
from detoxlab.methods.regularised.anchor import hidden_states
from detoxlab.models import LanguageModel, evaluating
from detoxlab.models.hidden import OutputLayer, output_layer, watching_hidden_states
from tests.support.layouts import SUPPORTED, layout_lm
from tests.support.shouting import shouting, texts
from tests.support.training_runs import fitted, logged

__all__ = ["shouting"]
SCALED = ("cohere", "falcon_h1", "gemma2", "granite", "granitemoehybrid")
"""Their logits are capped or scaled after the output layer, or made of scaled states."""


@pytest.mark.parametrize("kind", SUPPORTED)
def test_hidden_states_are_seen_where_they_are_made(kind: str) -> None:
    lm = layout_lm(kind)
    ids = torch.tensor([[9, 8, 7, 20, 21]])
    with evaluating(lm), watching_hidden_states(lm) as watched:
        logits = lm.model(input_ids=ids, use_cache=False).logits
        seen = watched.take()
        bare = hidden_states(lm.model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    assert torch.allclose(seen, bare, atol=1e-5)
    output = output_or_refusal(lm)
    if isinstance(output, str):
        assert "capped or scaled" in output
        assert kind in SCALED
    else:
        assert torch.allclose(output(seen), logits, atol=1e-3)


def output_or_refusal(lm: LanguageModel) -> OutputLayer | str:
    try:
        return output_layer(lm)
    except ModelError as error:
        return str(error)


@pytest.mark.parametrize("kind", ["opt", "xglm", "gpt_neox", "mpt"])
@pytest.mark.usefixtures("shouting")
def test_regularised_fine_tuning_trains_whatever_calls_the_decoder(
    kind: str, tmp_path: Path
) -> None:
    run = fitted(
        "regularised",
        tmp_path / "run",
        texts(4),
        layout_lm(kind),
        max_steps=2,
        chat=False,
        conditions=[{"scorer": "shouting"}],
        domains={"loud": {}},
        iterations=1,
        draws={"k": 4, "max_new_tokens": 8},
        head={"steps": 4},
        prompt_tokens=4,
    )
    assert logged(run, "kl_to_target").keys() == {1, 2}
