"""Filtering: leave out what a scorer calls toxic, then fine-tune on the rest as `sft` does.

It is the oldest way to detoxify by data: Gehman et al. 2020, RealToxicityPrompts, section 6.1,
continue the pretraining on the least toxic documents; here the responses of dialogues, or
whole texts, are filtered.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import Field

from detoxlab.data.split import DialogueSplit, TextSplit
from detoxlab.methods.base import MethodSpec
from detoxlab.methods.imitation.config import ImitationConfig
from detoxlab.records import Dialogue, Text
from detoxlab.runs import Run
from detoxlab.scorers import FloatArray, scorer_with

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

Split = TypeVar("Split", bound=DialogueSplit | TextSplit)
Item = TypeVar("Item", bound=Dialogue | Text)


class FilterConfig(ImitationConfig):
    """Hyperparameters of filtering: those of SFT, a scorer and its threshold."""

    scorer: str = Field(default="rtp-linear", description="the scorer that filters; not the judge")
    attribute: str = Field(default="toxicity", description="the column of the scorer")
    threshold: float = Field(
        default=0.5, gt=0, le=1, description="toxic from here on; Gehman et al.: .5"
    )

    @property
    def training_scorers(self) -> tuple[str, ...]:
        """The scorer that filters."""
        return (self.scorer,)


def fit_filter(
    config: FilterConfig, lm: "LanguageModel", data: DialogueSplit | TextSplit, run: Run
) -> Path:
    """The folder of the adapter that learnt the harmless responses of `data.train`.

    Validation dialogues are filtered alike. A response that cannot be scored is left out
    too. `run.json` counts the items left out by reason, `rejected.jsonl` lists them. The rest
    is as in `sft`.
    """
    from detoxlab.methods.imitation.train import fit_split

    return fit_split(config, lm, filtered(config, data), run, "filter")


def filtered(config: FilterConfig, data: Split) -> Split:
    """The dialogues or texts whose learnt responses are all scored and below the threshold."""
    train, not_train = _sifted(config, data.train)
    validation, not_validation = _sifted(config, data.validation)
    rejected = [*data.rejected, *not_train, *not_validation]
    kept: dict[str, Any] = {"train": train, "validation": validation, "rejected": rejected}
    return dataclasses.replace(data, **kept)


def _sifted(
    config: FilterConfig, items: Sequence[Item]
) -> tuple[list[Item], list[tuple[str, str]]]:
    responses = [learnt_responses(item, config.targets) for item in items]
    scores_N = _scores(config, [text for texts in responses for text in texts])
    ends = np.cumsum([len(texts) for texts in responses])
    kept, rejected = list[Item](), list[tuple[str, str]]()
    for item, end, texts in zip(items, ends, responses, strict=True):
        reason = _reason(config, scores_N[end - len(texts) : end])
        if reason:
            rejected.append((item.id, reason))
        else:
            kept.append(item)
    return kept, rejected


def learnt_responses(item: Dialogue | Text, targets: str) -> list[str]:
    """The texts that SFT would learn: all turns of the assistant, its last, or a whole text."""
    if isinstance(item, Text):
        return [item.text]
    texts = [turn.text for turn in item.turns if turn.role == "assistant"]
    return texts if targets == "all" else texts[-1:]


def _scores(config: FilterConfig, texts: Sequence[str]) -> FloatArray:
    scorer = scorer_with(config.scorer, config.attribute)
    return scorer(texts)[:, scorer.attributes.index(config.attribute)]


def _reason(config: FilterConfig, scores_T: FloatArray) -> str:
    if np.isnan(scores_T).any():
        return f"{config.scorer} cannot score its response"
    if (scores_T >= config.threshold).any():
        return f"its response is toxic ({config.scorer}: {config.threshold:g} or above)"
    return ""


METHOD = MethodSpec(FilterConfig, fit_filter, ("dialogues", "texts"))
