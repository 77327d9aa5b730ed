"""Finds the GGUF file that a path names, and checks that it holds a usable model."""

import re
from pathlib import Path

from detoxlab.errors import ModelError
from detoxlab.models.gguf.header import AGAIN, Header, check_package, read_header

ARCHITECTURES = frozenset(
    {
        *("bloom", "deci", "falcon", "gemma2", "gemma3", "gemma4", "gpt-oss", "gpt2", "lfm2"),
        *("llama", "mamba", "minimax-m2", "nemotron", "phi3", "qwen2", "qwen2moe", "qwen3"),
        *("qwen35", "qwen35moe", "qwen3moe", "stablelm", "starcoder2"),
    }
)
"""ggml's names of the decoders that transformers 5.23 reads from GGUF."""
SHARD = re.compile(r"-\d{5}-of-\d{5}$")
OTHER_FILES = ("config.json", "adapter_config.json", "run.json")
"""A folder that holds one of these is a model, an adapter or a run, whatever else is in it."""


def find_gguf(path: Path) -> Path | None:
    """The GGUF file at `path`, or the only one in the folder `path`.

    None for a folder without one, or a folder of another kind. A file of any name is taken for a
    GGUF file. Raises `ModelError` for a folder with several.
    """
    if path.is_file():
        return path
    if not path.is_dir() or any((path / name).is_file() for name in OTHER_FILES):
        return None
    found = sorted(path.glob("*.gguf"))
    if len(found) > 1 and not all(SHARD.search(one.stem) for one in found):
        raise ModelError(
            f"{path}: holds several GGUF files ({', '.join(one.name for one in found)})",
            remedy="Name one of them.",
        )
    return next(iter(found), None)


def checked_header(path: Path) -> Header:
    """The header of a GGUF file that holds a whole model with its tokenizer.

    Raises `ModelError` for any other, and `DependencyError` without the package `gguf`.
    """
    check_package()
    header = read_header(path)
    if header.fields.get("split.count", 1) > 1 or SHARD.search(path.stem):
        raise ModelError(
            f"{path}: is one of several files of a model",
            remedy="Join them first: llama-gguf-split --merge FIRST WHOLE.",
        )
    if header.architecture not in ARCHITECTURES:
        raise ModelError(
            f"{path}: the architecture {header.architecture!r} is not supported in GGUF",
            remedy=f"Take its Hugging Face folder. Known: {', '.join(sorted(ARCHITECTURES))}.",
        )
    if not header.fields.get("tokenizer.ggml.tokens"):
        raise ModelError(
            f"{path}: holds no tokenizer (tokenizer.ggml.tokens)",
            remedy="Convert the model again, with its tokenizer.",
        )
    if (there := path.stat().st_size) < header.size:
        raise ModelError(
            f"{path}: is cut off ({there:,} of {header.size:,} bytes are there)", remedy=AGAIN
        )
    return header
