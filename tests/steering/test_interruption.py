"""Every steering and edit of weights: neither batches nor `kill -9` change what is drawn."""

import multiprocessing
import random
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from detoxlab.generate import LocalEngine, generate_into
from detoxlab.methods import METHODS, load_method
from detoxlab.models import load_model
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.runs import Run, TornLineWarning
from detoxlab.steering import load_steering, with_place
from detoxlab.steering.names import EXPERTS
from detoxlab.subject import Subject
from tests.support.activations import FEW, split
from tests.support.kill_driver import runs_when_grown
from tests.support.lora import save_lora
from tests.support.tiny import save_tiny, tiny_model

ROWS = "generations/worker-0.jsonl"
EDITS = sorted(name for name, spec in METHODS.items() if spec.makes == "edit")
FITTED = sorted(name for name, spec in METHODS.items() if spec.makes == "steering")
SETTINGS: dict[str, dict[str, Any]] = FEW | {
    "eigenshift": {"rank": 4},
    "profs": {"rank": 2, "depth": 0.0},
    "sasa": {"candidates": 5},
    "task-negation": {"batch_size": 4, "lora_r": 2, "max_steps": 4},
}
SAMPLING = Sampling(k=2, max_new_tokens=8, seed=3, stop=tuple("abcdefghijkl"))
PROMPTS = [Prompt(f"p{i}", "so what" + " then" * (i % 4), "test") for i in range(9)]
MANY = [Prompt(f"p{i}", "so what" + " then" * (i % 4), "test") for i in range(60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, a run of every method, and two adapters as experts."""
    made = tmp_path_factory.mktemp("ways")
    base = save_tiny(made / "base")
    for name in (*EDITS, *FITTED):
        method = load_method(name, SETTINGS.get(name, {}))
        run = Run.start(made / name, kind="train", config=method.config.model_dump(mode="json"))
        with run.writing():
            method.fit(load_model(base), split(), run)
    for seed, name in enumerate(("expert", "anti")):
        save_lora(made / name, tiny_model(), seed)
    return made


def subject(way: str, folder: Path) -> Subject:
    """The model under one steering or edit, from files alone."""
    if way in EDITS:
        return Subject(load_model(folder / way))
    where = {"dexperts": "expert+anti", "anti-expert": "anti"}.get(way, way)
    name = with_place(f"{way}:{where}", f"{folder}/{{}}".format)
    return Subject(load_model(folder / "base"), (load_steering(name, strength=0.5),))


def draw_into(path: Path, way: str, folder: Path, prompts: Sequence[Prompt] = MANY) -> None:
    """All responses into a run folder, or the rest of them."""
    run = Run.start(path, kind="measure", config={}, resume=True)
    engine = LocalEngine(subject(way, folder), chat=False, batch_size=4)
    with run.writing():
        generate_into(run, engine, prompts, SAMPLING)


@pytest.mark.parametrize("way", [*EDITS, *EXPERTS, *FITTED])
def test_batches_of_1_7_and_64_draw_the_same(way: str, folder: Path) -> None:
    asked = subject(way, folder)

    def drawn(size: int, one: Subject = asked) -> list[Generation]:
        engine = LocalEngine(one, chat=False, batch_size=size)
        batches = engine.batches(PROMPTS, SAMPLING)
        rows = [row for batch in batches for row in engine.generate(batch, SAMPLING)]
        return sorted(rows, key=lambda row: (row.prompt_id, row.sample))

    together = drawn(64)
    assert len({len(row.token_ids) for row in together}) > 1  # some rows left early
    assert drawn(1) == drawn(7) == together
    assert drawn(64, Subject(load_model(folder / "base"))) != together


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    """Starts processes that have the libraries loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "detoxlab.steering.activations.session"])
    return context


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.filterwarnings(f"ignore::{TornLineWarning.__module__}.{TornLineWarning.__name__}")
@pytest.mark.parametrize("way", [*EDITS, *EXPERTS, *FITTED])
def test_what_was_killed_three_times_ends_in_the_same_bytes(
    way: str, folder: Path, forks: ForkServerContext, tmp_path: Path
) -> None:
    rng, whole, victim = random.Random(0), tmp_path / "whole", tmp_path / "victim"
    draw_into(whole, way, folder)
    wanted = (whole / ROWS).read_bytes()
    for _ in range(3):
        process = forks.Process(target=draw_into, args=(victim, way, folder))
        process.start()
        more = int(len(wanted) * rng.uniform(0.05, 0.25))
        assert runs_when_grown(process.is_alive, victim / ROWS, more, rng.uniform(0, 0.02))
        process.kill()
        process.join()
    assert (victim / ROWS).read_bytes() != wanted
    draw_into(victim, way, folder)
    assert (victim / ROWS).read_bytes() == wanted
