"""Describes the fields of settings for `detoxlab help settings`, from their models alone."""

import datetime
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from detoxlab.records import BOUND_WORDS
from detoxlab.settings import model_in, without_none

WIDTH = 79
NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    datetime.date: "date",
}


@dataclass(frozen=True)
class Described:
    """A field in words: its dotted name, its type, its default and its description."""

    name: str
    takes: str
    default: str
    description: str

    def text(self) -> str:
        """The field on lines of at most `WIDTH` characters."""
        default = f" = {self.default}" if self.default else ""
        head = f"{self.name}{default}  ({self.takes})"
        lines = textwrap.wrap(head, WIDTH, subsequent_indent="        ", break_on_hyphens=False)
        indent = "    "
        lines += textwrap.wrap(
            self.description, WIDTH, initial_indent=indent, subsequent_indent=indent
        )
        return "\n".join(lines)


def describe(
    kind: type[BaseModel], prefix: str = "", known: dict[type[BaseModel], str] | None = None
) -> Iterator[Described]:
    """Every field of settings; the fields of a group follow the group itself.

    A group that occurs twice, or inside itself, is described once; `known` remembers where.
    """
    known = {kind: prefix} if known is None else known
    for name, field in kind.model_fields.items():
        path = f"{prefix}{name}"
        inner = model_in(field.annotation)
        again = inner is not None and inner in known
        takes = f"settings as {known[inner].rstrip('.')}" if inner and again else takes_of(field)
        yield Described(path, takes, default_of(field), field.description or "")
        if inner is not None and not again:
            below = f"{path}.{_entry(field)}"
            known[inner] = below
            yield from describe(inner, below, known)


def takes_of(field: FieldInfo) -> str:
    """The type and range of a field.

    >>> from pydantic import Field
    >>> takes_of(FieldInfo.from_annotated_attribute(int | None, Field(None, ge=1)))
    'whole number, at least 1, or null'
    """
    plain = without_none(field.annotation)
    bounds = [
        f"{words} {value:g}"
        for constraint in field.metadata
        for bound, words in BOUND_WORDS.items()
        if (value := getattr(constraint, bound, None)) is not None
    ]
    optional = ["or null"] if plain != field.annotation else []
    return ", ".join([_type_name(plain), *bounds, *optional])


def default_of(field: FieldInfo) -> str:
    """The default of a field as `--set` takes it; empty for a group, "required" for none.

    >>> from pydantic import Field
    >>> default_of(FieldInfo.from_annotated_attribute(float, Field(0.1)))
    '0.1'
    """
    if field.is_required():
        return "required"
    value = field.default
    if field.default_factory is not None or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | dict) and any(isinstance(one, BaseModel) for one in value):
        return f"{len(value)} entries"
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _type_name(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return " | ".join(str(one) for one in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " | ".join(_type_name(one) for one in get_args(annotation))
    if origin is dict:
        return "mapping"
    if origin is tuple:
        return "list"
    if model_in(annotation):
        return "settings"
    return NAMES.get(annotation, "value")


def _entry(field: FieldInfo) -> str:
    """The next part of the dotted name: an entry's name where a field holds several settings."""
    return "NAME." if get_origin(without_none(field.annotation)) in (dict, tuple) else ""
