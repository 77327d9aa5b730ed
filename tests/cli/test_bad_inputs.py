"""Bad input gives one line with value, place and remedy, an exit code, and loses nothing."""

import gzip
import hashlib
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from detoxlab.cli import main
from detoxlab.records import Generation, Prompt, Score, to_line
from detoxlab.runs import Run

pytestmark = pytest.mark.slow

MEASURE = ["measure", "embedded", "--out", "run", "--judge", "rtp-linear", "--second", "none"]
SERVED = ["--set", "endpoint=http://127.0.0.1:9", "--set", "api_key_env=NO_SUCH_KEY"]
TRAIN = ["train", "sft", "embedded", "--out", "run"]
SCORE = ["score", "r.csv", "--out", "run", "--judge", "rtp-linear", "--second", "given"]
SCORES = "scores/rtp-linear@1.jsonl"
RECIPE = """name: r
model: embedded
prompts: {source: embedded}
variants: [{name: ft, method: sft, dialogues: {source: embedded}}]
"""


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


def raw_prompts(content: str | bytes, name: str = "p.jsonl") -> list[str]:
    return [*MEASURE, "--prompts", write(name, content)]


def recipe(text: str) -> list[str]:
    return ["run", write("r.yaml", text), "--out", "run"]


GOOD = {"id": "a", "text": "Good morning"}

PROMPT_FILES: dict[str, tuple[Callable[[], list[str]], list[str]]] = {
    "missing": (lambda: [*MEASURE, "--prompts", "absent.jsonl"], ["absent.jsonl"]),
    "empty": (lambda: raw_prompts(""), ["p.jsonl", "empty"]),
    "malformed": (lambda: raw_prompts('{"id": "a", "text": "x"}\n{"id"\n'), ["p.jsonl:2", "JSON"]),
    "not an object": (lambda: raw_prompts("[1]\n"), ["p.jsonl:1"]),
    "wrongly encoded": (
        lambda: raw_prompts("text\ncaf\xe9\n".encode("latin-1"), "p.csv"),
        ["UTF-8"],
    ),
    "broken gzip": (
        lambda: raw_prompts(gzip.compress(b'{"text": "x"}\n' * 99)[:40], "p.jsonl.gz"),
        ["p.jsonl.gz"],
    ),
    "no gzip at all": (lambda: raw_prompts("text", "p.jsonl.gz"), ["p.jsonl.gz"]),
    "broken parquet": (lambda: raw_prompts("PAR1 no", "p.parquet"), ["p.parquet"]),
    "unknown extension": (lambda: raw_prompts("x", "p.docx"), ["p.docx"]),
    "no text column": (lambda: prompts({"id": "a", "txt": "x"}), ["p.jsonl", "'text'", "txt"]),
    "wrong mapping": (
        lambda: [*prompts({"id": "a", "question": "x"}), "--column", "text=qestion"],
        ["qestion", "question"],
    ),
    "mapping without =": (lambda: [*prompts(GOOD), "--column", "text"], ["--column text"]),
    "duplicate ids": (lambda: prompts(GOOD, GOOD), ["p.jsonl", "'a'"]),
    "empty text": (lambda: prompts(GOOD, {"id": "b", "text": " "}), ["p.jsonl:2"]),
    "text is a number": (lambda: prompts({"id": "a", "text": 3}), ["p.jsonl:1"]),
    "a folder": (lambda: [*MEASURE, "--prompts", str(Path("d").mkdir() or "d")], ["d"]),
    "none left": (
        lambda: [*MEASURE, "--where", "kind=gentle"],
        ["kind", "gentle"],
    ),
    "bad range": (
        lambda: [*MEASURE, "--where", "toxicity=low:high"],
        ["--where toxicity=low:high"],
    ),
    "limit 0": (lambda: [*MEASURE, "--limit", "0"], ["limit", "1"]),
    "unknown source": (lambda: [*MEASURE, "--prompts", "embeded"], ["embeded", "'embedded'"]),
}

