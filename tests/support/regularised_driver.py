"""Regularised trainings on shouted texts, one after another: `regularised_driver.py MODEL PLANS`.

In one process or as launched; goes on where it was killed. PLANS are JSON: settings by run folder.
"""

import json
import sys

import pytest

from detoxlab.methods import load_method
from detoxlab.models import load_model
from detoxlab.processes import joined
from detoxlab.runs import Run
from tests.support.shouting import register, texts

if __name__ == "__main__":
    model, plans = sys.argv[1:]
    register(pytest.MonkeyPatch())
    with joined("cpu"):
        for out, settings in json.loads(plans).items():
            method = load_method("regularised", settings)
            config = method.config.model_dump(mode="json")
            run = Run.start(out, kind="train", config=config, resume=True)
            with run.writing():
                method.fit(load_model(model), texts(24), run)
