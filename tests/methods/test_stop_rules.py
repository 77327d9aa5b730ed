"""Every rule fires on the rows it is for, keeps still one step before, and can be switched off."""

import pytest

from detoxlab.methods.feedback.stop import StopRules, best_step, stop_reason

CALM = {
    "loss": 0.1,
    "reward": 0.5,
    "reward_std": 0.1,
    "kl": 0.02,
    "entropy": 2.0,
    "gate_empty": 0.0,
}
RULES = StopRules(window=4, negative_kl_steps=4)


def rows(key: str, values: list[float | None]) -> list[dict[str, float | None]]:
    """Calm steps, then one step per value of `key`."""
    steps = [*[CALM] * 8, *[{**CALM, key: value} for value in values]]
    return [{"step": number, **row} for number, row in enumerate(steps, start=1)]


CASES = [
    ("kl", [2.0], "KL 0.515 nats per token, over the budget of 0.5"),
    ("kl", [-0.01] * 4, "the KL estimate was negative for 4 steps"),
    ("entropy", [0.1] * 4, "entropy collapsed from 2.000 to 0.100"),
    ("reward", [0.46, 0.46, 0.35], "reward fell from 0.500 to 0.443"),
    ("gate_empty", [1.0, 1.0, 1.0], "gate empty stopped 75% of responses, over 50%"),
]
OFF = {
    "kl": {"kl_budget": None, "negative_kl_steps": None},
    "entropy": {"entropy_floor": None},
    "reward": {"reward_drop": None},
    "gate_empty": {"gate_share": None},
}


@pytest.mark.parametrize(("key", "values", "reason"), CASES)
def test_a_rule_fires_when_its_limit_is_passed(key: str, values: list[float], reason: str) -> None:
    found = rows(key, values)
    assert str(stop_reason(found, RULES)).startswith(reason)
    assert stop_reason(found[:-1], RULES) is None
    off = RULES.model_copy(update=OFF[key])
    assert stop_reason(found, off) is None


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), None])
def test_a_loss_that_is_not_finite_ends_at_once(loss: float | None) -> None:
    assert stop_reason([{"step": 1, **CALM, "loss": loss}], RULES) == "the loss is not finite"


@pytest.mark.parametrize(
    ("drop", "reason"), [(0.7, "reward fell from 0.900 to 0.500"), (0.9, None)]
)
def test_a_fall_is_measured_in_the_spread_of_the_best_window(
    drop: float, reason: str | None
) -> None:
    """The fall of 0.4 is 0.8 of the spread at that time, and 4 of the spread before and after."""
    rewards, spreads = [0.1, 0.1, 0.9, 0.9, 0.5, 0.5], [0.1, 0.1, 0.5, 0.5, 0.1, 0.1]
    history = [
        {"step": step, "reward": reward, "reward_std": spread}
        for step, (reward, spread) in enumerate(zip(rewards, spreads, strict=True), start=1)
    ]
    rules = StopRules(window=2, reward_drop=drop)
    assert stop_reason(history, rules) == reason
    assert best_step(history, rules, 2) == 4


def test_nothing_ends_a_calm_training_or_one_that_has_not_begun() -> None:
    assert stop_reason([], RULES) is None
    assert stop_reason(rows("kl", [0.4] * 20), RULES) is None
    assert stop_reason([{"step": 1, **CALM, "kl": 9.0}], RULES) is None  # one batch is no window


def test_a_number_that_is_missing_is_passed_over() -> None:
    bare = [{"step": step, "loss": 0.1, "reward": 0.5} for step in range(1, 30)]
    assert stop_reason(bare, RULES) is None
    assert stop_reason([*bare, {"step": 30, "train_runtime": 1.0}], RULES) is None


def test_best_is_the_saved_step_with_the_highest_mean_reward() -> None:
    history = [{"step": s, "reward": r} for s, r in enumerate([0.1, 0.9, 0.5, 0.5, 0.6, 0.2], 1)]
    each = StopRules(window=1)
    assert best_step(history, each, 1) == 2
    assert best_step(history, each, 3) == 3
    assert best_step(history, each, 5, last=6) == 5
    assert best_step(history, each, 10, last=6) == 6
    assert best_step(history, StopRules(window=2), 1) == 3  # (0.9 + 0.5) / 2
    assert best_step(history, each, 10) is None


def test_best_comes_before_the_broken_rule() -> None:
    history = [
        {"step": 1, "reward": 0.4, "kl": 0.1},
        {"step": 2, "reward": 0.5, "kl": 0.3},
        {"step": 3, "reward": 0.9, "kl": 0.9},
    ]
    assert best_step(history, StopRules(window=1), 1) == 2
    assert best_step(history, StopRules(window=1, kl_budget=None), 1) == 3
