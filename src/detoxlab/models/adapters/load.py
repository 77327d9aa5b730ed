"""Finds adapters in PEFT's layout, and edits, in folders and train runs; puts them on their base.

Finding one imports neither torch nor PEFT.
"""

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detoxlab.errors import ModelError
from detoxlab.locations import EMBEDDED, located
from detoxlab.models.adapters.kinds import check_kind, check_scalable, merged
from detoxlab.models.sources import (
    Source,
    find_source,
    first_line,
    no_model,
    read_config,
    weights_sha256,
)
from detoxlab.runs import is_run

if TYPE_CHECKING:
    from detoxlab.models.language_model import LanguageModel

QUANTISATION = "quantisation.json"
EDIT, DELTA = "edit", "delta.safetensors"  # of an edit: added to parameters, by name
ORIGIN = "origin.json"  # of an exported adapter: its base's id, its training scorers
BASE_REMEDY = "Say where its base is now: --base PATH."


@dataclass(frozen=True)
class Adapter:
    """The folder of a PEFT adapter or of an edit, and the known facts about its base model.

    `base_ref` is the base's path from here, or its id on the hub at `base_revision`; `base_id`
    names its weights. `quantisation` is the record of the base's quantisation in training.
    Unknown facts are None.
    """

    folder: Path
    name: str
    base_ref: str | None
    base_id: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    train_scorers: tuple[str, ...] = ()
    quantisation: Mapping[str, Any] | None = None
    base_revision: str | None = None

    @property
    def is_edit(self) -> bool:
        """Whether the folder holds a change of weights, not a separate adapter."""
        return (self.folder / DELTA).is_file()

    @property
    def base_is_local(self) -> bool:
        """Whether the base is on disk, not on the hub, as its run or path says."""
        if self.base_revision or self.base_ref in (None, EMBEDDED):
            return False
        return self.base_id is not None or Path(str(self.base_ref)).is_absolute()


def find_adapter(path: str | Path) -> Adapter:
    """The adapter in a PEFT folder or in a train run, or the edit of a run."""
    folder = Path(path)
    if is_run(folder):
        return _adapter_of_run(folder)
    name = folder.resolve().name
    if name in ("adapter", EDIT) and is_run(folder.parent):
        return _adapter_of_run(folder.parent)
    config = read_config(folder, "adapter_config.json")
    recorded = (folder / QUANTISATION).is_file()
    quantisation = read_config(folder, QUANTISATION) if recorded else None
    origin = read_config(folder, ORIGIN) if (folder / ORIGIN).is_file() else {}
    return Adapter(
        folder,
        name,
        config.get("base_model_name_or_path"),
        origin.get("base_model_id"),
        config,
        tuple(origin.get("train_scorers") or ()),
        quantisation,
        config.get("revision"),
    )


def base_of(adapter: Adapter, revision: str | None, remote_code: bool) -> Source:
    """The place of the base that an adapter names; errors say that it is the base."""
    ref = base_named_by(adapter)
    try:
        return find_source(ref, revision or adapter.base_revision, remote_code)
    except ModelError as error:
        raise ModelError(
            f"{adapter.folder}: its base model cannot be had: {error.message}", remedy=BASE_REMEDY
        ) from error


def base_named_by(adapter: Adapter) -> str:
    """The path or hub id of an adapter's base; `ModelError` where it is unnamed or missing."""
    if not adapter.base_ref:
        raise ModelError(
            f"{adapter.folder}: the adapter does not name its base model", remedy=BASE_REMEDY
        )
    if adapter.base_is_local and not Path(adapter.base_ref).exists():
        raise ModelError(
            f"{adapter.folder}: its base model, {adapter.base_ref}, is not there",
            remedy=BASE_REMEDY,
        )
    return adapter.base_ref


def attach(
    lm: "LanguageModel", adapter: Adapter, ref: str, merge: bool, strength: float = 1.0
) -> "LanguageModel":
    """The model with the adapter on or merged into its weights, or with its weights edited.

    `strength` scales the change of the weights; at 0 there is none, and nothing is put on.

    Raises `ModelError` for an adapter of another base, of a kind that cannot be used or scaled,
    or that cannot be switched off again.
    """
    check_base(lm.id, adapter.folder, adapter.base_id)
    if not adapter.is_edit:
        check_kind(adapter.folder, adapter.config)
        if strength != 1:
            check_scalable(adapter.folder, adapter.config)
    identifier, facts = _named(lm, adapter, strength)
    named = dataclasses.replace(lm, ref=ref, id=identifier, facts=facts)
    if strength == 0:
        return named
    if adapter.is_edit:
        return _edited(named, adapter, strength)
    return _adapted(named, adapter, merge, strength)


# --- inside ---


