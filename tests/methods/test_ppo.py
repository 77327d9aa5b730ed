"""Laws of PPO: the true policy, one copy of the base, a run that goes on as if never cut off."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detoxlab.errors import ConfigError, TrainingError
from detoxlab.methods import load_method, method_of
from detoxlab.methods.feedback.reward import Rewards
from detoxlab.methods.loop.borrowed import borrowed_model
from detoxlab.methods.loop.log import TrainLog
from detoxlab.methods.loop.samples import SampleLog
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.methods.ppo.policy import Policy, Response
from detoxlab.methods.ppo.rollout import (
    Sampler,
    gather_experience,
    prompts_of_step,
)
from detoxlab.methods.ppo.train import fit_adapter, ppo_losses
from detoxlab.models import LanguageModel, load_model, token_log_probs
from detoxlab.records import Generation, Prompt
from detoxlab.runs import Run
from tests.support.tiny import save_tiny, tiny_lm

pytestmark = pytest.mark.slow

PROMPTS = [Prompt(f"p{i}", "you fool " * (1 + i % 3) + str(i), "test") for i in range(10)]
FAST: dict[str, Any] = {
    "chat": False,
    "rollout": {"prompts": 4, "k": 2, "max_new_tokens": 6},
    "batch_size": 4,
    "ppo_epochs": 2,
    "learning_rate": 1e-2,
    "lora_r": 4,
    "save_steps": 2,
    "samples_every": 2,
    "max_steps": 6,
    "kl_target": 0.05,
    "kl_horizon": 50,
    "stop": {"kl_budget": None},
}
TIMES = ("seconds", "tokens_per_second")


def short_is_good(_prompts: Any, generations: Any) -> Rewards:
    """A reward that a random model of bytes can earn: bytes below "h", and an early end."""
    values = np.array([-np.mean([i > 80 for i in g.token_ids]) for g in generations])
    return Rewards(values, values, -values, {"none": values > 0})


def trained(folder: Path, lm: LanguageModel | None = None, **settings: Any) -> Run:
    config = PPOConfig(**(FAST | settings))
    run = Run.start(folder, kind="train", config=config.model_dump(mode="json"), resume=True)
    with run.writing():
        adapter = fit_adapter(config, lm or tiny_lm(), PROMPTS, run, reward=short_is_good)
    assert adapter == run.path / "adapter"
    return run


def untimed(run: Run) -> list[str]:
    """The rows of the log as text, without what the clock says."""
    rows = TrainLog(run.path).rows()
    return [json.dumps({k: v for k, v in row.items() if not k.startswith(TIMES)}) for row in rows]


def adapter_bytes(run: Run) -> bytes:
    return (run.path / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("ppo") / "whole")


# --- what is drawn ---


@pytest.mark.parametrize(
    ("name", "value"),
    [("top_p", 0.9), ("top_k", 50), ("temperature", 0.7), ("no_repeat_ngram_size", 3)],
)
def test_a_sampler_that_is_not_the_policy_is_refused_with_the_reason(
    name: str, value: float
) -> None:
    with pytest.raises(ConfigError, match=f"rollout.*{name} is {value:g}.*not the policy's own"):
        load_method("ppo", {"rollout": {name: value}})


def test_a_pass_asks_every_prompt_once_and_each_in_an_order_of_its_own() -> None:
    asked = [prompts_of_step(PROMPTS, step, 5, seed=0) for step in range(4)]
    assert {p.id for p in asked[0] + asked[1]} == {p.id for p in PROMPTS}
    assert [p.id for p in asked[0]] != [p.id for p in asked[2]]
    assert len(prompts_of_step(PROMPTS, 3, 64, seed=0)) == 10


def test_steps_draw_anew_and_an_end_token_is_learnt() -> None:
    lm, config = tiny_lm(), PPOConfig(**FAST)
    with borrowed_model(lm):
        sampler = Sampler(Policy(lm, config), config, PROMPTS[:4])
        first, again, second = sampler.draw(0), sampler.draw(0), sampler.draw(1)
    assert first == again
    by_key = {(g.prompt_id, g.sample): g.token_ids for g in first.generations}
    assert any(by_key[g.prompt_id, g.sample] != g.token_ids for g in second.generations)
    for response, generation in zip(first.responses, first.generations, strict=True):
        assert response.drawn == generation.token_ids
        ended = generation.finish_reason == "eos"
        assert ended == (response.drawn[-1] in lm.eos_ids)


# --- what is learnt from ---


def experience_of(lm: LanguageModel, config: PPOConfig) -> tuple[Policy, Any]:
    policy = Policy(lm, config)
    with torch.no_grad():
        for name, weight in policy.lm.model.named_parameters():
            if "lora_B" in name:  # an adapter that does something
                weight.normal_(std=0.05, generator=torch.Generator().manual_seed(0))
        policy.value_head.bias.fill_(0.25)
    responses = [Response((9, 8, 7), (5, 6, 0)), Response((9,), (4, 4, 4, 4, 0))]
    return policy, gather_experience(policy, responses, np.array([1.0, 2.0]), config, beta=0.5)


def test_log_probabilities_are_those_of_policy_and_reference_token_by_token() -> None:
    lm, config = tiny_lm(), PPOConfig(**FAST)
    reference = token_log_probs(lm, [(9, 8, 7), (9,)], [(5, 6, 0), (4, 4, 4, 4, 0)])
    with borrowed_model(lm):
        policy, seen = experience_of(lm, config)
        own = token_log_probs(policy.lm, [(9, 8, 7), (9,)], [(5, 6, 0), (4, 4, 4, 4, 0)])
    assert seen.mask_NT.tolist() == [[False, False, True, True, True], [True] * 5]
    for i, (theirs, ours) in enumerate(zip(reference, own, strict=True)):
        mask_T = seen.mask_NT[i]
        assert np.allclose(seen.reference_NT[i][mask_T], theirs, atol=1e-5)
        assert np.allclose(seen.log_probs_NT[i][mask_T], ours, atol=1e-5)
    assert not np.allclose(reference[0], own[0], atol=1e-3)


def test_returns_hold_the_reward_and_the_kl_still_to_come() -> None:
    config = PPOConfig(**FAST, gae_lambda=1.0, whiten_advantages=False)
    lm = tiny_lm()
    with borrowed_model(lm):
        _, seen = experience_of(lm, config)
    kl_T = (seen.log_probs_NT - seen.reference_NT)[1]
    assert seen.values_NT[1].tolist() == [0.25] * 5
    to_come = 2.0 - 0.5 * kl_T.flip(0).cumsum(0).flip(0)
    assert torch.allclose(seen.returns_NT[1], to_come, atol=1e-5)
    assert torch.allclose(seen.advantages_NT[1], to_come - 0.25, atol=1e-5)


def test_before_the_first_update_every_ratio_is_1_in_any_minibatch() -> None:
    config = PPOConfig(**FAST, whiten_advantages=False)
    lm = tiny_lm()
    with borrowed_model(lm):
        policy, seen = experience_of(lm, config)
        for rows in ([0], [1], [1, 0]):
            part = seen.rows(rows)
            losses = ppo_losses(policy, part, config)
            expected = -part.advantages_NT[part.mask_NT].mean()
            assert torch.isclose(losses["policy_loss"], expected, atol=1e-5)
            assert losses["clipped"] == 0


def test_accumulated_gradients_are_those_of_one_pass(tmp_path: Path) -> None:
    one = trained(tmp_path / "one", batch_size=8, max_steps=2)
    two = trained(tmp_path / "two", batch_size=2, gradient_accumulation=4, max_steps=2)
    for row, other in zip(TrainLog(one.path).rows(), TrainLog(two.path).rows(), strict=True):
        for key in ("loss", "policy_loss", "value_loss", "grad_norm", "kl"):
            assert row[key] == pytest.approx(other[key], rel=1e-2, abs=1e-4), key


# --- memory ---


def test_there_is_one_base_one_adapter_and_one_value_head() -> None:
    lm, config = tiny_lm(), PPOConfig(**FAST)
    base = {p.data_ptr() for p in lm.model.parameters()}
    before = _parameters_alive()  # those of this base, and what other tests still hold
    with borrowed_model(lm):
        policy, seen = experience_of(lm, config)
        ppo_losses(policy, seen, config)["loss"].backward()
        held = [*policy.lm.model.parameters(), *policy.value_head.parameters()]
        learnt = {p.data_ptr() for p in policy.weights}
        assert {p.data_ptr() for p in held} == base | learnt
        assert not base & learnt
        assert all(p.grad is None for p in held if p.data_ptr() in base)
        assert sum(p.numel() for p in policy.value_head.parameters()) == 32 + 1
        now = _parameters_alive()
    assert base <= now
    assert now - before == learnt, "another copy of weights is alive"


def _parameters_alive() -> set[int]:
    """Where all parameters of this process lie."""
    import gc

    gc.collect()
    found = [p for p in gc.get_objects() if isinstance(p, torch.nn.Parameter)]
    return {p.data_ptr() for p in found if p.numel()}


# --- a run ---


def test_it_learns_and_its_record_is_complete(whole: Run) -> None:
    rows = TrainLog(whole.path).rows()
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert rows[0].keys() >= {
        *("loss", "policy_loss", "value_loss", "reward", "reward_std", "toxicity", "kl"),
        *("entropy", "gate_none", "response_length", "capped", "learning_rate", "grad_norm"),
        *("tokens", "tokens_per_second", "seconds", "kl_coefficient", "clipped"),
        *("seconds_generate", "seconds_score", "seconds_forward", "seconds_update"),
    }
    parts = sum(rows[0][key] for key in rows[0] if key.startswith("seconds_"))
    assert parts <= rows[0]["seconds"]
    assert rows[1]["kl_coefficient"] != rows[0]["kl_coefficient"] == 0.05
    info = whole.info
    assert (info["method"], info["train_prompts"], info["steps"]) == ("ppo", 10, 6)
    assert not (whole.path / "checkpoints").exists()
    samples = SampleLog(whole.path).rows()
    assert {row["step"] for row in samples} == {1, 3, 5}
    files = sorted(path.name for path in (whole.path / "adapter").iterdir())
    assert files == ["adapter_config.json", "adapter_model.safetensors"]


def test_the_same_seed_gives_the_same_run_and_the_model_back(tmp_path: Path, whole: Run) -> None:
    lm = tiny_lm()
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    again = trained(tmp_path / "again", lm, gradient_checkpointing=True)
    assert untimed(again) == untimed(whole)
    assert adapter_bytes(again) == adapter_bytes(whole)
    after = lm.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(module.training for module in lm.model.modules())
    assert untimed(trained(tmp_path / "other", seed=1)) != untimed(whole)


def test_no_step_leaves_a_model_that_is_the_base(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    run = trained(tmp_path / "run", load_model(base), max_steps=0)
    lm = load_model(run.path)
    answer = lm.tokenizer("say").input_ids
    tuned = token_log_probs(lm, [[9, 8]], [answer])[0]
    with lm.as_base():
        assert np.array_equal(tuned, token_log_probs(lm, [[9, 8]], [answer])[0])


def test_a_training_cut_off_goes_on_the_same(tmp_path: Path, whole: Run) -> None:
    def breaks_at_5(prompts: Any, generations: Any) -> Rewards:
        if len(TrainLog(tmp_path / "run").rows()) == 4:
            raise RuntimeError("cut off")
        return short_is_good(prompts, generations)

    config = PPOConfig(**FAST)
    run = Run.start(tmp_path / "run", kind="train", config=config.model_dump(mode="json"))
    with pytest.raises(RuntimeError, match="cut off"), run.writing():
        fit_adapter(config, tiny_lm(), PROMPTS, run, reward=breaks_at_5)
    newest = run.path / "checkpoints" / "checkpoint-4"
    assert {path.name for path in newest.iterdir()} >= {
        *("adapter_model.safetensors", "value_head.safetensors", "optimizer.pt"),
        *("scheduler.pt", "trainer_state.json"),
    }
    shutil.copytree(newest, run.path / "checkpoints" / ".checkpoint-6.1.tmp")  # a torn one
    assert untimed(trained(run.path)) == untimed(whole)
    assert adapter_bytes(run) == adapter_bytes(whole)
    samples = [(path / "samples.jsonl").read_text() for path in (run.path, whole.path)]
    assert samples[0] == samples[1]


def test_a_stop_rule_ends_it_with_its_reason_and_keeps_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(
        tmp_path / "run", save_steps=1, learning_rate=0.05, stop={"kl_budget": 0.02, "window": 1}
    )
    info, rows = run.info, TrainLog(run.path).rows()
    assert info["steps"] == len(rows) < 6
    assert info["stopped_early"]
    assert "over the budget of 0.02" in info["stopped_because"]
    assert info["best_step"] < info["steps"]
    assert capsys.readouterr().err.splitlines()[-1].endswith(info["stopped_because"])


def test_a_loss_that_is_no_number_stops_it(tmp_path: Path) -> None:
    def no_number(_prompts: Any, generations: list[Generation]) -> Rewards:
        values = np.full(len(generations), math.nan)
        return Rewards(values, values, values, {})

    config = PPOConfig(**FAST)
    run = Run.start(tmp_path / "run", kind="train", config=config.model_dump(mode="json"))
    with pytest.raises(TrainingError, match="loss is nan at step 1"), run.writing():
        fit_adapter(config, tiny_lm(), PROMPTS, run, reward=no_number)


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "run", kind="train", config={})
    with pytest.raises(TrainingError, match="no prompt"):
        fit_adapter(PPOConfig(**FAST), tiny_lm(), [], run, reward=short_is_good)
    half = tiny_lm()
    half = replace(half, model=half.model.half())
    with pytest.raises(TrainingError, match="float16"):
        fit_adapter(PPOConfig(**FAST), half, PROMPTS, run, reward=short_is_good)


def test_the_method_uses_the_reward_it_is_configured_with(tmp_path: Path) -> None:
    config = PPOConfig(**(FAST | {"max_steps": 1}))
    assert config.training_scorers == ("rtp-linear",)
    run = Run.start(tmp_path / "run", kind="train", config=config.model_dump(mode="json"))
    with run.writing():
        method_of(config).fit(tiny_lm(), PROMPTS, run)
    (row,) = TrainLog(run.path).rows()
    assert 0 <= row["reward"] <= 1
    assert "gate_empty" in row
