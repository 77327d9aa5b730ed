"""The versions of other packages whose private parts were checked."""

import importlib.metadata

from packaging.specifiers import SpecifierSet

from detoxlab.errors import DependencyError

BOUNDS = {
    "accelerate": ">=1.15,<2",
    "peft": ">=0.21,<0.22",
    "torch": ">=2.6",
    "transformers": ">=5.23,<5.24",
    "trl": ">=1.16,<1.17",
}
"""By package, the versions with which the canaries pass."""


def check_version(package: str) -> None:
    """Raises `DependencyError` when the installed version was not checked.

    >>> check_version("torch")
    """
    installed = importlib.metadata.version(package)
    if not SpecifierSet(BOUNDS[package]).contains(installed, prereleases=True):
        raise DependencyError(
            f"{package} {installed} is installed; detoxlab uses private parts of it that were "
            f"checked with {package}{BOUNDS[package]}",
            remedy=f"pip install '{package}{BOUNDS[package]}'",
        )
