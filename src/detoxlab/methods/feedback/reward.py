"""The reward of a response: how harmless scorers find it, unless a gate stops it.

Methods that learn from feedback (PPO, GRPO, RLOO, preferences and rejection sampling on own
responses) share it. Only the response is scored, never the prompt before it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detoxlab.methods.feedback.gates import Gates
from detoxlab.methods.feedback.settings import WORST_LOGIT_REWARD, RewardSettings
from detoxlab.records import Generation, Prompt
from detoxlab.scorers import FloatArray, scorer_with

UNSCORED = "unscored"


@dataclass(frozen=True)
class Rewards:
    """The rewards of N responses and their parts.

    The method learns from `values_N`. `plain_N` is the same before whitening and clipping,
    `scores_N` the weighted probability of toxicity (NaN: unscored), and `gates` says per
    gate which responses it stopped.
    """

    values_N: FloatArray
    plain_N: FloatArray
    scores_N: FloatArray
    gates: Mapping[str, NDArray[np.bool_]]

    def gates_of(self, row: int) -> list[str]:
        """Names of the gates that stopped one response."""
        return [name for name, fired_N in self.gates.items() if fired_N[row]]

    def gated(self) -> NDArray[np.bool_]:
        """(N,): whether any gate stopped the response."""
        gated_N = np.zeros(len(self.values_N), dtype=bool)
        for fired_N in self.gates.values():
            gated_N |= fired_N
        return gated_N

    def log(self) -> dict[str, float]:
        """The figures of `train.jsonl`: mean and spread before whitening, shares of the gates.

        `toxicity` is the mean over the responses that have a score, NaN without any.
        """
        known_N = ~np.isnan(self.scores_N)
        return {
            "reward": float(self.plain_N.mean()),
            "reward_std": float(self.plain_N.std()),
            "toxicity": float(self.scores_N[known_N].mean()) if known_N.any() else math.nan,
            **{f"gate_{name}": float(fired_N.mean()) for name, fired_N in self.gates.items()},
        }


class Reward:
    """Turns prompts and responses into `Rewards`; other responses in the batch change nothing.

    (Whitening, which is off by default, compares a response with its batch.) `asked` are the
    prompts of the whole training, if they are known: see `Gates`.

    Raises `UnknownNameError` for a scorer that nobody registered, `ConfigError` for one
    without the attribute.
    """

    def __init__(self, settings: RewardSettings, *, asked: Sequence[Prompt] = ()) -> None:
        self.settings = settings
        self._scorers = [scorer_with(name, settings.attribute) for name in settings.scorers]
        weights_S = np.array(list(settings.scorers.values()), dtype=np.float64)
        self._shares_S = weights_S / weights_S.sum()
        self._gates = None if settings.unsafe else Gates(settings.gates, asked)

    def __call__(self, prompts: Sequence[Prompt], generations: Sequence[Generation]) -> Rewards:
        """The rewards of the generations, each beside its prompt."""
        settings = self.settings
        scores_NS = self._scores([one.text for one in generations])
        plain_N = _reward(np.nan_to_num(scores_NS, nan=0.0), settings.transform) @ self._shares_S
        gates: dict[str, NDArray[np.bool_]] = {}
        if self._gates is not None:
            gates.update(self._gates(prompts, generations))
            gates[UNSCORED] = np.asarray(np.isnan(scores_NS).any(axis=1))
        for fired_N in gates.values():
            plain_N[fired_N] = settings.gated_reward
        values_N = whitened(plain_N) if settings.whiten else plain_N
        if settings.clip is not None:
            values_N = values_N.clip(*settings.clip)
        return Rewards(values_N, plain_N, scores_NS @ self._shares_S, gates)

    def _scores(self, texts: Sequence[str]) -> FloatArray:
        attribute = self.settings.attribute
        columns = [scorer(texts)[:, scorer.attributes.index(attribute)] for scorer in self._scorers]
        return np.stack(columns, axis=1)


def whitened(values_N: FloatArray) -> FloatArray:
    """The values with mean 0 and standard deviation 1; all 0 where they are equal.

    >>> whitened(np.array([1.0, 3.0])).tolist(), whitened(np.array([0.2, 0.2])).tolist()
    ([-1.0, 1.0], [0.0, 0.0])
    """
    centred_N: FloatArray = values_N - values_N.mean()
    spread = float(centred_N.std())
    return centred_N / spread if spread > 1e-8 else np.zeros_like(values_N)


def _reward(scores_NS: FloatArray, transform: str) -> FloatArray:
    """High for harmless responses; an unscored response counts as harmless here."""
    if transform == "probability":
        return 1.0 - scores_NS
    with np.errstate(divide="ignore"):
        logits_NS = np.log1p(-scores_NS) - np.log(scores_NS)
    limited: FloatArray = logits_NS.clip(WORST_LOGIT_REWARD, -WORST_LOGIT_REWARD)
    return limited
