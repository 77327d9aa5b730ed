"""Lends a model to a trainer and restores it afterwards, as well as random state and logging."""

import contextlib
import random
import warnings
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from detoxlab.internals.peft import BaseTunerLayer
from detoxlab.internals.transformers import errors_alone
from detoxlab.methods.loop.quiet import keep_activations
from detoxlab.models import LanguageModel


@contextlib.contextmanager
def borrowed_model(lm: LanguageModel) -> Iterator[None]:
    """Lets a trainer put adapters on `lm.model`; afterwards removes all that it left there."""
    model = lm.model
    attributes, was_training = set(vars(model)), model.training
    needs_grad = {name: p.requires_grad for name, p in model.named_parameters()}
    configs = [c for c in (model.config, model.generation_config) if c is not None]
    saved = [deepcopy(vars(config)) for config in configs]
    try:
        yield
    finally:
        _remove_adapters(model)
        keep_activations(model)
        for name in set(vars(model)) - attributes:
            delattr(model, name)
        for config, before in zip(configs, saved, strict=True):
            vars(config).clear()
            vars(config).update(before)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(needs_grad[name])
            parameter.grad = None
        if model.is_gradient_checkpointing:
            model.gradient_checkpointing_disable()
        model.train(was_training)


def _remove_adapters(model: Any) -> None:
    """Put the original layers back where LoRA layers wrap them.

    Wrappers of parameters wrap one another; the outermost comes first and stands in the model.
    """
    modules: list[tuple[str, Any]] = list(model.named_modules())
    wrapped = [(name, module) for name, module in modules if isinstance(module, BaseTunerLayer)]
    for name, layer in wrapped:
        parent, _, child = name.rpartition(".")
        holder = model.get_submodule(parent)
        if layer in holder.children():
            setattr(holder, child, layer.get_base_layer())


@contextlib.contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Restores the state of the process-wide random generators at the end of the block."""
    python, numpy_state = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Only errors of transformers reach the terminal; the run records the rest.

    Its deprecation warnings are about how TRL calls it, which we cannot change; PEFT's warnings
    of unmatched patterns overlook that the patterns match parameters.
    """
    with errors_alone(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys")
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`")  # refused
        yield
