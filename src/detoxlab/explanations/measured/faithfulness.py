"""Whether a method finds the tokens that matter, against tokens chosen at random.

Deletion     the prompt's own tokens with the highest scores are taken out, the template stays;
             the answer's log-probability falls by so many nats. More is better.
Sufficiency  all other tokens of the prompt's text are taken out. Less is better.

Both are compared with the mean over random choices of as many tokens: a method that does not beat
them on a model does not explain that model.

Source: DeYoung et al. 2020, ERASER, section 4.1 (comprehensiveness and sufficiency).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.names import CONTENT
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import ItemResult
from detoxlab.subject import Subject

SHARES = (0.2, 0.5)
LEAST_TOKENS = 2

Places = NDArray[np.int64]


def token_scores(row: Attribution) -> FloatArray:
    """One score per token of the prompt's text (C,): its absolute scores, summed over the steps."""
    scores_C: FloatArray = row.mass[:, _content(row)].sum(axis=0)
    return scores_C


@dataclass(frozen=True)
class Faithfulness:
    """The check of one subject; `draws` random choices, drawn by `seed` and prompt."""

    subject: Subject
    draws: int = 20
    seed: int = 0

    def result(
        self, row: Attribution, prompt_ids: Sequence[int], response_ids: Sequence[int]
    ) -> ItemResult:
        """The falls in nats, by name: `deletion_20`, `deletion_20_random`, and so on.

        A prompt with fewer than two tokens of its own is not checked.
        """
        content_C = _content(row)
        if len(content_C) < LEAST_TOKENS:
            return ItemResult(row.item, error="the prompt has fewer than two tokens of its own")
        removals = dict(self._removals(row, content_C))
        texts = [prompt_ids, *(_without(prompt_ids, places) for places in removals.values())]
        log_probs = self.subject.token_log_probs(texts, [response_ids] * len(texts))
        whole, *left = (float(one.sum(dtype=np.float64)) for one in log_probs)
        falls = {key: whole - value for key, value in zip(removals, left, strict=True)}
        return ItemResult(row.item, _means(falls))

    def _removals(
        self, row: Attribution, content_C: Places
    ) -> "list[tuple[tuple[str, int], Places]]":
        """The places to take out, by name and draw; draw 0 is the method's own choice."""
        rng = np.random.default_rng([self.seed, *row.prompt_id.encode(), row.sample])
        best_C = np.argsort(-token_scores(row), kind="stable")
        found = []
        for share in SHARES:
            count = max(1, round(share * len(content_C)))
            for draw in range(self.draws + 1):
                order_C = best_C if draw == 0 else rng.permutation(len(content_C))
                name = f"{round(100 * share)}"
                found += [
                    ((f"deletion_{name}", draw), content_C[order_C[:count]]),
                    ((f"sufficiency_{name}", draw), content_C[order_C[count:]]),
                ]
        return found


def _content(row: Attribution) -> Places:
    return np.array([at for at, kind in enumerate(row.classes) if kind == CONTENT], dtype=np.int64)


def _without(ids: Sequence[int], places: Places) -> list[int]:
    gone = set(places.tolist())
    return [token for at, token in enumerate(ids) if at not in gone]


def _means(falls: "dict[tuple[str, int], float]") -> dict[str, float]:
    """The method's own fall under its name, the mean of the draws under NAME_random."""
    values = {}
    for name in dict.fromkeys(name for name, _ in falls):
        values[name] = round(falls[name, 0], 6)
        drawn = [fall for (kind, draw), fall in falls.items() if kind == name and draw]
        values[f"{name}_random"] = round(float(np.mean(drawn)), 6)
    return values
