"""A list of English words that holds hashes only, with how rude and how frequent each word is.

It answers two questions: is this a word, and which word fits these letters? No word can be read
off the file; whoever guesses a word can ask for it. `scripts/word_list.py` builds it.
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detoxlab.errors import MissingFileError

FILE = Path(__file__).parents[2] / "assets" / "words" / "words.npz"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
RUDE = 0.6
LONGEST = 20
MOST_SPELLINGS = 500_000
_BASE = 0x9E3779B97F4A7C15
_POWERS = np.array([pow(_BASE, n, 1 << 64) for n in range(LONGEST + 1)], dtype=np.uint64)

HashArray = npt.NDArray[np.uint64]


class Word(NamedTuple):
    """A word of the list; `rudeness` is in [0, 1], `bits` is log2 of the texts that had it."""

    text: str
    rudeness: float
    bits: float


def rank(word: Word) -> tuple[float, float]:
    """The order of likely readings, the likeliest last: by rudeness where rude, then frequency."""
    return (word.rudeness if word.rudeness >= RUDE else 0.0, word.bits)


class WordList:
    """Hashed words; `hashes_W` increase, `rudeness_W` are hundredths, `bits_W` tenths."""

    def __init__(
        self,
        hashes_W: HashArray,
        rudeness_W: npt.NDArray[np.uint8],
        bits_W: npt.NDArray[np.uint8],
    ) -> None:
        self._hashes_W, self._rudeness_W, self._bits_W = hashes_W, rudeness_W, bits_W

    def find(self, text: str) -> Word | None:
        """The word `text`, in lower case; None when the list lacks it."""
        return self.best(text) if set(text) <= set(LETTERS) else None

    def best(self, places: Sequence[str], least: float = 0.0) -> Word | None:
        """The likeliest word that fits, by `rank`, among those of at least that rudeness.

        `places` has the letters that each place may hold, such as ["f", "ou", "ou", "l"].
        None when no word fits, and when half a million spellings would not be enough.
        """
        spellings = math.prod(map(len, places))
        if not 0 < len(places) <= LONGEST or not 0 < spellings <= MOST_SPELLINGS:
            return None
        found_S = self._positions(_hashes(places))
        hits = np.flatnonzero(found_S >= 0).tolist()
        fitting = (self._word(places, hit, found_S[hit]) for hit in hits)
        return max((one for one in fitting if one.rudeness >= least), key=rank, default=None)

    def _word(self, places: Sequence[str], spelling: int, at: int) -> Word:
        chosen = np.unravel_index(spelling, [len(place) for place in places])
        text = "".join(place[i] for place, i in zip(places, chosen, strict=True))
        return Word(text, float(self._rudeness_W[at]) / 100, float(self._bits_W[at]) / 10)

    def _positions(self, hashes_S: HashArray) -> npt.NDArray[np.int64]:
        """The place of each hash in the list; -1 for those that are not there."""
        place_S = np.searchsorted(self._hashes_W, hashes_S).clip(max=len(self._hashes_W) - 1)
        return np.where(self._hashes_W[place_S] == hashes_S, place_S, -1)


def word_hash(word: str) -> int:
    """The 64-bit hash of a word of lower-case letters: a polynomial of its characters.

    >>> word_hash("fool") == word_hash("fool"), word_hash("fool") == word_hash("loof")
    (True, False)
    """
    return int(_hashes(list(word))[0])


@functools.cache
def word_list() -> WordList:
    """The list that comes with detoxlab."""
    if not FILE.is_file():
        raise MissingFileError(
            f"{FILE.name}, the list of words for odd spellings, is not installed",
            remedy="Install detoxlab again, or build it with scripts/word_list.py.",
        )
    with np.load(FILE, allow_pickle=False) as stored:
        return WordList(stored["hashes"], stored["rudeness"], stored["bits"])


def _hashes(places: Sequence[str]) -> HashArray:
    """The hashes of all spellings, the last place changing fastest."""
    hashes = _POWERS[len(places) : len(places) + 1]
    for letters, power in zip(places, _POWERS[: len(places)][::-1], strict=True):
        codes = np.frombuffer(letters.encode(), dtype=np.uint8).astype(np.uint64)
        hashes = np.add.outer(hashes, codes * power).ravel()
    return hashes
