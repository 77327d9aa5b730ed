"""Checkpoints of a training run: finding complete ones, keeping some, the final adapter.

A process can be killed while it writes or deletes a checkpoint, so a checkpoint counts only
when all its files are there and the file that is written last can be read.
"""

import json
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
STATE_FILE = "trainer_state.json"  # transformers writes it after all others
NEEDED_FILES = (*ADAPTER_FILES, "optimizer.pt", "scheduler.pt", STATE_FILE)


def unchanged(_folder: Path) -> None:
    """Leave an adapter as it was trained."""


def checkpoint_path(folder: Path, step: int) -> Path:
    """The folder of the checkpoint of `step`."""
    return folder / f"checkpoint-{step}"


def last_complete(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; None where there is none."""
    whole = [path for path in _all(folder) if _is_complete(path)]
    return max(whole, key=_step, default=None)


def state_of(checkpoint: Path) -> dict[str, Any]:
    """The trainer's state in a complete checkpoint: steps, best step, log history."""
    return dict(json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8")))


def keep_only(folder: Path, steps: Collection[int]) -> None:
    """Delete the checkpoints of all other steps."""
    for path in _all(folder):
        if _step(path) not in steps:
            shutil.rmtree(path)


def publish_adapter(
    source: Path,
    adapter: Path,
    base_model: str,
    revision: str | None = None,
    finish: Callable[[Path], None] = unchanged,
) -> None:
    """Copy the adapter of a checkpoint to its final place, in one atomic step.

    `finish` may rewrite the files of the copy before that step. Its config names `base_model` so
    that plain PEFT finds it: a hub id with its revision, or an absolute path, because PEFT resolves
    a relative path against the current working folder.
    """
    draft = adapter.with_name(f".{adapter.name}.{os.getpid()}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    config = json.loads((source / ADAPTER_FILES[0]).read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": base_model, "revision": revision}
    (draft / ADAPTER_FILES[0]).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(source / ADAPTER_FILES[1], draft / ADAPTER_FILES[1])
    finish(draft)
    shutil.rmtree(adapter, ignore_errors=True)
    draft.replace(adapter)


def _all(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if path.name.split("-")[-1].isdigit()]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[-1])


def _is_complete(checkpoint: Path) -> bool:
    if not all((checkpoint / name).is_file() for name in NEEDED_FILES):
        return False
    try:
        state_of(checkpoint)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return False
    return True
