"""Keeps a few responses of every tenth step in `samples.jsonl`, for people to read.

One JSON object per response: step, prompt_id, sample, prompt, text, reward, gates (the names
of the gates that stopped it). The texts stay in the run folder; the report hides them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detoxlab.methods.loop.step_rows import StepRows
from detoxlab.records import Generation, Prompt
from detoxlab.runs import append_rows

if TYPE_CHECKING:
    from detoxlab.methods.feedback.reward import Rewards

SAMPLES = "samples.jsonl"


@dataclass(frozen=True)
class SampleLog(StepRows):
    """Appends `count` responses of every `every`-th step, from the first, to `folder`."""

    name = SAMPLES
    folder: Path
    every: int = 10
    count: int = 4

    def add(
        self,
        step: int,
        prompts: Sequence[Prompt],
        generations: Sequence[Generation],
        rewards: "Rewards",
    ) -> None:
        """Keep responses of this step, spread over the batch, if it is a step to keep.

        `step` counts from 1; prompts, generations and rewards are aligned.
        """
        if (step - 1) % self.every:
            return
        count = min(self.count, len(generations))
        rows = [
            {
                "step": step,
                "prompt_id": generations[i].prompt_id,
                "sample": generations[i].sample,
                "prompt": prompts[i].text,
                "text": generations[i].text,
                "reward": float(rewards.plain_N[i]),
                "gates": rewards.gates_of(i),
            }
            for i in (place * len(generations) // count for place in range(count))
        ]
        append_rows(self.path, [json.dumps(row, ensure_ascii=False) + "\n" for row in rows])
