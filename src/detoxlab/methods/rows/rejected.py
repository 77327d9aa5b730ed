"""The items that a training left out: `rejected.jsonl`, one line per item with the reason."""

import json
from collections.abc import Sequence

from detoxlab import processes
from detoxlab.progress import say
from detoxlab.runs import Run

REJECTED = "rejected.jsonl"


def write_rejected(run: Run, rejected: Sequence[tuple[str, str]], kind: str) -> None:
    """Write (id, reason) of every item that was left out, and their number on stderr.

    `kind` names the items, in the plural. Without any, no file is written.
    """
    if not rejected:
        return
    path = run.path / REJECTED
    lines = [json.dumps({"id": name, "reason": why}) + "\n" for name, why in rejected]
    if processes.is_main():
        path.write_text("".join(lines), encoding="utf-8")
    say(f"{len(rejected)} {kind} left out: see {path}")
