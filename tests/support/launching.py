"""Commands under `accelerate launch` with two processes, which may shard the base (FSDP)."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

BIN = Path(sys.executable).parent
LAUNCH = [
    str(BIN / "accelerate"),
    *("launch", "--multi_gpu", "--num_processes=2", "--num_machines=1", "--main_process_port=0"),
    *("--mixed_precision=no", "--dynamo_backend=no"),
]
FSDP = [
    "--use_fsdp" if option == "--multi_gpu" else option for option in (*LAUNCH, "--fsdp_version=2")
]


def finding_tests() -> dict[str, str]:
    """The environment in which a driver of `tests.support` finds its siblings."""
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, places))}


def start(
    arguments: list[str], here: Path, program: Sequence[str] = (*LAUNCH, "--module", "detoxlab")
) -> "subprocess.Popen[str]":
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | finding_tests()
    return subprocess.Popen(
        [*program, *arguments],
        cwd=here,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[str, str]:
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return out, errors


def second_worker(launcher: int) -> int:
    """The process id of the worker with rank 1 that a launcher started."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _parent(folder) == launcher:
            environment = (folder / "environ").read_bytes().split(b"\0")
            if b"RANK=1" in environment:
                return int(folder.name)
    raise AssertionError("no second worker")


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1
