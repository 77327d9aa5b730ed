"""A regularised training on shouted texts: `regularised_driver.py MODEL RUN SETTINGS`.

In one process or as launched; goes on where it was killed. SETTINGS are JSON.
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
    model, out, settings = sys.argv[1:]
    register(pytest.MonkeyPatch())
    method = load_method("regularised", json.loads(settings))
    config = method.config.model_dump(mode="json")
    with joined("cpu"):
        run = Run.start(out, kind="train", config=config, resume=True)
        with run.writing():
            method.fit(load_model(model), texts(24), run)
