"""Other values in the parameters of a model for a while; the two sets change places."""

import contextlib
from collections.abc import Iterator, Mapping, MutableMapping

from torch import Tensor, nn


def swap(parameters: Mapping[str, nn.Parameter], others: MutableMapping[str, Tensor]) -> None:
    """Give the parameters the tensors of the same names in `others`, and the reverse.

    Nothing is copied or rounded: swapped twice, all is as before, bit for bit.

    >>> from torch import tensor
    >>> weight, others = nn.Parameter(tensor([1.0])), {"w": tensor([2.0])}
    >>> swap({"w": weight}, others)
    >>> weight.item(), others["w"].item()
    (2.0, 1.0)
    """
    for name, parameter in parameters.items():
        parameter.data, others[name] = others[name], parameter.data


@contextlib.contextmanager
def swapped(
    parameters: Mapping[str, nn.Parameter], others: MutableMapping[str, Tensor]
) -> Iterator[None]:
    """The values in `others` while the block lasts."""
    swap(parameters, others)
    try:
        yield
    finally:
        swap(parameters, others)
