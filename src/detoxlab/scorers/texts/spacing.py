"""Words whose letters stand apart: "f o o l", "f.o.o.l", "F-O-O-L"."""

import functools
import re

from detoxlab.scorers.texts.words import LONGEST, word_list

RUDE_ALONE, RUDE_AMONG = 0.7, 0.6
SHORTEST_AMONG = 4
# Costs of a piece, in bits: a word costs less the more frequent it is.
MOST_BITS, ODD_LETTER = 20.0, 20.0
ONE_LETTER_WORDS = {"a": 4.0, "i": 4.0}

_SPACED = re.compile(
    r"(?<![A-Za-z0-9@.])[A-Za-z](?P<gap>[.\-_*~+|/·•]|\. | [.\-*·•] | {1,3})[A-Za-z]"
    r"(?:(?P=gap)[A-Za-z])+(?![A-Za-z0-9@])"
)


def joined(text: str) -> str:
    """The text with letters that stand apart joined to words, where one of them is a rude word.

    >>> joined("You f o o l! J. R. R. Tolkien, U.S.A., a b c d")
    'You fool! J. R. R. Tolkien, U.S.A., a b c d'
    """
    return _SPACED.sub(lambda found: _words(found[0], found["gap"]), text)


def _words(spaced: str, gap: str) -> str:
    letters = spaced[:: 1 + len(gap)]
    words = segments(letters.lower())
    if not any(_is_rude(word, alone=len(words) == 1) for word in words):
        return spaced
    end, pieces = 0, []
    for word in words:
        pieces.append(letters[end : end + len(word)])
        end += len(word)
    return " ".join(pieces)


def _is_rude(word: str, *, alone: bool) -> bool:
    known = word_list().find(word)
    if known is None:
        return False
    if len(word) >= SHORTEST_AMONG:
        return known.rudeness >= RUDE_AMONG
    return alone and known.rudeness >= RUDE_ALONE


@functools.lru_cache(maxsize=65_536)
def segments(letters: str) -> tuple[str, ...]:
    """The likeliest words in a row of letters, by the frequencies of the words.

    >>> segments("youareafool")
    ('you', 'are', 'a', 'fool')
    """
    best: list[tuple[float, tuple[str, ...]]] = [(0.0, ())]
    for end in range(1, len(letters) + 1):
        ways = []
        for start in range(max(0, end - LONGEST), end):
            cost, before = best[start]
            piece = letters[start:end]
            ways.append((cost + _cost(piece), (*before, piece)))
        best.append(min(ways))
    return best[-1][1]


def _cost(piece: str) -> float:
    if len(piece) == 1:
        return ONE_LETTER_WORDS.get(piece, ODD_LETTER)
    known = word_list().find(piece)
    return MOST_BITS - known.bits if known else ODD_LETTER * len(piece)
