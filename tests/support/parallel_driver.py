"""Trainings one after another, in one process or as launched: `parallel_driver.py SUFFIX`.

`plans-SUFFIX.json` in the working folder holds their settings by name; each goes into NAME-SUFFIX,
where it goes on if it was begun. `halts` are steps at which one is interrupted before it goes on;
the last of them ends it for now. Each process writes into `draws-SUFFIX-RANK.json` how many batches
of responses it drew in each, and into `held-SUFFIX-RANK.json` what it holds of a model.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from torch import nn

from detoxlab.generate import LocalEngine
from detoxlab.methods.loop.trainer import FlowCallback
from detoxlab.models import load_model
from detoxlab.pipeline import train_model
from detoxlab.processes import joined
from detoxlab.recipe.learning import TrainSettings
from tests.support.shouting import register


def train_all(plans: dict[str, Any], suffix: str) -> Counter[str]:
    """Train them; how many batches this process drew in each."""
    draws, generate = Counter(dict.fromkeys(plans, 0)), LocalEngine.generate

    def counted(*args: Any, **kwargs: Any) -> Any:
        draws[name] += 1
        return generate(*args, **kwargs)

    LocalEngine.generate = counted  # type: ignore[method-assign]
    for name, plan in plans.items():
        for step in plan.pop("halts", [None]):
            train(plan, Path(f"{name}-{suffix}"), step)
    return draws


def train(plan: Mapping[str, Any], out: Path, until: int | None = None) -> None:
    """Train it, or go on with it, to its end or until this step."""
    with interrupted_after(until), suppress(KeyboardInterrupt):
        train_model(TrainSettings(**plan), out, resume=out.exists())


@contextmanager
def interrupted_after(step: int | None) -> Iterator[None]:
    """Trainings in the block hear a Ctrl-C in this step."""
    end = FlowCallback.on_step_end

    def interrupted(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.interruption.requested |= state.global_step == step
        end(self, args, state, control, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FlowCallback, "on_step_end", interrupted)
        yield


def held(model: nn.Module) -> dict[str, int]:
    """Numbers that this process holds of the layers and of all else, and what the model has."""
    counts: Counter[str] = Counter()
    for name, weight in model.named_parameters():
        kind = "adapter" if "lora" in name else "layers" if ".layers." in name else "rest"
        local = weight.to_local() if hasattr(weight, "to_local") else weight
        counts[f"held_{kind}"] += local.numel()
        counts[kind] += weight.numel()
    return dict(counts)


if __name__ == "__main__":
    suffix, rank = sys.argv[1], os.environ.get("RANK", "0")
    register(pytest.MonkeyPatch())
    with joined("cpu"):
        draws = train_all(json.loads(Path(f"plans-{suffix}.json").read_text()), suffix)
        adapted = get_peft_model(load_model("base").model, LoraConfig(target_modules=["q_proj"]))
        parts = held(adapted)
    Path(f"draws-{suffix}-{rank}.json").write_text(json.dumps(draws))
    Path(f"held-{suffix}-{rank}.json").write_text(json.dumps(parts))
