"""The floating-point types of weights, by the names that settings use."""

from typing import Literal

import torch

from detoxlab.errors import ModelError

DType = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def named_dtype(name: str) -> torch.dtype:
    """The type of that name; `ModelError` for any other.

    >>> named_dtype("bfloat16")
    torch.bfloat16
    """
    if name not in DTYPES:
        raise ModelError(f"dtype {name!r} is unknown", remedy=f"Use auto, {', '.join(DTYPES)}.")
    return DTYPES[name]
