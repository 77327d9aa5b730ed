"""Canaries: each states what we rely on of a part that its owner may change without notice.

One that fails names the part and, by its place in `detoxlab.internals`, who uses it.
"""

import contextlib
import copy
import inspect
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, inject_adapter_in_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    MixtralConfig,
    MixtralForCausalLM,
    TrainingArguments,
)
from trl import DPOConfig, DPOTrainer, GRPOTrainer, KTOTrainer, RLOOTrainer, SFTTrainer

from detoxlab.internals import accelerate, peft, transformers, trl
from detoxlab.internals import torch as torch_internals
from tests.support.gguf_files import save_gguf
from tests.support.layouts import layout_model
from tests.support.tiny import END, tiny_lm, tiny_model

TRAINERS = (DPOTrainer, GRPOTrainer, KTOTrainer, RLOOTrainer, SFTTrainer)
PROMPT, CHOSEN, REJECTED = [5, 6, 7], [8, 9], [10, 11, 12, 0]


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


# --- trl ---


class Watched(trl.WithoutTelemetry, trl.OwnRows, transformers.CheckpointHooks, DPOTrainer):  # type: ignore[misc]
    """A trainer that says which of our hooks TRL called."""

    def __init__(self, **kwargs: Any) -> None:
        self.called: list[str] = []
        super().__init__(**kwargs)

    def _send_telemetry(self) -> None:
        self.called.append("telemetry")

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        self.called.append("rows")
        return super()._prepare_dataset(dataset, *args, **kwargs)

    def write_weights(self, folder: str, _state_dict: Any = None) -> None:
        self.called.append(f"weights in {Path(folder).name}")
        Path(folder).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setitem(os.environ, "HF_HUB_DISABLE_TELEMETRY", "1")
    lm = tiny_lm()
    rows = {"prompt_ids": [PROMPT], "chosen_ids": [CHOSEN], "rejected_ids": [REJECTED]}
    arguments = DPOConfig(
        output_dir=str(tmp_path),
        max_steps=2,
        save_steps=1,
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        max_length=None,
        disable_tqdm=True,
    )
    return Watched(
        model=lm.model,
        args=arguments,
        processing_class=lm.tokenizer,
        train_dataset=Dataset.from_dict(rows),
        peft_config=LoraConfig(r=2, target_modules=["q_proj"]),
    )


def test_a_trainer_asks_for_telemetry_and_rows_when_it_is_made(trainer: Watched) -> None:
    assert sorted(trainer.called) == ["rows", "telemetry"]


def test_a_trainer_saves_by_our_hooks_and_logs_and_forgets_its_notes(trainer: Watched) -> None:
    trainer.train()
    assert trainer.called[2:] == ["weights in checkpoint-1", "weights in checkpoint-2"]
    logged = [row for row in trainer.state.log_history if "loss" in row]
    tokens = 2 * len(PROMPT) + len(CHOSEN) + len(REJECTED)
    assert [row["num_tokens"] for row in logged] == [tokens, 2 * tokens]
    assert trl.count_tokens(trainer, 5) == 2 * tokens + 5
    assert trl.noted(trainer, "train") == {}
    trl.noted(trainer, "train")["rewards/margins"] += [1.0, 3.0]
    trainer.model.train()
    trainer.log({"loss": 0.0})
    assert trainer.state.log_history[-1]["rewards/margins"] == 2.0
    assert trl.noted(trainer, "eval") == {}


def test_the_collator_of_pairs_reads_our_columns(trainer: Watched) -> None:
    batch = trainer.data_collator([trainer.train_dataset[0]])
    assert batch["input_ids"].tolist() == [[*PROMPT, *CHOSEN, 1, 1], [*PROMPT, *REJECTED]]
    assert batch["completion_mask"].tolist() == [[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1, 1]]


