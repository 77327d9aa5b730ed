"""The row of `attributions.jsonl`: one model's attributions of one response."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from detoxlab.measures.statistics import FloatArray

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Attribution:
    """How the model of run `model` explains a response of run `text`, or why it does not.

    Prompt and response have T tokens, the last S of which are the response: step s predicts the
    token s of the response. `ids` are their ids, `tokens` their texts, `classes` one letter each
    (`detoxlab.explanations.names`) and `words` the number of the word of each. `values` holds, for
    step s, the scores of the tokens before it, in the unit of the target; `gaps` the share that
    they miss, None where a method has no sum.

    `log_probs` (nats), `entropies`, `reliances` and `informations` (bits) are per step, as in
    `detoxlab.explanations.reliance.Predictions`.
    """

    model: str
    text: str
    prompt_id: str
    sample: int
    classes: str = ""
    ids: tuple[int, ...] = ()
    tokens: tuple[str, ...] = ()
    words: tuple[int, ...] = ()
    values: tuple[Numbers, ...] = ()
    targets: Numbers = ()
    gaps: tuple[float | None, ...] = ()
    log_probs: Numbers = ()
    entropies: Numbers = ()
    reliances: Numbers = ()
    informations: Numbers = ()
    error: str | None = field(default=None, metadata={"omit_none": True})

    @property
    def item(self) -> str:
        """The name of the response and of the model that explains it, in `faithfulness.jsonl`."""
        return f"{self.model}/{self.prompt_id}/{self.sample}"

    @property
    def scores(self) -> FloatArray:
        """The scores (S, T), 0 at the predicted token and at those after it."""
        full_ST = np.zeros((len(self.values), len(self.classes)))
        for step, values in enumerate(self.values):
            full_ST[step, : len(values)] = values
        return full_ST

    @cached_property
    def mass(self) -> FloatArray:
        """The absolute scores (S, T)."""
        return np.abs(self.scores)
