"""Laws of training over all architectures: policy and reference are compared without noise,
what is saved is what was trained, and merged weights give the same in plain transformers.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from detoxlab.data.split import DialogueSplit, PairSplit
from detoxlab.errors import TrainingError
from detoxlab.methods.loop.quiet import train_without_noise
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.methods.ppo.policy import Policy, Response
from detoxlab.methods.ppo.state import save_adapter
from detoxlab.models import load_model
from detoxlab.publish.export import export_merged
from detoxlab.records import Preference, Prompt, Turn
from tests.support.layouts import SUPPORTED, layout_lm, save_layout
from tests.support.tiny import dialogues
from tests.support.training_runs import fitted, logged

pytestmark = pytest.mark.slow

NOISE = ("dropout", "pdrop", "layerdrop", "jitter")
"""Parts of the names under which configs keep what only training mode does."""
EXPERTS = ("mixtral", "qwen3_moe", "olmoe", "deepseek_v3", "qwen3_next", "jamba")
DATA = DialogueSplit(dialogues(4))
RESPONSES = [Response((9, 8, 7), (20, 21)), Response((6,), (30, 31, 32, 33))]


def noisy(folder: Path, kind: str) -> Path:
    """A model whose config asks for as much noise in training as it can."""
    save_layout(folder, kind)
    config = json.loads((folder / "config.json").read_text())
    for name, value in config.items():
        if any(part in name for part in NOISE) and isinstance(value, float | int):
            config[name] = 0.5
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def logits(model: Any) -> torch.Tensor:
    """Of one text, without a cache."""
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([[9, 8, 7, 20, 21, 22]]), use_cache=False).logits


@pytest.mark.parametrize("kind", SUPPORTED)
def test_policy_is_reference_at_first_and_what_is_saved_is_what_was_trained(
    kind: str, tmp_path: Path
) -> None:
    base = noisy(tmp_path / "base", kind)
    lm = load_model(base)
    untouched = logits(lm.model)
    policy = Policy(lm, PPOConfig(lora_r=4))
    model = policy.lm.model
    train_without_noise(model)
    model.train()
    batch = policy.batch(RESPONSES)
    first = policy.forward(batch).logits_BTV
    assert torch.equal(first, policy.reference_logits(batch))  # DPO's loss log 2, every KL 0
    assert torch.equal(first, policy.forward(batch).logits_BTV)
    move(policy)
    trained = logits(model)
    assert not torch.allclose(trained, untouched, atol=1e-2)
    save_adapter(policy, tmp_path / "adapter")
    loaded = load_model(base, adapter=tmp_path / "adapter")
    assert torch.equal(logits(loaded.model), trained)
    with loaded.as_base():
        assert torch.allclose(logits(loaded.model), untouched, atol=1e-5)
    merged = load_model(base, adapter=tmp_path / "adapter", merge_adapter=True)
    merged.model.save_pretrained(tmp_path / "merged")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    assert torch.allclose(logits(plain), trained, atol=1e-3)


def move(policy: Policy) -> None:
    """Give the adapter other weights."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in policy.adapter_weights:
            torch.nn.init.normal_(weight, std=0.1, generator=generator)


# --- the trainers themselves, where dropout is a number in the layer ---


def pairs(count: int) -> PairSplit:
    turns = (Turn("user", "you fool"),)
    return PairSplit(
        [Preference(f"p{i}", turns, f"say {i}", "!" * (i + 1), "test") for i in range(count)]
    )


@pytest.mark.parametrize(
    ("kind", "method", "loss"),
    [
        ("opt", "dpo", math.log(2)),
        ("opt", "kto", 0.5),
        ("xglm", "dpo", math.log(2)),
        ("biogpt", "kto", 0.5),
    ],
)
def test_preferences_begin_without_one(kind: str, method: str, loss: float, tmp_path: Path) -> None:
    lm = load_model(noisy(tmp_path / "base", kind))
    run = fitted(method, tmp_path / "run", pairs(4), lm, max_steps=1)
    assert logged(run)[1] == pytest.approx(loss, abs=1e-7)


