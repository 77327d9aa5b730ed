"""A whole training on a tiny encoder: the same bytes again, resumed too, and its scorer loads."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import detoxlab
from detoxlab.errors import RunMismatchError, ScorerError
from detoxlab.pipeline import train_scorer
from detoxlab.runs import Run
from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers import load_scorer
from detoxlab.scorers.forward import tokenize
from detoxlab.scorers.names import single_scorers
from detoxlab.scorers.trained import load_adapter, read_adapter
from detoxlab.scorers.training.loop import Training
from detoxlab.settings import parse
from tests.support.tiny_classifier import WORDS, save_tiny_encoder

TEXTS = ["you fool", "what a lovely day", "", "old goat it is", "ты дурак", "you old fool " * 30]
ADAPTATIONS = ("full", "lora")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, and a table of texts: hate is to have "fool" in them, insult to have "goat"."""
    made = tmp_path_factory.mktemp("scorers")
    save_tiny_encoder(made / "encoder")
    save_tiny_encoder(made / "other", seed=1)
    rng = np.random.default_rng(0)
    with (made / "texts.jsonl").open("w") as lines:
        for _ in range(300):
            words = rng.choice(WORDS, size=rng.integers(1, 9)).tolist()
            row = {"text": " ".join(words), "hate": float("fool" in words)}
            if rng.random() < 0.5:
                row["insult"] = float("goat" in words)
            lines.write(json.dumps(row) + "\n")
    return made


def settings(folder: Path, adaptation: str, **more: Any) -> ScorerTraining:
    given = {
        "name": "tiny",
        "encoder": str(folder / "encoder"),
        "max_tokens": 16,
        "data": {
            "table": {
                "source": str(folder / "texts.jsonl"),
                "labels": {"hate": "hate", "insult": "insult"},
            }
        },
        "validation": 0.3,
        "adaptation": adaptation,
        "lora_r": 4,
        "lora_alpha": 8,
        "epochs": 5,
        "batch_size": 16,
        "learning_rate": 0.01,
        "checkpoint_every": 4,
        "bf16": "off",
        "device": "cpu",
    }
    return parse(ScorerTraining, given | more, place="test")


@pytest.fixture(scope="module", params=ADAPTATIONS)
def run(request: pytest.FixtureRequest, folder: Path) -> Run:
    """A finished training, in a folder of its kind's name."""
    path = folder / "runs" / request.param
    return train_scorer(settings(folder, request.param), path)


def files(run: Run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run.path / "scorer").iterdir())}


def adaptation(run: Run) -> str:
    return str(run.config.get("adaptation", "full"))


def test_it_learns_and_keeps_the_best_epoch(run: Run) -> None:
    figures = json.loads((run.path / "scorer" / "scorer.json").read_text())["validation"]
    assert figures["hate"]["all"]["auc"] > 0.9
    assert figures["insult"]["all"]["n"] < figures["hate"]["all"]["n"]
    rows = [json.loads(line) for line in (run.path / "train.jsonl").read_text().splitlines()]
    losses = {row["step"]: row["validation_loss"] for row in rows if "validation_loss" in row}
    assert len(losses) == 5
    assert run.info["best_step"] == min(losses, key=lambda step: losses[step])
    assert not (run.path / "checkpoints").exists()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(run: Run, folder: Path) -> None:
    given = settings(folder, adaptation(run)).model_dump(exclude_unset=True)
    again = detoxlab.train_scorer(**given, out=folder / f"again-{run.name}")
    assert files(again) == files(run)
    other = train_scorer(settings(folder, adaptation(run), seed=1), folder / f"other-{run.name}")
    assert files(other)["model.safetensors"] != files(run)["model.safetensors"]


def test_it_may_read_more_of_a_text_than_it_learns_from(folder: Path) -> None:
    whole, beginnings = (
        train_scorer(settings(folder, "full", learn_tokens=tokens), folder / f"learns-{tokens}")
        for tokens in (None, 8)
    )
    assert files(whole)["model.safetensors"] != files(beginnings)["model.safetensors"]
    described = json.loads(files(beginnings)["scorer.json"])
    assert described["max_tokens"] == 16
    assert described["training"]["learn_tokens"] == 8


def test_a_prevalence_changes_the_odds_of_its_attribute_alone(folder: Path) -> None:
    runs = folder / "runs"
    plain = train_scorer(settings(folder, "full", epochs=1), runs / "plain")
    asked = settings(folder, "full", epochs=1, prevalence={"hate": 0.01})
    rare = train_scorer(asked, runs / "rare")
    before_NA, after_NA = (
        load_scorer(str(run.path), cache=False)(["kind goat", "a fool"]) for run in (plain, rare)
    )
    assert after_NA[0, 0] < before_NA[0, 0] < before_NA[1, 0]
    assert after_NA[:, 1].tolist() == before_NA[:, 1].tolist()
    described = json.loads((rare.path / "scorer" / "scorer.json").read_text())
    assert described["thresholds"]["hate"] == 0.5
    assert described["training"]["prevalence"] == {"hate": 0.01}
    assert "right where 1% of the" in (rare.path / "scorer" / "README.md").read_text()


