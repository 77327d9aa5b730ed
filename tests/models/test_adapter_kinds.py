"""Adapters of every kind PEFT knows: the same logits as PEFT's own, or refused by name.

And what may lie beside an adapter: a tokenizer, a template, embeddings of added tokens.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, PeftType, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

from detoxlab.errors import ModelError
from detoxlab.models import LanguageModel, load_model, token_log_probs
from detoxlab.models.adapters.kinds import KINDS
from tests.support.layouts import layout_model, save_layout
from tests.support.tiny import CHAT_TEMPLATE, save_tiny, tiny_model, tiny_tokenizer

SETTINGS: dict[str, dict[str, Any]] = {
    "ADALORA": {"total_step": 10},
    "BEFT": {"target_modules": ["q_proj"]},
    "BOFT": {"boft_block_size": 4},
    "C3A": {"block_size": 8},
    "FOURIERFT": {"n_frequency": 10},
    "IA3": {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
    "LN_TUNING": {"target_modules": None},
    "MISS": {"r": 4},
    "OFT": {"oft_block_size": 4, "r": 0},
    "ROAD": {"group_size": 16},
    "SHIRA": {"r": 2},
    "TRAINABLE_TOKENS": {"target_modules": None, "token_indices": [70, 71]},
    "VBLORA": {"vector_length": 8, "num_vectors": 16, "topk": 2},
    "WAVEFT": {"n_frequency": 10},
}
UNMERGED = ("BEFT",)
POSITIONS = {"num_virtual_tokens": 4}
REFUSED: dict[str, dict[str, Any]] = {
    "CPT": {"cpt_token_ids": [1, 2], "cpt_mask": [1, 1], "cpt_tokens_type_mask": [1, 1]},
    "LILY": {"target_modules": ["q_proj"]},
    "MULTITASK_PROMPT_TUNING": {**POSITIONS, "num_tasks": 1, "num_ranks": 1},
    "POLY": {"target_modules": ["q_proj"]},
    "PREFIX_TUNING": POSITIONS,
    "PROMPT_TUNING": POSITIONS,
    "P_TUNING": {**POSITIONS, "encoder_hidden_size": 16},
}
IDS = torch.tensor([[9, 70, 71, 20, 21, 22]])


def save_adapter(folder: Path, config: Any, model: Any = None) -> Path:
    """An adapter with random weights, as PEFT saves it."""
    adapted = get_peft_model(model or tiny_model(), config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder


def config_of(kind: str, **settings: Any) -> Any:
    """PEFT's settings of that kind for the tiny model."""
    made = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)]
    chosen = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]} | settings
    known = made.__dataclass_fields__
    return made(**{name: value for name, value in chosen.items() if name in known and value})


