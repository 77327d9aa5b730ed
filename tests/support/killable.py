"""One small training of every method that is killed in tests."""

from typing import Any

from detoxlab.data.split import DialogueSplit
from detoxlab.methods.loop.log import TRAIN_LOG
from detoxlab.records import Prompt
from tests.support.tiny import dialogues

DRAWN = "generations/worker-0.jsonl"
PROMPTS = [Prompt(f"q{i}", f"well {i}", "test") for i in range(40)]
UNGATED = {"gates": {"other_language": False, "repeated_unit": False}}
SAMPLED: dict[str, Any] = {
    "draws": {"k": 4, "max_new_tokens": 16, "batch_size": 2},
    "reward": UNGATED,
    "epochs": 4,
    "max_steps": 40,
    "patience": 0,
    "save_steps": 3,
}
GROUPS: dict[str, Any] = {
    "rollout": {"prompts": 2, "k": 4, "max_new_tokens": 8},
    "reward": UNGATED,
    "samples_every": 2,
    "stop": {"kl_budget": None, "reward_drop": None, "entropy_floor": None},
    "max_steps": 30,
    "save_steps": 3,
}
# The data of a method, its settings, and the file that grows until the first kill.
CASES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "sft": (
        DialogueSplit(dialogues(24), dialogues(6, start=100)),
        {"epochs": 8, "save_steps": 3},
        TRAIN_LOG,
    ),
    "dpo": (PROMPTS, SAMPLED | {"margin": 0.0}, DRAWN),
    "kto": (PROMPTS, SAMPLED | {"margin": 0.0}, DRAWN),
    "simpo": (PROMPTS, SAMPLED | {"margin": 0.0}, DRAWN),
    "rejection": (PROMPTS, SAMPLED, DRAWN),
    "grpo": (PROMPTS, GROUPS, TRAIN_LOG),
    "rloo": (PROMPTS, GROUPS, TRAIN_LOG),
    "ppo": (PROMPTS, GROUPS | {"kl_target": 0.05, "kl_horizon": 50}, TRAIN_LOG),
}
