"""How a run names folders on this machine, so that they are found again from anywhere.

A folder in the same tree is named relative to the run, and both may move together; any other
as it was given. What is no folder here (a hub id, a name such as "embedded") stays as it is.
"""

import os
from pathlib import Path

EMBEDDED = "embedded"  # the name of the model in the package, whatever lies in the working folder


def stored(ref: str, folder: Path) -> str:
    """What a file in `folder` calls the path `ref`; `located` gives the path back.

    >>> stored("org/model", Path("runs/ft")), stored(EMBEDDED, Path("runs/ft"))
    ('org/model', 'embedded')
    """
    if ref == EMBEDDED or not Path(ref).exists():
        return ref
    path, here = Path(ref).resolve(), folder.resolve()
    if os.path.isabs(ref) and os.path.commonpath((path, here)) == path.anchor:  # noqa: PTH117
        return ref
    return os.path.relpath(path, here)


def located(ref: str, folder: Path) -> str:
    """The path from here to what a file in `folder` calls `ref`; `ref` itself if nothing is there.

    >>> located("org/model", Path("runs/ft"))
    'org/model'
    """
    there = folder / Path(ref)
    if ref == EMBEDDED or not there.exists():
        return ref
    return str(there) if Path(ref).is_absolute() else os.path.relpath(there.resolve())


def absolute(ref: str) -> str:
    """The whole path of a folder that is there, for tools that know no other; else `ref`.

    >>> absolute("org/model")
    'org/model'
    """
    path = Path(ref)
    return ref if ref == EMBEDDED or not path.exists() else str(path.resolve())
