"""Finds a language model in the package, a local folder or file, or the hub's cache."""

import difflib
import functools
import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from detoxlab.errors import ModelError
from detoxlab.locations import ALIKE, EMBEDDED, meant
from detoxlab.models.gguf.files import checked_header, find_gguf
from detoxlab.provenance import file_sha256
from detoxlab.runs import is_run

HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
MARKS = ("config.json", "adapter_config.json")
DEEPEST, MOST_LOOKED_AT, SHOWN = 3, 1000, 3
REMEDY = "Give a hub id, a model folder or GGUF file, an adapter, a train run or 'embedded'."


@dataclass(frozen=True)
class Source:
    """A folder or a GGUF file that holds a model, and its name in results."""

    path: Path
    name: str
    revision: str | None = None

    @functools.cached_property
    def facts(self) -> dict[str, str]:
        """The revision of a hub model; the sha256 of a local one's weights, or of its GGUF file.

        A GGUF file also has the type of its weights, such as Q4_1.
        """
        if self.revision:
            return {"revision": self.revision}
        if self.path.is_file():
            file_type = checked_header(self.path).file_type
            return {"weights_sha256": file_sha256(self.path), "file_type": file_type}
        return {"weights_sha256": weights_sha256(self.path)}

    @property
    def id(self) -> str:
        return f"{self.name}@{next(iter(self.facts.values()))[:8]}"


def find_source(ref: str, revision: str | None = None, remote_code: bool = False) -> Source:
    """The model in the package, in a local folder or GGUF file, or in the hub's cache."""
    if ref == EMBEDDED:
        folder = Path(str(files("detoxlab"))) / "assets" / "lm"
        return Source(_checked_folder(folder), EMBEDDED)
    if file := find_gguf(Path(ref)):
        return Source(file, file.resolve().stem)
    if Path(ref).exists():
        folder = _checked_folder(Path(ref))
        return Source(folder, folder.resolve().name)
    if ref.startswith(("/", ".", "~")) or ref.count("/") > 1:
        raise no_folder(ref)
    return _download(ref, revision, remote_code)


def check_causal(folder: Path, remote_code: bool) -> None:
    from detoxlab.internals.transformers import causal_architectures

    config = read_config(folder, "config.json")
    kind, named = config.get("model_type"), config.get("architectures") or []
    if remote_code and "auto_map" in config:
        return
    if kind not in causal_architectures() or config.get("is_encoder_decoder"):
        problem = f"model type {kind!r} is not a causal language model"
    elif named and not set(named) & set(causal_architectures().values()):
        problem = f"{named[0]} is not a causal language model"
    else:
        return
    raise ModelError(
        f"{folder}: {problem}",
        remedy="Give a model that generates text, or allow its own code (trust_remote_code).",
    )


def check_weights(folder: Path, safetensors_only: bool) -> None:
    safe, pickled = any(folder.glob("*.safetensors")), any(folder.glob("*.bin"))
    if safe or (pickled and not safetensors_only):
        return
    held = "only pickled weights (*.bin)" if pickled else "no weights"
    raise ModelError(
        f"{folder}: holds {held}, not safetensors",
        remedy="Convert them, or allow them by safetensors_only=False if you trust their origin."
        if pickled
        else "Fetch the model again.",
    )


def weights_sha256(folder: Path) -> str:
    """The sha256 of the file of weights; for several files, of their hashes in order of name."""
    paths = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    hashes = [file_sha256(path) for path in paths]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def no_model(folder: Path, file: str = "config.json") -> ModelError:
    """The error for a folder without a model, which names the models below it."""
    if is_run(folder):
        return ModelError(
            f"{folder}: is a run without a model",
            remedy="Give the model that it measured, or a run of train.",
        )
    below = models_below(folder)
    more = f" and {len(below) - SHOWN} more" if len(below) > SHOWN else ""
    named = f"Name the model below it: {', '.join(map(str, below[:SHOWN]))}{more}."
    return ModelError(f"{folder}: not a model (no {file} in it)", remedy=named if below else REMEDY)


def no_folder(ref: str) -> ModelError:
    """The error for a path where nothing is, with the nearest name beside it."""
    if "://" in ref:
        remedy = "Name a model of the hub by its id alone, owner/name."
        return ModelError(f"{ref}: is an address of the web", remedy=remedy)
    return ModelError(f"{ref}: no such model folder", remedy=f"{_meant(ref)}{REMEDY}")


def _meant(ref: str) -> str:
    """The question for the nearest name, of a folder or of the embedded model."""
    is_embedded = difflib.get_close_matches(ref, [EMBEDDED], cutoff=ALIKE)
    return f"Did you mean {EMBEDDED!r}? " if is_embedded else meant(ref)


def models_below(folder: Path) -> list[Path]:
    """The models and adapters in the folders below, at most `DEEPEST` levels down.

    A model in the hub's cache is two levels down. At most `MOST_LOOKED_AT` folders are looked at.
    """
    found, level, seen = list[Path](), [folder], 0
    for _ in range(DEEPEST):
        inside = [one for above in level for one in _folders_in(above)][: MOST_LOOKED_AT - seen]
        seen += len(inside)
        found += [one for one in inside if any((one / name).is_file() for name in MARKS)]
        level = [one for one in inside if one not in found]
    return found


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.is_dir())
    except OSError:
        return []


def read_config(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise no_model(folder, name) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ModelError(f"{path}: not valid JSON", remedy="Fetch the file again.") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: not a JSON object", remedy="Fetch the file again.")
    return content


def first_line(error: BaseException, limit: int = 160) -> str:
    """A library's error message as one line, to give as the cause in brackets."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"


# --- inside ---


def _checked_folder(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise no_model(folder)
    return folder


def _download(ref: str, revision: str | None, remote_code: bool) -> Source:
    from httpx import HTTPError
    from huggingface_hub import snapshot_download

    patterns = [*HUB_FILES, "*.py"] if remote_code else HUB_FILES
    try:
        folder = snapshot_download(
            ref,
            revision=revision,
            allow_patterns=patterns,
            ignore_patterns=["consolidated*", "original/*"],
        )
    except (OSError, ValueError, HTTPError) as error:
        at = f" at revision {revision!r}" if revision else ""
        raise ModelError(
            f"{ref}{at}: not a local folder and not available from the hub "
            f"({type(error).__name__})",
            remedy=f"{_meant(ref)}Check the name and the network (HF_HUB_OFFLINE). {REMEDY}",
        ) from error
    return Source(_checked_folder(Path(folder)), ref, revision=Path(folder).name)
