"""A run works from any folder, also after its tree has moved, and says when its base is gone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM

from detoxlab.cli import main
from detoxlab.locations import located, stored
from detoxlab.models import load_model
from detoxlab.runs import Run
from tests.support.tiny import save_tiny

pytestmark = pytest.mark.slow

MEASURING = ["--limit", "2", "--k", "1", "--max-new-tokens", "2", "--judge", "rtp-linear"]
MEASURING += ["--second", "none", "--resamples", "100"]
TRAINING = ["--dialogues", "embedded", "--limit", "8", "--set", "max_steps=1"]
TRAINING += ["--set", "batch_size=2"]
FITTING = ["--prompts", "embedded", "--limit", "20", "--set", "draws.k=2"]
FITTING += ["--set", "draws.max_new_tokens=2", "--set", "head.steps=2"]


def detoxlab(*arguments: object) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code == 0


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code == 1
    return capsys.readouterr().err


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([[70, 71, 72]])).logits


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with a base, and two runs trained on it by relative paths from its middle."""
    tree = tmp_path_factory.mktemp("trained") / "tree"
    save_tiny(tree / "models" / "base")
    (tree / "work").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tree / "work")
        detoxlab("train", "sft", "../models/base", "--out", "runs/ft", *TRAINING)
        detoxlab("train", "auxiliary", "../models/base", "--out", "runs/head", *FITTING)
    return tree


@pytest.fixture
def tree(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, which stands for a tree that has moved: the first is not there for it."""
    return shutil.copytree(trained, tmp_path / "moved")


@pytest.fixture(params=["at the top", "far away"])
def elsewhere(
    request: pytest.FixtureRequest, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A working folder that is not the one of the training."""
    places = {"at the top": tree, "far away": tmp_path / "x" / "y"}
    places[request.param].mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(places[request.param])


@pytest.fixture
def gone(trained: Path, tree: Path) -> Path:
    """The run of a tree whose base was moved to another folder, given back as the second part."""
    for folder in (tree, trained):
        if (folder / "models" / "base").exists():
            (folder / "models" / "base").rename(folder / "models" / "renamed")
    return tree / "work" / "runs" / "ft"


@pytest.fixture(autouse=True)
def _base_back(trained: Path) -> object:
    yield
    if (trained / "models" / "renamed").exists():
        (trained / "models" / "renamed").rename(trained / "models" / "base")


# --- names of places ---


@pytest.mark.parametrize("ref", ["models/base", "./models/base", "../here/models/base"])
def test_a_place_in_the_tree_is_named_from_the_run(
    ref: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "models" / "base").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    run = Path("runs/ft")
    assert stored(ref, run) == "../../models/base"
    assert stored(str(Path(ref).resolve()), run) == "../../models/base"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "runs" / "ft").mkdir(parents=True)
    assert located("../../models/base", tmp_path / "here" / "runs" / "ft") == "here/models/base"


def test_a_place_in_no_common_tree_stays_as_it_was_given() -> None:
    assert stored("/proc", Path("/dev/shm/runs/ft")) == "/proc"
    assert located("/proc", Path("/dev/shm/runs/ft")) == "/proc"