@pytest.mark.parametrize("stopped_at", [3, 12, 27])
def test_interrupted_and_resumed_gives_the_same_bytes(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    asked = settings(folder, adaptation(run))
    whole = Training._timed_step

    def stopping(self: Training, batch: Any) -> float:
        if self.state.step == stopped_at:
            raise KeyboardInterrupt
        return whole(self, batch)

    monkeypatch.setattr(Training, "_timed_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_scorer(asked, tmp_path / "cut")
    monkeypatch.setattr(Training, "_timed_step", whole)
    resumed = train_scorer(asked, tmp_path / "cut", resume=True)
    assert files(resumed) == files(run)
    assert (resumed.path / "train.jsonl").read_bytes() == (run.path / "train.jsonl").read_bytes()


@pytest.mark.slow
def test_killed_while_it_writes_a_checkpoint_and_resumed_gives_the_same_bytes(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    if adaptation(run) == "full":
        pytest.skip("once is enough: the interruptions above are of both kinds")
    asked = settings(folder, adaptation(run))
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from detoxlab.pipeline import train_scorer\n"
        "from detoxlab.scorer_training import ScorerTraining\n"
        "replace, seen = Path.replace, []\n"
        "def dying(self, target):\n"
        "    seen.extend([1] * ('checkpoint' in self.name))\n"
        "    if len(seen) == 3: os.kill(os.getpid(), 9)\n"
        "    return replace(self, target)\n"
        "Path.replace = dying\n"
        "train_scorer(ScorerTraining.model_validate_json(sys.argv[1]), sys.argv[2])\n"
    )
    command = [sys.executable, "-c", program, asked.model_dump_json(), str(tmp_path / "cut")]
    done = subprocess.run(command, check=False, capture_output=True, env=os.environ)
    assert done.returncode == -9, done.stderr.decode()[-500:]
    assert files(train_scorer(asked, tmp_path / "cut", resume=True)) == files(run)


def test_a_resumed_training_refuses_other_data(run: Run, folder: Path, tmp_path: Path) -> None:
    if adaptation(run) == "full":
        pytest.skip("once is enough")
    shutil.copytree(run.path, tmp_path / "run")
    copy = Run.open(tmp_path / "run")
    copy.update(status="interrupted", rows_sha256="another")
    with pytest.raises(RunMismatchError, match="rows_sha256 is not what this training began with"):
        train_scorer(settings(folder, "lora"), copy.path, resume=True)


def test_run_and_folder_load_as_a_calibrated_scorer(run: Run) -> None:
    scorer = load_scorer(str(run.path), cache=False)
    again = load_scorer(str(run.path / "scorer"), cache=False)
    assert scorer.id == again.id
    assert scorer.id.startswith("tiny@1+")
    assert single_scorers(scorer.id) == {"tiny"}
    assert scorer.attributes == ("hate", "insult")
    scores_NA = scorer(TEXTS)
    np.testing.assert_array_equal(scores_NA, again(TEXTS))
    assert np.isnan(scores_NA).all(axis=1).tolist() == [False, False, True, False, True, False]
    assert scorer.cut(TEXTS) == [False] * 5 + [True]  # type: ignore[attr-defined]
    described = json.loads((run.path / "scorer" / "scorer.json").read_text())
    assert scorer.thresholds == described["thresholds"]  # type: ignore[attr-defined]
    assert scores_NA[0, 0] > 0.5 > scores_NA[1, 0]


def test_plain_transformers_opens_it_and_gives_the_uncalibrated_logits(run: Run) -> None:
    folder = run.path / "scorer"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert model.config.problem_type == "multi_label_classification"
    assert model.config.id2label == {0: "hate", 1: "insult"}
    ids = tokenize(AutoTokenizer.from_pretrained(folder), ["you fool"], 16)
    with torch.no_grad():
        logits_A = model(input_ids=torch.tensor(ids)).logits[0].double().numpy()
    curves = json.loads((folder / "scorer.json").read_text())["calibration"]
    expected = [
        np.interp(logit, curves[name]["inputs"], curves[name]["outputs"])
        for logit, name in zip(logits_A, ("hate", "insult"), strict=True)
    ]
    found = load_scorer(str(run.path), cache=False)(["you fool"])[0]
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_the_folder_names_no_place_of_this_machine_and_quotes_no_text(
    run: Run, folder: Path
) -> None:
    for name in ("README.md", "scorer.json", "config.json", "tokenizer_config.json"):
        content = (run.path / "scorer" / name).read_text()
        assert str(folder) not in content
        assert "lovely" not in content
    card = (run.path / "scorer" / "README.md").read_text()
    assert "| table | texts.jsonl | 300 |" in card
    assert "encoder" in card


def test_an_adapter_is_small_and_scores_exactly_as_the_folder(folder: Path) -> None:
    path = folder / "runs" / "lora"
    if not path.exists():
        train_scorer(settings(folder, "lora"), path)
    adapter = path / "scorer" / "adapter.safetensors"
    scorer = load_adapter(adapter, encoder=str(folder / "encoder"))
    assert scorer.id == "tiny@1"
    whole = load_scorer(str(path), cache=False)
    np.testing.assert_array_equal(scorer(TEXTS), whole(TEXTS))
    tensors, description = read_adapter(adapter)
    assert {str(one.dtype) for one in tensors.values()} == {"torch.float16"}
    assert sum(name.endswith(".A") for name in tensors) == 12
    assert description.encoder.source == "encoder"
    with pytest.raises(ScorerError, match="was not made for the encoder"):
        load_adapter(adapter, encoder=str(folder / "other"))


def test_an_adapter_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter.safetensors").write_bytes(b"12345678901")
    with pytest.raises(ScorerError, match="not a readable safetensors file"):
        load_adapter(tmp_path / "adapter.safetensors")
