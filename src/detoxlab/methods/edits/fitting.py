"""Shared parts of computed edits: the start of their runs, and the files of their products.

Imports peft, which takes seconds: import this file only to fit.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from peft import LoraConfig, TaskType
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers.pytorch_utils import Conv1D

from detoxlab import processes
from detoxlab.data.split import PairSplit, TextSplit
from detoxlab.errors import TrainingError
from detoxlab.locations import absolute
from detoxlab.methods.edits.config import ContrastConfig
from detoxlab.methods.loop.adapters import ADAPTER, check_unchanged, record_start
from detoxlab.methods.rows.contrast import Contrast, contrast_of
from detoxlab.methods.rows.rejected import write_rejected
from detoxlab.models import LanguageModel
from detoxlab.models.adapters.edits import LEFT, RIGHT
from detoxlab.models.adapters.load import DELTA, EDIT
from detoxlab.runs import Run

Factors = tuple[Tensor, Tensor]
"""(rows, r) and (r, columns): their product is added to a weight of rows and columns."""


def begin(
    config: ContrastConfig,
    lm: LanguageModel,
    data: PairSplit | TextSplit,
    run: Run,
    method: str,
    folder: Literal["adapter", "edit"],
) -> Contrast:
    """The texts to read, after checks, and with the start of the run on record.

    Raises `TrainingError` for a model that is changed or quantised, in several processes, and
    where one side has no text.
    """
    processes.check_alone(method)
    check_unchanged(lm)
    if lm.facts.get("quantisation"):
        raise TrainingError(
            f"{lm.ref}: its weights are quantised, {method} computes with them",
            remedy="Load it without quantisation.",
        )
    contrast = contrast_of(data.train).sample(config.samples, config.seed)
    content = json.dumps([contrast.toxic, contrast.other]).encode()
    record = {
        "toxic_texts": len(contrast.toxic),
        "other_texts": len(contrast.other),
        "paired_texts": contrast.is_paired,
        "rows_sha256": hashlib.sha256(content).hexdigest(),
    }
    record_start(run, lm, method, record, folder)
    write_rejected(run, data.rejected, "items")
    return contrast


def finished(run: Run, folder: Literal["adapter", "edit"]) -> Path | None:
    """The folder of the product of a run that is done; None otherwise."""
    return run.path / folder if (run.path / folder).is_dir() else None


def write_adapter(
    run: Run, lm: LanguageModel, factors: Sequence[tuple[nn.Module, Factors]]
) -> Path:
    """The folder of a LoRA adapter of layers with these factors; alpha is the rank.

    Factors of a lower rank than the highest are filled up with zeros. They are those of a weight
    (outputs, inputs), also where the layer holds it transposed, as GPT-2's do. Raises
    `TrainingError` where all are of rank 0.
    """
    rank = max(right.shape[0] for _, (_, right) in factors)
    if not rank:
        raise TrainingError("toxic and other texts do not differ", remedy="Give other texts.")
    names = {module: name for name, module in lm.model.named_modules()}
    tensors = {}
    for module, (left, right) in factors:
        place, missing = f"base_model.model.{names[module]}", rank - right.shape[0]
        tensors[f"{place}.lora_A.weight"] = pad(right, (0, 0, 0, missing)).float().contiguous()
        tensors[f"{place}.lora_B.weight"] = pad(left, (0, missing)).float().contiguous()
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=rank,
        lora_alpha=rank,
        target_modules=[names[module] for module, _ in factors],
        fan_in_fan_out=any(isinstance(module, Conv1D) for module, _ in factors),
        base_model_name_or_path=absolute(lm.ref),
        revision=lm.facts.get("revision"),
        inference_mode=True,
    )
    with _replaced(run.path / ADAPTER) as draft:
        config.save_pretrained(str(draft))
        save_file(tensors, draft / "adapter_model.safetensors", metadata={"format": "pt"})
    return run.path / ADAPTER


def write_edit(run: Run, lm: LanguageModel, layer: nn.Module, factors: Factors) -> Path:
    """The folder of an edit of a layer's weight with these factors."""
    name = next(name for name, module in lm.model.named_modules() if module is layer)
    tensors = {
        f"{name}.weight{side}": factor.float().contiguous()
        for side, factor in zip((LEFT, RIGHT), factors, strict=True)
    }
    with _replaced(run.path / EDIT) as draft:
        save_file(tensors, draft / DELTA, metadata={"format": "pt"})
    return run.path / EDIT


def weight_of(layer: nn.Module) -> Tensor:
    """The weight of a linear layer as (outputs, inputs), float32 on the CPU."""
    stored = layer.get_parameter("weight").detach().float().cpu()
    return stored.T if isinstance(layer, Conv1D) else stored


# --- inside ---


@contextlib.contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of `folder` in one step."""
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    yield draft
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)