@pytest.mark.parametrize(
    ("kind", "method"),
    [("opt", "grpo"), ("opt", "rloo"), ("opt", "ppo"), ("xglm", "rloo"), ("biogpt", "grpo")],
)
def test_the_first_policy_is_the_one_that_drew(kind: str, method: str, tmp_path: Path) -> None:
    lm = load_model(noisy(tmp_path / "base", kind))
    rollout = {"prompts": 2, "k": 2, "max_new_tokens": 4}
    prompts = [Prompt(f"p{i}", "ab" * (i + 1), "test") for i in range(2)]
    run = fitted(method, tmp_path / "run", prompts, lm, max_steps=1, rollout=rollout)
    assert logged(run, "kl")[1] == 0


@pytest.mark.parametrize("method", ["dpo", "ppo"])
def test_forgotten_activations_change_nothing_and_are_made_anew(
    method: str, tmp_path: Path
) -> None:
    lm = load_model(noisy(tmp_path / "base", "opt"))
    layer, computed = lm.model.model.decoder.layers[0], []
    layer.fc1.register_forward_hook(lambda *_: computed.append(torch.is_grad_enabled()))
    data: Any = pairs(4) if method == "dpo" else [Prompt("p", "ab", "test")]
    rollout = {"rollout": {"prompts": 1, "k": 2, "max_new_tokens": 4}} if method == "ppo" else {}
    passes, adapters = [], []
    for forgets in (False, True):
        folder = tmp_path / f"run-{forgets}"
        run = fitted(
            method, folder, data, lm, max_steps=2, gradient_checkpointing=forgets, **rollout
        )
        adapters.append((run.path / "adapter" / "adapter_model.safetensors").read_bytes())
        passes.append(sum(computed))
        computed.clear()
    assert adapters[0] == adapters[1]
    assert passes[1] == 2 * passes[0] > 0
    assert "forward" not in vars(layer)


# --- mixtures of experts ---


@pytest.mark.parametrize("kind", EXPERTS)
def test_a_mixture_is_trained_saved_and_given_back(kind: str, tmp_path: Path) -> None:
    lm = layout_lm(kind)
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    run = fitted("sft", tmp_path / "run", DATA, lm, max_steps=1)
    assert logged(run)[1] > 0
    after = lm.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_experts_are_trained_when_they_are_named(tmp_path: Path) -> None:
    base = save_layout(tmp_path / "base", "mixtral")
    lm = load_model(base)
    settings: dict[str, Any] = {"target_modules": ("q_proj", "w1", "w2", "w3"), "max_steps": 2}
    with pytest.raises(TrainingError, match="set lora_dropout to 0"):
        fitted("sft", tmp_path / "refused", DATA, lm, **settings)
    run = fitted("sft", tmp_path / "run", DATA, lm, **settings, lora_dropout=0.0)
    trained = load_model(run.path)
    assert any("experts.lora_A" in name for name, _ in trained.model.named_parameters())
    export_merged(run, tmp_path / "merged")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    assert torch.allclose(logits(plain), logits(trained.model), atol=1e-3)
    assert not torch.allclose(logits(plain), logits(lm.model), atol=1e-2)


# --- layers that cannot have an adapter ---


@pytest.mark.parametrize(
    ("kind", "modules", "message"),
    [
        ("llama", ("nothing",), r"on nothing \(.*not found.*linear layers: down_proj, "),
        ("llama", ("input_layernorm",), r"on input_layernorm .*not supported"),
        ("llama", ("q_proj", "lm_head"), r"lm_head cannot have an adapter.*Leave it out"),
        ("gpt_neox", ("embed_out",), r"on embed_out \(.*linear layers: dense, "),
        ("mixtral", ("w1",), r"on w1 \(.*w3.*Take all-linear"),
        ("falcon_h1", ("out_proj",), r"on out_proj \(.*Take all-linear"),
    ],
)
@pytest.mark.parametrize("method", ["sft", "ppo"])
def test_layers_that_cannot_have_an_adapter_are_named(
    method: str, kind: str, modules: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    lm = layout_lm(kind)
    data: Any = DATA if method == "sft" else [Prompt("p", "ab", "test")]
    with pytest.raises(TrainingError, match=message):
        fitted(method, tmp_path / "run", data, lm, target_modules=modules, lora_dropout=0)
    assert not hasattr(lm.model, "peft_config")


def test_an_embedding_that_is_also_the_head_cannot_have_an_adapter(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"embed_tokens cannot have an adapter.*Leave it out"):
        fitted("sft", tmp_path / "run", DATA, target_modules=("embed_tokens",))
