"""Reads a GGUF file's tokenizer and weights through transformers."""

import contextlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from detoxlab.internals.transformers import without_gguf_bars
from detoxlab.models.gguf.header import Header, read_header
from detoxlab.models.gguf.pre_tokenizers import mend_splitting


class GgufWarning(UserWarning):
    """transformers ignores a part of a GGUF file, so that the model differs."""


def read_tokenizer(path: Path) -> Any:
    """The tokenizer of the file, which splits texts like the original tokenizer.

    Warns where the way to split is unknown. Raises the errors of transformers.
    """
    from transformers import AutoTokenizer

    header = read_header(path)
    with _alone(path) as folder:
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=path.name)
        except Exception as error:
            if type(error) is Exception:  # as the package tokenizers raises
                raise ValueError(str(error)) from error
            raise
    if unknown := mend_splitting(tokenizer, header.fields):
        warnings.warn(
            f"{path.name}: how its tokenizer splits texts is not known here ({unknown}); it may "
            "read texts in other tokens than those it was trained with",
            GgufWarning,
            stacklevel=2,
        )
    return tokenizer


def read_weights(path: Path, dtype: torch.dtype) -> tuple[Any, Mapping[str, Any]]:
    """The model with its weights in `dtype`, and transformers' report of the loading.

    The weights are no longer quantised: the model can be trained and saved. Raises the errors of
    transformers.
    """
    from transformers import AutoModelForCausalLM, GgufConfig

    _warn_of_scaling(read_header(path))
    with _alone(path) as folder, without_gguf_bars():
        model, loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=path.name,
            dtype=dtype,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    return model, loaded


# --- inside ---


def _warn_of_scaling(header: Header) -> None:
    """Warn of scaled rotary positions, which transformers 5.23 reads for gpt-oss alone."""
    scaled = any(tensor.name.startswith("rope_") for tensor in header.tensors)
    scaled |= f"{header.architecture}.rope.scaling.type" in header.fields
    if scaled and header.architecture != "gpt-oss":
        warnings.warn(
            f"{header.path.name}: its scaling of positions is not read from GGUF, the model is not "
            "quite the original; take it in Hugging Face layout",
            GgufWarning,
            stacklevel=3,
        )


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[Path]:
    """A folder with the file alone: transformers would also read a tokenizer from its folder."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / path.name).symlink_to(path.resolve())
        yield Path(folder)
