"""A score for each sentence of a text."""

import math
from typing import NamedTuple

from detoxlab.errors import UnknownNameError
from detoxlab.scorers.base import Scorer
from detoxlab.scorers.texts.quotations import without_quotations
from detoxlab.scorers.texts.sentences import sentences


class Span(NamedTuple):
    """A sentence, text[start:end], with its score in [0, 1]; None where it has none.

    `own` is the score of the sentence without quotations: the same where it quotes nothing, None
    where nothing else is left. A score far above `own` tells that the rude words are quoted.
    """

    start: int
    end: int
    score: float | None
    own: float | None


def spans(scorer: Scorer, text: str, attribute: str = "toxicity") -> list[Span]:
    """The sentences of a text in order, each with its score; higher is worse.

    Raises `UnknownNameError` when the scorer lacks the attribute.

    >>> from detoxlab.scorers import load_scorer
    >>> text = "It rains. You stupid fool!"
    >>> worst = max(spans(load_scorer("rtp-linear"), text), key=lambda span: span.score)
    >>> text[worst.start : worst.end]
    'You stupid fool!'
    """
    if attribute not in scorer.attributes:
        raise UnknownNameError("attribute", attribute, scorer.attributes)
    pieces = sentences(text)
    column = scorer.attributes.index(attribute)
    own = [without_quotations(text, piece) for piece in pieces]
    scores = scorer([text[start:end] for start, end in pieces] + own)[:, column]
    values = [None if math.isnan(score) else float(score) for score in scores]
    rows = zip(pieces, values[: len(pieces)], values[len(pieces) :], strict=True)
    return [Span(*piece, score, own_score) for piece, score, own_score in rows]
