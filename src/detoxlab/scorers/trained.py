"""Scorers that `detoxlab train scorer` made: a whole model folder, or an adapter on an encoder.

A folder holds a sequence classifier that plain transformers opens, and `scorer.json` with the
calibration. An adapter is one small file: LoRA factors and the head in half precision, with the
content of `scorer.json` as metadata. It is merged into an encoder whose weights are checked.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from pydantic import Field
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from detoxlab import provenance
from detoxlab.errors import MissingFileError, ScorerError
from detoxlab.internals.transformers import errors_alone
from detoxlab.models.packing import pack_for_cpu
from detoxlab.scorers.calibration import Calibration
from detoxlab.scorers.forward import Forward, choose_device
from detoxlab.scorers.huggingface import weights_sha256
from detoxlab.scorers.neural import NeuralScorer
from detoxlab.scorers.offline import encoder_place
from detoxlab.settings import Settings, parse

DESCRIPTION, WEIGHTS, ADAPTER = "scorer.json", "model.safetensors", "adapter.safetensors"
LORA = "lora."


class EncoderId(Settings):
    """The encoder that a scorer was trained from."""

    source: str
    revision: str | None = None
    sha256: str | None = None


class Knots(Settings):
    """A calibration curve: logits, and the probabilities that they mean."""

    inputs: tuple[float, ...]
    outputs: tuple[float, ...]


class Description(Settings):
    """The content of `scorer.json`."""

    name: str
    version: str
    description: str = ""
    attributes: tuple[str, ...]
    max_tokens: int
    prefix: str = ""
    any_script: bool = False
    languages: tuple[str, ...] = ()
    encoder: EncoderId
    calibration: dict[str, Knots]
    thresholds: dict[str, float]
    data: dict[str, Any] = Field({}, description="counts of the sets it learnt from, by name")
    never: dict[str, Any] = Field({}, description="the sets that it never learnt from, by name")
    validation: dict[str, Any] = Field({}, description="attribute: figures by set")
    training: dict[str, Any] = Field({}, description="hyperparameters")

    def curves(self) -> Calibration:
        """The calibration as arrays."""
        ordered = [self.calibration[name] for name in self.attributes]
        return Calibration(
            np.array([one.inputs for one in ordered]), np.array([one.outputs for one in ordered])
        )

    def text(self) -> str:
        """As JSON, the same for the same content."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def is_trained(folder: Path | str) -> bool:
    """Whether a folder, or the run of a training, holds a scorer with a `scorer.json`."""
    return (scorer_folder(Path(folder)) / DESCRIPTION).is_file()


def scorer_folder(folder: Path) -> Path:
    """The folder of the scorer in a run of `train scorer`; any other folder itself."""
    return folder / "scorer" if (folder / "run.json").is_file() else folder


def load_trained(folder: Path | str, *, device: str = "auto") -> NeuralScorer:
    """The scorer in a folder, or in a run of `train scorer`, with its calibration.

    Its id ends in the start of a hash of weights and description. Raises `ScorerError`.
    """
    folder = scorer_folder(Path(folder))
    text = (folder / DESCRIPTION).read_text(encoding="utf-8")
    description = described(text, str(folder / DESCRIPTION))
    model = load_classifier(str(folder))
    _check_columns(model, description, folder)
    digest = hashlib.sha256((provenance.file_sha256(folder / WEIGHTS) + text).encode())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    identity = f"{description.name}@{description.version}+{digest.hexdigest()[:8]}"
    return scorer_of(model, tokenizer, description, identity, device=device)


