"""Any Hugging Face sequence classifier as a scorer: from the hub or from a local folder.

The scorer's id names the labels, softmax or sigmoid, and the revision. Where the model's config
leaves one of them open, an error asks the user to choose; nothing is guessed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from detoxlab import provenance
from detoxlab.errors import ConfigError, ScorerError
from detoxlab.models.packing import pack_for_cpu
from detoxlab.scorers.base import FloatArray, unscored_reason
from detoxlab.scorers.batching import map_distinct
from detoxlab.scorers.forward import (
    BATCH_SIZE,
    Forward,
    are_cut,
    choose_device,
    logits_of,
    tokenize,
)

Activation = Literal["softmax", "sigmoid"]
Dtype = Literal["float32", "bfloat16", "float16"]

# Label of a classifier -> attribute name. Labels not named here keep their own name.
ATTRIBUTE_OF_LABEL = {
    "toxic": "toxicity",
    "toxicity": "toxicity",
    "hate": "toxicity",
    "hateful": "toxicity",
    "offensive": "toxicity",
    "severe_toxic": "severe_toxicity",
    "identity_hate": "identity_attack",
    "sexual_explicit": "sexually_explicit",
}


@dataclass(frozen=True)
class Known:
    """The facts about a well-known classifier that are missing in its config."""

    labels: Mapping[str, str]
    activation: Activation


KNOWN_CLASSIFIERS = {
    "facebook/roberta-hate-speech-dynabench-r4-target": Known({"hate": "toxicity"}, "softmax"),
    "tomh/toxigen_roberta": Known({"LABEL_1": "toxicity"}, "softmax"),
    "s-nlp/roberta_toxicity_classifier": Known({"toxic": "toxicity"}, "softmax"),
    "unitary/toxic-bert": Known(
        {
            "toxic": "toxicity",
            "severe_toxic": "severe_toxicity",
            "obscene": "obscene",
            "threat": "threat",
            "insult": "insult",
            "identity_hate": "identity_attack",
        },
        "sigmoid",
    ),
    "unitary/unbiased-toxic-roberta": Known(
        {
            "toxicity": "toxicity",
            "severe_toxicity": "severe_toxicity",
            "obscene": "obscene",
            "identity_attack": "identity_attack",
            "insult": "insult",
            "threat": "threat",
            "sexual_explicit": "sexually_explicit",
        },
        "sigmoid",
    ),
}


class HuggingFaceScorer:
    """A sequence classifier; one column per chosen label."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        labels: Mapping[str, str],
        activation: Activation,
        max_tokens: int,
        any_script: bool = False,
        batch_size: int = BATCH_SIZE,
        batch_tokens: int | None = None,
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self.attributes = tuple(labels.values())
        self._columns = [model.config.label2id[label] for label in labels]
        self._activation: Activation = activation
        self._max_tokens, self._any_script = max_tokens, any_script
        self._batch_size, self._batch_tokens = batch_size, batch_tokens
        self._failures: dict[str, str] = {}
        marks = [activation, "+".join(labels), f"{max_tokens} tokens"]
        marks += ["any script"] * any_script
        marks += [str(model.dtype).removeprefix("torch.")] * (model.dtype != torch.float32)
        self.id = f"{name}[{', '.join(marks)}]"

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, A) probabilities; NaN where `missing_reason` tells why."""
        return map_distinct(self._score, texts, len(self.attributes))

    def missing_reason(self, text: str) -> str:
        return self._unscored(text) or self._failures.get(text, "")

    def cut(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text has more tokens than are read."""
        return are_cut(self._tokenizer, texts, self._max_tokens)

    def _unscored(self, text: str) -> str:
        return unscored_reason(text, any_script=self._any_script)

    def _score(self, texts: list[str]) -> FloatArray:
        scores_NA = np.full((len(texts), len(self.attributes)), np.nan)
        scorable = [i for i, text in enumerate(texts) if not self._unscored(text)]
        if not scorable:
            return scores_NA
        logits_NL = logits_of(
            self._forward(),
            tokenize(self._tokenizer, [texts[i] for i in scorable], self._max_tokens),
            pad_id=self._tokenizer.pad_token_id or 0,
            max_tokens=self._max_tokens,
            device=next(self._model.parameters()).device,
            batch_size=self._batch_size,
            batch_tokens=self._batch_tokens,
        )
        scores_NA[scorable] = _activate(logits_NL, self._activation)[:, self._columns]
        for row in scorable:
            if np.isnan(scores_NA[row]).any():
                self._failures[texts[row]] = "failed: the model's output is not a number"
        return scores_NA

    def _forward(self) -> Forward:
        def forward(ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
            logits_BL: torch.Tensor = self._model(input_ids=ids_BT, attention_mask=mask_BT).logits
            return logits_BL

        return forward


def load_classifier(
    reference: str,
    *,
    labels: Mapping[str, str] | Sequence[str] | None = None,
    activation: Activation | None = None,
    revision: str | None = None,
    max_tokens: int | None = None,
    any_script: bool = False,
    any_weights: bool = False,
    dtype: Dtype = "float32",
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    batch_tokens: int | None = None,
) -> HuggingFaceScorer:
    """The classifier at `reference`: a local folder or hub id, as ORG/MODEL@REVISION#LABEL+LABEL.

    `labels` are the labels to score, or a mapping from label to attribute name. Without
    them: all labels of a multi-label model, else the one label that means toxic or hateful.
    `activation` follows the config's problem_type, or is sigmoid for one label and softmax
    for two. Texts that are mostly in another script than Latin get no score unless
    `any_script` says that the model reads them. Texts are cut after `max_tokens` (by
    default as many as the model can read). Weights are read from safetensors only, unless
    `any_weights` is given or the model is one of `KNOWN_CLASSIFIERS`. bfloat16 is about twice as
    fast where the hardware has it and moves a score by some thousandths.

    Raises `ScorerError` when the model cannot be loaded or lacks the label (its labels are
    listed), `ConfigError` when its config leaves open a choice that the user must make.
    """
    reference, _, wanted = reference.partition("#")
    source, revision = _source(reference, revision)
    config = _from_pretrained(AutoConfig, source, revision)
    known = KNOWN_CLASSIFIERS.get(source)
    chosen_activation = activation or (known.activation if known else _activation(source, config))
    asked = wanted.split("+") if wanted else labels
    if asked is None and known:
        asked = known.labels
    chosen = _labels(source, config, asked, chosen_activation)
    tokenizer = _from_pretrained(AutoTokenizer, source, revision)
    model = _from_pretrained(
        AutoModelForSequenceClassification,
        source,
        revision,
        use_safetensors=None if any_weights or known else True,
    )
    return HuggingFaceScorer(
        pack_for_cpu(model.eval().to(choose_device(device), getattr(torch, dtype))),
        tokenizer,
        name=_name(source, revision),
        labels=chosen,
        activation=chosen_activation,
        max_tokens=max_tokens or longest_input(config, tokenizer),
        any_script=any_script,
        batch_size=batch_size,
        batch_tokens=batch_tokens,
    )


def _source(reference: str, revision: str | None) -> tuple[str, str | None]:
    if Path(reference).is_dir():
        return reference, None
    source, _, marked = reference.partition("@")
    return source, revision or marked or None


def _from_pretrained(kind: Any, source: str, revision: str | None, **options: Any) -> Any:
    try:
        return kind.from_pretrained(source, revision=revision, **options)
    except (OSError, ValueError, KeyError) as error:
        cause = " ".join(str(error).split())[:160]
        raise ScorerError(
            f"scorer {source!r}: no sequence classifier could be loaded ({cause})",
            remedy="Give a hub id as hf:ORG/MODEL, or a folder with config, tokenizer and "
            "safetensors weights.",
        ) from error


def _activate(logits_NL: FloatArray, activation: Activation) -> FloatArray:
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-logits_NL)), dtype=np.float64)
    exponents = np.exp(logits_NL - logits_NL.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), dtype=np.float64)


