"""Adapters in PEFT's layout: found in folders and train runs, put on their base model."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detoxlab.errors import ModelError
from detoxlab.models.language_model import LanguageModel
from detoxlab.models.quantisation import Quantisation
from detoxlab.models.sources import first_line, read_config, weights_sha256

QUANTISATION = "quantisation.json"


@dataclass(frozen=True)
class Adapter:
    """A PEFT adapter folder and what is known of its base model.

    `quantisation` is that of the base while the adapter was trained, None where nothing says it.
    """

    folder: Path
    name: str
    base_ref: str | None
    base_id: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    train_scorers: tuple[str, ...] = ()
    quantisation: Quantisation | None = None


def find_adapter(path: str | Path) -> Adapter:
    """The adapter in a PEFT folder or in a train run."""
    folder = Path(path)
    if (folder / "run.json").is_file():
        return _adapter_of_run(folder)
    config = read_config(folder, "adapter_config.json")
    name = folder.resolve().name
    if name == "adapter" and (folder.parent / "run.json").is_file():
        return _adapter_of_run(folder.parent)
    recorded = (folder / QUANTISATION).is_file()
    quantisation = read_config(folder, QUANTISATION) if recorded else None
    return Adapter(
        folder,
        name,
        config.get("base_model_name_or_path"),
        config=config,
        quantisation=Quantisation.from_record(quantisation),
    )


def base_of(adapter: Adapter) -> str:
    if not adapter.base_ref:
        raise ModelError(
            f"{adapter.folder}: the adapter does not name its base model",
            remedy="Give the base as the model and this folder as its adapter.",
        )
    return adapter.base_ref


def attach(lm: LanguageModel, adapter: Adapter, ref: str, merge: bool) -> LanguageModel:
    _check_base(lm, adapter)
    model = _read_adapter(lm, adapter)
    sha256 = weights_sha256(adapter.folder)
    facts = {
        **lm.facts,
        "base_id": lm.id,
        "adapter": adapter.name,
        "adapter_sha256": sha256,
        "adapter_merged": merge,
        "train_scorers": list(adapter.train_scorers),
    }
    identifier = f"{lm.id}+{adapter.name}@{sha256[:8]}"
    model = model.merge_and_unload() if merge else model
    return LanguageModel(ref, identifier, model.eval(), lm.tokenizer, lm.template_name, facts)


# --- inside ---


def _adapter_of_run(run: Path) -> Adapter:
    info, folder = read_config(run, "run.json"), run / "adapter"
    if not (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"{run}: this run has no adapter (status: {info.get('status', 'unknown')})",
            remedy="Give a finished train run, or finish this one with --resume.",
        )
    config = read_config(folder, "adapter_config.json")
    base_ref = info.get("base_model") or config.get("base_model_name_or_path")
    learnt = tuple(info.get("train_scorers") or ())
    return Adapter(
        folder,
        run.resolve().name,
        base_ref,
        info.get("base_model_id"),
        config,
        learnt,
        Quantisation.from_record(info.get("model", {}).get("quantisation")),
    )


def _check_base(lm: LanguageModel, adapter: Adapter) -> None:
    """The weights' hashes are compared: a folder may have moved, or be quantised otherwise."""
    if adapter.base_id and _hash_in(adapter.base_id) != _hash_in(lm.id):
        raise ModelError(
            f"{adapter.folder}: was trained on {adapter.base_id}, not on {lm.id}",
            remedy="Give the base model it was trained on.",
        )


def _hash_in(identifier: str) -> str:
    return identifier.rpartition("@")[2].partition("-")[0]


def _read_adapter(lm: LanguageModel, adapter: Adapter) -> Any:
    from peft import PeftModel
    from safetensors import SafetensorError

    if not (adapter.folder / "adapter_model.safetensors").is_file():
        raise ModelError(
            f"{adapter.folder}: no adapter_model.safetensors in it",
            remedy="Save the adapter again, as safetensors.",
        )
    try:
        with warnings.catch_warnings():  # PEFT's use of transformers, not ours to change
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to")  # from a quantised base
            return PeftModel.from_pretrained(lm.model, adapter.folder)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"{adapter.folder}: the adapter does not fit {lm.id} ({first_line(error)})",
            remedy="Give the base model it was trained on.",
        ) from error
