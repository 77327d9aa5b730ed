"""`measure --endpoint` with a real server of another maker: `transformers serve`."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from transformers import GenerationConfig

from detoxlab.records import Generation
from detoxlab.runs import Run
from tests.support.chat_templates import saved
from tests.support.commands import detoxlab
from tests.support.tiny import CHAT_TEMPLATE

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PATIENCE = 180.0  # seconds; a busy machine takes long to import torch
NOBODY = "http://127.0.0.1:9/v1"
BENCH = ("--limit", 3, "--max-new-tokens", 8, "--judge", "rtp-linear", "--second", "none")
QUICK = ("--hate", "none", "--resamples", 100, "--set", "encoder=null")
GREEDY = ("--set", "sampling.temperature=0", "--k", 1)


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model; the server samples only where its `generation_config.json` says so."""
    folder = saved(tmp_path_factory.mktemp("model"), CHAT_TEMPLATE)
    GenerationConfig(do_sample=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def address(model: Path) -> Iterator[str]:
    """A running server of the model, up to `/v1`."""
    port = free_port()
    given = ["serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    code = "from transformers.cli.transformers import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *given], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    root, until = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
    try:
        while not is_up(root):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)
        yield f"{root}/v1"
    finally:
        process.terminate()
        process.communicate()


def is_up(root: str) -> bool:
    try:
        return httpx.get(f"{root}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


def responses(folder: Path) -> list[Generation]:
    return Run.open(folder).read_all("generations", Generation)


@pytest.mark.parametrize("chat", ["no", "yes"])
def test_greedy_responses_are_those_of_the_model_in_this_process(
    model: Path, address: str, chat: str, tmp_path: Path
) -> None:
    bench = (*BENCH, *QUICK, *GREEDY, "--chat", chat)
    detoxlab("measure", model, *bench, "--out", "here", folder=tmp_path)
    served = ("--endpoint", f"{NOBODY},{address}", "--out", "there")
    detoxlab("measure", model, *bench, *served, folder=tmp_path)
    here, there = responses(tmp_path / "here"), responses(tmp_path / "there")
    assert [row.text for row in there] == [row.text for row in here]
    assert any(row.text for row in there)


def test_the_samples_of_a_prompt_differ(model: Path, address: str, tmp_path: Path) -> None:
    bench = (*BENCH, *QUICK, "--k", 4, "--endpoint", address, "--concurrency", 2)
    detoxlab("measure", model, *bench, "--out", "run", folder=tmp_path)
    rows = responses(tmp_path / "run")
    assert [(row.sample, row.error) for row in rows] == [(i, None) for i in range(4)] * 3
    assert len({row.text for row in rows}) > 8
