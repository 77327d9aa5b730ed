"""Adds rows to a model's embeddings for an adapter that was trained with more of them."""

from pathlib import Path
from typing import Any

import torch

from detoxlab.errors import ModelError
from detoxlab.models.language_model import LanguageModel

WEIGHTS = "adapter_model.safetensors"


def fit_rows(lm: LanguageModel, folder: Path) -> None:
    """Give the model as many rows as the adapter in `folder` has weights for.

    Raises `ModelError` when the tokenizer has tokens without a row in either of them.
    """
    rows, brought = lm.embedding_rows, _brought_rows(lm.model, folder)
    if brought is not None and brought != rows:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # all rows that are new are replaced by the adapter's
            lm.model.resize_token_embeddings(brought, mean_resizing=False)
    if not (folder / "tokenizer_config.json").is_file():
        return
    highest = max(lm.tokenizer.get_vocab().values())
    if highest >= (brought or rows):
        raise ModelError(
            f"{folder}: its tokenizer has a token {highest}, but there are embeddings of "
            f"{brought or rows} tokens only, in the adapter and in {lm.id}",
            remedy="Save the adapter with its embeddings (PEFT: save_embedding_layers=True).",
        )


# --- inside ---


def _brought_rows(model: Any, folder: Path) -> int | None:
    """Rows of the embedding and the head in the adapter's file; None unless all are there."""
    from safetensors import safe_open

    wanted = [model.get_input_embeddings(), model.get_output_embeddings()]
    tied = wanted[0].weight is wanted[1].weight
    names = [name for name, module in model.named_modules() if any(module is w for w in wanted)]
    with safe_open(folder / WEIGHTS, "pt") as file:
        keys = list(file.keys())
        shapes = {
            name: file.get_slice(key).get_shape()
            for key in keys
            for name in names
            if key.endswith(f".{name}.weight")
        }
    if len(shapes) < (1 if tied else 2):
        return None
    return max(int(shape[0]) for shape in shapes.values())