def load_adapter(path: Path, *, encoder: str | None = None, device: str = "auto") -> NeuralScorer:
    """The scorer in an adapter file, merged into its encoder; its id is name@version.

    `encoder` is a folder with the encoder's weights, by default where the file's own name of it
    leads. Raises `MissingFileError`, and `ScorerError` for weights of another encoder.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file", remedy="Install detoxlab again.")
    tensors, description = read_adapter(path)
    source = encoder or encoder_place(description.encoder.source)
    found = encoder_sha256(source, description.encoder.revision)
    if found != description.encoder.sha256:
        raise ScorerError(
            f"{path.name} was not made for the encoder at {source!r}: its sha256 is "
            f"{str(found)[:16]}, not {str(description.encoder.sha256)[:16]}",
            remedy="Name the folder of the encoder that it was trained from.",
        )
    revision = description.encoder.revision
    model = load_classifier(source, description.attributes, revision)
    merge(model, tensors)
    tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
    identity = f"{description.name}@{description.version}"
    return scorer_of(model, tokenizer, description, identity, device=device)


def scorer_of(
    model: Any, tokenizer: Any, description: Description, identity: str, *, device: str = "auto"
) -> NeuralScorer:
    """The scorer that a classifier in float32 and a description make; packs the classifier."""
    model = model.requires_grad_(False).to(choose_device(device)).eval()
    return NeuralScorer(
        logits_from(pack_for_cpu(model)),
        tokenizer,
        description.curves(),
        identity=identity,
        attributes=description.attributes,
        max_tokens=description.max_tokens,
        prefix=description.prefix,
        any_script=description.any_script,
        languages=description.languages,
        thresholds=description.thresholds,
        device=model.device,
    )


def logits_from(model: Any) -> Forward:
    """The forward pass of a sequence classifier: ids and mask (B, T) to logits (B, A)."""

    def forward(ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        logits_BA: torch.Tensor = model(input_ids=ids_BT, attention_mask=mask_BT).logits
        return logits_BA

    return forward


def load_classifier(
    source: str, attributes: tuple[str, ...] | None = None, revision: str | None = None
) -> Any:
    """The sequence classifier at a folder or hub id, in float32.

    With `attributes` it gets a head with a sigmoid for each, whose weights are random where the
    source is an encoder without one.
    """
    labels: dict[str, Any] = {}
    if attributes:
        labels = {
            "problem_type": "multi_label_classification",
            "num_labels": len(attributes),
            "id2label": dict(enumerate(attributes)),
            "label2id": {name: at for at, name in enumerate(attributes)},
        }
    transformers.logging.disable_progress_bar()
    # That a new head's weights are missing is no news.
    quiet = errors_alone() if labels else contextlib.nullcontext()
    try:
        with quiet:
            return AutoModelForSequenceClassification.from_pretrained(
                source, revision=revision, use_safetensors=True, dtype=torch.float32, **labels
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        cause = " ".join(str(error).split())[:160]
        raise ScorerError(
            f"{source}: no sequence classifier can be made of it ({cause})",
            remedy="Give a hub id, or a folder with config, tokenizer and safetensors weights.",
        ) from error


def encoder_sha256(source: str, revision: str | None) -> str | None:
    """The hash of an encoder's weights, in a folder or in the hub's cache; None where unknown."""
    if Path(source).is_dir():
        return weights_sha256(Path(source))
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, WEIGHTS, revision=revision)
    return provenance.file_sha256(Path(found)) if isinstance(found, str) else None


def merge(model: Any, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put an adapter into a classifier: W + B A for `lora.NAME.A` and `.B`, other tensors as is.

    Raises `ScorerError` where the classifier has no such weight.
    """
    try:
        for name, tensor in tensors.items():
            if not name.startswith(LORA):
                model.get_parameter(name).data = tensor.float()
            elif name.endswith(".A"):
                layer = name[len(LORA) : -len(".A")]
                up = tensors[f"{LORA}{layer}.B"].float()
                model.get_submodule(layer).weight.data += up @ tensor.float()
    except (AttributeError, KeyError, RuntimeError) as error:
        raise ScorerError(
            f"an adapter does not fit its encoder ({' '.join(str(error).split())[:120]})",
            remedy="Take the encoder that it was trained from.",
        ) from None


def read_adapter(path: Path) -> tuple[dict[str, torch.Tensor], Description]:
    """The tensors of an adapter file and its description."""
    try:
        with safe_open(path, framework="pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            text = (stored.metadata() or {}).get("scorer", "")
    except SafetensorError as error:
        raise ScorerError(f"{path}: not a readable safetensors file ({error})") from None
    return tensors, described(text, str(path))


def described(text: str, place: str) -> Description:
    """A description from its JSON; `ScorerError` or `ConfigError` where it is none."""
    try:
        return parse(Description, json.loads(text), place=place)
    except json.JSONDecodeError:
        raise ScorerError(
            f"{place}: holds no description of a scorer",
            remedy="Export it again with detoxlab train scorer.",
        ) from None


def _check_columns(model: Any, description: Description, folder: Path) -> None:
    labels = tuple(model.config.id2label[at] for at in range(model.config.num_labels))
    if labels != description.attributes:
        raise ScorerError(
            f"{folder}: {DESCRIPTION} names {', '.join(description.attributes)}, and the model's "
            f"labels are {', '.join(labels)}",
            remedy="Export it again with detoxlab train scorer.",
        )
