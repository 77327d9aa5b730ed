"""The model that settings name, loaded, with what changes its decoding."""

from pathlib import Path
from typing import TYPE_CHECKING

from detoxlab.recipe import SubjectSettings
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.generate import Steering
    from detoxlab.models import LanguageModel


def load_subject(settings: SubjectSettings) -> "tuple[LanguageModel, Steering | None]":
    """The model, and its steering if there is one.

    A run of `auxiliary` holds no adapter: it is its base with NADO decoding.
    """
    from detoxlab.models import Quantisation, load_model

    model, steering = _steered(settings)
    chosen = settings.quantisation
    lm = load_model(
        model,
        dtype=settings.dtype,
        device=settings.device,
        revision=settings.revision,
        trust_remote_code=settings.trust_remote_code,
        quantisation=Quantisation(**chosen.model_dump()) if chosen else None,
    )
    return lm, steering


def _steered(settings: SubjectSettings) -> "tuple[str, Steering | None]":
    from detoxlab.steering import load_steering

    if settings.steer:
        return settings.model, load_steering(settings.steer, strength=settings.strength)
    run = Run(Path(settings.model))
    if (run.path / "run.json").is_file() and run.info.get("method") == "auxiliary":
        steering = load_steering(f"nado:{settings.model}", strength=settings.strength)
        return str(run.info["base_model"]), steering
    return settings.model, None
