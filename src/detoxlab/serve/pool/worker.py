"""A process that scores: texts come in on its standard input, scores go out on its output.

It ends when its input ends, so that it never outlives the server. Signals that end a whole group
of processes are the server's to obey: it answers what it has accepted, and closes the input.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from detoxlab.errors import DetoxlabError
from detoxlab.measures.writing.languages import detect_language
from detoxlab.scorers.base import Scorer, languages_of
from detoxlab.scorers.loading import load_scorer
from detoxlab.serve.pool.messages import (
    Hello,
    Offer,
    Reply,
    Scored,
    Task,
    packed,
    read_from,
    unpacked,
)

UNKNOWN = "unknown"


def main(names: Sequence[str]) -> None:
    """Load the scorers, say which they are, and score until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    incoming, outgoing = _own_streams()
    try:
        scorers = [load_scorer(name, cache=False) for name in names]
    except DetoxlabError as error:
        _send(outgoing, Hello(error=str(error)))
        return
    _send(outgoing, Hello(tuple(offer_of(scorer) for scorer in scorers)))
    while (content := read_from(incoming)) is not None:
        task = unpacked(content, Task)
        _send(outgoing, Reply(score(scorers[task.scorer], task.texts, task.detect)))


def offer_of(scorer: Scorer) -> Offer:
    """The facts of a scorer that the server tells clients."""
    thresholds = dict(getattr(scorer, "thresholds", {}))
    return Offer(scorer.id, scorer.attributes, languages_of(scorer), thresholds)


def score(scorer: Scorer, texts: list[str], detect: Sequence[int] = ()) -> list[Scored]:
    """A row for each text in order; where the scorer fails, texts are tried one by one.

    >>> rows = score(load_scorer("rtp-linear"), ["you fool", " ", "Привет всем"], detect=[0])
    >>> [(row.reason, row.language, row.values[0] is None) for row in rows]
    [('', 'en', False), ('empty', '', True), ('unsupported script', 'ru', True)]
    """
    try:
        scores_NA = scorer(texts)
    # A scorer may be anybody's, and one text must not take those of other clients with it.
    except Exception as error:  # noqa: BLE001
        if len(texts) > 1:
            return [
                row
                for at, text in enumerate(texts)
                for row in score(scorer, [text], [0] if at in detect else [])
            ]
        return [Scored((), f"failed: {type(error).__name__}")]
    wanted = set(detect)
    return [
        _row(scorer, text, values, at in wanted)
        for at, (text, values) in enumerate(zip(texts, scores_NA.tolist(), strict=True))
    ]


def _row(scorer: Scorer, text: str, values: list[float], detect: bool) -> Scored:
    known = tuple(None if np.isnan(value) else value for value in values)
    if None not in known:
        return Scored(known, "", detect_language(text) if detect else "")
    reason = scorer.missing_reason(text) or "failed: no reason"
    # Only what the text is in can explain why it is not read.
    asked = detect or reason.startswith("unsupported")
    return Scored(known, reason, detect_language(text) if asked else "")


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the server; whatever a library prints goes to the error output instead."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return incoming, outgoing


def _send(stream: BinaryIO, message: Hello | Reply) -> None:
    stream.write(packed(message))
    stream.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
