"""Settings that know all their keys: the base of every config, and how a wrong one is explained."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict

from detoxlab.errors import ConfigError

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """Frozen settings; an unknown key is an error, and a refused value is never printed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def parse(kind: type[S], content: Mapping[str, Any], *, place: str) -> S:
    """`content` as settings of type `kind`; what is wrong first becomes one `ConfigError`.

    >>> class Sampler(Settings):
    ...     top_p: float = 1.0
    >>> parse(Sampler, {"topp": 0.9}, place="recipe.yaml")
    Traceback (most recent call last):
    detoxlab.errors.ConfigError: recipe.yaml: unknown key 'topp'. Did you mean 'top_p'?
    """
    try:
        return kind.model_validate(content)
    except pydantic.ValidationError as error:
        raise _explained(error, kind, place) from None


def _explained(error: pydantic.ValidationError, kind: type[BaseModel], place: str) -> ConfigError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_at(kind, first["loc"][:-1])
        nearest = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"Did you mean {nearest[0]!r}?" if nearest else f"Known: {', '.join(known)}."
        return ConfigError(f"{place}: unknown key {where!r}", remedy=hint)
    cause = first["msg"].removeprefix("Value error, ")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return ConfigError(f"{place}: {where + ': ' if where else ''}{cause}{more}")


def _keys_at(kind: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The known keys of the settings that stand at `loc` inside `kind`."""
    model: type[BaseModel] = kind
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return sorted(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model), None)