@pytest.mark.parametrize("name", ["embedded", "org/model", "gpt2"])
def test_a_name_is_no_place(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("embedded").mkdir()
    assert stored(name, Path("runs/ft")) == name
    assert located(name, tmp_path) == name


# --- what works from elsewhere ---


@pytest.mark.usefixtures("elsewhere")
def test_a_trained_run_is_measured_and_evaluated(tree: Path, tmp_path: Path) -> None:
    runs, texts = tree / "work" / "runs", tmp_path / "t.txt"
    texts.write_text("a quiet morning by the sea\n")
    for name in ("ft", "head"):
        out = tmp_path / f"m-{name}"
        detoxlab("measure", runs / name, "--out", out, *MEASURING)
        detoxlab("evaluate", out, "perplexity", "--source", texts, "--resamples", 100)
        assert Run.open(out).info["model"]["id"].startswith("base@")


@pytest.mark.usefixtures("elsewhere")
def test_a_trained_run_is_exported_and_its_adapter_loads(tree: Path, tmp_path: Path) -> None:
    run = tree / "work" / "runs" / "ft"
    expected = logits(load_model(run).model)
    detoxlab("export", run, "--output", tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert (logits(merged) - expected).abs().max() < 1e-4
    detoxlab("export", run, "--adapter", "--output", tmp_path / "adapter-only")
    plain = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter-only")
    assert torch.equal(logits(plain), expected)
    lm = load_model(tmp_path / "adapter-only")
    assert torch.equal(logits(lm.model), expected)


@pytest.mark.usefixtures("elsewhere")
def test_plain_peft_reads_the_adapter_of_a_run(trained: Path) -> None:
    run = trained / "work" / "runs" / "ft"
    plain = AutoPeftModelForCausalLM.from_pretrained(run / "adapter")
    assert torch.equal(logits(plain), logits(load_model(run).model))


@pytest.mark.usefixtures("elsewhere")
def test_a_training_and_a_measurement_are_gone_on_with(tree: Path, tmp_path: Path) -> None:
    base, run, out = tree / "models" / "base", tree / "work" / "runs" / "ft", tmp_path / "m"
    before = (run / "run.json").read_text()
    detoxlab("train", "sft", base, "--out", run, *TRAINING, "--resume")
    assert (run / "run.json").read_text() == before, "it was finished"
    detoxlab("measure", run, "--out", out, *MEASURING)
    detoxlab("measure", run, "--out", out, *MEASURING, "--resume")


@pytest.mark.usefixtures("elsewhere")
def test_a_trained_run_judges_win_rates(tree: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        out = tmp_path / f"m{seed}"
        detoxlab("measure", "embedded", "--out", out, *MEASURING, "--seed", seed)
    judge = tree / "work" / "runs" / "ft"
    detoxlab(
        *("winrate", tmp_path / "m0", tmp_path / "m0", "--judge", judge),
        *("--out", tmp_path / "w", "--resamples", 100),
    )
    assert Run.open(tmp_path / "w").info["judge_id"].startswith("base@")


# --- a base that has moved away from its runs ---


def test_a_base_that_moved_is_said_to_be_the_base(
    gone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detoxlab("export", gone, "--adapter", "--base", gone.parents[2] / "models/renamed",
             "--output", tmp_path / "given")  # fmt: skip
    shutil.rmtree(gone.parents[2] / "models" / "renamed")
    commands: dict[str, Callable[[], str]] = {
        "measure": lambda: refusal(capsys, "measure", gone, "--out", tmp_path / "m", *MEASURING),
        "export": lambda: refusal(capsys, "export", gone, "--output", tmp_path / "e"),
        "given away": lambda: refusal(
            capsys, "measure", tmp_path / "given", "--out", tmp_path / "n", *MEASURING
        ),
        "auxiliary": lambda: refusal(
            capsys, "measure", gone.parent / "head", "--out", tmp_path / "o", *MEASURING
        ),
    }
    for name, command in commands.items():
        error = command()
        assert "base model" in error, name
        assert "--base PATH" in error, name
        assert "hub" not in error, name


def test_the_base_is_named_where_it_is_now(gone: Path, tmp_path: Path) -> None:
    base, texts = gone.parents[2] / "models" / "renamed", tmp_path / "t.txt"
    texts.write_text("a quiet morning by the sea\n")
    here = ("--base", base)
    for name in ("ft", "head"):
        out = tmp_path / f"m-{name}"
        detoxlab("measure", gone.parent / name, "--out", out, *MEASURING, *here)
        detoxlab("evaluate", out, "perplexity", "--source", texts, "--resamples", 100, *here)
    detoxlab(
        *("evaluate", gone, "perplexity", "--source", texts, "--resamples", 100, *here),
        *("--out", tmp_path / "e"),
    )
    detoxlab("export", gone, "--output", tmp_path / "merged", *here)
    detoxlab("export", gone, "--adapter", "--output", tmp_path / "adapter-only", *here)
    plain = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter-only")
    bare = AutoModelForCausalLM.from_pretrained(base)
    assert torch.equal(logits(plain), logits(PeftModel.from_pretrained(bare, gone / "adapter")))


@pytest.mark.parametrize("command", ["measure", "auxiliary", "export", "export --adapter"])
def test_a_base_with_other_weights_is_refused(
    command: str, gone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ("--base", save_tiny(tmp_path / "other", seed=5))
    asked = {
        "measure": ("measure", gone, "--out", tmp_path / "m", *MEASURING),
        "auxiliary": ("measure", gone.parent / "head", "--out", tmp_path / "m", *MEASURING),
        "export": ("export", gone, "--output", tmp_path / "m"),
        "export --adapter": ("export", gone, "--adapter", "--output", tmp_path / "m"),
    }
    error = refusal(capsys, *asked[command], *other)
    assert "was trained on base@" in error
    assert "not on other@" in error


def test_a_model_without_base_takes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_tiny(tmp_path / "model")
    error = refusal(capsys, "measure", model, "--base", model, "--out", tmp_path / "m", *MEASURING)
    assert "no adapter and no trained run" in error


def test_an_adapter_that_was_given_away_keeps_its_scorers(trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / "tree") / "work" / "runs" / "ft"
    info = json.loads((run / "run.json").read_text()) | {"train_scorers": ["rtp-linear@1"]}
    (run / "run.json").write_text(json.dumps(info))
    detoxlab("export", run, "--adapter", "--output", tmp_path / "adapter-only")
    assert load_model(tmp_path / "adapter-only").facts["train_scorers"] == ["rtp-linear@1"]


def test_runs_that_name_their_base_from_the_working_folder_are_still_read(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(trained, tmp_path / "tree") / "work" / "runs" / "ft"
    info = json.loads((run / "run.json").read_text()) | {"base_model": "../models/base"}
    del info["working_folder"]
    (run / "run.json").write_text(json.dumps(info))
    monkeypatch.chdir(tmp_path / "tree" / "work")
    assert load_model("runs/ft").facts["base_id"].startswith("base@")
