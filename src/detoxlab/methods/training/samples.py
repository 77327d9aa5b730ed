"""Responses kept for the reader of a training: `samples.jsonl`, a few at every tenth step.

One JSON object per response: step, prompt_id, sample, prompt, text, reward, gates (the names
of those that stopped it). The texts stay in the run folder; the report blurs them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detoxlab.records import Generation, Prompt
from detoxlab.runs import append_rows, complete_lines, keep_lines

if TYPE_CHECKING:
    from detoxlab.methods.reward import Rewards

SAMPLES = "samples.jsonl"


@dataclass(frozen=True)
class SampleLog:
    """Appends `count` responses of every `every`-th step, from the first, to `folder`."""

    folder: Path
    every: int = 10
    count: int = 4

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / SAMPLES

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

    def rows(self) -> list[dict[str, Any]]:
        """All complete rows, oldest first; an absent file is empty."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in complete_lines(self.path)]

    def cut_after(self, step: int) -> None:
        """Drop the rows past `step`, and a half-written last one: training resumes there."""
        if self.path.exists():
            keep_lines(self.path, sum(row["step"] <= step for row in self.rows()))
