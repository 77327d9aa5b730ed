"""Named activations of a model's layers, found by the table of layouts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from torch import nn

from detoxlab.errors import ConfigError, ModelError
from detoxlab.models.language_model import LanguageModel
from detoxlab.models.layouts.table import LAYOUTS, SITES, Layout, Names


@dataclass(frozen=True)
class Site:
    """One named activation of one layer: the output of `module`, or its input for `heads`."""

    name: str
    layer: int
    module: nn.Module

    @property
    def key(self) -> str:
        """LAYER.NAME, as files of steerings name it."""
        return f"{self.layer}.{self.name}"

    @property
    def is_input(self) -> bool:
        """Whether the activation is what the module reads."""
        return self.name == "heads"


def layout_of(lm: LanguageModel) -> Layout:
    """The model's layout; `ModelError` for an architecture that is not in the table."""
    kind = lm.bare.config.model_type
    if kind not in LAYOUTS:
        raise ModelError(
            f"{lm.id}: the layout of its architecture, {kind}, is not known",
            remedy=f"Known are {', '.join(LAYOUTS)}.",
        )
    return LAYOUTS[kind]


def layers_of(lm: LanguageModel) -> list[nn.Module]:
    """The layers of the model in order; errors of `layout_of`."""
    return list(module_at(lm.bare, layout_of(lm).layers))


def check_sites(names: Sequence[str]) -> None:
    """Raise `ConfigError` at a name that is no site."""
    for name in names:
        if name not in SITES:
            raise ConfigError(
                f"site {name!r} is not known", remedy=f"Sites are {', '.join(SITES)}."
            )


def readers_of(lm: LanguageModel, site: Site) -> list[nn.Module]:
    """The linear layers that read the norm at this site; none where they are not known."""
    layout, layer = layout_of(lm), layers_of(lm)[site.layer]
    names: list[Names] = []
    if part_of(layer, layout.attention_norm) is site.module:
        names += [(f"{layout.attention}.{name}",) for name in layout.reads]
    if part_of(layer, layout.mlp_norm) is site.module:
        names += [layout.up, *([layout.gate] if layout.gate else [])]
    found = [part_of(layer, candidates) for candidates in names]
    return [one for one in found if one is not None] if None not in found else []


def part_of(layer: nn.Module, names: Names) -> nn.Module | None:
    """The first of these parts that a layer has; None where it has none of them."""
    for name in names:
        try:
            found = module_at(layer, name)
        except AttributeError:
            continue
        if found is not None:
            return found  # type: ignore[no-any-return]
    return None


def sites_of(
    lm: LanguageModel, names: Sequence[str], layers: Sequence[int] | None = None
) -> list[Site]:
    """The named sites of these layers (all), in the order of the forward pass.

    A layer from -1 down counts from the end. Where attention and MLP read one norm, it is there
    once, under the name given first in `SITES`. A model whose MLP has no `gate` goes without it
    when `up` is named too.

    Raises `ModelError` for a layout that is not known, a part that the model lacks, and a layer
    that it does not have.
    """
    check_sites(names)
    layout, modules = layout_of(lm), layers_of(lm)
    chosen = range(len(modules)) if layers is None else _numbers(lm, layers, len(modules))
    wanted = [name for name in SITES if name in names]
    if "up" in wanted and not layout.gate and layout.up:
        wanted = [name for name in wanted if name != "gate"]
    return [
        site for layer in chosen for site in _of_layer(lm, layout, modules[layer], layer, wanted)
    ]


def module_at(module: Any, path: str) -> Any:
    """The part of a module at a dotted path; "" is the module itself."""
    return reduce(getattr, path.split("."), module) if path else module


# --- inside ---


def _numbers(lm: LanguageModel, layers: Sequence[int], count: int) -> list[int]:
    for layer in layers:
        if not -count <= layer < count:
            raise ModelError(
                f"{lm.id}: has no layer {layer}", remedy=f"Its layers are 0 to {count - 1}."
            )
    return sorted({layer % count for layer in layers})


def _of_layer(
    lm: LanguageModel, layout: Layout, module: nn.Module, layer: int, wanted: Sequence[str]
) -> Iterator[Site]:
    seen: set[int] = set()
    for name in wanted:
        part = part_of(module, layout.names_of(name))
        if part is None:
            there = [one for one in SITES if part_of(module, layout.names_of(one)) is not None]
            raise ModelError(
                f"{lm.id}: layer {layer} has no {name}", remedy=f"It has {', '.join(there)}."
            )
        if id(part) not in seen:
            seen.add(id(part))
            yield Site(name, layer, part)
