"""The files that a fit of an activation steering leaves: `steering.json`, and its vectors.

Imports torch when vectors are read or written, and not before.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from detoxlab.errors import ConfigError, ModelError
from detoxlab.provenance import file_sha256

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "steering"
CONTENT, WEIGHTS = "steering.json", "steering.safetensors"
REMEDY = "Give a finished run that fitted a steering."
Positions = Literal["all", "response"]


@dataclass(frozen=True)
class SiteMap:
    """The map of one site: its name in `MAPS`, and its vectors, each (D,), float32."""

    map: str
    vectors: "Mapping[str, Tensor]"


@dataclass(frozen=True)
class Content:
    """The content of `steering.json`.

    `kind` is the method that fitted it. `positions` says which tokens are steered: all of a text,
    or those of a response alone. `sites` is the name of the map by site (LAYER.NAME). `facts` is
    the rest: the model, the texts and how they were pooled, the range of usual strengths.
    """

    kind: str
    positions: Positions
    sites: Mapping[str, str]
    training_scorers: tuple[str, ...]
    facts: Mapping[str, Any]


def find_steering(where: Path, kind: str | None = None) -> Path:
    """The folder of the steering that `where` means: that folder, or a run that has one.

    Raises `ModelError` where there is none, `ConfigError` where it is of another kind.
    """
    for folder in (where, where / FOLDER):
        if (folder / CONTENT).is_file():
            found = read_content(folder).kind
            if kind not in (None, found):
                raise ConfigError(
                    f"{where}: holds a steering of kind {found}, not {kind}",
                    remedy=f"Name it {found}:{where}.",
                )
            return folder
    raise ModelError(f"{where}: holds no steering", remedy=REMEDY)


def read_content(folder: Path) -> Content:
    """The content of the steering in `folder`; `ModelError` for a file that is none."""
    try:
        facts = json.loads((folder / CONTENT).read_text(encoding="utf-8"))
        return Content(
            kind=str(facts.pop("kind")),
            positions=facts.pop("positions"),
            sites=dict(facts.pop("sites")),
            training_scorers=tuple(facts.pop("training_scorers")),
            facts=facts,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(folder, type(error).__name__) from None


def read_maps(folder: Path) -> dict[str, SiteMap]:
    """The maps of the steering in `folder` by site (LAYER.NAME).

    Raises `ModelError` where a file cannot be read, or they do not fit together.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from detoxlab.steering.activations.maps import VECTORS

    content = read_content(folder)
    try:
        tensors = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise _unreadable(folder, type(error).__name__) from None
    maps: dict[str, SiteMap] = {}
    for key, name in content.sites.items():
        vectors = {
            vector.removeprefix(f"{key}."): tensor
            for vector, tensor in tensors.items()
            if vector.startswith(f"{key}.")
        }
        needed, further = VECTORS.get(name, (frozenset({"a known map"}), frozenset()))
        if vectors.keys() not in (needed, needed | further):
            raise _unreadable(folder, f"site {key}")
        maps[key] = SiteMap(name, vectors)
    return maps


def check_foldable(folder: Path) -> None:
    """Raise `ModelError` for a steering that no weights can stand for, with the reason.

    The model is not asked; torch is not imported.
    """
    from safetensors import SafetensorError, safe_open

    content = read_content(folder)
    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as file:
            has_support = any(name.endswith(".low") for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _unreadable(folder, type(error).__name__) from None
    reason = None
    if content.kind == "sasa":
        reason = "it changes the next-token distribution"
    elif content.positions == "response":
        reason = "it steers the response alone, and weights read prompt and response alike"
    elif has_support:
        reason = "with a support its maps are not linear"
    elif "projection" in content.sites.values():
        reason = "it changes the stream after a layer, and that layer reads it before"
    if reason:
        raise ModelError(
            f"{folder}: {content.kind} does not fold into weights: {reason}",
            remedy="Use the run itself, as in detoxlab measure RUN.",
        )


def write_steering(folder: Path, content: Content, maps: Mapping[str, SiteMap]) -> None:
    """Put a steering into `folder`, whole or not at all."""
    from safetensors.torch import save_file

    draft = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    tensors = {
        f"{key}.{name}": vector.detach().cpu().float().contiguous().clone()
        for key, one in maps.items()
        for name, vector in one.vectors.items()
    }
    save_file(tensors, draft / WEIGHTS)
    written = {
        "kind": content.kind,
        "positions": content.positions,
        "training_scorers": list(content.training_scorers),
        **content.facts,
        "sites": dict(content.sites),
    }
    (draft / CONTENT).write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)


def steering_sha256(folder: Path) -> str:
    """One hash for both files, in hex."""
    hashes = "".join(file_sha256(folder / name) for name in (CONTENT, WEIGHTS))
    return hashlib.sha256(hashes.encode()).hexdigest()


def _unreadable(folder: Path, reason: str) -> ModelError:
    return ModelError(f"{folder}: its steering cannot be read ({reason})", remedy=REMEDY)
