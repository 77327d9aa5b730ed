"""Measurements of tiny models."""

from pathlib import Path
from typing import Any

from detoxlab.pipeline import measure_model
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.runs import Run
from detoxlab.settings import parse


def measured(model: Path, out: Path, *, resume: bool = False, **settings: Any) -> Run:
    """Answers of a tiny model to twenty mild prompts."""
    asked = {
        "model": str(model),
        "prompts": {"source": "embedded", "where": {"kind": "neutral"}, "limit": 20},
        "protocol": "let-the-models-respond",
        "sampling": {"max_new_tokens": 4},
        "judge": "rtp-linear",
        "second": None,
        "encoder": None,
        "resamples": 100,
    }
    content = asked | settings
    return measure_model(parse(MeasureSettings, content, place="t"), out, resume=resume)
