"""Small trainings in tests: a method fitted into a run folder, and what its log holds."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from detoxlab.methods import load_method
from detoxlab.methods.loop.log import TrainLog
from detoxlab.models import LanguageModel
from detoxlab.runs import Run
from tests.support.tiny import tiny_lm

FAST: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-2, "save_steps": 4, "lora_r": 4}


def fitted(
    name: str, folder: Path, data: Any, lm: LanguageModel | None = None, **settings: Any
) -> Run:
    """The run in `folder` of a method on `data`, begun or gone on with."""
    method = load_method(name, FAST | settings)
    run = Run.start(folder, kind="train", config=method.config.model_dump(mode="json"), resume=True)
    with run.writing():
        adapter = method.fit(lm or tiny_lm(), data, run)
    assert adapter == run.path / "adapter"
    return run


def logged(run: Run, key: str = "loss") -> dict[int, float]:
    """The values of one key by step."""
    rows = TrainLog(run.path).rows()
    return {row["step"]: row[key] for row in rows if row.get(key) is not None}


@contextmanager
def interrupting(monkeypatch: pytest.MonkeyPatch, step: int) -> Iterator[None]:
    """Ctrl-C while the row of `step` is written; the training inside must pass it on."""
    append = TrainLog.append

    def append_then_interrupt(self: TrainLog, row: Any) -> None:
        append(self, row)
        if row["step"] == step and "loss" in row:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(TrainLog, "append", append_then_interrupt)
        with pytest.raises(KeyboardInterrupt):
            yield
