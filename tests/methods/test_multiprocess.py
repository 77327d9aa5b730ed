"""Two processes under `accelerate launch` do what one does, and leave one run folder.

So do two with FSDP, each of which holds a part of the base.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.commands.launch import launch_command_parser
from safetensors.torch import load_file

from detoxlab import processes
from detoxlab.errors import ModelError, TrainingError
from detoxlab.methods.loop.trainer import share_of_batch
from detoxlab.models import load_model
from detoxlab.models.adapters.way_back import next_token_logits
from detoxlab.models.quantisation import Quantisation
from detoxlab.runs import Run
from tests.support.launching import FSDP, LAUNCH, finish, second_worker, start
from tests.support.parallel_driver import train
from tests.support.tiny import dialogues, save_tiny

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
DRIVER = Path(__file__).parents[1] / "support" / "parallel_driver.py"
SETTINGS = {
    "batch_size": 8,
    "learning_rate": 1e-2,
    "lora_dropout": 0,  # each process draws its own
    "save_steps": 3,
    "max_steps": 6,
    "lora_r": 4,
}
TOLERANCE = 1e-5  # relative; sums in another order move a loss by 1e-6
KEYS = ("loss", "eval_loss", "learning_rate", "grad_norm", "tokens", "reward", "kl")
KEYS += ("kl_to_target", "kl_to_anchor")
PASSED_ON = "passed-on"


TALKS = {"dialogues": {"source": "talks.jsonl", "validation": 0.12}}
PAIRS = {"pairs": {"source": "pairs.jsonl", "validation": 0.12}}
PROMPTS = {"prompts": {"source": "prompts.jsonl"}}
MANY = {"prompts": {"source": "many.jsonl"}}
GROUPS = {"rollout": {"prompts": 4, "k": 2, "max_new_tokens": 8}}
# The tiny model's own responses are strings of random bytes, which some gates stop.
OWN = {
    "draws": {"k": 2, "max_new_tokens": 8, "batch_size": 8},
    "reward": {"gates": {"other_language": False, "repeated_unit": False}},
    "validation": 0.16,  # a whole batch and a smaller one
}
PLANS: dict[str, dict[str, Any]] = {
    "sft": {"method": "sft", **TALKS, "config": {}},
    "long": {"method": "sft", **TALKS, "config": {"max_steps": 40}},
    "dpo": {"method": "dpo", **PAIRS, "config": {}},
    "kto": {"method": "kto", **PAIRS, "config": {}},
    "simpo": {"method": "simpo", **PAIRS, "config": {}},
    "ppo": {"method": "ppo", **PROMPTS, "config": GROUPS},
    "grpo": {"method": "grpo", **PROMPTS, "config": GROUPS},
    "rloo": {"method": "rloo", **PROMPTS, "config": GROUPS},
    "own-dpo": {"method": "dpo", **MANY, "config": {**OWN, "margin": 0.0}},
    "own-kto": {"method": "kto", **MANY, "config": {**OWN, "margin": 0.0}},
    "own-rejection": {"method": "rejection", **MANY, "config": OWN},
}
CONSTRAINED: dict[str, Any] = {
    "conditions": [{"scorer": "shouting"}],
    "domains": {"*": {"required": 0.97, "retention": 0.3}},
    "iterations": 2,
    "max_steps": 4,
    "draws": {"k": 2, "max_new_tokens": 8},
    "prompts": 12,
    "head": {"steps": 6, "batch_size": 16},
}
SHARDED_ALONE: dict[str, dict[str, Any]] = {
    "regularised": {"method": "regularised", **TALKS, "config": CONSTRAINED},
    "regularised-reference": {
        "method": "regularised",
        **TALKS,
        "config": CONSTRAINED | {"anchor": "reference"},
    },
}
SHARDED = ("sft", "dpo", "ppo", "grpo", "rloo", "own-rejection", *SHARDED_ALONE)
DRAWN_FIRST = [name for name in PLANS if name.startswith("own-")]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and data: 32 training rows, four whole batches; of `many`, more than six batches."""
    folder = tmp_path_factory.mktemp("parallel")
    save_tiny(folder / "base")
    talks = [
        {"messages": [{"role": turn.role, "content": turn.text} for turn in one.turns]}
        for one in dialogues(36)
    ]
    pairs = [
        {"prompt": f"you fool {i}", "chosen": "let us talk" * (1 + i % 3), "rejected": "fool!"}
        for i in range(36)
    ]
    many = [{"id": f"p{i}", "text": f"you fool {i}"} for i in range(64)]
    files = {"talks": talks, "pairs": pairs, "prompts": many[:8], "many": many}
    for name, rows in files.items():
        lines = [json.dumps({"id": f"{name}{i}"} | row) + "\n" for i, row in enumerate(rows)]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder


