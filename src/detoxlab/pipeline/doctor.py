"""Finds out what this machine can do, without downloading anything."""

import importlib.util
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from detoxlab.errors import DependencyError, DetoxlabError
from detoxlab.provenance import PACKAGES, hardware, package_version

if TYPE_CHECKING:
    import torch

QUANTISED = "8 and 4 bits"
BITS_PACKAGE = "bitsandbytes"
BITS_REMEDY = "for models in 8 or 4 bits: pip install 'detoxlab[quant]'"
ASSETS = Path(__file__).parents[1] / "assets"
IN_THE_PACKAGE = {
    "model 'embedded'": "lm/model.safetensors",
    "scorer 'rtp-linear'": "rtp-linear/model.npz",
    "scorer 'rtp-neural'": "rtp-neural/model.safetensors",
    "scorer 'human-neural'": "human-neural/adapter.safetensors",
    "scorer 'hate-neural'": "hate-neural/adapter.safetensors",
}
LARGEST_ERROR = 0.2  # of a layer's output; fp4, the coarsest, has .13


@dataclass(frozen=True)
class Check:
    """One finding: "ok", "absent" (an extra that is not there) or "broken"."""

    name: str
    state: Literal["ok", "absent", "broken"]
    finding: str


def checks(*, thorough: bool = False) -> Iterator[Check]:
    """All checks, the quick ones first.

    A thorough look also tries: products in bfloat16, layers of 8 and 4 bits, and the model and
    scorers in the package.
    """
    facts = hardware()
    yield Check(
        "machine",
        "ok",
        f"{facts['system']} {facts['machine']}, {facts['cores']} cores, Python {facts['python']}",
    )
    yield _disk()
    yield from _packages()
    yield from _devices()
    yield from _tried() if thorough else _present()
    yield from _extras()


def _present() -> Iterator[Check]:
    """Whether the files are there that a thorough look would load."""
    there = importlib.util.find_spec(BITS_PACKAGE)
    finding = "installed; detoxlab doctor --thorough tries it" if there else BITS_REMEDY
    yield Check(QUANTISED, "ok" if there else "absent", finding)
    for name, file in IN_THE_PACKAGE.items():
        is_there = (ASSETS / file).is_file()
        finding = "in the package" if is_there else f"{file} is not there: install detoxlab again"
        yield Check(name, "ok" if is_there else "broken", finding)


def _tried() -> Iterator[Check]:
    yield _bfloat16()
    yield _quantisation()
    yield from _embedded()


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    state: Literal["ok", "broken"] = "ok" if free > 1 else "broken"
    return Check("disk", state, f"{free:.0f} GiB free here" + ("" if free > 1 else "; make room"))


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        version = package_version(name)
        remedy = "not installed: install detoxlab again, pip brings it along"
        yield Check(name, "ok" if version else "broken", version or remedy)


def _devices() -> Iterator[Check]:
    import torch

    build = "CUDA" if torch.version.cuda else "CPU"
    threads = torch.get_num_threads()
    plural = "s" if threads > 1 else ""
    yield Check("torch is built for", "ok", f"{build}; it uses {threads} thread{plural} here")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            memory = facts.total_memory / 2**30
            yield Check(f"GPU {index}", "ok", f"{facts.name}, {memory:.0f} GiB")
    else:
        yield Check("GPU", "absent", "none; everything runs on the CPU, in float32")


def _bfloat16() -> Check:
    """The time of a matrix product in bfloat16, relative to float32."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    ratio = _product_seconds(torch.bfloat16, device) / _product_seconds(torch.float32, device)
    pace = f"{1 / ratio:.1f} times as fast" if ratio < 1 else f"{ratio:.1f} times as slow"
    return Check("bfloat16", "ok", f"works, and is {pace} as float32")


def _product_seconds(dtype: "torch.dtype", device: str) -> float:
    """The shortest of five times, for square matrices of 512."""
    import torch

    matrix = torch.ones(512, 512, dtype=dtype, device=device)

    def once() -> float:
        began = time.perf_counter()
        (matrix @ matrix).sum().item()
        return time.perf_counter() - began

    return min(once() for _ in range(5))


def _quantisation() -> Check:
    """Whether 8- and 4-bit layers compute correctly on this device, by trying."""
    import torch

    from detoxlab.models.quantisation import rounding_errors

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        errors = rounding_errors(device)
    except DependencyError as error:
        return Check(QUANTISED, "absent", str(error))
    except (DetoxlabError, RuntimeError) as error:
        return Check(QUANTISED, "broken", f"{device.type}: {error}")
    found = ", ".join(f"{kind} by {error:.1%}" for kind, error in errors.items())
    if max(errors.values()) < LARGEST_ERROR:
        return Check(QUANTISED, "ok", f"work on {device.type}; a layer's output changes: {found}")
    return Check(QUANTISED, "broken", f"wrong numbers on {device.type}; output changes: {found}")


def _embedded() -> Iterator[Check]:
    from detoxlab.models import LanguageModel, load_model
    from detoxlab.scorers import Scorer, load_scorer

    loaders: dict[str, Callable[[], LanguageModel | Scorer]] = {
        "model 'embedded'": lambda: load_model("embedded"),
        "scorer 'rtp-linear'": lambda: load_scorer("rtp-linear"),
        "scorer 'rtp-neural'": lambda: load_scorer("rtp-neural"),
        "scorer 'human-neural'": lambda: load_scorer("human-neural"),
        "scorer 'hate-neural'": lambda: load_scorer("hate-neural"),
    }
    for name, load in loaders.items():
        try:
            yield Check(name, "ok", load().id)
        except DetoxlabError as error:
            yield Check(name, "broken", str(error))


def _extras() -> Iterator[Check]:
    for package, use in (
        ("tensorboard", "tensorboard"),
        ("wandb", "Weights & Biases"),
        ("trackio", "trackio"),
    ):
        if importlib.util.find_spec(package):
            yield Check(package, "ok", package_version(package) or "installed")
        else:
            finding = f"not installed; to log trainings to {use}: pip install {package}"
            yield Check(package, "absent", finding)
    offline = os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "TRUE")
    finding = "not asked, as HF_HUB_OFFLINE is set" if offline else "asked for what you name of it"
    yield Check("Hugging Face hub", "ok", finding)