def _adapter_of_run(run: Path) -> Adapter:
    info, folder = read_config(run, "run.json"), run / "adapter"
    config: dict[str, Any] = {}
    if (run / EDIT / DELTA).is_file():
        folder = run / EDIT
    elif (folder / "adapter_config.json").is_file():
        config = read_config(folder, "adapter_config.json")
    elif info.get("kind", "train") != "train":
        raise no_model(run)
    else:
        raise ModelError(
            f"{run}: this run has no adapter (status: {info.get('status', 'unknown')})",
            remedy="Give a finished train run, or finish this one with --resume.",
        )
    base = info.get("model", {})
    learnt = tuple(info.get("train_scorers") or ())
    return Adapter(
        folder,
        run.resolve().name,
        _base_ref(run, info.get("base_model"), config.get("base_model_name_or_path")),
        info.get("base_model_id"),
        config,
        learnt,
        base.get("quantisation"),
        base.get("revision"),
    )


def _edited(lm: "LanguageModel", edit: Adapter, strength: float) -> "LanguageModel":
    from detoxlab.models.adapters.edits import apply_edit
    from detoxlab.models.soundness import check_reading

    made = apply_edit(lm.model, edit.folder / DELTA, strength)
    edited = dataclasses.replace(lm, edit=made)
    check_reading(edited)
    return edited


def _adapted(
    lm: "LanguageModel", adapter: Adapter, merge: bool, strength: float
) -> "LanguageModel":
    from detoxlab.models.adapters.way_back import check_way_back, next_token_logits
    from detoxlab.models.soundness import check_reading

    base_V = next_token_logits(lm)
    model = _read_adapter(lm, adapter, strength)
    model = merged(model, adapter.folder) if merge else model
    facts = {**lm.facts, "adapter_merged": merge}
    tuned = dataclasses.replace(lm, model=model.eval(), facts=facts)
    if not merge:
        check_way_back(tuned, base_V, str(adapter.folder))
    if adapter.config["peft_type"] != "LORA":
        check_reading(tuned)
    return tuned


def _named(lm: "LanguageModel", adapter: Adapter, strength: float) -> tuple[str, dict[str, Any]]:
    """The id and the facts of the model with this adapter or edit at this strength."""
    sha256 = weights_sha256(adapter.folder)
    kind = "edit" if adapter.is_edit else "adapter"
    facts = {
        **lm.facts,
        "base_id": lm.id,
        kind: adapter.name,
        f"{kind}_sha256": sha256,
        **({} if strength == 1 else {"strength": strength}),
        "train_scorers": list(adapter.train_scorers),
    }
    mark = "" if strength == 1 else f"*{strength:g}"
    return f"{lm.id}+{adapter.name}@{sha256[:8]}{mark}", facts


def _base_ref(run: Path, *named: str | None) -> str | None:
    """The first name that exists, seen from the run or from here; else the first name."""
    refs = [located(ref, run) for ref in named if ref]
    return next((ref for ref in refs if Path(ref).exists()), next(iter(refs), None))


def check_base(lm_id: str, folder: Path, base_id: str | None) -> None:
    """Raises `ModelError` unless the model has the weights on which `folder` was made.

    The hashes are compared: the base may have a new name, or another quantisation.
    """
    if base_id and _hash_in(base_id) != _hash_in(lm_id):
        raise ModelError(
            f"{folder}: was trained on {base_id}, not on {lm_id}",
            remedy="Give the base model it was trained on (--base PATH).",
        )


def check_base_folder(base: str, adapter: Adapter) -> None:
    """Raises `ModelError` unless `base` names the weights that the adapter was trained on."""
    check_base(find_source(base, adapter.base_revision).id, adapter.folder, adapter.base_id)


def _hash_in(identifier: str) -> str:
    return identifier.rpartition("@")[2].partition("-")[0]


def _read_adapter(lm: "LanguageModel", adapter: Adapter, strength: float) -> Any:
    from peft import PeftModel
    from safetensors import SafetensorError

    from detoxlab.internals.peft import scale_lora
    from detoxlab.models.adapters.rows import fit_rows

    if not (adapter.folder / "adapter_model.safetensors").is_file():
        raise ModelError(
            f"{adapter.folder}: no adapter_model.safetensors in it",
            remedy="Save the adapter again, as safetensors.",
        )
    fit_rows(lm, adapter.folder)
    try:
        with warnings.catch_warnings():  # PEFT's use of transformers, which we cannot change
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to")  # from a quantised base
            warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys")  # experts
            model = PeftModel.from_pretrained(lm.model, adapter.folder)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"{adapter.folder}: the adapter does not fit {lm.id} ({first_line(error)})",
            remedy="Give the base model it was trained on.",
        ) from error
    if strength != 1:
        scale_lora(model, strength)
    return model