def command(out: str, **changes: Any) -> list[str]:
    """The arguments of `detoxlab` for fine-tuning into `out`."""
    options = [f"--set={key}={value}" for key, value in {**SETTINGS, **changes}.items()]
    data = ["--dialogues=talks.jsonl", "--validation=0.12"]
    return ["train", "sft", "base", *data, "--out", out, *options]


def log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "train.jsonl").read_text().splitlines()]


def check_alike(one: Path, two: Path, keys: tuple[str, ...], tolerance: float = TOLERANCE) -> None:
    """The same rows, the same adapter, to rounding."""
    alone, shared = log(one), log(two)
    assert [row["step"] for row in shared] == [row["step"] for row in alone]
    for mine, theirs in zip(shared, alone, strict=True):
        for key in keys:
            assert (key in mine) == (key in theirs)
            assert mine.get(key, 0) == pytest.approx(theirs.get(key, 0), rel=tolerance, abs=1e-6)
    weights = [load_file(run / "adapter" / "adapter_model.safetensors") for run in (one, two)]
    for name, weight in weights[0].items():
        assert (weights[1][name] - weight).abs().max() < 10 * tolerance, name


# --- the rules ---


def test_a_process_that_did_not_join_is_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A leftover RANK in the environment must not keep a run from being written."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert (processes.launched(), processes.count(), processes.is_main()) == (2, 1, True)
    assert processes.any_of(True)
    assert not processes.any_of(False)
    processes.check_alone("auxiliary")
    assert Run.start(tmp_path / "run", kind="train", config={}).info["status"] == "running"


def test_a_batch_is_shared_evenly_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert share_of_batch(8) == 8
    monkeypatch.setattr(processes, "count", lambda: 2)
    assert share_of_batch(8) == 4
    with pytest.raises(TrainingError, match="batch_size 7 cannot be shared by 2 processes"):
        share_of_batch(7)
    with pytest.raises(TrainingError, match="auxiliary runs in one process"):
        processes.check_alone("auxiliary")


