"""What is known to be wrong is said at once: before torch is imported, and in a dry run too."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from detoxlab.records import Generation, Prompt, Score
from detoxlab.runs import Run

CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
DRIVER = """
import json, sys, warnings
from detoxlab.cli import main
commands = json.load(open(sys.argv[1]))
for argv in commands:
    print("\\n$", json.dumps(argv), file=sys.stderr, flush=True)
    try:
        main(argv)
    except SystemExit as stop:
        print("\\ncode", stop.code or 0, file=sys.stderr)
    heavy = [name for name in ("torch", "transformers", "peft", "trl") if name in sys.modules]
    print("heavy", heavy, file=sys.stderr)
"""


def measured(folder: Path) -> None:
    """A small measured run whose scorers are `s` and `other`."""
    run = Run.start(folder, kind="measure", config={"protocol": "rtp", "model": "embedded"})
    run.write_once("prompts.jsonl", [Prompt(i, f"Text {i}", "test") for i in "ab"])
    run.append("generations/worker-0.jsonl", [Generation(i, 0, "Hi", (1,), "eos") for i in "ab"])
    for scorer in ("s", "other"):
        scores = [Score(i, 0, scorer, "toxicity", 0.1) for i in "ab"]
        run.append(f"scores/{scorer}.jsonl", scores)
    run.update(judge_id="s", second_id="other")
    run.finish()


def recipe(**changes: Any) -> str:
    variant = {"name": "ft", "method": "sft", "dialogues": {"source": "embedded"}}
    content = {
        "name": "r",
        "model": "embedded",
        "prompts": {"source": "embedded"},
        "variants": [variant],
        **changes,
    }
    for key in ("dialogues", "pairs", "method", "config"):
        if key in changes:
            variant[key] = content.pop(key)
    return yaml.safe_dump(content)


def write(name: str, content: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(content)
    return name


def files() -> None:
    """Models and runs that are broken, each in its own way, and some that are not."""
    measured(Path("one"))
    measured(Path("two"))
    write("full/thesis.txt", "mine")
    write("bare/config.json", json.dumps(CONFIG))
    write("torn/config.json", "{")
    write("empty/readme.txt", "x")
    adapter = {"base_model_name_or_path": str(Path.cwd() / "gone")}
    write("orphan/adapter_config.json", json.dumps(adapter))
    write("t.txt", "a quiet morning\n")
    write("r.csv", "prompt,response,tox\nHello,Good morning,0.1\n")
    train = {"kind": "train", "method": "sft", "status": "finished", "model": {}}
    gone = {"base_model": "../gone", "base_model_id": "gone@12345678"}
    write("moved/run.json", json.dumps(train | gone))
    write("moved/config.yaml", "{}")
    write("moved/adapter/adapter_config.json", json.dumps(adapter))
    write("unfinished/run.json", json.dumps(train | {"status": "interrupted"}))
    write("unfinished/config.yaml", "{}")
    head = train | gone | {"method": "auxiliary"}
    write("head/run.json", json.dumps(head))
    write("head/config.yaml", "{}")
    write("head/auxiliary/head.json", "{}")


MEASURE = ["measure", "embedded", "--out", "new"]
TRAIN = ["train", "sft", "embedded", "--out", "new"]
EVALUATE = ["evaluate", "embedded", "perplexity", "--source", "t.txt", "--out", "new"]
WINRATE = ["winrate", "one", "two", "--judge", "embedded", "--out", "new"]
Case = tuple[Callable[[], list[str]], list[str]]


def run(**changes: Any) -> Callable[[], list[str]]:
    def argv() -> list[str]:
        name = f"{abs(hash(repr(changes)))}.yaml"
        return ["run", write(name, recipe(**changes)), "--out", "new"]

    return argv


def model(name: str, *more: str) -> Callable[[], list[str]]:
    return lambda: ["measure", name, "--out", "new", *more]


CASES: dict[str, Case] = {
    "model: absent": (model("/nope"), ["/nope", "no such model folder"]),
    "model: no config": (model("empty"), ["empty", "not a model"]),
    "model: torn config": (model("torn"), ["torn/config.json", "JSON"]),
    "model: no weights": (model("bare"), ["bare", "no weights"]),
    "model: unfinished run": (model("unfinished"), ["unfinished", "no adapter"]),
    "model: base of a run moved": (model("moved"), ["base model", "--base PATH"]),
    "model: base of an adapter moved": (model("orphan"), ["base model", "--base PATH"]),
    "model: base of a head moved": (model("head"), ["base model", "--base PATH"]),
    "model: base is absent": (model("moved", "--base", "./nope"), ["./nope"]),
    "model: takes no base": (model("bare", "--base", "bare"), ["has no base"]),
    "measure: judge": (lambda: [*MEASURE, "--judge", "rtp-neurl"], ["rtp-neurl", "'rtp-neural'"]),
    "measure: second": (lambda: [*MEASURE, "--second", "./nope"], ["./nope", "no such folder"]),
    "measure: ensemble": (lambda: [*MEASURE, "--scorer", "max(rtp-linear, x)"], ["'x'"]),
    "measure: encoder": (lambda: [*MEASURE, "--set", "encoder=minilmm"], ["'minilm'"]),
    "measure: prompts": (lambda: [*MEASURE, "--prompts", "nope.jsonl"], ["nope.jsonl"]),
    "measure: reference": (lambda: [*MEASURE, "--set", "reference=./nope"], ["./nope"]),
    "measure: steering": (lambda: [*MEASURE, "--steer", "nado:empty"], ["no auxiliary head"]),
    "measure: out": (lambda: [*MEASURE[:3], "one"], ["one", "already holds a run"]),
    "measure: out is full": (lambda: [*MEASURE[:3], "full"], ["full", "not a run folder"]),
    "measure: other run": (
        lambda: [*MEASURE[:3], "one", "--resume"],
        ["one", "was made with other settings"],
    ),
    "train: dialogues": (lambda: [*TRAIN, "--dialogues", "nope.csv"], ["nope.csv"]),
    "train: method": (lambda: ["train", "sfd", *TRAIN[2:]], ["'sft'"]),
    "train: model": (lambda: ["train", "sft", "./nope", "--out", "new"], ["./nope"]),
    "train: out": (lambda: [*TRAIN[:4], "one"], ["already holds a run"]),
    "train: two seeds": (lambda: [*TRAIN, "--seed", "1", "--set", "seed=2"], ["one seed"]),
    "train: reward": (
        lambda: ["train", "grpo", *TRAIN[2:], "--set", "reward.scorers={rtp-liner: 1}"],
        ["'rtp-linear'"],
    ),
    "train: too much data": (
        lambda: [
            "train",
            "regularised",
            *TRAIN[2:],
            "--dialogues",
            "embedded",
            "--set",
            "anchor=current",
            "--set",
            "iterations=1",
        ],
        ["would drift", "iterations to 2"],
    ),
    "evaluate: text": (lambda: [*EVALUATE[:4], "nope.txt", *EVALUATE[5:]], ["nope.txt"]),
    "evaluate: model": (lambda: ["evaluate", "./nope", *EVALUATE[2:]], ["./nope"]),
    "evaluate: out": (lambda: [*EVALUATE[:6], "one"], ["already holds a run"]),
    "evaluate: in place": (
        lambda: ["evaluate", "one", *EVALUATE[2:5], "--dtype", "float16"],
        ["--dtype", "one says itself"],
    ),
    "winrate: judge": (lambda: [*WINRATE[:4], "./nope", *WINRATE[5:]], ["./nope"]),
    "winrate: run": (lambda: ["winrate", "one", "nope", *WINRATE[3:]], ["nope"]),
    "winrate: out": (lambda: [*WINRATE[:6], "one"], ["already holds a run"]),
    "export: run": (lambda: ["export", "one", "-o", "new"], ["is a measure run"]),
    "export: no adapter": (lambda: ["export", "unfinished", "-o", "new"], ["no adapter"]),
    "export: base moved": (lambda: ["export", "moved", "-o", "new"], ["base model", "--base"]),
    "export: out": (lambda: ["export", "moved", "-o", "full"], ["holds something"]),
    "score: file": (lambda: ["score", "nope.csv", "--out", "new"], ["nope.csv"]),
    "score: out": (lambda: ["score", "r.csv", "--out", "one"], ["already holds a run"]),
    "score: scorer": (
        lambda: ["score", "r.csv", "--out", "new", "--scorer", "rtp-liner"],
        ["'rtp-linear'"],
    ),
    "score a run: judge": (lambda: ["score", "one", "--judge", "rtp-liner"], ["'rtp-linear'"]),
    "run: model": (run(model="./nope"), ["./nope"]),
    "run: prompts": (run(prompts={"source": "nope.jsonl"}), ["nope.jsonl"]),
    "run: dialogues": (run(dialogues={"source": "nope.jsonl"}), ["nope.jsonl"]),
    "run: a named source": (
        run(dialogues={"source": "dialoconan", "path": "nope"}),
        ["nope", "no such file"],
    ),
    "run: pairs": (
        run(method="dpo", dialogues=None, pairs={"source": "nope.jsonl"}),
        ["nope.jsonl"],
    ),
    "run: judge": (run(judge="rtp-neurl"), ["'rtp-neural'"]),
    "run: evaluation": (
        run(evaluate={"p": {"kind": "perplexity", "source": "nope.txt"}}),
        ["nope.txt"],
    ),
    "run: win rate": (run(win_rate={"judge": "./nope"}), ["./nope"]),
    "run: too much data": (
        run(method="regularised", config={"anchor": "current", "iterations": 1}),
        ["would drift", "iterations to 2"],
    ),
    "run: two seeds": (run(config={"seed": 3}), ["variants.ft.config.seed is 3 and seed is 0"]),
}
FINE: dict[str, Callable[[], list[str]]] = {
    "measure": lambda: MEASURE,
    "hub": lambda: ["measure", "org/model", "--out", "new", "--judge", "hf:org/judge"],
    "train": lambda: TRAIN,
    "evaluate": lambda: EVALUATE,
    "evaluate in place": lambda: ["evaluate", "one", *EVALUATE[2:5]],
    "winrate": lambda: WINRATE,
    "score": lambda: ["score", "r.csv", "--out", "new"],
    "score a run": lambda: ["score", "one", "--judge", "other", "--second", "none"],
    "run": run(),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command says, all in one process: torch would stay if one imported it."""
    folder = tmp_path_factory.mktemp("preflight")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DETOXLAB_CACHE", str(folder / "cache"))
        files()
        commands = {f"{name}, dry": [*argv(), "--dry-run"] for name, argv in FINE.items()}
        for name, (argv, _) in CASES.items():
            commands[f"{name}, dry"] = [*argv(), "--dry-run"]
            commands[name] = argv()
        write("commands.json", json.dumps(list(commands.values())))
        before = sorted(str(path) for path in folder.rglob("*"))
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, "commands.json"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert sorted(str(path) for path in folder.rglob("*")) == before, "nothing was written"
    parts = done.stderr.split("\n$ ")[1:]
    assert len(parts) == len(commands), done.stderr[-2000:]
    return dict(zip(commands, parts, strict=True)) | {"out": done.stdout}


@pytest.mark.parametrize("way", ["", ", dry"], ids=["for good", "dry run"])
@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said_before_torch_is_imported(
    name: str, way: str, said: dict[str, str]
) -> None:
    lines = said[name + way].splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, lines
    assert all(fragment in errors[0] for fragment in CASES[name][1]), errors[0]
    assert "code 1" in lines
    assert "heavy []" in lines


@pytest.mark.parametrize("name", FINE)
def test_a_dry_run_of_what_is_right_says_so(name: str, said: dict[str, str]) -> None:
    lines = said[f"{name}, dry"].splitlines()
    assert "code 0" in lines, lines
    assert "heavy []" in lines


def test_a_bench_says_which_falls_it_would_show(said: dict[str, str]) -> None:
    measured = ("measure", "hub", "run")
    assert said["out"].count("falls shown in 4 of 5 comparisons, from: .05 by") == len(measured)


def test_what_only_the_hub_knows_is_named(said: dict[str, str]) -> None:
    assert "not looked at, for the hub is not asked: org/judge, org/model" in said["out"]
