"""The keys that docs/json.md gives the documents of `--json`."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/json.md"
ROW = re.compile(r"^\| (?P<commands>[^|]*) \| (?P<keys>[^|]*) \|$", re.MULTILINE)


def documented() -> dict[str, set[str]]:
    """The keys of each command's document, brackets left out."""
    return {
        command: set(re.findall("`([a-z_]+)`", re.sub(r"\([^)]*\)", "", row["keys"])))
        for row in ROW.finditer(PAGE.read_text())
        for command in re.findall("`([a-z ]+)`", row["commands"])
    }