def test_a_fused_head_gives_the_log_probabilities_of_the_labels_alone(trainer: Watched) -> None:
    ids = torch.tensor([[*PROMPT, *CHOSEN]])
    labels = torch.tensor([[-100, -100, -100, *CHOSEN]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    with torch.no_grad():
        with FlopCounterMode(display=False) as whole:
            found = trl.token_log_probs(trainer.model, **inputs)
        with FlopCounterMode(display=False) as less, trl.labelled_tokens_alone():
            alone = trl.token_log_probs(trainer.model, **inputs)
        all_of_them = tiny_model()(ids).logits.log_softmax(dim=-1)[0]
    wanted = [0.0, 0.0, float(all_of_them[2, CHOSEN[0]]), float(all_of_them[3, CHOSEN[1]])]
    assert found.tolist() == alone.tolist() == [pytest.approx(wanted, abs=1e-5)]
    head = tiny_model().lm_head.weight.numel()
    unlabelled = labels.shape[1] - 1 - len(CHOSEN)
    assert whole.get_total_flops() - less.get_total_flops() == 2 * head * unlabelled


@pytest.mark.parametrize("kind", TRAINERS)
def test_every_trainer_has_the_notes_and_hooks_that_we_replace(kind: type[Any]) -> None:
    assert "_metrics" in inspect.getsource(kind.__init__)
    assert parameters(kind._send_telemetry) == ["self"]
    assert parameters(kind._save) == ["self", "output_dir", "state_dict"]
    assert parameters(kind._save_checkpoint) == ["self", "model", "trial"]


def test_online_trainers_take_prompts_and_responses_where_we_give_them() -> None:
    group, plain = GRPOTrainer._generate, RLOOTrainer._generate
    for asks in (group, plain):
        given = "prompt_ids, images, multimodal_fields = self._tokenize_prompts(prompts)"
        assert given in inspect.getsource(asks)
    assert "completion_ids, logprobs = self._generate_single_turn(" in inspect.getsource(group)
    assert "completion_ids = self._generate_single_turn(" in inspect.getsource(plain)


def test_the_collator_of_rows_pads_on_the_right_and_ignores_the_padding() -> None:
    collate = trl.DataCollatorForLanguageModeling(pad_token_id=1)
    batch = collate([{"input_ids": [5, 6], "labels": [-100, 6]}, {"input_ids": [7], "labels": [7]}])
    assert batch["input_ids"].tolist() == [[5, 6], [7, 1]]
    assert batch["labels"].tolist() == [[-100, 6], [7, -100]]
    assert parameters(type(collate).torch_call) == ["self", "examples"]


# --- transformers ---


def test_a_cache_layer_appends_keys_and_values_along_time() -> None:
    layer = transformers.DynamicLayer()
    assert (layer.is_initialized, layer.keys, layer.values) == (False, None, None)
    for length in (3, 1):
        states = torch.full((2, 4, length, 8), float(length))
        keys, values = layer.update(states, 2 * states)
    assert keys.shape == values.shape == (2, 4, 4, 8)
    assert layer.is_initialized
    assert (layer.keys is keys, layer.values is values) == (True, True)
    assert (layer.dtype, layer.device) == (keys.dtype, keys.device)
    assert (layer.get_seq_length(), layer.get_mask_sizes(1)) == (4, (5, 0))
    layer.reorder_cache(torch.tensor([1]))
    assert layer.keys.shape == (1, 4, 4, 8)


def test_a_model_fills_dynamic_layers_of_its_cache() -> None:
    cache = tiny_model()(torch.tensor([PROMPT]), use_cache=True).past_key_values
    assert isinstance(cache, transformers.Cache)
    assert [type(layer) for layer in cache.layers] == [transformers.DynamicLayer] * 2


def test_the_number_of_gpus_is_read_from_where_we_write_it(tmp_path: Path) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    arguments._n_gpu = 4
    assert arguments.n_gpu == 4
    assert transformers.use_one_gpu(arguments).n_gpu == 1


def test_layers_that_checkpoint_do_it_by_the_function_that_we_call() -> None:
    model = tiny_model()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    layers = transformers.checkpointing_layers(model)
    assert layers == list(model.model.layers)
    assert all(layer.gradient_checkpointing for layer in layers)
    calls: list[float] = []

    def compute(_layer: Any, x: torch.Tensor, *, times: float) -> torch.Tensor:
        calls.append(times)
        return (x * x) * times

    x = torch.tensor(3.0, requires_grad=True)
    transformers.checkpointed(layers[0], compute, x, times=2.0).backward()
    assert (calls, float(x.grad)) == ([2.0, 2.0], 12.0)  # type: ignore[arg-type]


def test_a_chat_template_is_compiled_with_what_it_may_ask() -> None:
    template = (
        "{{ strftime_now('%Y') }} {% generation %}{{ messages[0].content }}{% endgeneration %}"
    )
    program = transformers.compiled_template(template)
    text = program.render(messages=[{"content": "ab"}], strftime_now=lambda _form: "1999")
    assert text == "1999 ab"


def test_causal_models_are_named_by_type() -> None:
    names = transformers.causal_architectures()
    assert (names["llama"], names["gpt2"]) == ("LlamaForCausalLM", "GPT2LMHeadModel")
    assert "bert-for-nothing" not in names


def test_the_head_is_kept_whole() -> None:
    assert "lm_head" in transformers.layers_kept_whole(tiny_model())


def test_a_quantised_layer_gives_its_values_back() -> None:
    from bitsandbytes import nn

    assert BitsAndBytesConfig(load_in_4bit=True).quant_method == "bitsandbytes"
    full = torch.nn.Linear(64, 64, bias=False)
    layer = nn.Linear4bit(64, 64, bias=False, quant_type="nf4")
    layer.load_state_dict(full.state_dict())
    values = transformers.dequantised(layer.to("cpu").requires_grad_(False))
    assert values.shape == full.weight.shape
    assert float((values - full.weight.data).norm() / full.weight.data.norm()) < 0.15


def test_gguf_tokenizers_are_split_by_patterns_of_these_names() -> None:
    splits = transformers.gguf_splits()
    assert {"llama-bpe", "qwen2", "tekken"} <= splits.keys()
    assert re.compile(r"p\{N\}\{1,3\}").search(splits["llama-bpe"])
    assert not {"smollm", "starcoder", "falcon", "bloom", "stablelm2"} & splits.keys()


def test_weights_of_gguf_are_read_under_a_bar_that_goes_away(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = save_gguf(tmp_path / "tiny.gguf")
    for quiet, seen in ((True, False), (False, True)):
        with transformers.without_gguf_bars() if quiet else contextlib.nullcontext():
            AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name)
        assert ("GGUF tensors" in capfd.readouterr().err) == seen


# --- peft ---


def test_an_adapter_wraps_layers_that_it_gives_back() -> None:
    model = tiny_model()
    before = model.model.layers[0].self_attn.q_proj
    inject_adapter_in_model(LoraConfig(target_modules=["q_proj"]), model)
    wrapped = [m for m in model.modules() if isinstance(m, peft.BaseTunerLayer)]
    assert len(wrapped) == 2
    assert wrapped[0].get_base_layer() is before


def test_experts_are_moved_to_parameters_and_other_models_left_alone() -> None:
    plain = peft.all_linear(tiny_model())
    assert (plain.target_modules, plain.target_parameters) == ("all-linear", None)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    config = MixtralConfig(**sizes, num_attention_heads=4, num_key_value_heads=4, vocab_size=16)
    mixture = peft.all_linear(MixtralForCausalLM(config))
    assert mixture.target_parameters
    assert {"q_proj", "k_proj", "v_proj", "o_proj"} <= set(mixture.target_modules)


# --- torch ---


def test_torch_tells_whether_the_processor_computes_with_bfloat16() -> None:
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    told = [getattr(torch.cpu, name)() for name in names]
    assert torch_internals.computes_bfloat16(torch.device("cpu")) == any(told)


@pytest.mark.skipif(not torch_internals.has_packing(), reason="a build of torch without oneDNN")
def test_a_packed_weight_computes_the_linear_layer() -> None:
    layer, x = torch.nn.Linear(48, 32), torch.randn(7, 48)
    packed = torch_internals.packed_weight(layer.weight, 512)
    with torch.no_grad():
        found = torch_internals.packed_linear(x, packed, layer.bias)
        assert torch.allclose(found, layer(x), atol=1e-5)


def test_a_weight_that_is_replaced_or_written_to_has_another_identity() -> None:
    weight = torch.nn.Parameter(torch.zeros(3), requires_grad=False)
    first = torch_internals.weight_identity(weight)
    kept = weight.data
    weight.data = torch.ones(3)
    assert torch_internals.weight_identity(weight) != first
    weight.data = kept
    assert torch_internals.weight_identity(weight) == first
    weight.add_(1.0)
    assert torch_internals.weight_identity(weight) != first


# --- accelerate ---


def test_a_process_that_forgets_its_state_reads_it_anew() -> None:
    from accelerate import PartialState
    from accelerate.state import AcceleratorState

    for forgets_all in (False, True):
        PartialState(cpu=True)
        assert PartialState._shared_state != {}
        accelerate.forget_processes(accelerator=forgets_all)
        assert PartialState._shared_state == {}
    assert AcceleratorState._shared_state == {}


def test_the_end_token_of_the_rows_above_is_that_of_the_tiny_model() -> None:
    assert tiny_lm().tokenizer.convert_tokens_to_ids(END) == REJECTED[-1]


def test_attention_can_be_captured_and_is_put_back() -> None:
    model, ids = tiny_model(), torch.tensor([[5, 6, 7]])
    seen: list[tuple[Any, ...]] = []
    with torch.no_grad():
        plain = model(ids).logits
        with transformers.captured_attention(model, lambda *given: seen.append(given)) as is_set:
            looked_at = model(ids).logits
        config = copy.deepcopy(model.config)
        eager = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        eager.load_state_dict(model.state_dict())
        attentions = eager.eval()(ids, output_attentions=True).attentions
    assert is_set
    torch.testing.assert_close(looked_at, plain, rtol=0, atol=1e-5)
    for (module, weights, values), attention in zip(seen, attentions, strict=True):
        torch.testing.assert_close(weights, attention, rtol=0, atol=1e-6)
        assert values.shape == (1, 4, 3, module.head_dim)
    assert model.config._attn_implementation == "sdpa"


def test_falcon_reads_its_kernel_in_each_pass_and_gives_its_weights() -> None:
    model, ids = layout_model("falcon"), torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        plain = model(ids).logits
        with transformers.captured_attention(model, lambda *_given: None) as is_set:
            assert not is_set
        attention = model.transformer.h[0].self_attention
        with transformers.eager_attention(model):
            handle = attention.register_forward_hook(lambda *given: weights.append(given[2][1]))
            weights: list[torch.Tensor] = []
            torch.testing.assert_close(model(ids).logits, plain, rtol=0, atol=1e-5)
            handle.remove()
        fused = torch.zeros(1, 3, attention.query_key_value.out_features)
        assert attention._split_heads(fused)[2].shape[:2] == (1, 3)
    assert weights[0].shape == (1, 4, 3, 3)
    torch.testing.assert_close(weights[0].sum(-1), torch.ones(1, 4, 3))
    assert model.config._attn_implementation == "sdpa"
