"""Loads the model that settings name, with its chat template's inputs and its steerings."""

import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from detoxlab.errors import ConfigError, ModelError
from detoxlab.loading import Asking, ModelSettings, OtherModel, is_unusual
from detoxlab.locations import EMBEDDED, located
from detoxlab.methods.base import Product
from detoxlab.models.adapters.load import BASE_REMEDY, DELTA, check_base
from detoxlab.models.sources import read_config
from detoxlab.progress import say
from detoxlab.recipe.measuring import SubjectSettings
from detoxlab.runs import Run, is_run
from detoxlab.steering.activations.files import CONTENT
from detoxlab.steering.activations.files import FOLDER as STEERING
from detoxlab.subject import Subject

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel, Rendering

S = TypeVar("S", bound=Asking)
DATE = "template_date"  # in run.json


def load_named(settings: ModelSettings, strength: float = 1.0) -> "LanguageModel":
    """The model that the settings name, read as they say, its adapter or edit at `strength`.

    Raises `ConfigError` for a `base` where there is no adapter to put on it, and the errors of
    `load_model`.
    """
    say(f"loading {settings.model}")
    from detoxlab.models import Quantisation, load_model

    if settings.base:
        check_has_base(settings.model, settings.base)
    chosen = settings.quantisation
    return load_model(
        settings.base or settings.model,
        adapter=settings.model if settings.base else None,
        dtype=settings.dtype,
        device=settings.device,
        revision=settings.revision,
        trust_remote_code=settings.trust_remote_code,
        quantisation=Quantisation(**chosen.model_dump()) if chosen else None,
        strength=strength,
        rendering=rendering_of(settings),
    )


def dated(settings: S, out: Path | str, *, resume: bool) -> S:
    """The settings with the day that a chat template reads as today.

    It is the given day; else that of the run at `out`, where it is resumed; else today.
    """
    run = Run(Path(out))
    is_there = resume and is_run(run.path)
    day = settings.template_date or (date_in(run.info) if is_there else None)
    return settings.model_copy(update={DATE: day or datetime.date.today()})


def date_in(info: Mapping[str, Any]) -> datetime.date | None:
    """The day that a run's chat templates read as today; None for old runs, which lack it."""
    return datetime.date.fromisoformat(info[DATE]) if info.get(DATE) else None


def date_record(settings: Asking) -> dict[str, str]:
    """The entry of `run.json` for that day, which `date_in` reads."""
    return {DATE: settings.template_date.isoformat()} if settings.template_date else {}


def rendering_of(settings: Asking) -> "Rendering":
    """The inputs of the chat template from the settings."""
    from detoxlab.models import Rendering

    return Rendering(
        settings.template_options,
        settings.template_date or datetime.date.today(),
        settings.control_tokens,
    )


def load_other(other: OtherModel, device: str, asking: Asking) -> "LanguageModel":
    """A second model, which reads the same prompts in its own template.

    Settings that `other` does not give come from `asking`, those of the first model; of the
    options, the template gets those that it reads.
    """
    named = other.with_device(device)
    day = named.template_date or asking.template_date
    reading = named if is_unusual(named, "control_tokens") else asking
    lm = load_named(named.model_copy(update={DATE: day, "control_tokens": reading.control_tokens}))
    if named.template_options or not asking.template_options:
        return lm
    read = {n: v for n, v in asking.template_options.items() if n in lm.chat.variables}
    return dataclasses.replace(lm, rendering=dataclasses.replace(lm.rendering, options=read))


def load_subject(settings: SubjectSettings) -> Subject:
    """The model that the settings name, with the steerings that they name on top.

    A run that made a steering or a head gives its base model with that steering. The strength
    is that of an adapter, of an edit, and of all steerings whose name has none. Raises
    `ModelError` for a run that made no model, `ConfigError` for a strength of nothing.
    """
    from detoxlab.steering import load_steering

    check_strength(settings)
    own = steered_run(settings.model)
    scaled = settings.strength if has_base(Path(settings.model)) else 1.0
    lm = _load_base(own.run, settings) if own else load_named(settings, scaled)
    names = [own.steering] if own else []
    steerings = [
        load_steering(name, strength=settings.strength) for name in (*names, *settings.steerings)
    ]
    return Subject(lm.with_system(settings.system) if settings.system else lm, tuple(steerings))


class SteeredRun(NamedTuple):
    """A training run whose product steers its base, and the name of that steering."""

    run: Run
    steering: str


def steered_run(model: Path | str) -> SteeredRun | None:
    """The run at `model` if its product is a steering; None for other runs and other paths.

    Raises `ModelError` for a run that made no model.
    """
    run = Run(Path(model))
    product = product_of(run)
    if product == "scorer":
        raise ModelError(f"{run.path}: made a scorer, not a model", remedy="Give a model.")
    if product == "head":
        return SteeredRun(run, f"nado:{model}")
    if product == "steering":
        content = read_config(run.path / STEERING, CONTENT)
        return SteeredRun(run, f"{content.get('kind', '')}:{model}")
    return None


def product_of(run: Run) -> Product | None:
    """The product of a training; None where there is no run.

    Old runs do not name it: those of `auxiliary` made a head, all others an adapter.
    """
    if not is_run(run.path):
        return None
    was: Product = "head" if run.info.get("method") == "auxiliary" else "adapter"
    product: Product = run.info.get("makes") or was
    return product


def base_of_run(run: Run) -> str:
    """The path or id of the model on which the steering of a run was fitted.

    Raises `ModelError` when it was a folder or file that no longer exists.
    """
    base = located(str(run.info["base_model"]), run.path)
    if not (_revision_of(run) or base == EMBEDDED or Path(base).exists()):
        raise ModelError(f"{run.path}: its base model, {base}, is not there", remedy=BASE_REMEDY)
    return base


def has_base(folder: Path) -> bool:
    """Whether a folder is an adapter, an edit or a run, which have a base of their own."""
    return is_run(folder) or any((folder / one).is_file() for one in ("adapter_config.json", DELTA))


def check_strength(settings: SubjectSettings) -> None:
    """Raises `ConfigError` for a strength where there is nothing that it could scale."""
    if settings.strength != 1 and not settings.steer and not has_base(Path(settings.model)):
        raise ConfigError(
            f"strength {settings.strength:g}: {settings.model} has no adapter, edit or steering",
            remedy="Leave it out, or name a steering by --steer.",
        )


def check_has_base(model: str, base: str) -> None:
    """Raises `ConfigError` when `model` cannot be put on a `base`."""
    if not has_base(Path(model)):
        raise ConfigError(
            f"base {base}: {model} is no adapter and no trained run, it has no base of its own",
            remedy="Leave out --base, or name the base alone.",
        )


# --- inside ---


def _revision_of(run: Run) -> str | None:
    revision: str | None = run.info.get("model", {}).get("revision")
    return revision


def _load_base(run: Run, settings: SubjectSettings) -> "LanguageModel":
    """The model on which the steering of a run was fitted, at its revision of that time."""
    named = settings.base or base_of_run(run)
    changes = {"model": named, "base": None, "revision": settings.revision or _revision_of(run)}
    lm = load_named(settings.model_copy(update=changes))
    check_base(lm.id, run.path, run.info.get("base_model_id"))
    return lm
