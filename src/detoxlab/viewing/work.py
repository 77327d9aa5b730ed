"""Long work of the page in a process of its own: guards of all responses, a whole comparison.

    python -m detoxlab.viewing.work OUT guards ROOT RUN
    python -m detoxlab.viewing.work OUT comparison ROOT BASELINE TREATED

ROOT is the folder that is shown, the others are keys of runs in it. It prints the share that is
done, line by line, and writes the result to OUT in one step. It ends with code 1 and a cause on the
standard error where it cannot.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from detoxlab.comparisons import compare
from detoxlab.errors import DetoxlabError
from detoxlab.records import Responses, to_json
from detoxlab.runs import Run
from detoxlab.viewing.folders import Place
from detoxlab.viewing.rows.index import build_index
from detoxlab.viewing.rows.texts import read_guard_values

NICE = 10  # the page comes first


def main(arguments: list[str]) -> int:
    """Do the work that the arguments name; returns the exit code."""
    out, kind, root, *keys = arguments
    places = [Place(Path(root), key) for key in keys]
    os.nice(NICE)
    try:
        KINDS[kind](Path(out), *places)
    except (DetoxlabError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)  # noqa: T201
        return 1
    return 0


def write_guards(out: Path, place: Place) -> None:
    """Write the guards' values of all responses (R, G)."""
    index, parts = build_index(place), []
    done = 0
    for part_RG in read_guard_values(place, index):
        parts.append(part_RG.astype(np.float32))
        done += len(part_RG)
        print(done / len(index), flush=True)  # noqa: T201
    draft = _draft(out)
    with draft.open("wb") as handle:
        np.savez(handle, values_RG=np.concatenate(parts) if parts else np.zeros((0, 0)))
    draft.replace(out)


def write_comparison(out: Path, baseline: Place, treated: Place) -> None:
    """Write the comparison of two runs as JSON."""
    found = compare(_responses(baseline), _responses(treated))
    draft = _draft(out)
    draft.write_text(json.dumps(to_json(found), allow_nan=False), encoding="utf-8")
    draft.replace(out)


KINDS: dict[str, Callable[..., None]] = {"guards": write_guards, "comparison": write_comparison}


def _responses(place: Place) -> Responses:
    return replace(Run(place.path).responses(), name=place.label)


def _draft(out: Path) -> Path:
    return out.with_name(f".{out.name}.{os.getpid()}.tmp")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
