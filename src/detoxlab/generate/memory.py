"""The number of rows that fit, from the model's size, its context and the machine's memory."""

import os
from pathlib import Path
from typing import Any

import torch

from detoxlab.models import LanguageModel

CPU_ROWS = 256
GPU_ROWS = 2048
CPU_SHARE = 0.25
GPU_SHARE = 0.6
LOGITS_COPIES = 6


def rows_that_fit(lm: LanguageModel, length: int, passes: int = 1) -> int:
    """The number of rows of `length` tokens to draw at once, at least 1.

    `passes` forward passes are made for each token, each with a memory of its own.

    It depends on the model and the machine's total memory, not on the free memory, so that it
    is always the same on the same machine. It is at most 256 (GPU: 2048), as more rows gain
    nothing.
    """
    most = CPU_ROWS if lm.device.type == "cpu" else GPU_ROWS
    return int(max(1, min(most, _budget(lm) // (passes * row_bytes(lm, length)))))


def row_bytes(lm: LanguageModel, length: int) -> int:
    """Bytes that one row needs, for the cache of `length` tokens and the logits.

    All layers are counted as attention where a model has any.
    """
    config = lm.model.config.get_text_config(decoder=True)
    of_queries = getattr(config, "num_attention_heads", None)
    per_layer = _keys(config, of_queries) * length if of_queries else _states(config)
    item = torch.finfo(lm.dtype).bits // 8
    cache = config.num_hidden_layers * per_layer * item
    return int(cache + LOGITS_COPIES * 4 * config.vocab_size)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the error is torch's error for too little memory, on GPU or CPU."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error)
    return "can't allocate memory" in text or "not enough memory" in text


def _keys(config: Any, of_queries: int) -> int:
    """The number of keys and values that an attention layer caches per token."""
    heads = getattr(config, "num_key_value_heads", None) or of_queries
    width = getattr(config, "head_dim", None) or config.hidden_size // of_queries
    return int(2 * heads * width)


def _states(config: Any) -> int:
    """The number of values in a state-space layer's state, for texts of any length."""
    inner = getattr(config, "expand", 2) * config.hidden_size
    return int(inner * (getattr(config, "state_size", 128) + getattr(config, "conv_kernel", 4)))


def _budget(lm: LanguageModel) -> int:
    if lm.device.type == "cuda":
        total: Any = torch.cuda.get_device_properties(lm.device).total_memory
        weights = sum(p.numel() * p.element_size() for p in lm.model.parameters())
        return int(GPU_SHARE * (total - weights))
    return int(CPU_SHARE * _machine_memory())


def _machine_memory() -> int:
    """The machine's memory in bytes, or the container's limit where that is lower."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (
        Path("/sys/fs/cgroup/memory.max"),
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    )
    stated = [path.read_text().strip() for path in limits if path.is_file()]
    return min([physical, *(int(text) for text in stated if text.isdigit())])
