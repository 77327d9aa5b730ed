"""What this machine can do, found out without downloading anything."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from detoxlab.errors import DetoxlabError
from detoxlab.provenance import PACKAGES, hardware, package_version


@dataclass(frozen=True)
class Check:
    """One finding: "ok", "absent" (an extra that is not there) or "broken"."""

    name: str
    state: Literal["ok", "absent", "broken"]
    finding: str


def checks() -> Iterator[Check]:
    """All checks, the quick ones first."""
    facts = hardware()
    yield Check(
        "machine",
        "ok",
        f"{facts['system']} {facts['machine']}, {facts['cores']} cores, Python {facts['python']}",
    )
    yield _disk()
    yield from _packages()
    yield from _devices()
    yield from _embedded()
    yield from _extras()


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    state: Literal["ok", "broken"] = "ok" if free > 1 else "broken"
    return Check("disk", state, f"{free:.0f} GiB free here" + ("" if free > 1 else "; make room"))


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        version = package_version(name)
        remedy = "not installed: pip install -e . from the project's folder"
        yield Check(name, "ok" if version else "broken", version or remedy)


def _devices() -> Iterator[Check]:
    import torch

    build = "CUDA" if torch.version.cuda else "CPU"
    yield Check("torch build", "ok", f"{build}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            memory = facts.total_memory / 2**30
            yield Check(f"GPU {index}", "ok", f"{facts.name}, {memory:.0f} GiB")
    else:
        yield Check("GPU", "absent", "none seen; everything runs on the CPU, in float32")


def _embedded() -> Iterator[Check]:
    from detoxlab.models import LanguageModel, load_model
    from detoxlab.scorers import Scorer, load_scorer

    loaders: dict[str, Callable[[], LanguageModel | Scorer]] = {
        "model 'embedded'": lambda: load_model("embedded"),
        "scorer 'rtp-linear'": lambda: load_scorer("rtp-linear"),
        "scorer 'rtp-neural'": lambda: load_scorer("rtp-neural"),
    }
    for name, load in loaders.items():
        try:
            yield Check(name, "ok", load().id)
        except DetoxlabError as error:
            yield Check(name, "broken", str(error))


def _extras() -> Iterator[Check]:
    for package, use in (
        ("bitsandbytes", "8-bit and 4-bit loading"),
        ("tensorboard", "report_to: tensorboard"),
        ("wandb", "report_to: wandb"),
        ("trackio", "report_to: trackio"),
    ):
        if importlib.util.find_spec(package):
            yield Check(package, "ok", package_version(package) or "installed")
        else:
            yield Check(package, "absent", f"for {use}: pip install {package}")
    offline = os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "TRUE")
    yield Check(
        "hub", "ok", "offline by HF_HUB_OFFLINE" if offline else "used when a hub id is named"
    )
