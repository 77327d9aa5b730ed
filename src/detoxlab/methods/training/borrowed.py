"""A model lent to a trainer and given back as it was; likewise random state and log levels."""

import contextlib
import random
import warnings
from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import torch
import transformers
from peft.tuners.tuners_utils import BaseTunerLayer

from detoxlab.models import LanguageModel


@contextlib.contextmanager
def borrowed_model(lm: LanguageModel) -> Iterator[None]:
    """Lets a trainer put adapters on `lm.model`; takes them off, and all else it left there."""
    model = lm.model
    attributes, was_training = set(vars(model)), model.training
    needs_grad = {name: p.requires_grad for name, p in model.named_parameters()}
    configs = [c for c in (model.config, model.generation_config) if c is not None]
    saved = [deepcopy(vars(config)) for config in configs]
    dropouts = {m: m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    try:
        yield
    finally:
        _remove_adapters(model)
        for name in set(vars(model)) - attributes:
            delattr(model, name)
        for config, before in zip(configs, saved, strict=True):
            vars(config).clear()
            vars(config).update(before)
        for dropout, share in dropouts.items():
            dropout.p = share
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(needs_grad[name])
            parameter.grad = None
        if model.is_gradient_checkpointing:
            model.gradient_checkpointing_disable()
        model.train(was_training)


def _remove_adapters(model: torch.nn.Module) -> None:
    """Put the original layers back where LoRA layers wrap them."""
    wrapped = [(n, m) for n, m in model.named_modules() if isinstance(m, BaseTunerLayer)]
    for name, layer in wrapped:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())


@contextlib.contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Gives the process-wide random generators back in the state they were in."""
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
    """Only errors of transformers reach the terminal: what matters goes into the run.

    Its notices of deprecation are about how TRL calls it, which is not ours to change.
    """
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        transformers.logging.set_verbosity(level)