def _activation(source: str, config: Any) -> Activation:
    by_problem: dict[str | None, Activation] = {
        "multi_label_classification": "sigmoid",
        "single_label_classification": "softmax",
    }
    if config.problem_type in by_problem:
        return by_problem[config.problem_type]
    if config.problem_type is None and config.num_labels <= 2:
        return "sigmoid" if config.num_labels == 1 else "softmax"
    raise ConfigError(
        f"scorer {source!r}: {config.num_labels} labels with problem_type "
        f"{config.problem_type!r} do not say whether softmax or sigmoid applies",
        remedy='Say it: activation="softmax" or activation="sigmoid".',
    )


def _labels(
    source: str,
    config: Any,
    asked: Mapping[str, str] | Sequence[str] | None,
    activation: Activation,
) -> dict[str, str]:
    """The labels to score, each with its attribute."""
    present = [config.id2label[i] for i in sorted(config.id2label)]
    if asked is None:
        asked = present if activation == "sigmoid" else _the_toxic_label(source, present)
    missing = [label for label in asked if label not in present]
    if missing:
        raise ScorerError(
            f"scorer {source!r} has no label {missing[0]!r}",
            remedy=f"Its labels: {', '.join(present)}.",
        )
    if isinstance(asked, Mapping):
        return dict(asked)
    if len(asked) == 1:
        return {asked[0]: "toxicity"}
    return {label: ATTRIBUTE_OF_LABEL.get(label.lower(), label) for label in asked}


def _the_toxic_label(source: str, present: Sequence[str]) -> list[str]:
    toxic = [label for label in present if ATTRIBUTE_OF_LABEL.get(label.lower()) == "toxicity"]
    if len(toxic) == 1:
        return toxic
    raise ScorerError(
        f"scorer {source!r}: which of its labels is the toxic one? ({', '.join(present)})",
        remedy='Name it: labels=["..."], or hf:ORG/MODEL#LABEL.',
    )


def _name(source: str, revision: str | None) -> str:
    """Source and revision: the hub's commit, or the start of the local weights' sha256."""
    folder = Path(source)
    if folder.is_dir():
        return f"hf:{folder.resolve().name}@{weights_sha256(folder)[:12]}"
    commit = provenance.hub_commit(source, revision) or revision or "unknown"
    return f"hf:{source}@{commit[:12]}"


def weights_sha256(folder: Path) -> str:
    """A hash of the weights in a model folder; of a single file, its sha256."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    sums = [provenance.file_sha256(file) for file in files]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def longest_input(config: Any, tokenizer: Any) -> int:
    """The tokens that the model can read: the tokenizer's limit, or the model's free positions."""
    positions = getattr(config, "max_position_embeddings", 512)
    # RoBERTa counts positions from the one after the padding token's.
    reserved = config.pad_token_id + 1 if "roberta" in str(config.model_type) else 0
    return int(min(tokenizer.model_max_length, positions - reserved))
