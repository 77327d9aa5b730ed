"""Responses and measurements as data frames. Imports pandas."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pandas as pd

from detoxlab.records import Measurement, Responses, to_json

Key = tuple[str, int]


def responses_frame(responses: Responses) -> pd.DataFrame:
    """A row per response: prompt, text, and a column for each attribute of each scorer.

    The column is called `SCORER/ATTRIBUTE`; an unknown score is NaN.
    """
    scores_by_response: dict[Key, dict[str, float | None]] = defaultdict(dict)
    for score in responses.scores:
        column = f"{score.scorer_id}/{score.attribute}"
        scores_by_response[score.prompt_id, score.sample][column] = score.value
    prompts = {prompt.id: prompt for prompt in responses.prompts}
    rows: list[dict[str, Any]] = []
    for generation in responses.generations:
        prompt = prompts[generation.prompt_id]
        rows.append(
            {
                "prompt_id": prompt.id,
                "sample": generation.sample,
                "group": prompt.meta.get("group"),
                "prompt": prompt.text,
                "response": generation.text,
                "finish_reason": generation.finish_reason,
                **scores_by_response[prompt.id, generation.sample],
            }
        )
    frame = pd.DataFrame(rows)
    scored = frame.columns[6:]
    return frame.astype(dict.fromkeys(scored, float))


def measurements_frame(rows: Iterable[Measurement]) -> pd.DataFrame:
    """A row per measurement with all its fields; an unknown value is NaN."""
    frame = pd.DataFrame([to_json(row) for row in rows])
    numbers = [name for name in ("value", "ci_low", "ci_high") if name in frame]
    return frame.astype(dict.fromkeys(numbers, float))
