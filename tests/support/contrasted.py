"""Toxic and other texts for methods that contrast them, and what they are computed from."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detoxlab.data.split import PairSplit
from detoxlab.methods import load_method
from detoxlab.models import LanguageModel, load_model
from detoxlab.records import Preference
from detoxlab.runs import Run

WORDS = ("well", "so what", "and then", "go on now", "it is late", "say it again")


def pairs(count: int = 12) -> PairSplit:
    """Paraphrases of unlike length: the toxic side says one thing more."""
    made = []
    for i in range(count):
        said = f"{WORDS[i % len(WORDS)]} {i}" + " still" * (i % 4)
        made.append(Preference(f"p{i}", (), f"{said}, friend", f"{said}, you fool", "test"))
    return PairSplit(made)


def fitted(name: str, base: Path, data: Any = None, **settings: Any) -> Run:
    """The run beside `base` of a method on the contrasted texts, begun or gone on with."""
    method = load_method(name, settings)
    config = method.config.model_dump(mode="json")
    run = Run.start(base.parent / name, kind="train", config=config, resume=True)
    with run.writing():
        method.fit(load_model(base), data or pairs(), run)
    return run


def states(lm: LanguageModel, text: str, module: Any, *, reads: bool = False) -> NDArray[Any]:
    """What a module hands on, or reads, at each token of a text that is read alone: (T, D)."""
    kept = []

    def keep(_module: Any, inputs: Any, output: Any) -> None:
        state = inputs[0] if reads else output
        kept.append((state[0] if isinstance(state, tuple) else state)[0])

    handle = module.register_forward_hook(keep)
    with torch.no_grad():
        lm.model(torch.tensor([lm.prompt_ids(text, chat=False)]), use_cache=False)
    handle.remove()
    found: NDArray[Any] = kept[0].double().numpy()
    return found


def means(lm: LanguageModel, texts: list[str], module: Any, **how: Any) -> NDArray[Any]:
    """The mean over the tokens of each text but the first, (N, D)."""
    return np.stack([states(lm, text, module, **how)[1:].mean(axis=0) for text in texts])
