"""Rules that end a training by feedback which goes wrong, and choose the checkpoint to keep.

They are pure functions of the rows of `train.jsonl`. Every rule looks at the mean of the last
`window` rows, so that one odd batch ends nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from detoxlab.settings import Settings

LogRow = Mapping[str, Any]
GATE = "gate_"


class StopRules(Settings):
    """Limits beyond which a training ends; None switches a rule off."""

    window: int = Field(default=10, ge=1, description="steps over which the rules average")
    kl_budget: float | None = Field(
        default=0.5, gt=0, description="nats per token from the base model, at most"
    )
    negative_kl_steps: int | None = Field(
        default=20,
        ge=1,
        description="so many steps in a row with a KL estimate below 0: the samples are not "
        "from the policy they are said to be from",
    )
    entropy_floor: float | None = Field(
        default=0.25, gt=0, lt=1, description="share of the first steps' entropy, at least"
    )
    reward_drop: float | None = Field(
        default=0.5,
        gt=0,
        description="below the best mean reward so far, in standard deviations of a batch",
    )
    gate_share: float | None = Field(
        default=0.5, gt=0, lt=1, description="share of responses that one gate stops, at most"
    )


def stop_reason(rows: Sequence[LogRow], rules: StopRules) -> str | None:
    """The reason to end the training after the last of these rows; None where it goes on.

    Only rows with a reward count, and no rule applies before there are `window` of them, with
    one exception: a loss that is not finite always ends the training.

    >>> stop_reason([{"step": 1, "reward": 0.5, "kl": 0.9}], StopRules(window=1))
    'KL 0.900 nats per token, over the budget of 0.5'
    """
    steps = [row for row in rows if "reward" in row]
    checks = CHECKS if len(steps) >= rules.window else CHECKS[:1]
    return next(filter(None, (check(steps, rules) for check in checks)), None)


def best_step(
    rows: Sequence[LogRow], rules: StopRules, saved_every: int, last: int | None = None
) -> int | None:
    """The saved step with the highest mean reward before any rule was broken; None without any.

    The multiples of `saved_every` and the step `last` are saved. The mean is over the last
    `window` rows; the first of equals counts.

    >>> rows = [{"step": 1, "reward": 0.2}, {"step": 2, "reward": 0.5}, {"step": 3, "reward": 0.4}]
    >>> best_step(rows, StopRules(window=1), 1), best_step(rows, StopRules(window=1), 5)
    (2, None)
    """
    best, best_reward = None, -math.inf
    rewarded = [row for row in rows if "reward" in row]
    for count, row in enumerate(rewarded, start=1):
        if row["step"] % saved_every and row["step"] != last:
            continue
        if stop_reason(rewarded[:count], rules):
            break
        reward = _mean(rewarded, "reward", rules.window, end=count)
        if reward is not None and reward > best_reward:
            best, best_reward = int(row["step"]), reward
    return best


# --- inside ---


def _loss(rows: Sequence[LogRow], _rules: StopRules) -> str | None:
    loss = rows[-1].get("loss", 0.0) if rows else 0.0
    return None if loss is not None and math.isfinite(loss) else "the loss is not finite"


def _kl_budget(rows: Sequence[LogRow], rules: StopRules) -> str | None:
    kl = _mean(rows, "kl", rules.window)
    if rules.kl_budget is None or kl is None or kl <= rules.kl_budget:
        return None
    return f"KL {kl:.3f} nats per token, over the budget of {rules.kl_budget:g}"


def _negative_kl(rows: Sequence[LogRow], rules: StopRules) -> str | None:
    steps = rules.negative_kl_steps
    if steps is None:
        return None
    values = _values(rows, "kl")[-steps:]
    if len(values) < steps or max(values) >= 0:
        return None
    return f"the KL estimate was negative for {steps} steps: the samples are not the policy's"


def _entropy(rows: Sequence[LogRow], rules: StopRules) -> str | None:
    values = _values(rows, "entropy")
    if rules.entropy_floor is None or len(values) <= rules.window:
        return None
    first = sum(values[: rules.window]) / rules.window
    now = sum(values[-rules.window :]) / rules.window
    if now >= rules.entropy_floor * first:
        return None
    return f"entropy collapsed from {first:.3f} to {now:.3f} nats per token"


def _reward(rows: Sequence[LogRow], rules: StopRules) -> str | None:
    """Why the reward fell too far below its best window, in spreads of a batch at that time."""
    if rules.reward_drop is None:
        return None
    ends = range(rules.window, len(rows) + 1)
    means = {end: _mean(rows, "reward", rules.window, end=end) or 0.0 for end in ends}
    best, now = max(means, key=means.__getitem__), means[len(rows)]
    spread = _mean(rows, "reward_std", rules.window, end=best)
    if not spread or means[best] - now <= rules.reward_drop * spread:
        return None
    return f"reward fell from {means[best]:.3f} to {now:.3f}"


def _gates(rows: Sequence[LogRow], rules: StopRules) -> str | None:
    if rules.gate_share is None:
        return None
    for key in rows[-1]:
        share = _mean(rows, key, rules.window) if key.startswith(GATE) else None
        if share is not None and share > rules.gate_share:
            name = key.removeprefix(GATE)
            return f"gate {name} stopped {share:.0%} of responses, over {rules.gate_share:.0%}"
    return None


def _values(rows: Sequence[LogRow], key: str) -> list[float]:
    return [row[key] for row in rows if row.get(key) is not None]


def _mean(rows: Sequence[LogRow], key: str, window: int, *, end: int | None = None) -> float | None:
    """The mean over those of the `window` rows before `end` that have the number, or None."""
    end = len(rows) if end is None else end
    values = _values(rows[max(0, end - window) : end], key)
    return sum(values) / len(values) if values else None


CHECKS: tuple[Callable[[Sequence[LogRow], StopRules], str | None], ...] = (
    _loss,
    _kl_budget,
    _negative_kl,
    _entropy,
    _reward,
    _gates,
)
