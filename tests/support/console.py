"""A console that is imported once, without torch, and forks for each command.

It runs in a process of its own. A test sees whether a command imported torch, whatever other tests
have imported, and takes a part of a second.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.launching import finding_tests


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code, its texts, and whether torch was imported."""

    code: int
    out: str
    err: str
    imported_torch: bool


class Console:
    """The process; `run` gives it one command line at a time."""

    def __init__(self, folder: Path) -> None:
        """Commands run in `folder`."""
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.console"],
            cwd=folder,
            env=os.environ | finding_tests() | {"HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, words: Sequence[str]) -> Done:
        """The command line in words, ended."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(list(words)) + "\n")
        self.process.stdin.flush()
        return Done(**json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


# --- inside the process ---


def _serve() -> None:
    import detoxlab.pipeline.api
    import detoxlab.reports  # noqa: F401 (each command would import them, torch not)
    from detoxlab.cli import main

    assert "torch" not in sys.modules, "what every command imports brings torch"
    for line in sys.stdin:
        print(json.dumps(_forked(main, json.loads(line))), flush=True)


def _forked(main: Any, words: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os._exit(_ended(main, words))
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [(file.seek(0), file.read())[1] for file in (out, err)]
    first, _, rest = texts[1].rpartition(TORCH)
    return {"code": ended, "out": texts[0], "err": first or rest, "imported_torch": bool(first)}


TORCH = "\0torch"


def _ended(main: Any, words: list[str]) -> int:
    """The exit code of the command; the child's stderr ends with a mark where torch is there."""
    code = 70
    try:
        main(words)
    except SystemExit as stop:
        code = int(stop.code or 0)
    except Exception:  # noqa: BLE001 (the test shows it)
        traceback.print_exc()
    sys.stdout.flush()
    if "torch" in sys.modules:
        sys.stderr.write(TORCH)
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    _serve()
