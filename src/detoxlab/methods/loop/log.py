"""The training log: `train.jsonl`, one JSON object per logged step, flushed as it is written.

Keys shared by all methods; a row holds those that apply to it:

    step              optimizer steps so far; 0 is the untouched model
    epoch             passes over the training data so far
    loss              the loss minimised in this step, nats per learnt token for SFT
    eval_loss         the same on the validation data; lower is better
    learning_rate, grad_norm
    token_accuracy    share of learnt tokens that were the model's first choice
    entropy           of the next-token distribution at learnt tokens, nats
    reward, reward_std  mean and spread over the step's responses, before whitening and clipping
    toxicity          mean probability over the responses that could be scored
    kl                nats per token from the base model: an estimate on the step's responses,
                      below 0 only by chance
    kl_coefficient    weight of the KL in the objective
    gate_NAME         share of responses that this gate stopped
    response_length   mean, in tokens; capped: share that hit the token limit
    seconds_generate, seconds_score  of this step; PPO's seconds_forward, seconds_update as well
    policy_loss, value_loss  the parts of PPO's loss, per token; clipped: share of tokens whose
                      ratio of policies left the clip range. Means over the step's updates, of
                      which PPO makes several
    margin            reward of the chosen minus the rejected response, preference methods:
                      chosen_reward, rejected_reward; docs/preferences.md says what each
                      method's reward is
    preference_accuracy  share of pairs whose chosen response has the higher one
    kl_per_response   KTO's estimate of the divergence from the reference, nats per response
    iteration         refreshes of a regulariser's anchor and head so far; in it the mean KL per
                      prefix, nats: kl_to_target (projected anchor to policy), kl_to_anchor
                      (policy to anchor)
    acceptance_loss, consistency_loss  of an auxiliary head's fit, nats per prefix
    tokens            tokens read so far, padding excluded
    tokens_per_second in this step
    seconds           training time so far, over all resumptions
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detoxlab.methods.loop.step_rows import StepRows
from detoxlab.runs import append_rows

TRAIN_LOG = "train.jsonl"
SHOWN = ("loss", "reward")


class TrainLog(StepRows):
    """The `train.jsonl` of a run folder: appends rows and reads them back.

    `send` also gets every row; it passes the rows on to the trackers. `latest` is the row that
    was appended last, empty before the first.
    """

    name = TRAIN_LOG

    def __init__(
        self, folder: Path, send: Callable[[Mapping[str, float | None]], None] | None = None
    ) -> None:
        self.folder = folder
        self.send = send
        self.latest: Mapping[str, float | None] = {}

    def append(self, row: Mapping[str, float]) -> None:
        """Write one row; a number that is not finite is written as null."""
        plain = {key: value if math.isfinite(value) else None for key, value in row.items()}
        append_rows(self.path, [json.dumps(plain, allow_nan=False) + "\n"])
        self.latest = plain
        if self.send:
            self.send(plain)


def figures(row: Mapping[str, float | None]) -> str:
    """The loss and the reward of a row of the log, for the progress bar; empty without a loss.

    >>> figures({"step": 5, "loss": 2.0517, "reward": 0.7}), figures({"step": 5, "eval_loss": 2.0})
    ('loss 2.052, reward 0.700', '')
    """
    if row.get("loss") is None:
        return ""
    known = [(name, row.get(name)) for name in SHOWN]
    return ", ".join(f"{name} {value:.3f}" for name, value in known if value is not None)


def validations(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """(step, validation loss) of each validation of a trained model, oldest first.

    >>> validations([{"step": 0, "eval_loss": 3.0}, {"step": 5, "loss": 2.0},
    ...              {"step": 5, "eval_loss": 2.5}])
    [(5, 2.5)]
    """
    return [(row["step"], row["eval_loss"]) for row in rows if "eval_loss" in row and row["step"]]


def best_step(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """The step with the lowest validation loss, the first of equals; None without any.

    >>> best_step([{"step": 5, "eval_loss": 2.5}, {"step": 10, "eval_loss": 2.5}])
    5
    """
    found = validations(rows)
    return min(found, key=lambda entry: entry[1])[0] if found else None


def validations_since_best(rows: Sequence[Mapping[str, Any]]) -> int:
    """The number of latest validations that brought no new best, to compare with the patience.

    >>> validations_since_best([{"step": 5, "eval_loss": 2.5}, {"step": 10, "eval_loss": 2.6}])
    1
    """
    best = best_step(rows)
    return sum(step > best for step, _ in validations(rows)) if best is not None else 0


def out_of_patience(patience: int) -> Callable[[Sequence[Mapping[str, Any]]], str | None]:
    """The reason to stop after `patience` validations without a new best; never if it is 0.

    >>> rows = [{"step": 5, "eval_loss": 2.5}, {"step": 10, "eval_loss": 2.6}]
    >>> out_of_patience(1)(rows), out_of_patience(2)(rows)
    ('1 validations without a new best', None)
    """

    def reason(rows: Sequence[Mapping[str, Any]]) -> str | None:
        over = patience and validations_since_best(rows) >= patience
        return f"{patience} validations without a new best" if over else None

    return reason
