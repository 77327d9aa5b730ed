"""Encoders of several kinds learn, whole and with LoRA, and what is exported is what learnt."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    ModernBertConfig,
    MPNetConfig,
    XLMRobertaConfig,
)

from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers.training.model import (
    finished_classifier,
    learning_model,
    learnt_parameters,
    learnt_tensors,
)
from detoxlab.settings import parse

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
CONFIGS = {
    "bert": BertConfig(**SIZES),
    "mpnet": MPNetConfig(**SIZES, **SPECIAL),
    "xlm-roberta": XLMRobertaConfig(**SIZES, **SPECIAL),
    "modernbert": ModernBertConfig(
        **SIZES, **SPECIAL, cls_token_id=1, sep_token_id=2, classifier_pooling="mean"
    ),
}
IDS_BT = torch.tensor([[1, 5, 9, 30, 2], [1, 7, 8, 2, 0]])
MASK_BT = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    AutoModel.from_config(CONFIGS[request.param]).save_pretrained(folder)
    return folder


def settings(encoder: Path, adaptation: str) -> ScorerTraining:
    data = {"a": {"source": "a.csv", "labels": {"hate": 0, "insult": 1}}}
    given = {"name": "x", "encoder": str(encoder), "data": data, "adaptation": adaptation}
    return parse(ScorerTraining, given | {"lora_r": 4, "lora_alpha": 8}, place="test")


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=IDS_BT, attention_mask=MASK_BT).logits
    return found


@pytest.mark.parametrize("adaptation", ["full", "lora"])
def test_the_exported_tensors_make_the_model_that_learnt(encoder: Path, adaptation: str) -> None:
    asked = settings(encoder, adaptation)
    model = learning_model(asked)
    before = logits(model)
    assert before.shape == (2, 2)
    with torch.no_grad():
        for parameter in learnt_parameters(model).values():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.manual_seed(1))
    after = logits(model)
    assert (before - after).abs().max() > 0.01
    exported = logits(finished_classifier(asked, learnt_tensors(model, asked)))
    torch.testing.assert_close(exported, after, atol=5e-3 if adaptation == "lora" else 1e-6, rtol=0)


def test_lora_adapts_every_linear_layer_of_the_encoder_and_the_head_learns_whole(
    encoder: Path,
) -> None:
    model = learning_model(settings(encoder, "lora"))
    learnt = set(learnt_parameters(model))
    adapted = {name.partition(".lora_")[0] for name in learnt if ".lora_" in name}
    plain = learning_model(settings(encoder, "full"))
    linear = {name for name, layer in plain.named_modules() if isinstance(layer, torch.nn.Linear)}
    whole = {name.rpartition(".")[0] for name in learnt if ".lora_" not in name}
    assert adapted | (whole & linear) == linear
    assert not adapted & whole
    assert any("classifier" in name for name in whole)
    assert not any(".layer" in name or ".embeddings" in name for name in whole)


def test_the_new_head_is_drawn_by_the_seed(encoder: Path) -> None:
    asked = settings(encoder, "lora")
    torch.testing.assert_close(
        logits(learning_model(asked)), logits(learning_model(asked)), atol=0, rtol=0
    )
    other = asked.model_copy(update={"seed": 1})
    assert not torch.equal(logits(learning_model(asked)), logits(learning_model(other)))
