"""Models and runs that are broken inside: one line with place and remedy, and nothing is lost.

Mistakes in what a user types or gives are in test_sixty_mistakes.py.
"""

import hashlib
import json
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detoxlab.cli import main
from detoxlab.records import Generation, Prompt, Score, to_line
from detoxlab.runs import Run

pytestmark = pytest.mark.slow

MEASURE = ["measure", "embedded", "--out", "run", "--judge", "rtp-linear", "--second", "none"]
SCORES = "scores/rtp-linear@1.jsonl"


@pytest.fixture(autouse=True)
def _work_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)


def write(name: str, content: str | bytes) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def jsonl(name: str, *rows: object) -> str:
    return write(name, "".join(json.dumps(row) + "\n" for row in rows))


def state() -> dict[str, str]:
    """Every file here and the hash of its content."""
    files = (path for path in Path().rglob("*") if path.is_file() and path.name != "run.lock")
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def refusal(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one error line of a command that must fail; checks that nothing was lost."""
    before = state()
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code not in (0, None)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, "one line, no traceback"
    after = state()
    lost = [
        name
        for name in before
        if after.get(name) != before[name] and Path(name).name not in ("run.json",)
    ]
    assert lost == []
    return lines[0]


def prompts(*rows: object) -> list[str]:
    return [*MEASURE, "--prompts", jsonl("p.jsonl", *rows)]


def test_no_text_of_a_file_is_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    secret = "you fool"
    argv = prompts({"id": "a", "text": secret}, {"id": "b", "text": [secret]})
    assert secret not in refusal(argv, capsys)


# --- models ---


def tiny_config(**changes: object) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 8,
        **changes,
    }


@pytest.mark.parametrize(
    ("files", "fragments"),
    [
        ({"notes.txt": "x"}, ["m"]),
        ({"config.json": json.dumps(tiny_config())}, ["m"]),
        ({"config.json": "{"}, ["m"]),
        ({"config.json": json.dumps(tiny_config()), "pytorch_model.bin": "x"}, ["safetensors"]),
        ({"config.json": json.dumps({"model_type": "nonesuch"})}, ["m"]),
        ({"adapter_config.json": "{}", "adapter_model.safetensors": ""}, ["m"]),
    ],
    ids=["no config", "no weights", "bad config", "pickle only", "unknown kind", "adapter alone"],
)
def test_a_folder_that_is_no_model(
    files: dict[str, str], fragments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in files.items():
        write(f"m/{name}", content)
    argv = ["measure", "./m", "--out", "run", "--judge", "rtp-linear", "--second", "none"]
    line = refusal(argv, capsys)
    assert all(fragment in line for fragment in fragments), line
    assert not Path("run").exists()


def test_a_scorer_folder_without_the_label(capsys: pytest.CaptureFixture[str]) -> None:
    write("s/config.json", json.dumps({"model_type": "bert", "id2label": {"0": "fine"}}))
    line = refusal([*MEASURE, "--limit", "1", "--scorer", "./s"], capsys)
    assert "s" in line


# --- run folders ---


def saved_run(name: str, ids: tuple[str, ...] = ("a", "b"), scorer: str = "s") -> Run:
    config = {"protocol": "rtp", "sampling": None}
    run = Run.start(name, kind="measure", config=config)
    run.write_once("prompts.jsonl", [Prompt(i, f"Text {i}", "test") for i in ids])
    run.append("generations/worker-0.jsonl", [Generation(i, 0, "Hi", (1,), "eos") for i in ids])
    run.append(f"scores/{scorer}.jsonl", [Score(i, 0, scorer, "toxicity", 0.1) for i in ids])
    run.update(judge_id=scorer, second_id=None)
    run.finish()
    return run


def test_a_damaged_run_is_named_by_file_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    saved_run("one")
    run = saved_run("two")
    with (run.path / "generations/worker-0.jsonl").open("a") as handle:
        handle.write('{"prompt_id": "b"}\n')
    line = refusal(["compare", "one", "two"], capsys)
    assert "worker-0.jsonl:3" in line
    assert "'sample' is missing" in line


def test_a_locked_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    run = saved_run("one")
    with run.locked():
        line = refusal(["score", "one", "--scorer", "rtp-linear"], capsys)
    assert "another process" in line


def test_a_full_disk_loses_nothing() -> None:
    """A limit on file sizes stands for the full disk: the write fails half-way in both."""
    ids = tuple(f"p{number}" for number in range(400))
    whole, cut = saved_run("whole", ids), saved_run("cut", ids)
    command = [sys.executable, "-m", "detoxlab", "score", "--scorer", "rtp-linear"]
    subprocess.run([*command, "whole"], check=True, capture_output=True)
    size = (whole.path / SCORES).stat().st_size

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1000, size - 1000))

    stopped = subprocess.run(
        [*command, "cut"], preexec_fn=limit, capture_output=True, text=True, check=False
    )
    assert stopped.returncode == 1
    errors = [line for line in stopped.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert f"cut/{SCORES}: the disk is full" in errors[0]
    assert 0 < (cut.path / SCORES).stat().st_size < size
    subprocess.run([*command, "cut"], check=True, capture_output=True)
    assert (cut.path / SCORES).read_bytes() == (whole.path / SCORES).read_bytes()


@pytest.mark.filterwarnings("default::detoxlab.runs.TornLineWarning")
def test_a_cut_off_line_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    saved_run("one")
    run = saved_run("two")
    with (run.path / "generations/worker-0.jsonl").open("a") as handle:
        handle.write(to_line(Generation("c", 0, "Hi", (1,), "eos"))[:20])
    with pytest.raises(SystemExit) as stop:
        main(["compare", "one", "two", "--resamples", "100"])
    assert stop.value.code in (0, None)
    assert "worker-0.jsonl:3: the last line is cut off" in capsys.readouterr().err


def test_ctrl_c_keeps_finished_work_and_resume_goes_on() -> None:
    argv = [*MEASURE, "--k", "1", "--max-new-tokens", "5", "--batch-size", "4"]
    command = [sys.executable, "-m", "detoxlab", *argv]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    rows = Path("run/generations/worker-0.jsonl")
    deadline = time.monotonic() + 60
    while not rows.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert re.search(r"error: run: interrupted at \d+ of 250 responses; .* --resume", errors)
    assert "Traceback" not in errors
    assert json.loads(Path("run/run.json").read_text())["status"] == "interrupted"
    kept = rows.read_bytes()
    subprocess.run([*command, "--resume"], check=True, capture_output=True, timeout=120)
    assert rows.read_bytes().startswith(kept)
    assert json.loads(Path("run/run.json").read_text())["status"] == "finished"
