"""How filtering trains: what a scorer calls toxic is left out, the rest is learnt as `sft` does."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from detoxlab.methods.base import DialogueSplit, TextSplit
from detoxlab.methods.feedback.reward import scorer_with
from detoxlab.methods.imitation.filter import FilterConfig
from detoxlab.methods.imitation.sft_train import fit_adapter
from detoxlab.models import LanguageModel
from detoxlab.records import Dialogue, Text
from detoxlab.runs import Run
from detoxlab.scorers import FloatArray

Split = TypeVar("Split", bound=DialogueSplit | TextSplit)
Item = TypeVar("Item", bound=Dialogue | Text)


def fit_filtered(
    config: FilterConfig, lm: LanguageModel, data: DialogueSplit | TextSplit, run: Run
) -> Path:
    """The folder of the adapter that learnt the harmless responses of `data.train`.

    Validation dialogues are filtered alike. A response that cannot be scored is left out
    too. `run.json` counts what was left out by reason, `rejected.jsonl` lists it. The rest
    is as in `sft`.
    """
    return fit_adapter(config, lm, filtered(config, data), run, "filter")


def filtered(config: FilterConfig, data: Split) -> Split:
    """The dialogues or texts of which all that is learnt is scored and below the threshold."""
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
    """What SFT would learn: the assistant's turns, all or the last, or the whole text."""
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
