"""Two sides of texts, fits of activation steerings on them, and activations read by hand."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detoxlab.data.split import TextSplit
from detoxlab.methods import load_method
from detoxlab.models import LanguageModel, evaluating
from detoxlab.records import Text
from detoxlab.runs import Run
from detoxlab.steering.activations.session import ActivationSteering

KINDS = ("ablation", "aura", "caa", "iti", "linear-act", "lineas", "mean-act")
FEW: dict[str, dict[str, Any]] = {"lineas": {"steps": 5, "learning_rate": 0.05}}
"""Settings of a quick fit by kind."""

WORDS = ("so what", "then go", "well now", "say it again", "what is it", "come on then")


def texts(count: int) -> list[Text]:
    """Toxic texts, which shout, and other ones, of unlike lengths."""
    made = []
    for i in range(count):
        said = " ".join(WORDS[(i + j) % len(WORDS)] for j in range(1 + i % 3))
        made.append(Text(f"a{i}", f"{said.upper()} {i}", "test", "toxic"))
        made.append(Text(f"b{i}", f"{said} {i % 7}, you", "test", "other"))
    return made


def split(count: int = 10) -> TextSplit:
    """Texts to fit on, and a few others to validate on."""
    return TextSplit(texts(count), texts(count + 6)[2 * count :])


def fitted(kind: str, folder: Path, lm: LanguageModel, data: Any = None, **settings: Any) -> Run:
    """A finished run of a method."""
    method = load_method(kind, FEW.get(kind, {}) | settings)
    run = Run.start(folder, kind="train", config=method.config.model_dump(mode="json"))
    with run.writing():
        assert method.fit(lm, data or split(), run) == folder / "steering"
    return run


def steering(run: Run, strength: float = 1.0) -> ActivationSteering:
    """The steering that a run left."""
    return ActivationSteering.load(run.info["method"], run.path, strength=strength)


Changes = Mapping[int, Callable[[Tensor], Tensor]]
"""By the id of a module: what its output becomes."""


def read_alone(
    lm: LanguageModel, ids: Sequence[int], modules: Sequence[Any], changes: Changes | None = None
) -> list[NDArray[np.float64]]:
    """The outputs (T, D) of modules for one text, unpadded, each as it was before its change."""
    found: dict[int, Tensor] = {}

    def keep(module: Any, _inputs: Any, output: Any) -> Any:
        found[id(module)] = output[0].clone()
        change = (changes or {}).get(id(module))
        return None if change is None else change(output)

    handles = [module.register_forward_hook(keep) for module in modules]
    with evaluating(lm):
        lm.model(torch.tensor([list(ids)]), use_cache=False)
    for handle in handles:
        handle.remove()
    return [found[id(module)].double().numpy() for module in modules]
