"""Exports the model of a train run as a folder, with a card that holds its measurements."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detoxlab.comparisons import Limits
from detoxlab.errors import ConfigError
from detoxlab.pipeline.comparing import compare_variants
from detoxlab.pipeline.preflight import check_export
from detoxlab.pipeline.subjects import base_of_run, steered_run
from detoxlab.publish.content import CardContent
from detoxlab.publish.export import (
    DType,
    export_adapter,
    export_folded,
    export_merged,
    export_plain,
)
from detoxlab.runs import Run, is_run
from detoxlab.settings import parse

UNKNOWN_LICENCE = "other"


def export_model(
    path: Path | str,
    output: Path | str,
    *,
    merged: bool = True,
    dtype: DType = "float32",
    original: bool = False,
    base: str | None = None,
    trust_remote_code: bool = False,
    strength: float = 1.0,
    measured: Sequence[Path | str] = (),
    licence: str = UNKNOWN_LICENCE,
    base_model: str | None = None,
    repo: str | None = None,
) -> Path:
    """The model of the train run at `path` as a folder, with a card that holds its measurements.

    `path` may also be a model that is no run, such as a GGUF file: it is written as a plain
    folder (`export_plain`), and of the options only `dtype`, `trust_remote_code` and `licence`
    apply.

    `measured` are run folders, the baseline first and this model last. By default, a train run in a
    recipe's folder uses that recipe's measured runs and limits, unless `strength` makes it another
    model. `licence`, `base_model` and `repo` are those of `CardContent`. For the other options see
    `export_merged`. The steering of a run is folded into the weights
    (`export_folded`).
    """
    check_export(path, output, base)
    if not is_run(path):
        said = {
            "adapter": not merged,
            "original": original,
            "measured": bool(measured),
            "strength": strength != 1,
            "base-model": base_model is not None,
        }
        _check_silent(path, said)
        reading = {"trust_remote_code": trust_remote_code}
        return export_plain(path, output, dtype=dtype, licence=licence, **reading)
    run, steered = Run.open(path), steered_run(path)
    if steered and not merged:
        raise ConfigError(
            f"{path}: made a steering, there is no adapter in it",
            remedy="Export it --merged: folded into the weights.",
        )
    if strength != 1 and not merged:
        raise ConfigError(
            f"{path}: --adapter writes the adapter as it is, not at strength {strength:g}",
            remedy="Export it --merged, or give the strength where it is used.",
        )
    content = card_content(
        run,
        measured=measured,
        scaled=strength != 1,
        licence=licence,
        base_model=base_model,
        repo=repo,
    )
    if not merged:
        return export_adapter(run, output, base=base, content=content)
    weights: dict[str, Any] = {
        "dtype": dtype,
        "original": original,
        "trust_remote_code": trust_remote_code,
        "strength": strength,
    }
    if steered:
        return export_folded(run, output, base=base or base_of_run(run), **weights, content=content)
    return export_merged(run, output, base=base, **weights, content=content)


def card_content(
    run: Run,
    *,
    measured: Sequence[Path | str] = (),
    scaled: bool = False,
    licence: str = UNKNOWN_LICENCE,
    base_model: str | None = None,
    repo: str | None = None,
) -> CardContent:
    """The measurements and the verdict for the card of a train run's model, with its names.

    A model `scaled` to another strength is not the one that a recipe measured.
    """
    beside = [] if scaled else _measured_beside(run)
    runs = [Run.open(one) for one in measured] or beside
    limits = None if measured else _limits_beside(run)
    return CardContent(
        measured={one.name: one.measurements() for one in runs},
        own=_own(runs),
        comparisons=compare_variants(runs[0], runs[1:], limits=limits) if runs else (),
        licence=licence,
        base_model=base_model,
        repo=repo,
    )


def _own(runs: Sequence[Run]) -> str | None:
    """The name of the measured run of the trained model: the last one, which is no base model."""
    if len(runs) > 1 or (runs and "base_id" in runs[0].info.get("model", {})):
        return runs[-1].name
    return None


def _check_silent(path: Path | str, said: Mapping[str, bool]) -> None:
    """Raises `ConfigError` for options of a model that only apply to a run."""
    if names := [name for name, value in said.items() if value]:
        raise ConfigError(
            f"{path}: is no run of train, --{names[0]} does not apply",
            remedy="Give a run of train, or the model alone.",
        )


def _experiment_of(run: Run) -> Path:
    return run.path.resolve().parent.parent


def _limits_beside(run: Run) -> Limits | None:
    """The limits of the recipe that made this run, so that its card gives the report's verdict."""
    experiment = _experiment_of(run)
    if not is_run(experiment):
        return None
    return parse(Limits, Run.open(experiment).config.get("limits") or {}, place=str(experiment))


def _measured_beside(run: Run) -> list[Run]:
    """The baseline and this variant's measured run, if a recipe made them."""
    experiment = _experiment_of(run)
    folders = [experiment / "base", experiment / run.name]
    found = all((folder / "measurements.json").is_file() for folder in folders)
    return [Run.open(folder) for folder in folders] if found else []