def lora(**settings: Any) -> LoraConfig:
    return LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", **settings)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS, use_cache=False).logits


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base") / "small")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_adapter_of_any_kind_says_what_peft_says(kind: str, base: Path, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "adapter", config_of(kind, **SETTINGS.get(kind, {})))
    lm, own = load_model(base, adapter=folder), PeftModel.from_pretrained(tiny_model(), folder)
    untouched = logits(tiny_model())
    assert torch.equal(logits(lm.model), logits(own))
    assert not torch.allclose(logits(lm.model), untouched, atol=1e-2)
    with lm.as_base():
        assert torch.allclose(logits(lm.model), untouched, atol=1e-5)
    if kind in UNMERGED:
        with pytest.raises(ModelError, match=f"{kind} cannot be merged"):
            load_model(base, adapter=folder, merge_adapter=True)
        return
    merged = load_model(base, adapter=folder, merge_adapter=True)
    assert torch.allclose(logits(merged.model), logits(own), atol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", sorted(REFUSED))
@pytest.mark.parametrize("merge", [False, True])
def test_an_adapter_that_is_no_weights_is_refused_by_name(
    kind: str, merge: bool, base: Path, tmp_path: Path
) -> None:
    folder = save_adapter(tmp_path / "adapter", config_of(kind, **REFUSED[kind]))
    with pytest.raises(ModelError, match=rf"of the kind {kind} are not supported.*LoRA"):
        load_model(base, adapter=folder, merge_adapter=merge)


def test_lora_of_a_part_of_the_text_is_refused_by_name(base: Path, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "adapter", lora(alora_invocation_tokens=[3]))
    with pytest.raises(ModelError, match="LORA with alora_invocation_tokens are not supported"):
        load_model(base, adapter=folder)


@pytest.mark.filterwarnings("ignore:Careful, disabling adapter layers")
def test_an_adapter_that_leaves_no_way_back_to_the_base_can_only_be_merged(tmp_path: Path) -> None:
    base = save_layout(tmp_path / "base", "opt")
    folder = save_adapter(tmp_path / "adapter", lora(bias="all"), layout_model("opt"))
    with pytest.raises(ModelError, match=r"LoRA with bias.*Merge it"):
        load_model(base, adapter=folder)
    own = PeftModel.from_pretrained(layout_model("opt"), folder)
    merged = load_model(base, adapter=folder, merge_adapter=True)
    assert torch.allclose(logits(merged.model), logits(own), atol=1e-4)


# --- what lies beside an adapter ---

OTHER_TEMPLATE = CHAT_TEMPLATE.replace("message['content']", "'Q: ' + message['content']")
ADDED = "<|added|>"


def asked(lm: LanguageModel) -> str:
    return str(lm.tokenizer.decode(lm.prompt_ids("Hi", chat=True)))


def test_the_template_beside_an_adapter_is_used(base: Path, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "adapter", lora())
    tiny_tokenizer(OTHER_TEMPLATE).save_pretrained(folder)
    assert asked(load_model(base, adapter=folder)) == "<|user|>Q: Hi<|end|><|assistant|>"
    assert asked(load_model(base)) == "<|user|>Hi<|end|><|assistant|>"


def test_a_tokenizer_without_template_leaves_the_bases(base: Path, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "adapter", lora())
    tiny_tokenizer(None).save_pretrained(folder)
    lm = load_model(base, adapter=folder)
    assert asked(lm) == "<|user|>Hi<|end|><|assistant|>"
    assert lm.template_name == "own"


def grown(folder: Path, *, saves: bool) -> tuple[Path, Any]:
    """An adapter that was trained with one more token, with or without its embedding."""
    tokenizer, model = tiny_tokenizer(), tiny_model()
    tokenizer.add_tokens([ADDED])
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        model.resize_token_embeddings(261, mean_resizing=False)
        adapted = get_peft_model(model, lora()).eval()
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
        adapted.save_pretrained(folder, save_embedding_layers=saves)
    tokenizer.save_pretrained(folder)
    return folder, adapted


def test_tokens_that_an_adapter_added_have_their_embeddings(base: Path, tmp_path: Path) -> None:
    folder, trained = grown(tmp_path / "adapter", saves=True)
    lm = load_model(base, adapter=folder)
    ids = lm.tokenizer(f"a{ADDED}b").input_ids
    assert 260 in ids
    with torch.no_grad():
        own = trained(input_ids=torch.tensor([ids]), use_cache=False).logits
        ours = lm.model(input_ids=torch.tensor([ids]), use_cache=False).logits
    assert torch.equal(ours, own)
    assert len(token_log_probs(lm, [[9]], [ids])[0]) == len(ids)
    merged = load_model(base, adapter=folder, merge_adapter=True)
    merged.model.save_pretrained(tmp_path / "merged")
    merged.tokenizer.save_pretrained(tmp_path / "merged")
    again = load_model(tmp_path / "merged")
    with torch.no_grad():
        assert torch.allclose(again.model(torch.tensor([ids])).logits, own, atol=1e-4)


def test_added_tokens_without_embeddings_are_refused(base: Path, tmp_path: Path) -> None:
    folder, _ = grown(tmp_path / "adapter", saves=False)
    with pytest.raises(ModelError, match=r"a token 260, .*260 tokens only.*save_embedding_layers"):
        load_model(base, adapter=folder)


def test_the_base_of_a_grown_adapter_still_says_what_it_said(base: Path, tmp_path: Path) -> None:
    folder, _ = grown(tmp_path / "adapter", saves=True)
    lm = load_model(base, adapter=folder)
    with lm.as_base():
        assert torch.allclose(logits(lm.model)[..., :260], logits(tiny_model()), atol=1e-5)
    assert json.loads((base / "config.json").read_text())["vocab_size"] == 260
