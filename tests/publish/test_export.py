"""An exported model is the trained model, loads without detoxlab and says what it is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from detoxlab.errors import ConfigError, ModelError
from detoxlab.models import load_model
from detoxlab.pipeline import export_model
from detoxlab.publish.content import CardContent
from detoxlab.publish.export import export_adapter, export_merged
from detoxlab.records import Comparison, Guard, Measurement
from detoxlab.runs import Run
from tests.support.fine_tuned import trained
from tests.support.gguf_files import save_gguf, stored_model
from tests.support.report_study import measured_run
from tests.support.tiny import save_tiny, tiny_tokenizer


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("export")
    return trained(folder / "ft", load_model(save_tiny(folder / "base")), max_steps=6)


def logits(model: torch.nn.Module) -> torch.Tensor:
    ids = torch.tensor([tiny_tokenizer()("<|user|>you fool<|end|><|assistant|>").input_ids])
    with torch.no_grad():
        return model(ids).logits


def test_the_merged_model_is_the_adapter_model(run: Run, tmp_path: Path) -> None:
    out = export_merged(run, tmp_path / "model")
    merged = AutoModelForCausalLM.from_pretrained(out)
    tuned = load_model(run.path)
    assert (logits(merged) - logits(tuned.model)).abs().max() < 1e-4
    with tuned.as_base():
        assert (logits(merged) - logits(tuned.model)).abs().max() > 1e-2
    assert not hasattr(merged, "peft_config")
    assert load_model(out).id.startswith("model@")


def test_the_tokenizer_carries_the_chat_template(run: Run, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(export_merged(run, tmp_path / "model"))
    messages = [{"role": "user", "content": "hi"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|user|>hi<|end|><|assistant|>"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_have_the_type_asked_for(run: Run, tmp_path: Path, dtype: str) -> None:
    out = export_merged(run, tmp_path / "model", dtype=dtype)  # type: ignore[arg-type]
    with safe_open(out / "model.safetensors", "pt") as weights:
        assert {str(weights.get_tensor(key).dtype) for key in weights.keys()} == {  # noqa: SIM118
            f"torch.{dtype}"
        }


def test_the_adapter_alone_loads_on_its_base(run: Run, tmp_path: Path) -> None:
    out = export_adapter(run, tmp_path / "adapter-only")
    lm = load_model(run.path.parent / "base", adapter=out)
    assert torch.equal(logits(lm.model), logits(load_model(run.path).model))
    assert "## Limits" in (out / "README.md").read_text()


@pytest.mark.parametrize("export", [export_merged, export_adapter])
def test_whoever_may_read_the_folder_may_read_its_files(
    run: Run, tmp_path: Path, export: Callable[..., Path]
) -> None:
    out = export(run, tmp_path / "model")
    readable = out.stat().st_mode & 0o666
    modes = {path.name: path.stat().st_mode & 0o777 for path in out.iterdir()}
    assert modes == dict.fromkeys(modes, readable)


# --- the card ---


def measurement(value: float | None, **changes: object) -> Measurement:
    row = {
        "name": "toxic_fraction",
        "value": value,
        "ci_low": value and value - 0.05,
        "ci_high": value and value + 0.05,
        "k": 25,
        "coverage": 0.975,
        "scorer_id": "judge@1",
        "attribute": "toxicity",
        "protocol": "rtp@1",
    }
    return Measurement(**(row | changes))  # type: ignore[arg-type]


def test_the_card_holds_table_verdict_and_limits(run: Run, tmp_path: Path) -> None:
    similar = {"name": "similarity", "scorer_id": None, "attribute": None, "direction": "higher"}
    comparison = Comparison(
        name="ft",
        baseline="base",
        treated="ft",
        judge_id="judge@1",
        second_id=None,
        differences=(),
        guards=(Guard("empty", 0.0, 0.1, 0.1, 0.05, 0.2, "+0.02", "worse"),),
        verdict="improved, at a cost",
        reasons=("the interval excludes 0",),
    )
    out = export_merged(
        run,
        tmp_path / "kind-model",
        content=CardContent(
            measured={
                "base": [measurement(0.4), measurement(0.9, group="toxic")],
                "ft": [measurement(0.2), measurement(None, **similar)],
            },
            comparisons=[comparison],
            licence="apache-2.0",
        ),
    )
    card = (out / "README.md").read_text().replace("\xa0", " ")
    assert card.startswith("---\nlibrary_name: transformers\nlicense: apache-2.0\n")
    assert "# kind-model" in card
    assert "Protocol rtp@1, 0 prompts, k = 25." in card
    assert "| Toxic responses | judge@1 | lower |" in card
    assert (
        "| 40.0 % (35.0 to 45.0 %), 97.5 % scored | 20.0 % (15.0 to 25.0 %), 97.5 % scored |"
        in card
    )
    assert "| Similarity to the prompt |  | higher | unknown | unknown |  |" in card
    assert "90.0 %" not in card
    assert "**Verdict: improved, at a cost**, ft against base by the judge `judge@1`." in card
    assert "- Beyond its limit: Empty responses 0.0 % → 10.0 % (limit +2.0 pts)." in card
    assert "| lora_r | 4 |" in card
    assert "## Limits" in card


@pytest.mark.parametrize(("limits", "verdict"), [({}, "improved"), ({"prompts": 41}, "not shown")])
def test_the_card_of_a_recipes_model_holds_its_verdict_to_the_recipes_limits(
    run: Run, tmp_path: Path, limits: dict[str, int], verdict: str
) -> None:
    Run.start(tmp_path / "lab", kind="experiment", config={"limits": limits}).finish()
    for name, level in (("base", 0.4), ("ft", 0.1)):
        measured_run(tmp_path / "lab" / name, level=level, missing=0.0)
    shutil.copytree(run.path, tmp_path / "lab" / "trained" / "ft")
    made = tmp_path / "lab" / "trained" / "ft"
    out = export_model(made, tmp_path / "out", merged=False, base=str(run.path.parent / "base"))
    assert f"**Verdict: {verdict}**" in (out / "README.md").read_text()


def test_an_unmeasured_model_says_so(run: Run, tmp_path: Path) -> None:
    card = (export_merged(run, tmp_path / "model") / "README.md").read_text()
    assert "Nothing was measured" in card


def test_no_file_names_a_path_of_this_machine(run: Run, tmp_path: Path) -> None:
    out = export_merged(run, tmp_path / "model")
    names = {file.name for file in out.iterdir()}
    assert names >= {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
    for name in names - {"model.safetensors"}:
        assert run.path.parent.name not in (out / name).read_text(), name


def test_nothing_is_overwritten_or_left_half_done(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something already"):
        export_merged(run, tmp_path / "mine")
    with pytest.raises(ModelError):
        export_adapter(Run.start(tmp_path / "other", kind="train", config={}), tmp_path / "x")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("detoxlab.publish.export.model_card", full)
    with pytest.raises(OSError, match="No space"):
        export_merged(run, tmp_path / "model")
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"mine", "other"}


# --- of a model in GGUF ---


@pytest.fixture(scope="module")
def gguf_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("gguf")
    file = save_gguf(folder / "tiny.gguf", kind="Q8_0", pre="smollm")
    return trained(folder / "runs" / "ft", load_model(file), max_steps=3)


def test_a_gguf_file_becomes_a_plain_folder(tmp_path: Path) -> None:
    file = save_gguf(tmp_path / "tiny.gguf", kind="Q8_0", pre="smollm")
    out = export_model(file, tmp_path / "plain")
    plain = AutoModelForCausalLM.from_pretrained(out)
    assert torch.equal(logits(plain), logits(stored_model("Q8_0")))
    assert not hasattr(plain.config, "quantization_config")
    lm, tokenizer = load_model(file), AutoTokenizer.from_pretrained(out)
    for text in ("In 2024, 12 of them:\n\n  <|user|>", "naïve 日本"):
        assert tokenizer(text).input_ids == lm.tokenizer(text).input_ids
    assert tokenizer.chat_template == lm.tokenizer.chat_template
    card = (out / "README.md").read_text()
    assert f"`{lm.id}`" in card
    assert "stored as Q8_0" in card
    for name in ("README.md", "config.json", "tokenizer.json", "tokenizer_config.json"):
        assert "/tmp" not in (out / name).read_text(), name


def test_a_folder_or_adapter_becomes_a_plain_folder_too(run: Run, tmp_path: Path) -> None:
    merged = load_model(export_model(run.path / "adapter", tmp_path / "merged"))
    assert (logits(merged.model) - logits(load_model(run.path).model)).abs().max() < 1e-4


def test_only_a_run_has_what_a_run_has(tmp_path: Path) -> None:
    file = save_gguf(tmp_path / "tiny.gguf")
    with pytest.raises(ConfigError, match="no run of train, --adapter does not apply"):
        export_model(file, tmp_path / "out", merged=False)
    with pytest.raises(ConfigError, match="no adapter and no trained run"):
        export_model(file, tmp_path / "out", base="embedded")
    with pytest.raises(ModelError, match="not a GGUF file"):
        export_model(Path(__file__), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_leads_back_to_the_gguf_file_it_was_trained_on(gguf_run: Run) -> None:
    file = gguf_run.path.parent.parent / "tiny.gguf"
    assert gguf_run.info["base_model"] == "../../tiny.gguf"
    assert gguf_run.info["base_model_id"] == load_model(file).id
    tuned = load_model(gguf_run.path)
    assert tuned.base_id == load_model(file).id
    with tuned.as_base():
        assert torch.equal(logits(tuned.model), logits(stored_model("Q8_0")))
    assert (logits(tuned.model) - logits(stored_model("Q8_0"))).abs().max() > 1e-2


def test_what_was_trained_on_gguf_is_merged_into_a_plain_folder(
    gguf_run: Run, tmp_path: Path
) -> None:
    tuned = logits(load_model(gguf_run.path).model)
    out = export_model(gguf_run.path, tmp_path / "model")
    merged = logits(AutoModelForCausalLM.from_pretrained(out))
    assert (merged - tuned).abs().max() <= 1e-4 * tuned.abs().max()


def test_its_adapter_goes_onto_the_file_wherever_that_is(gguf_run: Run, tmp_path: Path) -> None:
    moved = tmp_path / "moved.gguf"
    shutil.copyfile(gguf_run.path.parent.parent / "tiny.gguf", moved)
    run = Run.open(shutil.copytree(gguf_run.path, tmp_path / "elsewhere" / "ft"))
    other = save_gguf(tmp_path / "other.gguf", seed=1)
    with pytest.raises(ModelError, match="was trained on tiny@"):
        load_model(other, adapter=run.path)
    out = export_model(run.path, tmp_path / "adapter", merged=False, base=str(moved))
    tuned = logits(load_model(gguf_run.path).model)
    for found in (load_model(out), load_model(moved, adapter=run.path)):
        assert torch.equal(logits(found.model), tuned)
