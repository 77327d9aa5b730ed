"""Texts cut into sentences, and into windows of whole sentences."""

import re
from typing import NamedTuple

_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|\n+")
_NO_END = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|etc|No|Fig|e\.g|i\.e|cf|al)|\b[A-Z])\.$"
)
_LONGEST_NO_END = 6  # characters of it, and one before
_WORD = re.compile(r"\S+")


class Piece(NamedTuple):
    """A part of a text: characters from `start` up to, not including, `end`."""

    start: int
    end: int


def sentences(text: str) -> list[Piece]:
    """The sentences of a text in order, without the white space around them.

    A sentence ends with its stop, or with its line. Every word is in exactly one sentence.

    >>> text = "Dr. No left. Did he? Yes"
    >>> [text[start:end] for start, end in sentences(text)]
    ['Dr. No left.', 'Did he?', 'Yes']
    """
    pieces, start = [], 0
    for stop in _END.finditer(text):
        if not _NO_END.search(text, max(start, stop.end() - _LONGEST_NO_END), stop.end()):
            pieces.append(_stripped(text, start, stop.end()))
            start = stop.end()
    pieces.append(_stripped(text, start, len(text)))
    return [piece for piece in pieces if piece.start < piece.end]


def windows(text: str, words: int) -> list[Piece]:
    """Overlapping windows of at most that many words, cut at sentence ends; together all words.

    A text that is no longer is one window. A window begins with the last sentence of the one
    before, where there is room for it. A longer sentence is cut at every so many words.

    >>> text = "One is here. Two is here. Three is here. Four is here."
    >>> [text[start:end] for start, end in windows(text, 6)]
    ['One is here. Two is here.', 'Two is here. Three is here.', 'Three is here. Four is here.']
    """
    if len(_WORD.findall(text)) <= words:
        return [Piece(0, len(text))]
    pieces = [part for sentence in sentences(text) for part in _parts(text, sentence, words)]
    sizes = [len(_WORD.findall(text, *piece)) for piece in pieces]
    found, first = [], 0
    for last in range(len(pieces)):
        if sum(sizes[first : last + 1]) > words:
            found.append(Piece(pieces[first].start, pieces[last - 1].end))
            overlaps = last - 1 > first and sizes[last - 1] + sizes[last] <= words
            first = last - 1 if overlaps else last
    return [*found, Piece(pieces[first].start, pieces[-1].end)]


def _parts(text: str, sentence: Piece, words: int) -> list[Piece]:
    """A sentence in parts of at most so many words."""
    found = list(_WORD.finditer(text, *sentence))
    groups = [found[at : at + words] for at in range(0, len(found), words)]
    return [Piece(group[0].start(), group[-1].end()) for group in groups]


def _stripped(text: str, start: int, end: int) -> Piece:
    inside = text[start:end]
    left = len(inside) - len(inside.lstrip())
    return Piece(start + left, start + max(left, len(inside.rstrip())))
