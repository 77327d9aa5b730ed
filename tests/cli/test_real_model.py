"""Commands on SmolLM2-135M-Instruct, a real model: as a GGUF file and as the folder made of it."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from detoxlab.models import load_model
from detoxlab.records import Generation
from detoxlab.runs import Run
from tests.support.commands import detoxlab

pytestmark = pytest.mark.e2e

FILE, FOLDER = "SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m-instruct"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def responses(folder: Path) -> list[Generation]:
    return Run.open(folder).read_all("generations", Generation)


def test_the_file_and_its_folder_are_measured_alike(real_models: Path, tmp_path: Path) -> None:
    bench = ("--limit", 2, "--k", 2, "--max-new-tokens", 12, "--resamples", 100)
    bench += ("--judge", "rtp-linear", "--second", "none", "--hate", "none")
    for name in (FILE, FOLDER):
        printed = detoxlab(
            "measure", real_models / name, *bench, "--out", tmp_path / name, folder=tmp_path
        )
        assert "toxic_fraction" in printed
    of_file, of_folder = responses(tmp_path / FILE), responses(tmp_path / FOLDER)
    assert len(of_file) == 4
    assert [one.text for one in of_file] == [one.text for one in of_folder]
    model = Run.open(tmp_path / FILE).info["model"]
    assert model["id"] == "SmolLM2-135M-Instruct.Q4_1@b179c952"
    assert model["file_type"] == "Q4_1"


def test_three_steps_of_training_on_the_file_are_exported_as_they_are(
    real_models: Path, tmp_path: Path
) -> None:
    steps = (
        "--set",
        "max_steps=3",
        "--set",
        "batch_size=2",
        "--set",
        "max_length=64",
        "--limit",
        12,
    )
    detoxlab("train", "sft", real_models / FILE, *steps, "--out", tmp_path / "ft", folder=tmp_path)
    detoxlab("export", tmp_path / "ft", "-o", tmp_path / "merged", folder=tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    asked = tokenizer.apply_chat_template(
        QUESTION, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    tuned = load_model(tmp_path / "ft")
    with torch.no_grad():
        ours, theirs = tuned.model(**asked).logits, plain(**asked).logits
        with tuned.as_base():
            before = tuned.model(**asked).logits
            answer = tuned.model.generate(**asked, max_new_tokens=8, do_sample=False)
    assert (theirs - ours).abs().max() <= 1e-4 * ours.abs().max()
    assert (ours - before).abs().max() > 1e-3 * ours.abs().max()
    assert "Paris" in tokenizer.decode(answer[0])
    assert tokenizer.tokenize("2024") == ["2", "0", "2", "4"]
