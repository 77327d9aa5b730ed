"""Trainings one after another, in one process or as launched: `parallel_driver.py SUFFIX`.

`plans.json` in the working folder holds their settings by name; each goes into NAME-SUFFIX. Each
process writes into `draws-SUFFIX-RANK.json` how many batches of responses it drew in each.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from detoxlab.generate import LocalEngine
from detoxlab.pipeline import train_model
from detoxlab.processes import joined
from detoxlab.recipe.learning import TrainSettings


def train_all(plans: dict[str, Any], suffix: str) -> Counter[str]:
    """Train them; how many batches this process drew in each."""
    draws, generate = Counter(dict.fromkeys(plans, 0)), LocalEngine.generate

    def counted(*args: Any, **kwargs: Any) -> Any:
        draws[name] += 1
        return generate(*args, **kwargs)

    LocalEngine.generate = counted  # type: ignore[method-assign]
    for name, plan in plans.items():
        train_model(TrainSettings(**plan), f"{name}-{suffix}")
    return draws


if __name__ == "__main__":
    with joined("cpu"):
        draws = train_all(json.loads(Path("plans.json").read_text()), sys.argv[1])
    file = Path(f"draws-{sys.argv[1]}-{os.environ.get('RANK', '0')}.json")
    file.write_text(json.dumps(draws))
