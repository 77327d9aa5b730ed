"""The kinds of evaluation, and their names in settings."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler, PlainSerializer, PlainValidator
from pydantic.json_schema import JsonSchemaValue

from detoxlab.errors import ConfigError
from detoxlab.evaluations.base import Evaluation
from detoxlab.evaluations.benchmark import Benchmark
from detoxlab.evaluations.classification import Classification
from detoxlab.evaluations.groups import GroupToxicity
from detoxlab.evaluations.perplexity import Perplexity
from detoxlab.evaluations.refusal import OverRefusal
from detoxlab.registry import look_up, with_entry_points
from detoxlab.settings import parse

EVALUATIONS: dict[str, type[Evaluation]] = with_entry_points(
    "detoxlab.evaluations",
    {
        "perplexity": Perplexity,
        "classification": Classification,
        "benchmark": Benchmark,
        "refusal": OverRefusal,
        "groups": GroupToxicity,
    },
)


def load_evaluation(settings: Mapping[str, Any], *, place: str = "evaluate") -> Evaluation:
    """The evaluation of the kind that `settings` name, with its other settings.

    Raises `ConfigError` where there is no kind or a setting is wrong, `UnknownNameError` for
    an unknown kind.

    >>> load_evaluation({"kind": "perplexity", "source": "texts.txt"}).kind
    'perplexity'
    """
    if "kind" not in settings:
        raise ConfigError(f"{place}: has no kind", remedy=f"Known: {', '.join(EVALUATIONS)}.")
    kind = look_up("kind of evaluation", str(settings["kind"]), EVALUATIONS)
    return parse(kind, settings, place=place)


def _read(given: Any) -> Evaluation:
    if isinstance(given, Evaluation):
        return given
    if not isinstance(given, Mapping):
        raise ValueError("is no group of keys")
    return load_evaluation(given, place="evaluation")


class _Described:
    """Describes a field in a JSON schema as one of all kinds."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: Any, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        kinds = [handler(kind.__pydantic_core_schema__) for kind in EVALUATIONS.values()]
        return {"oneOf": kinds}


AnyEvaluation = Annotated[
    Evaluation,
    PlainValidator(_read),
    PlainSerializer(lambda one: one.model_dump(mode="json")),
    _Described,
]
"""The field of settings that holds an evaluation of any kind that is registered."""
