"""The model's own responses: drawn once, ranked into pairs, accepted or not, never re-tokenised."""

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from detoxlab.errors import RunMismatchError, TrainingError
from detoxlab.generate import LocalEngine
from detoxlab.methods.feedback.drawing import (
    DrawnResponse,
    DrawSettings,
    best_against_worst,
    draw_responses,
    rank_pairs,
)
from detoxlab.methods.feedback.settings import RewardSettings
from detoxlab.methods.imitation.rejection import RejectionConfig, accept, as_row, best_of_each
from detoxlab.methods.rows.dialogue import IGNORED
from detoxlab.methods.rows.pair import RejectedPair
from detoxlab.records import Generation, Prompt
from detoxlab.runs import Run
from detoxlab.subject import Subject
from tests.support.tiny import tiny_lm
from tests.support.training_runs import fitted, logged

pytestmark = pytest.mark.slow

PROMPTS = [Prompt(f"q{i}", f"well {i}", "test") for i in range(12)]
UNGATED = {"gates": {"other_language": False, "repeated_unit": False}}
DRAWS = {"k": 4, "max_new_tokens": 8, "batch_size": 4}
SETTINGS: dict[str, Any] = {"draws": DRAWS, "reward": UNGATED, "margin": 0.0}


def response(
    sample: int,
    reward: float,
    *gates: str,
    ids: tuple[int, ...] = (),
    toxicity: float | None = None,
) -> DrawnResponse:
    drawn = Generation("q", sample, f"text {sample}", ids or (10 + sample, 0), "eos")
    return DrawnResponse(
        drawn, (1, 2, 3), reward, 1 - reward if toxicity is None else toxicity, gates
    )


# --- pairs ---


def test_the_best_response_is_preferred_to_the_worst() -> None:
    row = best_against_worst([response(0, 0.4), response(1, 0.9), response(2, 0.1)], margin=0.5)
    assert (row.pair_id, row.prompt_ids) == ("q", (1, 2, 3))
    assert (row.chosen_ids, row.rejected_ids) == ((11, 0), (12, 0))


@pytest.mark.parametrize("gate", ["empty", "repetition", "other_language", "unscored"])
def test_a_gated_response_is_never_preferred_and_may_be_the_worst(gate: str) -> None:
    drawn = [response(0, 0.99, gate), response(1, 0.6), response(2, 0.0, gate)]
    row = best_against_worst(drawn, margin=0.0)
    assert (row.chosen_ids, row.rejected_ids) == ((11, 0), (12, 0))
    with pytest.raises(RejectedPair, match="gates stopped them all"):
        best_against_worst([response(0, 0.9, gate), response(1, 0.1, gate)], margin=0.0)


def test_near_ties_make_no_pair_and_are_counted() -> None:
    drawn = {
        "a": [response(0, 0.50), response(1, 0.59)],
        "b": [response(0, 0.50), response(1, 0.61)],
        "c": [response(0, 0.5, ids=(7, 0)), response(1, 0.5, ids=(7, 0))],
    }
    rows, rejected = rank_pairs(drawn, margin=0.1)
    assert len(rows) == 1
    reason = "the best and the worst response differ by less than 0.1"
    assert rejected == [("a", reason), ("c", reason)]
    assert rank_pairs({"c": drawn["c"]}, margin=0.0)[0] == []


# --- drawing ---


def drawn(folder: Path, prompts: list[Prompt] = PROMPTS) -> dict[str, list[DrawnResponse]]:
    run = Run.start(folder, kind="train", config={}, resume=True)
    settings = RewardSettings(**UNGATED)
    return draw_responses(
        tiny_lm(), prompts, DrawSettings(**DRAWS), settings, run, chat=True, seed=5
    )


def test_responses_are_in_order_with_the_ids_that_were_read_and_drawn(tmp_path: Path) -> None:
    lm, found = tiny_lm(), drawn(tmp_path / "run")
    assert list(found) == [prompt.id for prompt in PROMPTS]
    for prompt in PROMPTS:
        assert [one.generation.sample for one in found[prompt.id]] == [0, 1, 2, 3]
        for one in found[prompt.id]:
            assert one.prompt_ids == tuple(lm.prompt_ids(prompt.text, chat=True))
            assert one.ids == one.generation.token_ids
            assert one.reward == (0.0 if one.gates else pytest.approx(1 - one.toxicity))


def test_training_draws_other_noise_than_measuring(tmp_path: Path) -> None:
    found = drawn(tmp_path / "run")
    sampling = DrawSettings(**DRAWS).sampling(5)
    measured = LocalEngine(Subject(tiny_lm()), chat=True).generate(PROMPTS[:4], sampling)
    assert [one.token_ids for one in measured] != [
        one.ids for prompt in PROMPTS[:4] for one in found[prompt.id]
    ]


