"""The options of `measure`, and the options that ask another model on the bench of a run.

A bench is all that two runs must share to be compared: prompts, protocol, sampling, scorers, and
the way in which the model is read.
"""

import datetime
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.fields import FieldOption
from detoxlab.data.where import Conditions
from detoxlab.protocols import condition, get_protocol
from detoxlab.recipe.measuring import MeasureSettings, SamplingSettings
from detoxlab.runs import Run
from detoxlab.settings import parse

MEASURED = {
    "--prompts": "prompts.source",
    "--prompts-path": "prompts.path",
    "--column": "prompts.columns",
    "--where": "prompts.where",
    "--limit": "prompts.limit",
    "--skip-nulls": "prompts.skip_nulls",
    "--protocol": "protocol",
    "--chat": "chat",
    "--k": "sampling.k",
    "--max-new-tokens": "sampling.max_new_tokens",
    "--judge": "judge",
    "--second": "second",
    "--hate": "hate",
    "--scorer": "scorers",
    "--batch-size": "batch_size",
    "--endpoint": "endpoint",
    "--concurrency": "concurrency",
    "--api-key-env": "api_key_env",
    "--best-of": "best_of",
    "--by": "by",
    **arg.STEERED,
    **arg.READ_AS,
    **arg.INTERVALS,
}
OF_THE_MODEL = ("model", "base", "revision", "steer", "strength", "system", "best_of", "by")
"""The settings that make a model what it is; they are no part of the bench."""
UNSAID = {*OF_THE_MODEL, "protocol", "batch_size", "concurrency", "device"}
"""These, and settings that change no result."""


def bench_of(run: Run) -> str:
    """The options of `measure` that ask on the bench of a measured run.

    Runs with equal options can be compared. Raises `ConfigError` for a run of another kind.
    """
    settings = measured_settings(run)
    day = (run.info.get("asked") or {}).get("date")
    return bench_options(settings.model_copy(update={"template_date": day} if day else {}))


def measured_settings(run: Run) -> MeasureSettings:
    """The settings of a measured run, with the sampling as it differs from the protocol's."""
    config = run.config
    known = {name: value for name, value in config.items() if name in MeasureSettings.model_fields}
    usual = get_protocol(str(config.get("protocol"))).sampling
    known["sampling"] = {
        name: value
        for name, value in (config.get("sampling") or {}).items()
        if name in SamplingSettings.model_fields and _listed(getattr(usual, name)) != value
    }
    return parse(MeasureSettings, known, place=str(run.path / "config.yaml"))


def bench_options(settings: MeasureSettings) -> str:
    """The bench of settings as options of `measure`, without those that would change nothing.

    >>> given = {"model": "org/model", "protocol": "xstest", "sampling": {"k": 5, "top_p": 0.8}}
    >>> bench_options(MeasureSettings(**given))
    '--protocol xstest --k 5 --set sampling.top_p=0.8'
    """
    asked, usual = settings.model_dump(), _usual(settings).model_dump()
    if asked["prompts"] != usual["prompts"]:  # then the protocol's own are replaced as a whole
        usual["prompts"] = type(settings.prompts)(source="").model_dump()
    words = ["--protocol", settings.protocol]
    for flag, path in MEASURED.items():
        value, standard = _taken(asked, path), _taken(usual, path)
        if value != standard and path not in UNSAID:
            words += _words(FieldOption(flag, MeasureSettings, path), value)
    for path, value in _changed(asked, usual):
        if path not in UNSAID:
            words += ["--set", f"{path}={_inline(value)}"]
    return shlex.join(words)


# --- inside ---


def _usual(settings: MeasureSettings) -> MeasureSettings:
    """The settings that a command with the protocol alone has."""
    return MeasureSettings(model=settings.model, protocol=settings.protocol)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _taken(content: dict[str, Any], path: str) -> Any:
    """The value at a dotted name, which is taken out of its group."""
    *groups, last = path.split(".")
    for group in groups:
        content = content[group]
    return content.pop(last)


def _words(option: FieldOption, value: Any) -> list[str]:
    """The flag with the value, as often as the value has entries."""
    if value is True:
        return [option.flag]
    if isinstance(value, tuple):
        return [word for one in value for word in (option.flag, str(one))]
    if isinstance(value, Mapping) and not option.holds_settings:
        entries = [f"{name}={_entry(option, one)}" for name, one in value.items()]
        return [word for one in entries for word in (option.flag, one)]
    is_plain = isinstance(value, str | datetime.date)
    return [option.flag, "none" if value is None else str(value) if is_plain else _inline(value)]


def _entry(option: FieldOption, value: Any) -> str:
    if option.value_type == Conditions:
        return condition(value)
    return value if option.value_type == dict[str, str] else _inline(value)


def _inline(value: Any) -> str:
    """A value as YAML on one line.

    >>> _inline("none"), _inline(None), _inline({"bits": 4}), _inline(0.8), _inline("4")
    ('none', 'null', '{bits: 4}', '0.8', "'4'")
    """
    line = yaml.safe_dump([value], default_flow_style=True, width=10**6, sort_keys=False)
    return line.strip()[1:-1]


def _changed(asked: Mapping[str, Any], usual: Mapping[str, Any], at: str = "") -> Iterator[Any]:
    """The dotted names and values of all settings that differ."""
    for name, value in asked.items():
        standard = usual[name]
        if isinstance(value, Mapping) and isinstance(standard, Mapping) and standard:
            yield from _changed(value, standard, f"{at}{name}.")
        elif value != standard:
            yield f"{at}{name}", value
