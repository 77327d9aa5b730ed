"""Loads settings from a YAML file, with changes from the command line and the environment."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from detoxlab.errors import ConfigError
from detoxlab.recipe.experiment import Recipe
from detoxlab.recipe.overrides import with_overrides
from detoxlab.registry import look_up
from detoxlab.settings import Settings, parse, read_yaml

S = TypeVar("S", bound=Settings)
SHIPPED = Path(__file__).parents[1] / "assets" / "recipes"


def recipe_file(name: Path | str, folder: Path = SHIPPED) -> Path:
    """The file of a recipe: a path, or the name of one that comes with detoxlab.

    Raises `UnknownNameError` for a bare name that is neither.

    >>> recipe_file("steering").name, str(recipe_file("mine/new.yaml"))
    ('steering.yaml', 'mine/new.yaml')
    """
    path = Path(name)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    return look_up("recipe", str(name), shipped_recipes(folder))


def shipped_recipes(folder: Path = SHIPPED) -> dict[str, Path]:
    """The recipes that come with detoxlab, by name."""
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def load_recipe(path: Path | str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe of this name or in this YAML file, as `load_settings` reads it."""
    return load_settings(Recipe, recipe_file(path), overrides)


def load_bench(
    path: Path | str, rivals: Sequence[str], overrides: Iterable[str] = (), *, own: bool = True
) -> Recipe:
    """A recipe with further variants: models, by folder or hub id, or YAML files with `variants`.

    A model has the name of its last part. Without `own`, the recipe's own variants are left out.

    Raises `ConfigError` where a file holds no `variants`.
    """
    file = recipe_file(path)
    kept = read_yaml(file, noun="recipe").get("variants") if own else None
    further = [variant for rival in rivals for variant in _rival(rival)]
    return load_settings(Recipe, file, overrides, given={"variants": [*(kept or []), *further]})


def _rival(given: str) -> list[Any]:
    if Path(given).suffix not in (".yaml", ".yml"):
        return [{"name": Path(given).name, "model": given}]
    found = read_yaml(Path(given), noun="file of variants").get("variants")
    if not found:
        raise ConfigError(
            f"{given}: has no `variants`",
            remedy="Give a list of variants, as in a recipe, or a model.",
        )
    return list(found)


def load_settings(
    kind: type[S],
    path: Path | str,
    overrides: Iterable[str] = (),
    *,
    given: Mapping[str, Any] | None = None,
) -> S:
    """The settings of type `kind` in a YAML file, with `key.sub=value` overrides applied.

    `given` replaces keys of the file.

    Raises `MissingFileError`, or `ConfigError` naming file, key, value's type and remedy.
    """
    content = {**read_yaml(Path(path), noun="recipe"), **(given or {})}
    settings = expanded(with_overrides(content, overrides), place=str(path))
    return parse(kind, settings, place=str(path))


def expanded(value: Any, *, place: str) -> Any:
    """`value` with every `${NAME}` in its texts replaced by the environment variable.

    Raises `ConfigError` when a variable is not set.
    """
    if isinstance(value, dict):
        return {key: expanded(item, place=place) for key, item in value.items()}
    if isinstance(value, list):
        return [expanded(item, place=place) for item in value]
    if not isinstance(value, str):
        return value
    names = re.findall(r"\$\{(\w+)\}", value)
    for name in names:
        if name not in os.environ:
            raise ConfigError(
                f"{place}: the environment variable {name} is not set",
                remedy="Set it, or replace the value with --set.",
            )
        value = value.replace(f"${{{name}}}", os.environ[name])
    return value
