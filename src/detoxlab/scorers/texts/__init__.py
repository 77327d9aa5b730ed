"""Long and odd text: spelling tricks undone, sentences, windows, quotations.

    normalise("You f o o l")              # "You fool"
    windows(text, 40)                     # pieces of whole sentences, together the whole text
    spans(scorer, text)                   # a score for each sentence
    without_quotations(text)              # the writer's own words

Pure functions of text, but for `spans` and the scorers of `rereading`, which score.
"""

from detoxlab.scorers.texts.normalising import normalise
from detoxlab.scorers.texts.quotations import without_quotations
from detoxlab.scorers.texts.sentences import Piece, sentences, windows
from detoxlab.scorers.texts.spans import Span, spans

__all__ = [
    "Piece",
    "Span",
    "normalise",
    "sentences",
    "spans",
    "windows",
    "without_quotations",
]
