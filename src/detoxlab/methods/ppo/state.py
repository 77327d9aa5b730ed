"""Checkpoints of PPO: adapter, value head, optimizer, schedule, and the steps done.

They hold no random state: prompts, noise and minibatches of a step follow from the seed and the
step's number. Imports torch and peft, which takes seconds: import this file only to train.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import load_peft_weights, set_peft_model_state_dict
from safetensors.torch import load_file, save_file

from detoxlab.methods.loop.checkpoints import STATE_FILE, checkpoint_path
from detoxlab.methods.ppo.policy import Policy

VALUE_HEAD = "value_head.safetensors"
OPTIMIZER, SCHEDULER = "optimizer.pt", "scheduler.pt"


@dataclass
class PPOState:
    """The progress of a training, under the names of transformers' trainers."""

    kl_coefficient: float
    global_step: int = 0
    log_history: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(
    folder: Path, state: PPOState, policy: Policy, optimizer: Any, scheduler: Any
) -> None:
    """Write the checkpoint of `state.global_step` into `folder`, whole or not at all."""
    place = checkpoint_path(folder, state.global_step)
    draft = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_adapter(policy, draft)
    save_file(policy.value_head.state_dict(), draft / VALUE_HEAD)
    torch.save(optimizer.state_dict(), draft / OPTIMIZER)
    torch.save(scheduler.state_dict(), draft / SCHEDULER)
    (draft / STATE_FILE).write_text(json.dumps(asdict(state)) + "\n", encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    draft.replace(place)


def load_checkpoint(checkpoint: Path, policy: Policy, optimizer: Any, scheduler: Any) -> PPOState:
    """Put everything back as it was when the checkpoint was written."""
    device = str(policy.lm.device)
    set_peft_model_state_dict(policy.lm.model, load_peft_weights(str(checkpoint), device=device))
    policy.value_head.load_state_dict(load_file(checkpoint / VALUE_HEAD, device=device))
    for target, name in ((optimizer, OPTIMIZER), (scheduler, SCHEDULER)):
        target.load_state_dict(
            torch.load(checkpoint / name, map_location=device, weights_only=True)
        )
    return PPOState(**json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8")))


def save_adapter(policy: Policy, folder: Path) -> None:
    """The adapter alone, in PEFT's layout."""
    policy.lm.model.save_pretrained(str(folder), save_embedding_layers=False)
