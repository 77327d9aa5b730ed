"""Workers of a Ray cluster on this machine: the same rows in the same order, whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import ray

import detoxlab
from detoxlab.errors import EngineError
from detoxlab.records import Generation, Prompt
from detoxlab.runs import Run, TornLineWarning
from detoxlab.workers import HERE, Workers, workers_on
from tests.support.fake_endpoint import FakeEndpoint
from tests.support.judge_server import serving
from tests.support.shared_work import FAULTY, WRONG, Marking

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

ASKED: dict[str, Any] = {"prompts": "embedded", "limit": 24, "k": 2, "batch_size": 5}
ASKED |= {"judge": "rtp-linear", "second": None, "hate": None}
SCORED: dict[str, Any] = {"repeats": "samples", "judge": "rtp-linear", "second": None}
UNSTABLE = {"run.json", "run.lock"}  # times, and who did the work


@pytest.fixture(scope="module")
def cluster() -> Iterator[Workers]:
    """One cluster for all tests of this file, with two workers."""
    with workers_on("ray", 2) as workers:
        yield workers


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that this process made alone."""
    return detoxlab.measure("embedded", out=tmp_path_factory.mktemp("local") / "run", **ASKED).path


def prompts(*texts: str) -> list[Prompt]:
    return [Prompt(str(at), text, "made") for at, text in enumerate(texts)]


def apart(rows: Sequence[Prompt]) -> list[list[Prompt]]:
    return [[row] for row in rows]


def contents(run: Path) -> dict[str, bytes]:
    """All files of a run that do not say when and by whom it was made."""
    files = sorted(file for file in run.rglob("*") if file.is_file() and file.name not in UNSTABLE)
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def test_rows_come_in_the_order_of_their_batches(cluster: Workers, tmp_path: Path) -> None:
    work = Marking(tmp_path / "log", seconds=0.05)
    asked = prompts(*(f"line\u2028{at}" for at in range(24)))
    there = list(cluster.results(work, work.begin(), apart(asked)))
    assert there == list(HERE.results(work, work.begin(), apart(asked)))
    assert [rows[0].text for rows in there] == [row.text.upper() for row in asked]
    assert len(work.processes() - {os.getpid()}) > 1


def test_no_batch_begins_no_worker(cluster: Workers, tmp_path: Path) -> None:
    work = Marking(tmp_path / "log")
    assert list(cluster.results(work, work.begin(), [])) == []


def test_a_row_that_fails_is_unknown_and_takes_no_other_with_it(
    cluster: Workers, tmp_path: Path
) -> None:
    work = Marking(tmp_path / "log")
    (rows,) = cluster.results(work, work.begin(), [prompts("a", FAULTY, "b")])
    assert [(row.text, row.error) for row in rows] == [
        ("A", None),
        ("", "failed: ValueError"),
        ("B", None),
    ]


def test_an_error_of_the_settings_ends_the_work(cluster: Workers, tmp_path: Path) -> None:
    work = Marking(tmp_path / "log")
    with pytest.raises(EngineError, match=r"these settings are wrong\. Change them\."):
        list(cluster.results(work, work.begin(), apart(prompts("a", WRONG))))


def test_a_worker_that_is_killed_is_replaced(cluster: Workers, tmp_path: Path) -> None:
    work = Marking(tmp_path / "log", seconds=0.3)
    asked = prompts(*(f"text {at}" for at in range(24)))
    results = cluster.results(work, work.begin(), apart(asked))
    found = [next(results)]
    killed = min(work.processes())
    os.kill(killed, signal.SIGKILL)
    found += results
    assert [rows[0].prompt_id for rows in found] == [row.id for row in asked]
    assert [rows[0].text for rows in found] == [row.text.upper() for row in asked]
    assert len(work.processes()) > 2  # the killed one has a successor


@pytest.mark.usefixtures("cluster")
def test_a_measured_run_is_the_same_byte_for_byte(local: Path, tmp_path: Path) -> None:
    there = detoxlab.measure("embedded", out=tmp_path / "run", on="ray", workers=2, **ASKED)
    assert contents(there.path) == contents(local)
    assert there.info["workers"] == {"engine": "ray", "count": 2}


@pytest.mark.usefixtures("cluster")
def test_a_run_that_began_here_goes_on_elsewhere(local: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    detoxlab.measure("embedded", out=out, **ASKED)
    for file in (*out.glob("scores/*"), out / "measurements.json"):
        file.unlink()
    drawn = out / "generations" / "worker-0.jsonl"
    drawn.write_bytes(b"".join(drawn.read_bytes().splitlines(keepends=True)[:13]) + b'{"torn')
    Run(out).update(status="interrupted")
    with pytest.warns(TornLineWarning):
        detoxlab.measure("embedded", out=out, on="ray", workers=1, resume=True, **ASKED)
    assert contents(out) == contents(local)


@pytest.mark.usefixtures("cluster")
def test_evaluations_are_the_same(tmp_path: Path) -> None:
    text = tmp_path / "text.jsonl"
    text.write_text("".join(f'{{"text": "It rained for {at} days."}}\n' for at in range(70)))
    found = [
        detoxlab.evaluate(
            "embedded", "perplexity", out=tmp_path / on, on=on, source=str(text), max_length=64
        )
        for on in ("local", "ray")
    ]
    here, there = (contents(run.path) for run in found)
    assert there == here


@pytest.mark.usefixtures("cluster")
def test_each_worker_asks_the_endpoint(tmp_path: Path) -> None:
    asked = ASKED | {"limit": 12, "batch_size": 2, "encoder": None, "concurrency": 3}
    with serving(FakeEndpoint(seconds=0.05)) as server:
        here, there = (
            detoxlab.measure("m", out=tmp_path / on, on=on, endpoint=server.url, **asked).path
            for on in ("local", "ray")
        )
    assert contents(there) == contents(here)
    assert len(server.answered) == 2 * 24  # nothing is asked twice
    assert 1 < server.most_running <= 2 * 3


def test_a_saved_run_is_scored_alike(cluster: Workers, local: Path, tmp_path: Path) -> None:
    rows = Run(local).read_all("generations", Generation)
    file = tmp_path / "responses.jsonl"
    file.write_text("".join(f'{{"prompt": "{row.prompt_id}", "response": "x"}}\n' for row in rows))
    here, there = (
        detoxlab.score_file(file, tmp_path / name, workers=workers, **SCORED)
        for name, workers in (("here", HERE), ("there", cluster))
    )
    assert contents(there.path) == contents(here.path)


@pytest.mark.usefixtures("cluster")
def test_a_killed_driver_loses_nothing(local: Path, tmp_path: Path) -> None:
    environment = os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    out = tmp_path / "run"
    command = [sys.executable, "-m", "detoxlab", "measure", "embedded", "--prompts", "embedded"]
    command += ["--limit", "24", "--k", "2", "--batch-size", "5", "--judge", "rtp-linear"]
    command += ["--second", "none", "--hate", "none", "--out", str(out)]
    command += ["--on", "ray", "--workers", "2"]
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    drawn = out / "generations" / "worker-0.jsonl"
    while process.poll() is None and not (drawn.exists() and drawn.stat().st_size):
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (out / "measurements.json").exists()
    subprocess.run([*command, "--resume"], env=environment, check=True, capture_output=True)
    assert contents(out) == contents(local)
