"""The draws of PPO, GRPO and RLOO: how a step draws its responses, and to which prompts."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from detoxlab.errors import TrainingError
from detoxlab.records import SAMPLING_BOUNDS as BOUNDS
from detoxlab.records import Prompt, Sampling
from detoxlab.settings import Settings

TRUE_POLICY = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "no_repeat_ngram_size": 0}


class Rollout(Settings):
    """How training responses are drawn: from the policy itself, nothing cut away.

    Settings that change the distribution exist only so that they can be refused: the ratio of
    two policies and the KL between them hold for samples of the policy alone.
    """

    prompts: int = Field(default=64, ge=1, description="prompts per step; fewer if there are fewer")
    k: int = Field(default=1, description="responses per prompt", **BOUNDS["k"])
    max_new_tokens: int = Field(
        default=20, description="tokens per response; RTP: 20", **BOUNDS["max_new_tokens"]
    )
    temperature: float = Field(default=1.0, description="1, or the samples are another policy's")
    top_p: float = Field(default=1.0, description="1: off")
    top_k: int = Field(default=0, description="0: off")
    no_repeat_ngram_size: int = Field(default=0, description="0: off")

    @model_validator(mode="after")
    def _is_the_true_policy(self) -> "Rollout":
        for name, untouched in TRUE_POLICY.items():
            value = getattr(self, name)
            if value != untouched:
                raise ValueError(
                    f"{name} is {value:g}, but training needs {untouched:g}: other samples are "
                    "not the policy's own, so that its ratios and its KL would be wrong"
                )
        return self

    def sampling(self, seed: int) -> Sampling:
        """These settings as generation takes them."""
        return Sampling(k=self.k, max_new_tokens=self.max_new_tokens, seed=seed)


def steps_per_pass(prompts: int, count: int) -> int:
    """The number of steps of `count` prompts in one pass over all prompts, at least 1.

    >>> steps_per_pass(100, 32), steps_per_pass(10, 32)
    (3, 1)
    """
    return max(1, prompts // count)


def prompts_of_step(prompts: Sequence[Prompt], step: int, count: int, seed: int) -> list[Prompt]:
    """The prompts that `step` (from 0) asks: each at most once in a pass, each pass shuffled.

    Prompts left over at the end of a pass wait for the next: a step never asks a prompt twice.
    """
    epoch, place = divmod(step, steps_per_pass(len(prompts), count))
    order = np.random.default_rng([seed, epoch]).permutation(len(prompts))
    return [prompts[i] for i in order[place * count : (place + 1) * count]]


def prompts_record(prompts: Sequence[Prompt]) -> dict[str, Any]:
    """The record of the prompts in `run.json`; `TrainingError` when there are none.

    >>> prompts_record([Prompt("p", "hello", "test")])["train_prompts"]
    1
    """
    if not prompts:
        raise TrainingError("no prompt to learn from", remedy="Give prompts, or another filter.")
    content = json.dumps([(prompt.id, prompt.text) for prompt in prompts])
    return {
        "train_prompts": len(prompts),
        "rows_sha256": hashlib.sha256(content.encode()).hexdigest(),
    }
