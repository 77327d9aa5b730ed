"""The facts of a run for the list: its model, state and measured numbers, or what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from detoxlab.comparisons import ATTRIBUTE, THRESHOLD
from detoxlab.errors import DataError, DetoxlabError
from detoxlab.records import Measurement, from_json
from detoxlab.runs import read_json
from detoxlab.runs.run import judged_as
from detoxlab.viewing.folders import Place


@dataclass(frozen=True)
class RunFacts:
    """The facts of one run; texts are empty where they are not known.

    `problem` says why the run cannot be read; the facts that could be read stand beside it.
    """

    kind: str = ""
    status: str = ""
    when: str = ""
    model: str = ""
    method: str = ""
    judge_id: str | None = None
    second_id: str | None = None
    measurements: tuple[Measurement, ...] = ()
    info: Mapping[str, Any] | None = None
    problem: str | None = None

    @property
    def judged(self) -> Measurement | None:
        """The judge's toxic fraction over all prompts."""
        return judged_as(self.measurements, self.judge_id)

    @property
    def attribute(self) -> str:
        """The attribute that the judge is read for."""
        return (self.judged and self.judged.attribute) or ATTRIBUTE

    @property
    def threshold(self) -> float:
        """The score from which a response is toxic."""
        return (self.judged and self.judged.threshold) or THRESHOLD

    @property
    def protocol(self) -> str:
        """The protocol of the measured table."""
        return (self.judged and self.judged.protocol) or ""


def read_facts(place: Place) -> RunFacts:
    """The facts of a run; where a file cannot be read, they say which and why."""
    try:
        info = _object(read_json(place.file("run.json")), "run.json")
    except (DetoxlabError, OSError, RecursionError) as error:
        return RunFacts(problem=cause_of(place, error))
    try:
        measured, problem = _measurements(place), None
    except (DetoxlabError, OSError, RecursionError) as error:
        measured, problem = (), cause_of(place, error)
    return RunFacts(
        kind=_text(info.get("kind")),
        status=_text(info.get("status")),
        when=_text(info.get("finished") or info.get("started")),
        model=_model(info),
        method=_text(info.get("method")),
        judge_id=_text(info.get("judge_id")) or None,
        second_id=_text(info.get("second_id")) or None,
        measurements=measured,
        info=info,
        problem=problem,
    )


def read_settings(place: Place) -> dict[str, Any]:
    """The content of `config.yaml`; `DataError` where it is no mapping."""
    try:
        text = place.file("config.yaml").read_text(encoding="utf-8")
        return _object(yaml.safe_load(text) or {}, "config.yaml")
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise DataError("config.yaml: not valid YAML") from None


def cause_of(place: Place, error: DetoxlabError | OSError | RecursionError) -> str:
    """The cause of an error, with files named from the folder that is shown."""
    if isinstance(error, RecursionError):
        return f"{place.key}: too deeply nested JSON"
    text = error.message if isinstance(error, DetoxlabError) else str(error)
    return text.replace(f"{place.root}/", "")


# --- inside ---


def _measurements(place: Place) -> tuple[Measurement, ...]:
    if not (place.path / "measurements.json").exists():
        return ()
    rows = read_json(place.file("measurements.json"))
    if not isinstance(rows, list):
        raise DataError("measurements.json: not a list")
    return tuple(from_json(Measurement, row) for row in rows)


def _object(content: Any, name: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise DataError(f"{name}: not an object")
    return content


def _model(info: Mapping[str, Any]) -> str:
    """The id of the model that was measured, or of the base that was trained."""
    model = info.get("model")
    named = model.get("id") if isinstance(model, Mapping) else model
    return _text(named or info.get("base_model"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
