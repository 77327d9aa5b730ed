"""Checks before a training, the new adapter, and the run's record.

Imports peft, which takes seconds: import this file only to train.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from peft import LoraConfig, TaskType, inject_adapter_in_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from detoxlab.errors import RunMismatchError, TrainingError
from detoxlab.internals.peft import BaseTunerLayer, all_linear
from detoxlab.methods.base import record_model
from detoxlab.methods.loop.borrowed import borrowed_model, quiet_libraries
from detoxlab.methods.loop.config import TrainingConfig
from detoxlab.methods.loop.trackers import check_installed
from detoxlab.models import LanguageModel
from detoxlab.models.sources import first_line
from detoxlab.runs import Run

ADAPTER: Final = "adapter"
CHECKPOINTS = "checkpoints"
LINEAR = (nn.Linear, Conv1D)
READ_PAST = {
    "falcon_h1": {"out_proj"},
    "falcon_mamba": {"out_proj", "dt_proj"},
    "jamba": {"dt_proj"},
    "mamba": {"out_proj", "dt_proj"},
    "mamba2": {"out_proj"},
    "nemotron_h": {"out_proj"},
}
"""By `model_type`, the layers whose weight a Mamba block reads itself, past an adapter on them
(transformers 5.23)."""


def finished_adapter(run: Run) -> Path | None:
    """The adapter of a run whose training is over; None otherwise."""
    adapter = run.path / ADAPTER
    return adapter if adapter.is_dir() and "best_step" in run.info else None


def check_can_train(config: TrainingConfig, lm: LanguageModel) -> None:
    """Raises `TrainingError` when the model is changed already or cannot be given this adapter.

    `DependencyError` for a tracker that is not installed.
    """
    check_unchanged(lm)
    check_installed(config.report_to)
    _check_adapter_fits(config, lm)


def check_unchanged(lm: LanguageModel) -> None:
    """Raises `TrainingError` when the model is changed already: no file holds its base."""
    if lm.has_adapter or lm.edit:
        raise TrainingError(
            f"{lm.ref}: the model already carries an {'edit' if lm.edit else 'adapter'}",
            remedy="Merge it first: detoxlab export RUN --merged -o MODEL.",
        )


def record_start(
    run: Run,
    lm: LanguageModel,
    method: str,
    record: Mapping[str, Any],
    folder: Literal["adapter", "edit"] = ADAPTER,
) -> None:
    """Write into `run.json` the method, the model and the data of a training.

    `record["rows_sha256"]` names the data; a resumed run must have the same. `folder` is where
    the run's product will be.
    """
    before = run.info.get("rows_sha256", record["rows_sha256"])
    if before != record["rows_sha256"]:
        raise RunMismatchError(
            f"{run.path}: the data are not those that this training began with",
            remedy="Give the same data and model to resume, or choose another --out.",
        )
    record_model(run, lm, method, **{folder: folder}, **record)


def lora_config(config: TrainingConfig, model: Any) -> LoraConfig:
    """PEFT's settings of the adapter for `model`."""
    modules = config.target_modules
    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=linear_layers(model) if isinstance(modules, str) else list(modules),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
    )


def linear_layers(model: Any) -> str | list[str]:
    """The layers that PEFT calls "all-linear", without those where an adapter would be wrong.

    Left out are the experts of a mixture, whose weights are parameters of one module rather than
    layers: PEFT would add them and the router, without dropout and with a rank of `r` for each
    expert. Left out are also layers of Mamba blocks that read their weight past the adapter.
    """
    if past := READ_PAST.get(model.config.model_type):
        return sorted(_linear_names(model) - past)
    asked = all_linear(model)
    return sorted(asked.target_modules) if asked.target_parameters else "all-linear"


# --- inside ---


def _check_adapter_fits(config: TrainingConfig, lm: LanguageModel) -> None:
    """Put the adapter on for a moment, without memory for its weights."""
    made = lora_config(config, lm.model)
    try:
        with quiet_libraries(), borrowed_model(lm):
            inject_adapter_in_model(made, lm.model, low_cpu_mem_usage=True)
            _check_embeddings(lm.model)
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        modules = config.target_modules
        named = modules if isinstance(modules, str) else ", ".join(modules)
        raise TrainingError(
            f"target_modules: {lm.ref} cannot have an adapter on {named} ({first_line(error)})",
            remedy=_remedy(config, lm, experts=bool(made.target_parameters)),
        ) from error


def _check_embeddings(model: Any) -> None:
    """Refuse adapters on the head, which models read past it, and on tied weights."""
    head, inner = model.get_output_embeddings(), model.get_input_embeddings()
    for name, layer in model.named_modules():
        if not isinstance(layer, BaseTunerLayer):
            continue
        weight = getattr(layer.get_base_layer(), "weight", None)
        tied = weight is not None and _weight(head) is _weight(inner) is weight
        if layer is head or tied:
            raise TrainingError(
                f"target_modules: {name} cannot have an adapter, log-probabilities are computed "
                "from its own weights",
                remedy="Leave it out, or take all-linear, which does.",
            )


def _weight(embedding: Any) -> Any:
    """The weight of a layer with or without an adapter."""
    own = embedding.get_base_layer() if isinstance(embedding, BaseTunerLayer) else embedding
    return getattr(own, "weight", None)


def _remedy(config: TrainingConfig, lm: LanguageModel, *, experts: bool) -> str:
    if experts and config.lora_dropout:
        return "Experts can have an adapter without dropout alone: set lora_dropout to 0."
    names = ", ".join(sorted(_linear_names(lm.model)))
    return f"Take all-linear, or some of its linear layers: {names}."


def _linear_names(model: Any) -> set[str]:
    """The last parts of the linear layers' names, without the head."""
    head = model.get_output_embeddings()
    layers = [n for n, m in model.named_modules() if isinstance(m, LINEAR) and m is not head]
    return {name.rpartition(".")[2] for name in layers}
