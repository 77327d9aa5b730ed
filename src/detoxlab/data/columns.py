"""Names of columns in errors: the nearest, all of them, and the option that names one."""

import difflib
import shlex
from collections.abc import Sequence

MAX_NAME = 40
MAX_NAMES = 30
LEAST, ALIKE = 3, 0.6  # letters of a name that another holds; likeness of two names


def known_columns(column: str, known: Sequence[str], *, option: str = "", guess: str = "") -> str:
    """The remedy for a missing column: the nearest name, the option to type, and all names.

    `option` is the start of the option that names the column, and `guess` the column that it is
    when no name is near. A long name is not shown: in a file without a header it is data.

    >>> known_columns("text", ["Said (raw)"], option="--column text=", guess="Said (raw)")
    "Type --column text='Said (raw)'. Columns: Said (raw)."
    """
    near = nearest(column, known)
    typed = near or (guess if len(guess) <= MAX_NAME else "")
    said = [f"Did you mean {near!r}?"] if near else []
    if option and typed:
        said.append(f"Type {option}{shlex.quote(typed)}.")
    shown = [n if len(n) <= MAX_NAME else f"({len(n)} characters)" for n in known[:MAX_NAMES]]
    more = f" and {len(known) - MAX_NAMES} more" if len(known) > MAX_NAMES else ""
    said.append(f"Columns: {', '.join(shown)}{more}.")
    if any(len(name) > MAX_NAME for name in known):
        said.append("Is the header missing?")
    return " ".join(said)


def nearest(column: str, known: Sequence[str]) -> str:
    """The known name that is most like `column`, whatever its case; empty for none.

    A name that holds the whole of `column` comes before others.

    >>> nearest("prompt", ["Prompt", "reply"]), nearest("said", ["id", "Said (raw)"])
    ('Prompt', 'Said (raw)')
    >>> nearest("text", ["n"])
    ''
    """
    names = {name.lower(): name for name in known if len(name) <= MAX_NAME}
    wanted = column.lower()
    holding = [low for low in names if wanted in low and len(wanted) >= LEAST]
    found = difflib.get_close_matches(wanted, holding or names, n=1, cutoff=0 if holding else ALIKE)
    return names[found[0]] if found else ""