def test_only_joined_processes_shard_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """accelerate must not hear that FSDP was asked for: it would shard the adapter too."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with processes.joined("cpu"):
        assert "ACCELERATE_USE_FSDP" not in os.environ
        assert not processes.shards_base()
        monkeypatch.setattr(processes, "count", lambda: 2)
        assert processes.shards_base()
    assert not processes.shards_base()
    monkeypatch.setenv("FSDP_OFFLOAD_PARAMS", "true")
    with pytest.raises(TrainingError, match="--fsdp_offload_params is not supported"):
        processes.joined("cpu").__enter__()
    assert os.environ["ACCELERATE_USE_FSDP"] == "true"


def test_a_quantised_base_cannot_be_sharded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "shards_base", lambda: True)
    with pytest.raises(ModelError, match="a quantised base cannot be sharded"):
        load_model(save_tiny(tmp_path / "base"), quantisation=Quantisation("nf4"))


def test_accelerate_reads_the_commands_in_the_docs() -> None:
    """Its parser knows every option, and gives the rest to detoxlab."""
    pages = [(DOCS / name).read_text() for name in ("multiprocess.md", "scaling.md")]
    text = "\n".join(pages).replace("\\\n", " ")
    commands = [line.split()[2:] for line in text.splitlines() if line[4:21] == "accelerate launch"]
    assert len(commands) == 4
    for words in commands:
        plain = [{"R": "1"}.get(word, word) for word in words]
        read = launch_command_parser().parse_args(plain)
        assert read.module
        assert read.training_script == "detoxlab"
        assert read.training_script_args[0] == "train"
        assert read.use_fsdp is not read.multi_gpu


# --- trainings ---


@pytest.fixture(scope="module")
def trained(here: Path) -> Path:
    """All methods trained in one process, in two, and in two that shard the base.

    One more is begun by one process, and goes on twice in those that shard it.
    """
    plans = {
        name: {**plan, "model": "base", "device": "cpu", "config": SETTINGS | plan["config"]}
        for name, plan in (PLANS | SHARDED_ALONE).items()
    }
    two, sharded = ({name: plans[name] for name in some} for some in (PLANS, SHARDED))
    asked = {
        "one": plans | {PASSED_ON: plans["sft"] | {"halts": [3]}},
        "two": two,
        "sharded": sharded | {PASSED_ON: plans["sft"] | {"halts": [4, 5]}},
    }
    for suffix, its_plans in asked.items():
        (here / f"plans-{suffix}.json").write_text(json.dumps(its_plans))
    finish(start(["one"], here, [sys.executable, str(DRIVER)]))
    shutil.copytree(here / f"{PASSED_ON}-one", here / f"{PASSED_ON}-sharded")
    for suffix, launch, count in (("two", LAUNCH, len(two)), ("sharded", FSDP, len(sharded) + 2)):
        _, errors = finish(start([suffix], here, [*launch, str(DRIVER)]))
        assert errors.count("training: done") == count
    return here


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("how", "name"),
    [*[("two", name) for name in PLANS], *[("sharded", name) for name in SHARDED]],
)
def test_two_processes_train_as_one(name: str, how: str, trained: Path) -> None:
    one, two = Run.open(trained / f"{name}-one"), Run.open(trained / f"{name}-{how}")
    # several gradient steps per row: what the first does to rounding, the last has enlarged
    check_alike(one.path, two.path, KEYS, 1e-3 if name == "ppo" else TOLERANCE)
    assert (two.info["status"], two.info["processes"]) == ("finished", 2)
    assert {path.name for path in two.path.iterdir()} == {path.name for path in one.path.iterdir()}


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("how", "name"), [*[("two", name) for name in DRAWN_FIRST], ("sharded", "own-rejection")]
)
def test_only_the_main_process_draws_what_is_learnt_later(
    name: str, how: str, trained: Path
) -> None:
    alone, main, other = (
        json.loads((trained / f"draws-{of}.json").read_text())[name]
        for of in ("one-0", f"{how}-0", f"{how}-1")
    )
    assert (main, other) == (alone, 0)
    assert alone == 8  # batches of 8 prompts
    drawn = [(trained / f"{name}-{of}" / "generations").iterdir() for of in ("one", how)]
    first, second = [{file.name: file.read_bytes() for file in files} for files in drawn]
    assert first == second
    assert first["worker-0.jsonl"].count(b"\n") == 64 * 2


@pytest.mark.e2e
def test_each_process_holds_half_of_the_layers_and_the_whole_adapter(trained: Path) -> None:
    parts = [json.loads((trained / f"held-sharded-{rank}.json").read_text()) for rank in (0, 1)]
    for held in parts:
        assert held["held_layers"] * 2 == held["layers"] == 2 * (4 * 32 * 32 + 3 * 32 * 64 + 2 * 32)
        assert held["held_adapter"] == held["adapter"] == 2 * 2 * 8 * 32
        assert held["held_rest"] == held["rest"] == 260 * 32 + 32
    plain = json.loads((trained / "held-two-1.json").read_text())
    assert plain["held_layers"] == plain["layers"]


@pytest.mark.e2e
def test_a_training_goes_on_in_another_number_of_processes(trained: Path) -> None:
    """One process to step 3, two that shard the base to 4, they again to 5, then one."""
    run, plan = (
        trained / f"{PASSED_ON}-sharded",
        json.loads((trained / "plans-one.json").read_text()),
    )
    assert not (run / "adapter").exists()
    with contextlib.chdir(trained):
        train(plan["sft"], run)
    check_alike(trained / "sft-one", run, KEYS)
    assert Run.open(run).info["processes"] == 1
    lm = load_model(run)  # as `measure` does
    assert torch.allclose(
        next_token_logits(lm), next_token_logits(load_model(trained / "sft-one")), atol=1e-4
    )


@pytest.mark.e2e
def test_one_killed_process_ends_all_and_the_run_goes_on(trained: Path) -> None:
    arguments, victim = command("victim", max_steps=40), trained / "victim"
    process = start(arguments, trained)
    while process.poll() is None and not list(victim.glob("checkpoints/*/trainer_state.json")):
        time.sleep(0.02)
    os.kill(second_worker(process.pid), signal.SIGKILL)
    process.communicate(timeout=300)
    assert process.returncode != 0
    assert not (victim / "adapter").exists()
    said, errors = finish(start([*arguments, "--resume"], trained))
    assert (said.count("run: "), errors.count("training: done")) == (1, 1)
    check_alike(trained / "long-two", victim, ("loss", "eval_loss", "learning_rate", "tokens"))


@pytest.mark.e2e
def test_a_refusal_is_one_line_and_every_process_fails(here: Path) -> None:
    process = start(command("uneven", batch_size=7), here)
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "error: batch_size 7 cannot be shared by 2 processes." in errors
    assert Run.open(here / "uneven").info["status"] == "failed"