def test_other_prompts_can_not_resume_a_run(tmp_path: Path) -> None:
    drawn(tmp_path / "run")
    with pytest.raises(RunMismatchError, match="holds other rows"):
        drawn(tmp_path / "run", PROMPTS[1:])


@pytest.mark.parametrize("name", ["dpo", "rejection"])
def test_a_run_killed_while_drawing_goes_on_and_draws_nothing_twice(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS if name == "dpo" else {"draws": DRAWS, "reward": UNGATED}
    whole = fitted(name, tmp_path / "whole", PROMPTS, max_steps=3, **settings)
    generate, calls = LocalEngine.generate, []

    def interrupted(self: LocalEngine, batch: Any, sampling: Any) -> list[Generation]:
        calls.append([prompt.id for prompt in batch])
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return generate(self, batch, sampling)

    monkeypatch.setattr(LocalEngine, "generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted(name, tmp_path / "run", PROMPTS, max_steps=3, **settings)
    run = fitted(name, tmp_path / "run", PROMPTS, max_steps=3, **settings)
    assert len(calls) == 4
    assert Counter(name for batch in calls for name in batch).total() == 16
    file = Path("generations", "worker-0.jsonl")
    assert (run.path / file).read_bytes() == (whole.path / file).read_bytes()
    assert logged(run) == logged(whole)


def test_pairs_of_held_out_prompts_validate(tmp_path: Path) -> None:
    run = fitted("dpo", tmp_path / "run", PROMPTS, max_steps=1, validation=0.25, **SETTINGS)
    info = run.info
    assert info["train_pairs"] + info["validation_pairs"] + info["rejected_pairs"] == 12
    assert 1 <= info["validation_pairs"] <= 3
    assert info["drawn_with"]["k"] == 4


def test_no_pair_at_all_is_an_error_with_the_reason(tmp_path: Path) -> None:
    settings = SETTINGS | {"margin": 1.0}
    with pytest.raises(TrainingError, match=r"no pair to learn from.*by less than 1\b.*draws"):
        fitted("dpo", tmp_path / "run", PROMPTS, **settings)


# --- rejection ---


def test_a_response_is_accepted_when_no_gate_stops_it_and_it_is_harmless() -> None:
    responses = [
        response(0, 0.9),
        response(1, 0.5),
        response(2, 0.51),
        response(3, 0.0, "unscored"),
        response(4, 0.9, "empty", "repetition"),
    ]
    accepted, rejected = accept(RejectionConfig(threshold=0.5), responses)
    assert accepted == [responses[0], responses[2]]
    assert rejected == [
        ("q/1", "toxic: 0.5 or above"),
        ("q/3", "gate: unscored"),
        ("q/4", "gate: empty"),
    ]
    assert best_of_each(accepted) == [responses[0]]
    assert best_of_each([]) == []


def test_an_accepted_response_is_learnt_token_for_token() -> None:
    row = as_row(response(3, 0.9, ids=(9, 8, 9)))
    assert row.dialogue_id == "q/3"
    assert row.input_ids == (1, 2, 3, 9, 8, 9)
    assert row.labels == (IGNORED, IGNORED, IGNORED, 9, 8, 9)


def test_what_was_accepted_is_recorded_and_learnt(tmp_path: Path) -> None:
    settings = {"draws": DRAWS, "reward": UNGATED, "epochs": 4}
    run = fitted("rejection", tmp_path / "run", PROMPTS, **settings)
    info = run.info
    learnt = info["train_responses"] + info["validation_responses"]
    assert learnt + info["rejected_responses"] == 48
    assert info["acceptance"] == pytest.approx(learnt / 48, abs=1e-6)
    assert sum(info["rejected_reasons"].values()) == info["rejected_responses"]
    losses = logged(run)
    assert losses[max(losses)] < losses[1]


def test_only_the_best_of_each_prompt_is_learnt_when_asked(tmp_path: Path) -> None:
    settings = {"draws": DRAWS, "reward": UNGATED, "max_steps": 1}
    info = fitted("rejection", tmp_path / "run", PROMPTS, best_only=True, **settings).info
    assert info["train_responses"] + info["validation_responses"] <= len(PROMPTS)
    assert any("higher reward" in reason for reason in info["rejected_reasons"])


def test_nothing_accepted_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"0\.00% were accepted.*raise threshold"):
        fitted("rejection", tmp_path / "run", PROMPTS, draws=DRAWS, threshold=1e-9)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"
