"""Trainings one after another, in one process or as launched: `parallel_driver.py SUFFIX`.

`plans.json` in the working folder holds their settings; each goes into METHOD-SUFFIX.
"""

import json
import sys
from pathlib import Path

from detoxlab.pipeline import train_model
from detoxlab.processes import joined
from detoxlab.recipe import TrainSettings

if __name__ == "__main__":
    with joined("cpu"):
        for plan in json.loads(Path("plans.json").read_text()):
            train_model(TrainSettings(**plan), f"{plan['method']}-{sys.argv[1]}")
