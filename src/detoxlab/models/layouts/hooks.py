"""Reads or changes the activations at named sites while a model computes."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from detoxlab.models.layouts.sites import Site

Visit = Callable[[Site, Tensor], Tensor | None]
"""Gets a site and its activation (B, T, D); gives another one in its place, or None."""


@contextlib.contextmanager
def visiting(sites: Sequence[Site], visit: Visit) -> Iterator[None]:
    """Calls `visit` at each site of every forward pass in the block, in the order of the pass.

    Some models go on to change an activation in place: keep a copy, or what is made of it.
    """
    with contextlib.ExitStack() as stack:
        for site in sites:
            handle = hooked(site.module, partial(visit, site), reads=site.is_input)
            stack.callback(handle.remove)
        yield


def hooked(
    module: nn.Module, visit: Callable[[Tensor], Tensor | None], *, reads: bool = False
) -> RemovableHandle:
    """The handle of a hook: `visit` gets what the module hands on, or with `reads` what it reads.

    The first where there are several. A tensor that `visit` returns takes its place.
    """

    def before(_module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        changed = visit(inputs[0])
        return None if changed is None else (changed, *inputs[1:])

    def after(_module: Any, _inputs: Any, output: Any) -> Any:
        is_tuple = isinstance(output, tuple)
        changed = visit(output[0] if is_tuple else output)
        if changed is None:
            return None
        return (changed, *output[1:]) if is_tuple else changed

    if reads:
        return module.register_forward_pre_hook(before)
    return module.register_forward_hook(after)
