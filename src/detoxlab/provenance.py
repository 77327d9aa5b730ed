"""The provenance of a result: versions, hardware, command, hashes of weights. No paths."""

import datetime
import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasets",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
    "scipy",
)


def new_run(name: str, *, kind: str, seed: int, parent: str | None) -> dict[str, Any]:
    """The first content of a run's `run.json`."""
    return {
        "id": f"{name}-{uuid.uuid4().hex[:8]}",
        "kind": kind,
        "parent": parent,
        "command": command(),
        "code_version": package_version("detoxlab"),
        **({"code_commit": commit} if (commit := code_commit()) else {}),
        "packages": {name: v for name in PACKAGES if (v := package_version(name))},
        "hardware": hardware(),
        "seed": seed,
        "status": "running",
        "started": now(),
        "finished": None,
    }


def now() -> str:
    """The time in UTC, to the second, in ISO form."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@functools.cache
def package_version(name: str) -> str | None:
    """The installed version of a package, None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def code_commit(root: Path = Path(__file__).parents[2]) -> str | None:
    """The commit of the checkout that the code runs from, and whether it was changed since.

    None for an installed package.
    """
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.check_output(
            [*git, "rev-parse", "--short=12", "HEAD"], text=True, stderr=subprocess.DEVNULL
        ).strip()
        changed = subprocess.check_output(
            [*git, "status", "--porcelain", "--untracked-files=no"], stderr=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}, changed" if changed else commit


def hardware() -> dict[str, Any]:
    """Processor kind, cores and system, and the GPU's name where torch is loaded and sees one."""
    facts: dict[str, Any] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def command() -> list[str]:
    """The command line, with every existing path reduced to its last part."""
    return [Path(sys.argv[0]).name, *(last_part(argument) for argument in sys.argv[1:])]


def last_part(value: str) -> str:
    """The last part of an absolute path; anything else as it is.

    >>> last_part("/somewhere/prompts.jsonl"), last_part("org/model"), last_part("a=/b/c")
    ('prompts.jsonl', 'org/model', 'a=c')
    """
    key, equals, rest = value.rpartition("=")
    return f"{key}{equals}{Path(rest).name}" if rest.startswith(("/", "~")) else value


def hub_commit(repository: str, revision: str | None) -> str | None:
    """The commit of a model on the hub that was read at `revision` (None: the main branch).

    It is looked up in the cache, where reading puts the model; None where it is not there.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "config.json", revision=revision)
    return Path(found).parent.name if isinstance(found, str) else None


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
