"""Writes a scorer as a folder: model, tokenizer, scorer.json, card and, of LoRA, the adapter."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from detoxlab.data import describe_source
from detoxlab.measures import roc_auc
from detoxlab.measures.statistics import BoolArray
from detoxlab.scorer_training import ScorerTraining, TextSet
from detoxlab.scorers.base import FloatArray
from detoxlab.scorers.calibration import Calibration
from detoxlab.scorers.forward import logits_of, tokenize
from detoxlab.scorers.trained import (
    ADAPTER,
    DESCRIPTION,
    Description,
    Knots,
    logits_from,
)
from detoxlab.scorers.training.calibration import (
    DIGITS,
    at_prevalence,
    best_threshold,
    fit_calibration,
    strict_threshold,
)
from detoxlab.scorers.training.card import card
from detoxlab.scorers.training.model import (
    Tensors,
    encoder_id,
    finished_classifier,
    load_tokenizer,
    max_tokens,
)
from detoxlab.scorers.training.rows import Corpus, Example, goals_array

SAME = ("name", "version", "description", "prefix", "any_script", "languages")
TRAINING = (
    *("adaptation", "lora_r", "lora_alpha", "epochs", "batch_size", "learning_rate"),
    *("weight_decay", "warmup", "seed", "false_marks", "prevalence", "learn_tokens"),
)


def write_scorer(
    settings: ScorerTraining,
    tensors: Tensors,
    corpus: Corpus,
    folder: Path,
    *,
    best_step: int,
    device: torch.device,
) -> Description:
    """Write the scorer that the exported tensors make to `folder`, in one atomic step.

    Calibration and thresholds are fitted to the validation texts, as the written weights score
    them. The same settings, tensors and data give the same bytes.
    """
    model, tokenizer = finished_classifier(settings, tensors), load_tokenizer(settings)
    tokens = max_tokens(settings, model, tokenizer)
    logits_NA = _logits(model.to(device), tokenizer, settings, corpus.validation, tokens)
    description = describe(settings, corpus, logits_NA, tokens, best_step)
    draft = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    model.to("cpu").save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    (draft / DESCRIPTION).write_text(description.text(), encoding="utf-8")
    is_lora = settings.adaptation == "lora"
    (draft / "README.md").write_text(card(description, adapter=is_lora), encoding="utf-8")
    if is_lora:
        save_file(tensors, draft / ADAPTER, {"scorer": description.text()})
    for path in draft.iterdir():
        path.chmod(0o644)  # safetensors lets nobody else read its files
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)
    return description


def describe(
    settings: ScorerTraining,
    corpus: Corpus,
    logits_NA: FloatArray,
    tokens: int,
    best_step: int,
) -> Description:
    """The description of a scorer from its logits for the validation texts."""
    goals_NA = goals_array(corpus.validation)
    curves = _rounded(_curves(settings, logits_NA, goals_NA))
    scores_NA = curves(logits_NA)
    thresholds, figures = {}, {}
    for at, name in enumerate(settings.columns):
        known_N = ~np.isnan(goals_NA[:, at])
        positive_N = goals_NA[known_N, at] >= 0.5
        thresholds[name] = _threshold(settings, name, scores_NA[known_N, at], positive_N)
        figures[name] = _figures(logits_NA[:, at], goals_NA[:, at], corpus.validation)
    return Description(
        **{name: getattr(settings, name) for name in SAME},
        attributes=settings.columns,
        max_tokens=tokens,
        encoder=encoder_id(settings),
        calibration=_named_curves(settings.columns, curves),
        thresholds=thresholds,
        data={
            name: _place(one) | {"counts": asdict(corpus.counts[name])}
            for name, one in settings.data.items()
        },
        never={name: _place(one) for name, one in settings.never.items()},
        validation=figures,
        training=_training(settings) | {"best_step": best_step},
    )


# --- inside ---


def _curves(settings: ScorerTraining, logits_NA: FloatArray, goals_NA: FloatArray) -> Calibration:
    """Fitted to the validation texts, and moved to the prevalence that is asked for."""
    fitted = fit_calibration(logits_NA, goals_NA)
    asked_A = np.array([settings.prevalence.get(name, np.nan) for name in settings.columns])
    return at_prevalence(fitted, np.nanmean(goals_NA, axis=0), asked_A)


def _threshold(
    settings: ScorerTraining, name: str, scores_N: FloatArray, positive_N: BoolArray
) -> float:
    if settings.false_marks is not None:
        return strict_threshold(scores_N, positive_N, settings.false_marks)
    # The validation texts have another share of positives, so that their F1 tells nothing.
    return 0.5 if name in settings.prevalence else best_threshold(scores_N, positive_N)


def _logits(
    model: Any, tokenizer: Any, settings: ScorerTraining, examples: list[Example], tokens: int
) -> FloatArray:
    texts = [settings.prefix + one.text for one in examples]
    return logits_of(
        logits_from(model),
        tokenize(tokenizer, texts, tokens),
        pad_id=tokenizer.pad_token_id,
        max_tokens=tokens,
        device=model.device,
    )


def _rounded(curves: Calibration) -> Calibration:
    """The curves as they are written; knots that fall together still increase."""
    inputs_AM = np.round(curves.inputs_AM, DIGITS)
    inputs_AM += np.arange(inputs_AM.shape[1]) * 10.0**-DIGITS
    return Calibration(np.round(inputs_AM, DIGITS), np.round(curves.outputs_AM, DIGITS))


def _named_curves(columns: Sequence[str], curves: Calibration) -> dict[str, Knots]:
    knots = (curves.inputs_AM.tolist(), curves.outputs_AM.tolist())
    return {
        name: Knots(inputs=tuple(inputs), outputs=tuple(outputs))
        for name, inputs, outputs in zip(columns, *knots, strict=True)
    }


def _figures(logits_N: FloatArray, goals_N: FloatArray, examples: list[Example]) -> dict[str, Any]:
    """By set, and for all: number of labelled texts, mean label, AUC of labels of at least .5."""
    sets_N = np.array([one.set_name for one in examples])
    known_N = ~np.isnan(goals_N)
    groups = {"all": known_N} | {name: known_N & (sets_N == name) for name in dict.fromkeys(sets_N)}
    return {
        str(name): {
            "n": int(chosen_N.sum()),
            "mean": round(float(goals_N[chosen_N].mean()), 4),
            "auc": _auc(logits_N[chosen_N], goals_N[chosen_N] >= 0.5),
        }
        for name, chosen_N in groups.items()
        if chosen_N.any()
    }


def _auc(logits_N: FloatArray, positive_N: Any) -> float | None:
    area = roc_auc(logits_N, positive_N)
    return None if area is None else round(area, 4)


def _place(one: TextSet) -> dict[str, Any]:
    """The provenance of a set: its files by name and sha256, or hub id and commit; no folder."""
    found = describe_source(one.source, kind="labelled", path=one.path, revision=one.revision)
    return {**found, "where": dict(one.where)} if one.where else found


def _training(settings: ScorerTraining) -> dict[str, Any]:
    is_lora = settings.adaptation == "lora"
    names = [name for name in TRAINING if is_lora or not name.startswith("lora")]
    values = {name: getattr(settings, name) for name in names}
    return {name: value for name, value in values.items() if value not in (None, {})}
