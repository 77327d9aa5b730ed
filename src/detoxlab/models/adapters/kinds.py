"""The kinds of adapters that can be used: added weights, which every forward pass uses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detoxlab.errors import ModelError

KINDS = frozenset(
    {
        *("LORA", "ADALORA", "DELORA", "DEFT", "FROD", "GLORA", "GRALORA", "HIRA"),
        *("LOHA", "LOKR", "MISS", "PEANUT", "PVERA", "RANDLORA", "ROAD", "SHIRA", "SUPERTUNING"),
        *("TINYLORA", "UNILORA", "VBLORA", "VERA", "ADAMSS", "BEFT", "BOFT", "C3A", "FOURIERFT"),
        *("HRA", "IA3", "LN_TUNING", "OFT", "OSF", "PSOFT", "TRAINABLE_TOKENS", "WAVEFT"),
    }
)
"""PEFT's names of the kinds that were tried. Not among them are those that put learnt positions
before the text (prefix, prompt and p-tuning, …), choose by task or by input, or, like Lily, read a
padded text otherwise."""
CHOOSING = ("alora_invocation_tokens", "arrow_config")
"""Settings with which LoRA is on for a part of the text or of the inputs alone."""

BESIDE = ("use_dora", "modules_to_save", "bias", "trainable_token_indices")
"""Settings with which LoRA changes more than the product of its factors."""


def check_kind(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises `ModelError`, naming the kind, for an adapter of a kind that cannot be used."""
    kind = str(config.get("peft_type"))
    chosen = [name for name in CHOOSING if config.get(name)]
    if kind in KINDS and not chosen:
        return
    named = f"{kind} with {chosen[0]}" if chosen else kind
    raise ModelError(
        f"{folder}: adapters of the kind {named} are not supported, only such as change weights",
        remedy="Serve the model by another program and measure it over HTTP, or train a LoRA.",
    )


def check_scalable(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises `ModelError` for an adapter whose change of the weights a factor cannot scale.

    LoRA's can be scaled, unless it also replaces weights or norms.
    """
    kind = str(config.get("peft_type"))
    beside = [name for name in BESIDE if config.get(name) not in (None, False, "none", [])]
    if kind == "LORA" and not beside:
        return
    named = f"{kind} with {beside[0]}" if kind == "LORA" else f"the kind {kind}"
    raise ModelError(
        f"{folder}: strength: an adapter of {named} has no scale",
        remedy="Use it at strength 1, or train a plain LoRA.",
    )


def merged(model: Any, folder: Path) -> Any:
    """The model with the adapter added to its weights; `ModelError` where that is impossible."""
    try:
        return model.merge_and_unload()
    except (ValueError, NotImplementedError, AttributeError, TypeError) as error:
        kind = model.peft_config["default"].peft_type.value
        raise ModelError(
            f"{folder}: an adapter of the kind {kind} cannot be merged into this model",
            remedy="Load it without merging.",
        ) from error
