"""Paths in run folders, written so that they are found again from any working folder.

A folder in the same tree is named relative to the run, so that both may move together; another
path stays as it was given. A hub id or a name such as "embedded" also stays as it is.
"""

import difflib
import os
from pathlib import Path

BENCHES = "also"  # the folder of further benches, in a recipe's folder and beside its report
EMBEDDED = "embedded"  # the name of the model in the package, whatever lies in the working folder


ALIKE = 0.75  # of two names, for one to be offered in place of the other


def neighbour(path: Path | str) -> str:
    """The path beside `path` whose name is most like its own; empty where none is alike.

    >>> neighbour("no-such-folder/file")
    ''
    """
    given = Path(path)
    try:
        names = [one.name for one in given.parent.iterdir() if one.name != given.name]
    except OSError:
        return ""
    near = difflib.get_close_matches(given.name, names, n=1, cutoff=ALIKE)
    return str(given.parent / near[0]) if near else ""


def meant(path: Path | str) -> str:
    """The question whether the neighbour was meant, with a space after it; empty without one."""
    near = neighbour(path)
    return f"Did you mean {near!r}? " if near else ""


def stored(ref: str, folder: Path) -> str:
    """The path `ref` as a file in `folder` names it; `located` gives the path back.

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
    """The path from here of `ref` in a file of `folder`; `ref` itself if nothing is there.

    >>> located("org/model", Path("runs/ft"))
    'org/model'
    """
    there = folder / Path(ref)
    if ref == EMBEDDED or not there.exists():
        return ref
    return str(there) if Path(ref).is_absolute() else os.path.relpath(there.resolve())


def absolute(ref: str) -> str:
    """The absolute path of an existing folder, for tools that need it; else `ref`.

    >>> absolute("org/model")
    'org/model'
    """
    path = Path(ref)
    return ref if ref == EMBEDDED or not path.exists() else str(path.resolve())