SETTINGS: dict[str, tuple[Callable[[], list[str]], list[str]]] = {
    "unknown protocol": (lambda: [*MEASURE, "--protocol", "rtpp"], ["rtpp", "'rtp'"]),
    "unknown judge": (
        lambda: ["measure", "embedded", "--out", "run", "--judge", "rtp-liner"],
        ["rtp-liner", "'rtp-linear'"],
    ),
    "judge is second": (lambda: [*MEASURE, "--second", "rtp-linear"], ["'rtp-linear'", "another"]),
    "unknown encoder": (
        lambda: [*MEASURE, "--limit", "1", "--set", "encoder=hashed-ngram"],
        ["hashed-ngram", "'hashed-ngrams'"],
    ),
    "temperature": (lambda: [*MEASURE, "--set", "sampling.temperature=-1"], ["temperature"]),
    "top-p": (lambda: [*MEASURE, "--set", "sampling.top_p=0"], ["top_p"]),
    "k": (lambda: [*MEASURE, "--k", "0"], ["k:"]),
    "dtype": (lambda: [*MEASURE, "--dtype", "float8"], ["dtype", "float32"]),
    "device": (lambda: [*MEASURE, "--device", "tpux"], ["tpux"]),
    "no such model": (
        lambda: [
            "measure",
            "./absent",
            "--out",
            "run",
            "--judge",
            "rtp-linear",
            "--second",
            "none",
        ],
        ["absent"],
    ),
    "no key": (
        lambda: [*MEASURE, *SERVED],
        ["NO_SUCH_KEY"],
    ),
    "recipe missing": (lambda: ["run", "absent.yaml"], ["absent.yaml"]),
    "no recipe named": (lambda: ["run"], ["no recipe"]),
    "recipe malformed": (lambda: recipe("name: [1\nmodel: x\n"), ["r.yaml:", "YAML"]),
    "recipe is a list": (lambda: recipe("- 1\n"), ["r.yaml", "mapping"]),
    "recipe typo": (lambda: recipe(RECIPE + "protocl: rtp\n"), ["'protocl'", "'protocol'"]),
    "recipe typo below": (
        lambda: recipe(RECIPE.replace("source: embedded}\nv", "source: embedded, limt: 3}\nv")),
        ["prompts.limt", "'limit'"],
    ),
    "recipe without variants": (
        lambda: recipe("name: r\nmodel: m\nprompts: {source: embedded}\nvariants: []\n"),
        ["variants"],
    ),
    "recipe without model": (lambda: recipe(RECIPE.replace("model: embedded\n", "")), ["model"]),
    "variant called base": (lambda: recipe(RECIPE.replace("name: ft", "name: base")), ["'base'"]),
    "variant without data": (
        lambda: recipe(RECIPE.replace(", dialogues: {source: embedded}", "")),
        ["variants.ft", "sft learns from dialogues", "none"],
    ),
    "variant of unknown method": (lambda: recipe(RECIPE.replace("sft", "sfd")), ["sfd", "'sft'"]),
    "unset variable": (
        lambda: recipe(RECIPE.replace("source: embedded}\nv", "source: '${NO_SUCH_VAR}'}\nv")),
        ["NO_SUCH_VAR"],
    ),
    "--set without =": (lambda: [*recipe(RECIPE), "--set", "seed"], ["--set seed"]),
    "--set of an unknown variant": (
        lambda: [*recipe(RECIPE), "--set", "variants.fd.method=sft"],
        ["'fd'", "ft"],
    ),
    "unknown method": (lambda: ["train", "sfd", "embedded", "--out", "run"], ["sfd", "'sft'"]),
    "unknown hyperparameter": (
        lambda: [*TRAIN, "--set", "learning_rat=1"],
        ["learning_rat", "'learning_rate'"],
    ),
    "hyperparameter of wrong type": (lambda: [*TRAIN, "--set", "epochs=many"], ["epochs"]),
    "dialogues without columns": (
        lambda: [*TRAIN, "--dialogues", write("d.csv", "a,b\n1,2\n")],
        ["d.csv"],
    ),
    "validation of 1": (lambda: [*TRAIN, "--validation", "1"], ["validation"]),
}

