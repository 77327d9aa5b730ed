"""The classifier that learns: an encoder with a head, whole or frozen under LoRA.

Imports torch and transformers, and peft for LoRA: import it only to train.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer

from detoxlab import provenance
from detoxlab.scorer_training import Learnt, Optimisation, ScorerTraining
from detoxlab.scorers.huggingface import longest_input
from detoxlab.scorers.offline import OFFLINE, encoder_place
from detoxlab.scorers.trained import (
    LORA,
    EncoderId,
    encoder_sha256,
    load_classifier,
    merge,
)

Tensors = dict[str, torch.Tensor]


def learning_model(settings: ScorerTraining) -> Any:
    """The classifier in training mode, with LoRA where asked; the head is drawn by the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = fresh_classifier(settings)
        if settings.adaptation == "lora":
            _add_lora(model, settings)
    return model.train()


def fresh_classifier(settings: ScorerTraining) -> Any:
    """The encoder with a new head of one output per attribute."""
    place = encoder_place(settings.encoder)
    return load_classifier(place, settings.columns, settings.revision)


def load_tokenizer(settings: Learnt) -> Any:
    """The encoder's tokenizer."""
    place = encoder_place(settings.encoder)
    return AutoTokenizer.from_pretrained(place, revision=settings.revision)


def max_tokens(settings: Learnt, model: Any, tokenizer: Any) -> int:
    """The tokens that are read of a text: as the settings say, where the encoder can."""
    return min(settings.max_tokens, longest_input(model.config, tokenizer))


def encoder_id(settings: Learnt) -> EncoderId:
    """The encoder's name, without the folders of this machine, its revision and hash."""
    place = encoder_place(settings.encoder)
    sha256 = encoder_sha256(place, settings.revision)
    if not Path(place).is_dir():
        commit = provenance.hub_commit(place, settings.revision) or settings.revision
        return EncoderId(source=place, revision=commit, sha256=sha256)
    name = settings.encoder if settings.encoder in OFFLINE else Path(place).resolve().name
    return EncoderId(source=name, sha256=sha256)


def learnt_parameters(model: Any) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: one for name, one in model.named_parameters() if one.requires_grad}


def learnt_tensors(model: Any, settings: Optimisation) -> Tensors:
    """The tensors to export, which `merge` puts into a fresh classifier.

    Whole training gives all weights. LoRA gives two factors for each layer, `lora.NAME.A` (r, I)
    and `lora.NAME.B` (O, r) with the scale inside, and the head, all in half precision.
    """
    learnt = learnt_parameters(model)
    if settings.adaptation == "full":
        return {name: one.detach().clone() for name, one in learnt.items()}
    tensors = {name: one.detach().half() for name, one in learnt.items() if ".lora_" not in name}
    for name, layer in _lora_layers(model).items():
        scale = settings.lora_alpha / settings.lora_r
        tensors[f"{LORA}{name}.A"] = layer.lora_A["default"].weight.detach().half()
        tensors[f"{LORA}{name}.B"] = (layer.lora_B["default"].weight.detach() * scale).half()
    return {name: tensor.cpu().contiguous() for name, tensor in sorted(tensors.items())}


def finished_classifier(settings: ScorerTraining, tensors: Tensors) -> Any:
    """A fresh classifier with the exported tensors in it, in evaluation mode."""
    model = fresh_classifier(settings)
    merge(model, tensors)
    return model.eval()


# --- inside ---


def _add_lora(model: Any, settings: Optimisation) -> None:
    """Freeze the encoder and adapt each of its linear layers; the head stays as it is."""
    from peft import LoraConfig, inject_adapter_in_model

    head = _head_names(model)
    layers = [
        name
        for name, layer in model.base_model.named_modules(prefix=model.base_model_prefix)
        if isinstance(layer, nn.Linear) and f"{name}.weight" not in head
    ]
    config = LoraConfig(
        r=settings.lora_r, lora_alpha=settings.lora_alpha, target_modules=layers, lora_dropout=0.0
    )
    inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name or name in head)


def _head_names(model: Any) -> set[str]:
    """The names of the parameters after the encoder: those outside of it, and its pooler's."""
    inside = f"{model.base_model_prefix}."
    names = {name for name, _ in model.named_parameters()}
    return {
        name for name in names if not name.startswith(inside) or name.startswith(f"{inside}pooler.")
    }


def _lora_layers(model: Any) -> dict[str, Any]:
    from detoxlab.internals.peft import BaseTunerLayer

    return {n: layer for n, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}
