"""The commands that make the runs of a report again, for readers to copy."""

import itertools
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from detoxlab.comparisons import Limits
from detoxlab.provenance import last_part
from detoxlab.reports.parts import Section
from detoxlab.reports.safety import one_line
from detoxlab.reports.study import Measured, Study, Trained

CONSOLE = ("detoxlab", "__main__.py")
SET_BY_OTHERS = ("model", "sampling.seed")  # the first argument, and the seed of the whole run
WHOLE = ("run", "demo")  # commands that write the report too
NOTE = (
    "In a new folder, one after another; a run of Python's `measure` stands as the command with "
    "its settings. Absolute paths are reduced to their last part."
)


def reproduce(study: Study) -> Section:
    """The commands of trainings and measurements in the order of their start, and the report's.

    A run that was made otherwise, and that no command makes, is named in a comment.
    """
    every: Sequence[Measured | Trained] = [*study.trained, *study.measured]
    runs = sorted(every, key=lambda run: str(run.info.get("started") or ""))
    made = dict.fromkeys(_command(run.name, run.info, run.config) for run in runs)
    lines = [*_versions(study), *made]
    if not any(line.startswith(tuple(f"detoxlab {name}" for name in WHOLE)) for line in made):
        lines.append(_report(study))
    commands = tuple(map(one_line, lines))
    return Section(
        "reproduce", "Reproduce", note=NOTE, commands=commands, data={"reproduce": commands}
    )


# --- inside ---


def _versions(study: Study) -> list[str]:
    """A comment with the versions that made the baseline."""
    info = study.baseline.info
    packages = info.get("packages")
    known = {"detoxlab": info.get("code_version")}
    known |= packages if isinstance(packages, Mapping) else {}
    named = [f"{name} {known[name]}" for name in ("detoxlab", "torch") if known.get(name)]
    return [f"# {', '.join(named)}"] if named else []


def _command(name: str, info: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    given = [str(one) for one in info.get("command") or ()]
    if len(given) > 1 and given[0] in CONSOLE:
        return shlex.join(["detoxlab", *(one for one in given[1:] if one != "--resume")])
    if info.get("kind") == "measure" and "prompts" in config:
        model, *settings = _settings(config)
        out = ["--out", _place(name, info)]
        return shlex.join(["detoxlab", "measure", model, *settings, *out])
    return f"# {name}: made by {given[0] if given else 'another program'}, which no command repeats"


def _settings(config: Mapping[str, Any]) -> Iterator[str]:
    """The model, then every setting that is not empty as an option."""
    yield last_part(str(config.get("model")))
    for key, value in _leaves(config):
        if key not in SET_BY_OTHERS:
            yield from ("--set", f"{key}={_written(value)}")


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{prefix}.{key}" if prefix else str(key))
    elif value not in (None, [], ""):
        yield prefix, value


def _written(value: Any) -> str:
    """The value as YAML on one line, plain where that reads back as the same."""
    if isinstance(value, str):
        text = last_part(value)
        return text if yaml.safe_load(text) == text else json.dumps(text, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def _place(name: str, info: Mapping[str, Any]) -> str:
    """The folder that a command named for its results; the run's own name where it named none."""
    given = [str(one) for one in info.get("command") or ()]
    console = bool(given) and given[0] in CONSOLE
    for flag, value in itertools.pairwise(given):
        if console and flag in ("--out", "--output", "-o"):
            return value
    return name


def _report(study: Study) -> str:
    """The report's own command, with limits that are not the usual ones."""
    places = [_place(run.name, run.info) for run in study.measured]
    usual = Limits().model_dump()
    limits = study.comparisons[0].limits if study.comparisons else {}
    changed = [(name, value) for name, value in limits.items() if usual.get(name, value) != value]
    options = [part for name, value in changed for part in ("--set", f"{name}={_written(value)}")]
    return shlex.join(["detoxlab", "report", *places, *options, "--out", "report.html"])
