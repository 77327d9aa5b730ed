"""Loading language models, what they say of themselves, and log-probabilities."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertForSequenceClassification

from detoxlab.errors import DataError, ModelError
from detoxlab.models import FALLBACK_TEMPLATE, LanguageModel, load_model, token_log_probs
from tests.support.tiny import save_tiny, tiny_lm, tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "small")


def save_adapter(folder: Path, base: Path, *, seed: int = 0, hidden: int = 32) -> Path:
    """A LoRA adapter that changes the model, naming `base`."""
    model = get_peft_model(tiny_model(0, hidden), LoraConfig(r=2, target_modules="all-linear"))
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=generator)
    model.peft_config["default"].base_model_name_or_path = str(base)
    model.save_pretrained(folder)
    return folder


def save_run(run: Path, base: Path) -> Path:
    save_adapter(run / "adapter", base)
    info = {"base_model": str(base), "base_model_id": load_model(base).id, "status": "finished"}
    (run / "run.json").write_text(json.dumps(info))
    return run


def edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def logits(lm: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return lm.model(torch.tensor([[70, 71, 72]])).logits


def test_a_folder_loads_with_its_hash_in_the_id(folder: Path) -> None:
    lm = load_model(folder)
    facts = lm.fingerprint()
    assert lm.id == f"small@{facts['weights_sha256'][:8]}"
    assert (lm.context_length, lm.device.type, lm.dtype) == (256, "cpu", torch.float32)
    assert not lm.model.training
    assert str(folder) not in json.dumps(facts)
    assert load_model(save_tiny(folder.parent / "other", seed=1)).id != lm.id


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtypes(folder: Path, dtype: str) -> None:
    lm = load_model(folder, dtype=dtype)
    assert lm.dtype == getattr(torch, dtype)
    assert lm.fingerprint()["dtype"] == dtype


def test_a_model_whose_tied_matrix_is_stored_as_the_head_only(data_dir: Path) -> None:
    """A wrong tie would give a perplexity near the 2,048 tokens of its vocabulary."""
    lm = load_model(data_dir / "models" / "tinystories-656k")
    assert lm.id == "tinystories-656k@187d0d5e"
    assert lm.template_name == FALLBACK_TEMPLATE.name
    text = "Once upon a time, there was a little girl named Lily. She loved to play in the park."
    ids = lm.prompt_ids(text, chat=False)
    assert ids[0] == lm.tokenizer.bos_token_id
    assert np.exp(-token_log_probs(lm, [ids[:3]], [ids[3:-1]])[0].mean()) < 10


def test_prompt_ids_of_a_text_to_continue() -> None:
    lm = tiny_lm()
    assert lm.tokenizer.decode(lm.prompt_ids("you fool", chat=False)) == "you fool"
    assert lm.prompt_ids("", chat=False) == [lm.tokenizer.eos_token_id]


def test_prompt_ids_never_end_in_eos() -> None:
    from tokenizers.processors import TemplateProcessing

    lm = tiny_lm()
    lm.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <|end|>", special_tokens=[("<|end|>", 0)]
    )
    assert lm.tokenizer("Hi").input_ids[-1] == 0
    assert lm.prompt_ids("Hi", chat=False)[-1] != 0


def test_a_chat_prompt_opens_the_assistants_turn() -> None:
    lm = tiny_lm()
    rendered = lm.tokenizer.decode(lm.prompt_ids("Hi", chat=True))
    assert rendered == "<|user|>Hi<|end|><|assistant|>"
    names = lm.tokenizer.convert_ids_to_tokens(sorted(lm.next_turn_ids))
    assert sorted(names) == ["<|assistant|>", "<|user|>"]
    assert lm.end_of_turn_ids == lm.eos_ids == {0}


def test_a_tokenizer_without_template_gets_the_named_fallback(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    lm = load_model(folder)
    assert lm.template_name == "user-assistant-lines@1"
    assert lm.fingerprint()["chat_template"] == "user-assistant-lines@1"
    assert lm.tokenizer.decode(lm.prompt_ids("Hi", chat=True)) == "User: Hi\nAssistant:"
    turns = [{"role": r, "content": c} for r, c in (("user", "a"), ("assistant", "b"))]
    whole = lm.tokenizer.apply_chat_template(turns, tokenize=False)
    assert whole == "User: a\nAssistant: b<|end|>\n"
    assert lm.next_turn_markers == ("\nUser:",)


def test_a_missing_pad_token_is_taken_from_eos(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", pad_token=None)
    lm = load_model(folder)
    assert lm.tokenizer.pad_token_id == lm.tokenizer.eos_token_id == lm.pad_id


def test_adapter_folder_run_folder_and_explicit_base_give_the_same_model(folder: Path) -> None:
    run = save_run(folder.parent / "ft", folder)
    of_run, of_adapter = load_model(run), load_model(run / "adapter")
    explicit = load_model(folder, adapter=run)
    assert of_run.id == of_adapter.id == explicit.id
    assert of_run.id.startswith(f"{load_model(folder).id}+ft@")
    assert torch.equal(logits(of_run), logits(explicit))
    assert not torch.allclose(logits(of_run), logits(load_model(folder)))


def test_without_its_adapter_the_model_is_the_untouched_base(folder: Path) -> None:
    lm = load_model(save_run(folder.parent / "ft", folder))
    base = load_model(folder)
    with lm.as_base():
        assert torch.equal(logits(lm), logits(base))
    assert not torch.allclose(logits(lm), logits(base))
    assert lm.base_id == base.id == base.base_id


def test_a_merged_adapter_gives_the_same_logits(folder: Path) -> None:
    run = save_run(folder.parent / "ft", folder)
    merged = load_model(run, merge_adapter=True)
    assert torch.allclose(logits(merged), logits(load_model(run)), atol=1e-4)
    assert not merged.has_adapter
    with pytest.raises(ModelError, match="merged"), merged.as_base():
        pass


# --- what cannot be loaded ---


def no_config(folder: Path) -> Path:
    (folder / "config.json").unlink()
    return folder


def broken_config(folder: Path) -> Path:
    (folder / "config.json").write_text("{")
    return folder


def unknown_type(folder: Path) -> Path:
    edit(folder / "config.json", model_type="nonesuch")
    return folder


def classifier(folder: Path) -> Path:
    config = BertConfig(
        vocab_size=260,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def no_weights(folder: Path) -> Path:
    (folder / "model.safetensors").unlink()
    return folder


def pickled_weights(folder: Path) -> Path:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return folder


def broken_weights(folder: Path) -> Path:
    (folder / "model.safetensors").write_bytes(b"not weights at all")
    return folder


def other_weights(folder: Path) -> Path:
    edit(folder / "config.json", num_hidden_layers=3)
    return folder


def no_tokenizer(folder: Path) -> Path:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    return folder


def no_eos(folder: Path) -> Path:
    edit(folder / "tokenizer_config.json", eos_token=None)
    return folder


def empty(folder: Path) -> Path:
    shutil.rmtree(folder)
    folder.mkdir()
    return folder


def absent(folder: Path) -> Path:
    return folder / "no" / "such"


def adapter_without_base(folder: Path) -> Path:
    adapter = save_adapter(folder.parent / "lora", folder)
    edit(adapter / "adapter_config.json", base_model_name_or_path=None)
    return adapter


def adapter_of_missing_base(folder: Path) -> Path:
    adapter = save_adapter(folder.parent / "lora", folder)
    edit(adapter / "adapter_config.json", base_model_name_or_path=str(folder.parent / "gone"))
    return adapter


def adapter_of_another_shape(folder: Path) -> Path:
    return save_adapter(folder.parent / "lora", folder, hidden=64)


def adapter_of_other_weights(folder: Path) -> Path:
    run = save_run(folder.parent / "ft", folder)
    save_tiny(folder, seed=9)
    return run


def unfinished_run(folder: Path) -> Path:
    run = save_run(folder.parent / "ft", folder)
    shutil.rmtree(run / "adapter")
    return run


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_config, "not a model"),
        (broken_config, "config.json: not valid JSON"),
        (unknown_type, "'nonesuch' is not a causal language model"),
        (classifier, "BertForSequenceClassification is not a causal"),
        (no_weights, "no weights"),
        (pickled_weights, "safetensors"),
        (broken_weights, "cannot be loaded"),
        (other_weights, "weights are missing, such as model.layers.2"),
        (no_tokenizer, "tokenizer cannot be loaded"),
        (no_eos, "no end-of-sequence token"),
        (empty, "not a model"),
        (absent, "no such model folder"),
        (adapter_without_base, "does not name its base model"),
        (adapter_of_missing_base, "gone, is not there. Say where its base is now: --base PATH"),
        (adapter_of_another_shape, "does not fit small@"),
        (adapter_of_other_weights, "was trained on small@"),
        (unfinished_run, "has no adapter"),
    ],
)
def test_what_cannot_be_loaded_is_one_line_with_a_remedy(
    folder: Path, spoil: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(spoil(folder))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("ref", ["nobody/nothing-here", "no-such-model"])
def test_a_hub_id_that_is_not_to_be_had(ref: str) -> None:
    with pytest.raises(ModelError, match="not available from the hub"):
        load_model(ref)


@pytest.mark.parametrize("options", [{"dtype": "float8"}, {"device": "abacus"}])
def test_unknown_options_are_errors(folder: Path, options: dict[str, str]) -> None:
    with pytest.raises(ModelError, match=r"float8|abacus"):
        load_model(folder, **options)  # type: ignore[arg-type]


# --- log-probabilities ---


def direct(lm: LanguageModel, prompt: list[int], response: list[int]) -> torch.Tensor:
    """One row by itself, without padding."""
    with torch.no_grad():
        values = lm.model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
    rows = range(len(prompt) - 1, len(prompt) + len(response) - 1)
    return torch.stack([values[row, token] for row, token in zip(rows, response, strict=True)])


@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_log_probs_equal_a_direct_computation(batch_tokens: int) -> None:
    lm, generator = tiny_lm(), np.random.default_rng(0)
    prompts = [generator.integers(4, 260, n).tolist() for n in (3, 9, 1, 5, 20)]
    responses = [generator.integers(4, 260, n).tolist() for n in (4, 1, 8, 2, 15)]
    values = token_log_probs(lm, prompts, responses, batch_tokens=batch_tokens)
    for prompt, response, row in zip(prompts, responses, values, strict=True):
        assert row.dtype == np.float32
        np.testing.assert_allclose(row, direct(lm, prompt, response).numpy(), atol=2e-5)


def test_log_probs_of_an_empty_response_and_a_prompt_beyond_the_context() -> None:
    lm = tiny_lm()
    long = [5, 6, 7, 8] * 80
    empty, cut_off = token_log_probs(lm, [[5], long], [[], [9, 10]])
    assert empty.shape == (0,)
    np.testing.assert_allclose(cut_off, direct(lm, long[-254:], [9, 10]).numpy(), atol=2e-5)


def test_log_probs_refuse_what_they_cannot_score() -> None:
    lm = tiny_lm()
    with pytest.raises(DataError, match="1 prompts but 2 responses"):
        token_log_probs(lm, [[5]], [[5], [6]])
    with pytest.raises(DataError, match="prompt 0 has no token"):
        token_log_probs(lm, [[]], [[5]])
    with pytest.raises(DataError, match="response 0 has 256 tokens"):
        token_log_probs(lm, [[5]], [[5] * 256])


def test_log_probs_leave_the_model_in_its_mode() -> None:
    lm = tiny_lm()
    lm.model.train()
    token_log_probs(lm, [[5]], [[6]])
    assert lm.model.training
