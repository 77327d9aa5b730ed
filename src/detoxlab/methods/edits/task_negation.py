"""Task-vector negation: learn toxic texts by a LoRA adapter, then take its change away.

With W the base's weights and ΔW = (alpha / r) B A the change that the adapter learnt, the result is

    W − λ ΔW

written as an adapter whose B is −λ (alpha / r) B and whose alpha is r. `scale` is λ; the strength
of `detoxlab measure RUN --strength` multiplies it.

Source: Ilharco et al. 2023, "Editing Models with Task Arithmetic" (arXiv 2212.04089), section 4.2,
who fine-tune all weights of GPT-2 on comments of high toxicity and negate the difference. Here the
change is of low rank, so that one base in memory serves both models.
"""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab.data.split import PairSplit, TextSplit
from detoxlab.methods.base import MethodSpec
from detoxlab.methods.imitation.config import ImitationConfig
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel


class TaskNegationConfig(ImitationConfig):
    """Hyperparameters of task-vector negation: those of SFT on the toxic texts, and a scale."""

    scale: float = Field(
        default=1.0, gt=0, description="λ, how much of the change is taken away; published: 0 to 1"
    )


def fit_task_negation(
    config: TaskNegationConfig, lm: "LanguageModel", data: PairSplit | TextSplit, run: Run
) -> Path:
    """The folder of the negated adapter; training and log are those of `sft`.

    Of pairs the rejected sides are learnt, of texts all of them, or the part "toxic".
    """
    from detoxlab.methods.imitation.train import fit_split
    from detoxlab.methods.rows.contrast import toxic_side

    finish = partial(negate, scale=config.scale)
    return fit_split(config, lm, toxic_side(data), run, "task-negation", finish)


def negate(folder: Path, scale: float) -> None:
    """Turn the LoRA adapter in `folder` into one of −scale times its change, with alpha = r."""
    from safetensors.torch import load_file, save_file

    weights, settings = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    config = json.loads(settings.read_text(encoding="utf-8"))
    factor = -scale * config["lora_alpha"] / config["r"]
    made = {
        name: factor * tensor if name.endswith("lora_B.weight") else tensor
        for name, tensor in load_file(weights).items()
    }
    save_file(made, weights, metadata={"format": "pt"})
    config["lora_alpha"] = config["r"]
    settings.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


METHOD = MethodSpec(TaskNegationConfig, fit_task_negation, ("texts", "pairs"), makes="edit")
