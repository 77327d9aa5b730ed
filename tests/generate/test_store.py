"""Generations into a run folder: a killed run resumes to the same bytes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from detoxlab.generate import LocalEngine, generate_into
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.runs import Run, TornLineWarning
from detoxlab.subject import Subject
from tests.support.tiny import tiny_lm

SAMPLING = Sampling(k=3, max_new_tokens=8, top_p=0.9)
PROMPTS = [Prompt(f"p{i}", "you fool"[: i % 9] or "Hm", "t") for i in range(11)]
FILE = "generations/worker-0.jsonl"


def new_run(path: Path, *, resume: bool = False) -> Run:
    return Run.start(path, kind="measure", config={"name": "x"}, resume=resume)


def filled(path: Path, *, batch_size: int | None = 4, resume: bool = False) -> bytes:
    run = new_run(path, resume=resume)
    generate_into(
        run, LocalEngine(Subject(tiny_lm()), chat=False, batch_size=batch_size), PROMPTS, SAMPLING
    )
    return (path / FILE).read_bytes()


def test_every_prompt_gets_its_samples_and_the_engine_is_recorded(tmp_path: Path) -> None:
    filled(tmp_path / "run")
    run = Run.open(tmp_path / "run")
    rows = run.read_all("generations", Generation)
    keys = {(row.prompt_id, row.sample) for row in rows}
    assert len(rows) == len(keys) == len(PROMPTS) * SAMPLING.k
    assert run.info["engine"]["batch_size"] == 4
    assert run.info["engine"]["prompts_truncated"] == 0


@pytest.mark.filterwarnings("ignore::detoxlab.runs.TornLineWarning")
@pytest.mark.parametrize("share", [0.0, 0.05, 0.4, 0.77, 0.999, 1.0])
def test_a_run_cut_at_any_byte_resumes_to_the_same_bytes(tmp_path: Path, share: float) -> None:
    whole = filled(tmp_path / "whole")
    filled(tmp_path / "cut")
    (tmp_path / "cut" / FILE).write_bytes(whole[: int(len(whole) * share)])
    assert filled(tmp_path / "cut", resume=True) == whole


def test_a_cut_line_is_dropped_with_a_warning(tmp_path: Path) -> None:
    whole = filled(tmp_path / "run")
    (tmp_path / "run" / FILE).write_bytes(whole[:-5])
    with pytest.warns(TornLineWarning):
        assert filled(tmp_path / "run", resume=True) == whole


def test_finished_batches_are_not_generated_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = filled(tmp_path / "run")
    kept = b"".join(whole.splitlines(keepends=True)[: 4 * SAMPLING.k])
    (tmp_path / "run" / FILE).write_bytes(kept)
    asked: list[str] = []
    generate = LocalEngine.generate

    def counting(
        self: LocalEngine, batch: Sequence[Prompt], sampling: Sampling
    ) -> list[Generation]:
        asked.extend(prompt.id for prompt in batch)
        return generate(self, batch, sampling)

    monkeypatch.setattr(LocalEngine, "generate", counting)
    assert filled(tmp_path / "run", resume=True) == whole
    assert len(asked) == len(PROMPTS) - 4


def test_a_resumed_run_keeps_the_batches_it_began_with(tmp_path: Path) -> None:
    whole = filled(tmp_path / "run", batch_size=4)
    (tmp_path / "run" / FILE).write_bytes(whole[:200].rpartition(b"\n")[0] + b"\n")
    assert filled(tmp_path / "run", batch_size=5, resume=True) == whole
    assert Run.open(tmp_path / "run").info["engine"]["batch_size"] == 4
