"""What PPO converges to, against the optimum that is known exactly."""

from dataclasses import replace
from pathlib import Path

import pytest
from peft import PeftModel

from detoxlab.methods.feedback.stop import StopRules
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.methods.ppo.train import fit_adapter
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

pytestmark = pytest.mark.slow

BETA = 0.25  # rewards span 1, four times as much


def test_ppo_learns_the_base_times_exp_of_reward_over_beta(tmp_path: Path) -> None:
    reward, lm = TableReward.random(1), enumerated_lm(layers=2)
    base = probabilities(lm)
    best = optimum(base, reward.rewards, BETA)
    assert total_variation(base, best) > 0.3
    config = PPOConfig.model_validate(
        {
            "chat": False,
            "rollout": {"prompts": 1, "k": 256, "max_new_tokens": LENGTH},
            "batch_size": 256,
            "ppo_epochs": 2,
            "max_steps": 80,
            "save_steps": 80,
            "learning_rate": 1e-2,
            "value_learning_rate": 2e-2,
            "value_coefficient": 0.5,
            "value_clip_range": None,
            "lora_alpha": 16,
            "kl_coefficient": BETA,
            "gae_lambda": 1.0,
            "whiten_advantages": False,
            "stop": StopRules(kl_budget=None, entropy_floor=None, reward_drop=None),
        }
    )
    run = Run.start(tmp_path / "run", kind="train", config=config.model_dump(mode="json"))
    with run.writing():
        adapter = fit_adapter(config, lm, [PROMPT], run, reward=reward)
    learnt = probabilities(replace(lm, model=PeftModel.from_pretrained(lm.model, adapter)))
    assert total_variation(learnt, best) < 0.05
