"""The text of a comment as it is scored, and its sentences with offsets as Google counts them."""

import re
from collections.abc import Sequence
from html import unescape
from itertools import accumulate

from detoxlab.scorers.texts.sentences import Piece, sentences

MOST_SPANS = 256
_BLOCKS = (
    "address article aside blockquote br dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5 "
    "h6 header hr li main nav ol p pre section table td th tr ul"
)


_BREAKING = frozenset(_BLOCKS.split())
# Possessive, and with constructs that do not end, so that it takes linear time.
_MARKUP = re.compile(
    r"""<!--(?:(?!-->).)*+(?:-->|\Z)
    |<(?P<unseen>script|style|template|title)\b[^>]*+(?:>|\Z)(?:(?!</(?P=unseen)\b).)*+
    |</?(?P<tag>[a-z][^\s/>]*+)(?:[^>"']|"[^"]*+"|'[^']*+'|["'].*+\Z)*+(?:>|\Z)
    |<[!?/][^>]*+(?:>|\Z)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


def text_of_html(html: str) -> str:
    """The text that a reader of the HTML sees: without tags, comments, scripts and styles.

    Blocks begin lines of their own, and other white space is one blank.

    >>> text_of_html("<p>You &amp; <b>me</b></p><script>1</script>\\n <p>Yes<br>no")
    'You & me\\nYes\\nno'
    """
    marked = _MARKUP.sub(_line_or_nothing, html.replace("\f", " "))
    lines = (" ".join(unescape(line).split()) for line in marked.split("\f"))
    return "\n".join(line for line in lines if line)


def _line_or_nothing(found: re.Match[str]) -> str:
    return "\f" if (found["tag"] or "").lower() in _BREAKING else ""


def spans_of(text: str, most: int = MOST_SPANS) -> list[Piece]:
    """The sentences of a text in order; of a text with more than `most`, neighbours are joined.

    >>> spans_of("It rains. You fool!")
    [Piece(start=0, end=9), Piece(start=10, end=19)]
    >>> spans_of("a. b. c. d. e.", most=2)
    [Piece(start=0, end=8), Piece(start=9, end=14)]
    """
    pieces = sentences(text)
    if len(pieces) <= most:
        return pieces
    size = -(-len(pieces) // most)
    groups = [pieces[at : at + size] for at in range(0, len(pieces), size)]
    return [Piece(group[0].start, group[-1].end) for group in groups]


def in_utf16(text: str, pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces of a text with their offsets in UTF-16 code units.

    >>> in_utf16("\\U0001f600 a. b.", [Piece(0, 4), Piece(5, 7)])
    [Piece(start=0, end=5), Piece(start=6, end=8)]
    """
    if text.isascii() or max(text) < "\U00010000":
        return list(pieces)
    units = [0, *accumulate(1 + (letter >= "\U00010000") for letter in text)]
    return [Piece(units[start], units[end]) for start, end in pieces]
