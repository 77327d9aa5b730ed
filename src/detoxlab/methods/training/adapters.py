"""Before and after a training: may the model be trained, its new adapter, the run's record.

Imports peft, seconds: import it only to train.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig, TaskType
from transformers.pytorch_utils import Conv1D

from detoxlab.errors import RunMismatchError, TrainingError
from detoxlab.locations import stored
from detoxlab.methods.training.config import TrainingConfig
from detoxlab.methods.training.trackers import check_installed
from detoxlab.models import LanguageModel
from detoxlab.runs import Run

ADAPTER, CHECKPOINTS = "adapter", "checkpoints"


def finished_adapter(run: Run) -> Path | None:
    """The adapter of a run whose training is over; None otherwise."""
    adapter = run.path / ADAPTER
    return adapter if adapter.is_dir() and "best_step" in run.info else None


def check_can_train(config: TrainingConfig, lm: LanguageModel) -> None:
    """Raises `TrainingError` when the model has an adapter, `DependencyError` for a tracker."""
    if hasattr(lm.model, "peft_config"):
        raise TrainingError(
            f"{lm.ref}: the model already carries an adapter",
            remedy="Merge it first: detoxlab export RUN --merged -o MODEL.",
        )
    check_installed(config.report_to)


def record_start(run: Run, lm: LanguageModel, method: str, record: Mapping[str, Any]) -> None:
    """Write into `run.json` what is trained on what.

    `record["rows_sha256"]` names the data; a resumed run must have the same.
    """
    before = run.info.get("rows_sha256", record["rows_sha256"])
    if before != record["rows_sha256"]:
        raise RunMismatchError(
            f"{run.path}: the data are not those that this training began with",
            remedy="Give the same data and model to resume, or choose another --out.",
        )
    run.update(
        method=method,
        base_model=stored(lm.ref, run.path),
        base_model_id=lm.id,
        model=lm.fingerprint(),
        adapter=ADAPTER,
        **record,
    )


def lora_config(config: TrainingConfig, model: Any) -> LoraConfig:
    """PEFT's settings of the adapter for `model`."""
    modules = config.target_modules
    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=modules if isinstance(modules, str) else list(modules),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
    )
