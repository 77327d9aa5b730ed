"""GRPO and RLOO: the exact optimum, and the laws of every method, on models of toy size."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import GPT2Config, GPT2LMHeadModel

from detoxlab.errors import ConfigError, TrainingError
from detoxlab.methods import load_method, method_of
from detoxlab.methods.feedback.reward import Rewards
from detoxlab.methods.feedback.settings import RewardSettings
from detoxlab.methods.feedback.stop import StopRules
from detoxlab.methods.loop.samples import SampleLog
from detoxlab.methods.online.config import OnlineConfig
from detoxlab.methods.online.grpo import GRPOConfig, fit_grpo
from detoxlab.methods.online.rloo import RLOOConfig, fit_rloo
from detoxlab.methods.online.train import RolloutBridge, _count_positions
from detoxlab.models import LanguageModel, token_log_probs
from detoxlab.records import Generation, Prompt
from detoxlab.runs import Run
from tests.support.enumerated import (
    LENGTH,
    PROMPT,
    TableReward,
    enumerated_lm,
    optimum,
    probabilities,
    total_variation,
)
from tests.support.tiny import tiny_lm, tiny_model

pytestmark = pytest.mark.slow

NO_RULES: dict[str, Any] = {
    "kl_budget": None,
    "negative_kl_steps": None,
    "entropy_floor": None,
    "reward_drop": None,
    "gate_share": None,
}
METHODS: dict[str, tuple[Any, Any]] = {
    "grpo": (GRPOConfig, fit_grpo),
    "rloo": (RLOOConfig, fit_rloo),
}
PROMPTS = [Prompt(f"p{i}", "ab" * (i + 1), "test") for i in range(6)]
RewardFunction = Callable[[Sequence[Prompt], Sequence[Generation]], Rewards]


def config(method: str, **settings: Any) -> Any:
    """Two prompts with four responses of at most three tokens per step, no rule."""
    rollout = {"prompts": 2, "k": 4, "max_new_tokens": LENGTH}
    usual = {"batch_size": 4, "max_steps": 6, "save_steps": 2, "stop": StopRules(**NO_RULES)}
    return METHODS[method][0](chat=False, **usual | {"rollout": rollout} | settings)


def fit(
    method: str,
    settings: Any,
    folder: Path,
    reward: RewardFunction,
    prompts: Sequence[Prompt] = PROMPTS,
    lm: LanguageModel | None = None,
) -> Path:
    run = Run.start(folder, kind="train", config=settings.model_dump(mode="json"), resume=True)
    with run.writing():
        return METHODS[method][1](settings, lm or enumerated_lm(), prompts, run, reward)


def rows(folder: Path) -> list[dict[str, Any]]:
    """`train.jsonl` without what the clock says."""
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    timed = ("seconds", "tokens_per_second")
    return [{k: v for k, v in row.items() if not k.startswith(timed)} for row in lines]


@pytest.mark.parametrize(("method", "beta"), [("rloo", 0.25), ("grpo", 0.5)])
def test_what_is_learnt_is_the_exact_optimum(method: str, beta: float, tmp_path: Path) -> None:
    reward, lm = TableReward.random(1), enumerated_lm(layers=2)
    base = probabilities(lm)
    best = optimum(base, reward.rewards, beta)
    assert total_variation(base, best) > 0.2
    settings = config(
        method,
        rollout={"prompts": 1, "k": 256, "max_new_tokens": LENGTH},
        batch_size=256,
        max_steps=100,
        save_steps=100,
        learning_rate=1e-2,
        lora_alpha=16,
        kl_coefficient=beta,
    )
    adapter = fit(method, settings, tmp_path / "run", reward, [PROMPT], lm)
    learnt = probabilities(replace(lm, model=PeftModel.from_pretrained(lm.model, adapter)))
    assert total_variation(learnt, best) < 0.05


@pytest.mark.parametrize("method", METHODS)
def test_a_run_cut_off_anywhere_equals_an_undisturbed_one(method: str, tmp_path: Path) -> None:
    table = TableReward.random(0)
    settings = config(method, samples_every=2)
    whole = fit(method, settings, tmp_path / "whole", table)
    calls = 0

    def failing(prompts: Sequence[Prompt], generations: Sequence[Generation]) -> Rewards:
        nonlocal calls
        calls += 1
        if calls in (4, 7):  # in steps 4 and 6, after the checkpoints of steps 2 and 4
            raise RuntimeError("power cut")
        return table(prompts, generations)

    for _ in range(2):
        with pytest.raises(RuntimeError, match="power cut"):
            fit(method, settings, tmp_path / "cut", failing)
    cut = fit(method, settings, tmp_path / "cut", failing)
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert [row["step"] for row in rows(tmp_path / "cut")] == [1, 2, 3, 4, 5, 6]
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert (cut / file).read_bytes() == (whole / file).read_bytes()
    samples = [SampleLog(tmp_path / name).rows() for name in ("cut", "whole")]
    assert samples[0] == samples[1]
    assert {row["step"] for row in samples[0]} == {1, 3, 5}


@pytest.mark.parametrize("method", METHODS)
def test_the_base_is_left_alone_and_is_the_only_copy(method: str, tmp_path: Path) -> None:
    lm, table = enumerated_lm(), TableReward.random(0)
    before = {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}
    base = sum(parameter.numel() for parameter in lm.model.parameters())
    counts: list[int] = []

    def counting(prompts: Sequence[Prompt], generations: Sequence[Generation]) -> Rewards:
        counts.append(_numbers_in_modules())
        return table(prompts, generations)

    idle = _numbers_in_modules()
    fit(method, config(method, max_steps=2, lora_r=2), tmp_path / "run", counting, lm=lm)
    after = lm.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert max(counts) - idle < base / 4  # the adapter; a reference copy would add `base`


def _numbers_in_modules() -> int:
    """Of all parameters of all modules alive, each storage once."""
    import gc

    found = {
        parameter.data_ptr(): parameter.numel()
        for module in gc.get_objects()
        if isinstance(module, torch.nn.Module)
        for parameter in module.parameters(recurse=False)
    }
    return sum(found.values())


@pytest.mark.parametrize("method", METHODS)
def test_the_log_tells_rewards_gates_and_lengths(method: str, tmp_path: Path) -> None:
    settings = config(
        method,
        rollout={"prompts": 2, "k": 4, "max_new_tokens": 8},
        max_steps=2,
        reward=RewardSettings(),
        samples_every=1,
    )
    run = Run.start(tmp_path / "run", kind="train", config={}, seed=0)
    asked = [Prompt(f"p{i}", f"you fool {i}", "test") for i in range(2)]
    with run.writing():
        load_method(method, settings.model_dump()).fit(tiny_lm(), asked, run)
    first, last = rows(run.path)
    wanted = {"loss", "reward", "reward_std", "toxicity", "kl", "kl_coefficient", "entropy"}
    wanted |= {"gate_empty", "gate_unscored", "gate_other_language", "gate_repetition"}
    wanted |= {"response_length", "capped", "learning_rate", "grad_norm", "tokens", "step"}
    assert wanted <= first.keys()
    assert first["kl"] == pytest.approx(0.0, abs=1e-6)  # the untouched model has drawn
    assert last["tokens"] > first["tokens"] > 0
    assert 1 <= first["response_length"] <= 8
    seen = SampleLog(run.path).rows()
    mine = [row for row in seen if row["step"] == 1]
    assert len(mine) == 4
    assert all(row["reward"] == 0.0 for row in seen if row["gates"])
    assert run.info["train_prompts"] == 2


def test_a_broken_rule_ends_the_training_and_keeps_the_checkpoint_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = StopRules(**NO_RULES | {"kl_budget": 0.05, "window": 1})
    settings = config(
        "rloo", stop=rules, max_steps=40, save_steps=1, learning_rate=2e-2, kl_coefficient=0.01
    )
    fit("rloo", settings, tmp_path / "run", TableReward.random(0))
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    log = rows(tmp_path / "run")
    assert info["stopped_early"]
    assert info["stopped_because"].startswith("KL ")
    assert info["best_step"] < log[-1]["step"] == info["steps"] < 40
    assert log[info["best_step"] - 1]["kl"] <= 0.05 < log[-1]["kl"]
    assert "over the budget of 0.05" in capsys.readouterr().err.strip().splitlines()[-1]


def test_the_same_seed_draws_the_same_and_no_step_changes_nothing(tmp_path: Path) -> None:
    table = TableReward.random(0)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit("grpo", config("grpo", seed=seed, max_steps=2), tmp_path / name, table)
    assert rows(tmp_path / "a") == rows(tmp_path / "b") != rows(tmp_path / "c")
    adapter = fit("grpo", config("grpo", max_steps=0), tmp_path / "none", table)
    lm = enumerated_lm()
    same = probabilities(replace(lm, model=PeftModel.from_pretrained(lm.model, adapter)))
    assert same.tolist() == probabilities(enumerated_lm()).tolist()


def test_a_step_asks_in_whole_groups_and_never_the_same_noise_twice(tmp_path: Path) -> None:
    exchange = RolloutBridge(
        enumerated_lm(), config("grpo"), PROMPTS, TableReward.random(0), SampleLog(tmp_path)
    )
    contexts = exchange.ask(["p1"] * 4 + ["p0"] * 4)
    assert [len(one) for one in contexts] == [4] * 4 + [2] * 4
    first, second = exchange.answer(0), exchange.answer(1)
    assert len(first) == 8
    assert first == exchange.answer(0) != second
    with pytest.raises(TrainingError, match="parts of groups of 4"):
        exchange.ask(["p1"] * 2 + ["p0"] * 2)


def test_positions_do_not_count_the_padding() -> None:
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    _, inputs = _count_positions(None, (), {"attention_mask": mask})
    assert inputs["position_ids"].tolist() == [[0, 0, 0, 1], [0, 1, 2, 3]]


def test_log_probabilities_of_padded_rows_are_those_of_the_sampler() -> None:
    """With learnt absolute positions, where counting the padding would show."""
    tiny = tiny_lm()
    small = GPT2Config(
        vocab_size=260, n_positions=64, n_embd=32, n_layer=2, n_head=4, initializer_range=0.5
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lm = replace(tiny, model=GPT2LMHeadModel(small).eval())
    lm.model.register_forward_pre_hook(_count_positions, with_kwargs=True)
    prompt, response = [10, 11, 12], [20, 21]
    padded = torch.tensor([[1, 1, *prompt, *response]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1]])
    with torch.no_grad():
        logits = lm.model(input_ids=padded, attention_mask=mask).logits.log_softmax(-1)
    found = [logits[0, 4, 20].item(), logits[0, 5, 21].item()]
    alone = token_log_probs(lm, [prompt], [response])[0]
    assert found == pytest.approx(alone.tolist(), abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"rollout": {"k": 1}}, "rollout.k"),
        ({"rollout": {"top_p": 0.9}}, "top_p is 0.9, but training needs 1: other samples"),
        ({"rollout": {"temperature": 0.7}}, "temperature is 0.7"),
        ({"rollout": {"no_repeat_ngram_size": 4}}, "no_repeat_ngram_size is 4"),
        ({"gradient_accumulation": 2}, "gradient_accumulation"),
        ({"lora_dropout": 0.1}, "lora_dropout"),
        ({"kl_coefficient": -1}, "kl_coefficient"),
        ({"reward": {"scorers": {}}}, "reward.scorers"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause.replace(".", r"\.")):
        load_method("grpo", settings)


def test_batches_must_divide_the_responses_of_a_step() -> None:
    assert OnlineConfig().prompts_per_step(range(1000)) == 16
    assert OnlineConfig(batch_size=8).prompts_per_step(range(3)) == 3
    with pytest.raises(TrainingError, match="24 per step, which batches of 7 do not divide"):
        OnlineConfig(batch_size=7).prompts_per_step(range(3))
    with pytest.raises(TrainingError, match="0 prompts"):
        OnlineConfig().prompts_per_step([])


def test_a_model_with_an_adapter_is_refused(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    lm = replace(tiny_lm(), model=get_peft_model(tiny_model(), LoraConfig()))
    run = Run.start(tmp_path / "run", kind="train", config={}, seed=0)
    with run.writing(), pytest.raises(TrainingError, match="already carries an adapter"):
        method_of(GRPOConfig()).fit(lm, PROMPTS, run)


def test_the_reward_is_what_a_group_shares(tmp_path: Path) -> None:
    """Equal rewards within every group teach nothing: the loss has no gradient at step 1."""

    def flat(prompts: Sequence[Prompt], generations: Sequence[Generation]) -> Rewards:
        values = np.array([float(prompt.id == "p0") for prompt in prompts])
        assert len(generations) == len(values)
        return Rewards(values, values, 1 - values, {})

    for method in METHODS:
        fit(method, config(method, max_steps=1), tmp_path / method, flat)
        assert rows(tmp_path / method)[0]["grad_norm"] == pytest.approx(0.0, abs=1e-6)