RESPONSES: dict[str, tuple[Callable[[], list[str]], list[str]]] = {
    "no file": (lambda: SCORE, ["r.csv"]),
    "no response column": (
        lambda: [*SCORE, "--response-column", "reply", "--score-column", "given=s"],
        ["reply", "r.csv"],
    ),
    "no score column": (lambda: [*SCORE, "--score-column", "given=scor"], ["scor", "r.csv"]),
    "a score above 1": (lambda: [*SCORE, "--score-column", "given=big"], ["r.csv:2"]),
    "a score that is no number": (lambda: [*SCORE, "--score-column", "given=text"], ["r.csv:2"]),
    "scores that are all NaN": (
        lambda: ["score", "r.csv", "--out", "run", "--score-column", "given=nan"],
        ["r.csv", "'nan'", "no score"],
    ),
    "no --out": (lambda: ["score", "r.csv"], ["--out"]),
    "unknown scorer": (
        lambda: [*SCORE, "--score-column", "given=s", "--scorer", "rtp-neurl"],
        ["rtp-neurl", "'rtp-neural'"],
    ),
    "mistyped judge": (
        lambda: [*SCORE, "--score-column", "perspective=s", "--judge", "perspectiv"],
        ["unknown scorer 'perspectiv'", "Did you mean 'perspective'?", "rtp-linear", "r.csv has"],
    ),
    "mistyped second": (
        lambda: [*SCORE, "--score-column", "perspective=s", "--second", "rtp-linar"],
        ["'rtp-linar'", "Did you mean 'rtp-linear'?", "perspective", "prompt, response, s, big"],
    ),
    "a column as a judge": (
        lambda: [*SCORE, "--judge", "big"],
        ["unknown scorer 'big'", "the column 'big' of r.csv", "--score-column big=big"],
    ),
    "a mistyped column as a judge": (
        lambda: [*SCORE, "--judge", "texts"],
        ["unknown scorer 'texts'", "the column 'text' of r.csv", "--score-column text=text"],
    ),
    "-1 for no score": (
        lambda: [*SCORE, "--score-column", "given=minus"],
        ["r.csv:2", "--missing-value -1"],
    ),
    "nothing but -1": (
        lambda: [
            *("score", "r.csv", "--out", "run"),
            *("--score-column", "given=minus", "--missing-value", "-1"),
        ],
        ["r.csv", "'minus'", "no score"],
    ),
}


@pytest.mark.parametrize("case", PROMPT_FILES)
def test_prompts_that_are_not_right(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv, fragments = PROMPT_FILES[case]
    line = refusal(argv(), capsys)
    assert all(fragment in line for fragment in fragments), line


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_are_not_right(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv, fragments = SETTINGS[case]
    line = refusal(argv(), capsys)
    assert all(fragment in line for fragment in fragments), line


@pytest.mark.parametrize("case", RESPONSES)
def test_responses_that_are_not_right(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    if case != "no file":
        write("r.csv", "prompt,response,s,big,text,nan,minus\nHello,Hi,0.5,1.5,high,nan,-1\n")
    argv, fragments = RESPONSES[case]
    line = refusal(argv(), capsys)
    assert all(fragment in line for fragment in fragments), line


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


@pytest.mark.parametrize(
    ("argv", "fragments"),
    [
        (["compare", "one"], ["two runs"]),
        (["compare", "one", "nothing"], ["nothing", "run.json"]),
        (["compare", "one", "other"], ["no prompt"]),
        (["compare", "one", "two", "--set", "coverag=0.9"], ["coverag"]),
        (["compare", "one", "two", "--attribute", "insult"], ["insult"]),
        (["report", "one", "nothing"], ["nothing"]),
        (["export", "one", "-o", "m"], ["one"]),
        (["score", "one"], ["--scorer"]),
        (["score", "one", "--scorer", "rtp-liner"], ["'rtp-linear'"]),
        ([*MEASURE[:3], "one", *MEASURE[4:]], ["one", "--resume"]),
        ([*MEASURE[:3], "one", *MEASURE[4:], "--resume"], ["one", "was made with"]),
        ([*MEASURE[:3], "file", *MEASURE[4:]], ["file", "not a run folder"]),
        ([*MEASURE[:3], "full", *MEASURE[4:]], ["full", "not a run folder"]),
        (["measure", "one", "--out", "new", "--judge", "rtp-linear", "--second", "none"], ["one"]),
    ],
    ids=lambda value: " ".join(value) if value[0] in ("compare", "report", "export") else "",
)
def test_run_folders_that_do_not_fit(
    argv: list[str], fragments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        saved_run(name)
    saved_run("other", ids=("x", "y"))
    write("file", "x")
    write("full/thesis.txt", "x")
    line = refusal(argv, capsys)
    assert all(fragment in line for fragment in fragments), line


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
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert json.loads(Path("run/run.json").read_text())["status"] == "interrupted"
    kept = rows.read_bytes()
    subprocess.run([*command, "--resume"], check=True, capture_output=True, timeout=120)
    assert rows.read_bytes().startswith(kept)
    assert json.loads(Path("run/run.json").read_text())["status"] == "finished"
