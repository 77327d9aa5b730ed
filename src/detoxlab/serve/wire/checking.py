"""Bodies held against the messages of the API, with Google's wording for what is wrong."""

import json
import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from detoxlab.serve.wire.refusals import Violation, bad_value, invalid
from detoxlab.serve.wire.schemas import MESSAGES, PACKAGE, Schema

SHOWN = 100  # characters of an unknown name, or of a number, that an answer repeats
MOST_VIOLATIONS = 20
_ENUMS = {"TextEntry": "TextEntry.TextType", "Score": "AttributeScore.ScoreType"}


def checked(body: dict[str, Any], message: str) -> dict[str, Any]:
    """The body with its names in camelCase, and without null.

    Names are taken in snake_case too, as Google takes them. Raises `Refusal` listing what is wrong.

    >>> checked({"span_annotations": True, "comment": None}, "AnalyzeCommentRequest")
    {'spanAnnotations': True}
    >>> checked({"comment": {"txt": ""}}, "AnalyzeCommentRequest")
    Traceback (most recent call last):
    detoxlab.serve.wire.refusals.Refusal: Invalid JSON payload received. Unknown name "txt" at
    'comment': Cannot find field.
    """
    violations: list[Violation] = []
    result: dict[str, Any] = _message(body, message, "", violations)
    if violations:
        raise invalid(violations[:MOST_VIOLATIONS])
    return result


def _message(value: Any, name: str, path: str, violations: list[Violation]) -> Any:
    if not isinstance(value, dict):
        violations.append(_wrong(value, path, f"type.googleapis.com/{PACKAGE}.{name}"))
        return {}
    fields, result = _FIELDS[name], {}
    for key, inner in value.items():
        if (field := fields.get(key)) is None:
            violations.append(_unknown(key, path))
        elif field in result:
            violations.append((path, f"Invalid JSON payload received. {field} is set twice."))
        elif inner is not None:
            place = f"{path}.{_snake(field)}" if path else _snake(field)
            schema = MESSAGES[name]["properties"][field]
            result[field] = _field(inner, schema, place, violations, name)
    return result


def _field(value: Any, schema: Schema, path: str, violations: list[Violation], owner: str) -> Any:
    if "$ref" in schema:
        return _message(value, schema["$ref"], path, violations)
    if "additionalProperties" in schema:
        return _mapping(value, schema, path, violations)
    if schema["type"] == "array":
        return _array(value, schema, path, violations, owner)
    kind, fits = SCALARS[schema.get("format") or schema["type"]]
    if "enum" in schema:
        kind = f"type.googleapis.com/{PACKAGE}.{_ENUMS.get(owner, _ENUMS['Score'])}"
        fits = schema["enum"].__contains__
    if not _is_fit(value, fits):
        violations.append(_wrong(value, path, kind))
    return value


def _mapping(value: Any, schema: Schema, path: str, violations: list[Violation]) -> Any:
    if not isinstance(value, dict):
        violations.append(_wrong(value, path, "TYPE_MESSAGE"))
        return {}
    inner = schema["additionalProperties"]["$ref"]
    return {
        key: _message({} if one is None else one, inner, f"{path}[{at}].value", violations)
        for at, (key, one) in enumerate(value.items())
    }


def _array(value: Any, schema: Schema, path: str, violations: list[Violation], owner: str) -> Any:
    if not isinstance(value, list):
        violations.append(_wrong(value, path, "TYPE_LIST"))
        return []
    return [
        _field(one, schema["items"], f"{path}[{at}]", violations, owner)
        for at, one in enumerate(value)
    ]


def _is_fit(value: Any, fits: Callable[[Any], bool]) -> bool:
    return value.__hash__ is not None and fits(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_int32(value: Any) -> bool:
    return _is_number(value) and value == int(value) and -(2**31) <= value < 2**31


SCALARS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "string": ("TYPE_STRING", lambda value: isinstance(value, str)),
    "boolean": ("TYPE_BOOL", lambda value: isinstance(value, bool)),
    "float": ("TYPE_FLOAT", _is_number),
    "int32": ("TYPE_INT32", _is_int32),
}


def _wrong(value: Any, path: str, kind: str) -> Violation:
    # A text may be a comment: only other values are repeated.
    shown = "" if isinstance(value, str | dict | list) else json.dumps(value)[:SHOWN]
    return bad_value(path, kind, shown)


def _unknown(key: str, path: str) -> Violation:
    at = f" at '{path}'" if path else ""
    named = key[:SHOWN]
    return path, f'Invalid JSON payload received. Unknown name "{named}"{at}: Cannot find field.'


@cache
def _snake(name: str) -> str:
    """A name in camelCase as its owner wrote it.

    >>> _snake("spanAnnotations")
    'span_annotations'
    """
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _names(message: str) -> Iterator[tuple[str, str]]:
    for field in MESSAGES[message]["properties"]:
        yield field, field
        yield _snake(field), field


_FIELDS = {message: dict(_names(message)) for message in MESSAGES}
