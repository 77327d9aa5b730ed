"""The language of a text, from its words and the letters in them.

The embedded table (`assets/languages`) has for each of 66 languages its commonest words with
their frequencies, and how likely each letter is after the two before it. A word w has in a
language the probability .7 x frequency(w) + .3 x product of its letters' probabilities. Each
different word counts once, and its log-probability lies at most `CAP` nats below that in the
language that suits it best: any word may be a name or misspelt. Languages are compared by the
sums, among those in the script of the text. Hindi, Russian and Greek are also known in Latin
letters ("hi-Latn").
"""

import functools
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detoxlab.errors import MissingFileError
from detoxlab.measures.writing.script import SCRIPT_LANGUAGE, UNKNOWN, main_script

DETECTOR = "languages@2"  # of the measures of languages: raise it whenever an answer may change
Writing = tuple[str, str]
FloatArray = npt.NDArray[np.float64]

FILE = Path(__file__).parents[2] / "assets" / "languages" / "languages.npz"
# Of the languages in the table; all others are in Latin script.
SCRIPTS = {
    "cyrillic": ("ru", "uk", "bg", "mk", "sr", "be", "kk", "ky", "tg", "tt", "mn", "os"),
    "arabic": ("ar", "fa", "ur"),
    "devanagari": ("hi", "mr", "ne"),
}
CAP = 4.0
LISTED = 0.7
CLEAR = 4.0  # nats by which a language is ahead of the next, where it is told
# Nats by which another language must be ahead, before a text of at least four words is in none
# of some; and of fewer words, which may be slang or names alone.
DOUBT, DOUBT_OF_FEW = 1.5, 3.0
SURE = 8.0  # the same for scorers of English, which lose no English text by it
MOST_WORDS = 100
LONGEST_WORD = 24
TRIGRAM_BITS = 14
TRIGRAM_STEP, WORD_STEP = 28, 16  # quantised steps per nat
_START, _END = "\x02", "\x03"
_MIX = tuple(np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))

# Letters, with the combining marks that Devanagari, Arabic and decomposed accents are written in.
_LETTERS = r"(?:[^\W\d_]|[\u0300-\u036f\u064b-\u0652\u0900-\u0903\u093a-\u094f])+"
_WORD = re.compile(rf"{_LETTERS}(?:'{_LETTERS})*")
_NO_WORDS = re.compile(
    r"https?:\S+|www\.\S+|@\w+|&\w+;|</?\w+>|\w*\d\w*|\w+[*$#]+\w*|\w*(\w)\1\1\w*"
)
# Words in Latin script with other letters are spelt with look-alikes.
_LATIN_WORD = re.compile(r"[a-z'\u00df-\u024f\u0300-\u036f\u1e00-\u1eff]+")
# Words that English texts are full of and texts in other languages hold only as quotations.
_ENGLISH_WORDS = (
    "the and you that it's with this are not they but his from what your it who if don't i'm "
    "because she their how when would been about people which were has my we there get of have "
    "out like think could should know being your than our these those them where why he does "
    "didn't can't isn't doesn't that's you're they're never always every even much other another"
)
_ENGLISH = frozenset(_ENGLISH_WORDS.split())


class Evidence(NamedTuple):
    """How well languages explain a text: the nats (L,) of its words, and how many are listed."""

    codes: tuple[str, ...]
    nats_L: FloatArray
    listed_L: npt.NDArray[np.int64]


@functools.lru_cache(maxsize=64)
def language(text: str) -> str:
    """The language of the text (ISO 639-1, or such as "hi-Latn"); `UNKNOWN` if it is not clear.

    A script that mainly one language uses decides by itself. Else the language must be `CLEAR`
    nats ahead of all others in the script, and have two of the words in its list.

    >>> language("It was the best of times"), language("Das ist nicht mein Haus")
    ('en', 'de')
    >>> language("tum log bahut bure ho"), language("Hello"), language("한국어")
    ('hi-Latn', 'unknown', 'ko')
    """
    code = _language_of_script(text)
    if code:
        return code
    found = evidence(text)
    if found is None:
        return UNKNOWN
    best = int(found.nats_L.argmax())
    ahead = found.nats_L[best] - np.delete(found.nats_L, best).max()
    return found.codes[best] if ahead >= CLEAR and found.listed_L[best] >= 2 else UNKNOWN


def is_among(text: str, languages: tuple[str, ...]) -> bool:
    """Whether a text is in one of the languages (ISO 639-1), or may be.

    It is not if it is in a script of none of them, or if another language explains it better
    than they all do, by more than `DOUBT` nats. A text without words is in all.

    >>> is_among("Das ist nicht mein Haus", ("en", "de")), is_among("Das ist nicht", ("en", "ru"))
    (True, False)
    >>> is_among("Hello", ("en", "ru")), is_among("Привет", ("en", "ru")), is_among("42", ("ru",))
    (True, True, True)
    >>> is_among("Hello", ("ru",))
    False
    """
    script = main_script(text)
    code = _language_of_script(text)
    if code or script == UNKNOWN:
        return code in languages if code else True
    if not set(languages) & set(_table().in_script(script)[0]):
        return False
    found = evidence(text)
    doubt = DOUBT if len(distinct_words(text)) >= 4 else DOUBT_OF_FEW
    return found is None or _lead_of_others(found, languages)[0] <= doubt


def is_surely_not_english(text: str) -> bool:
    """Whether another language explains a text in Latin script better, beyond doubt.

    It is `SURE` nats ahead of English and has two of the words in its list. Names, misspelt and
    short texts stay, and so do those of which two and one in eight words are English's commonest.

    >>> is_surely_not_english("Das ist nicht mein Haus"), is_surely_not_english("Dshnt mttr")
    (True, False)
    """
    if is_plainly_english(text):
        return False
    if main_script(text) != "latin":
        return False
    # Marks on letters are a trick of spelling, too: English must look foreign without them.
    return all(map(_is_ahead_of_english, dict.fromkeys((text, _without_marks(text)))))


def is_plainly_english(text: str) -> bool:
    """Whether two and one in eight of its words are English's commonest; a matter of microseconds.

    >>> is_plainly_english("I think that you are right"), is_plainly_english("Dshnt mttr")
    (True, False)
    """
    words = set(text.lower().replace("’", "'").split())
    return 8 * len(words & _ENGLISH) >= max(len(words), 16)


def detect_language(text: str) -> str:
    """As `language`, but plain English is told at once, ten times as fast.

    >>> detect_language("I think that you are right"), detect_language("Das ist nicht mein Haus")
    ('en', 'de')
    """
    return "en" if is_plainly_english(text) else language(text)


def writings(texts: Sequence[str]) -> list[Writing]:
    """Script and language of each text of a collection.

    A text too short to tell gets the language of the others in its script, if nine in ten of
    the texts with a known language share it.

    >>> writings(["It was the best of times", "Hello", "Привет"])
    [('latin', 'en'), ('latin', 'en'), ('cyrillic', 'unknown')]
    """
    read = {text: (main_script(text), language(text)) for text in dict.fromkeys(texts)}
    found = [read[text] for text in texts]
    usual = {}
    for script in {script for script, _ in found}:
        codes = Counter(code for one, code in found if one == script and code != UNKNOWN)
        for code, count in codes.most_common(1):
            usual[script] = code if count >= 0.9 * codes.total() else UNKNOWN
    return [
        (script, usual.get(script, UNKNOWN) if code == UNKNOWN else code) for script, code in found
    ]


@functools.lru_cache(maxsize=64)
def evidence(text: str) -> Evidence | None:
    """How well each language in the script of the text explains it; None without words.

    It reads the first 100 different words. Links, names that begin with @, tags, whatever holds a
    digit, a mask or a stretched letter, and Latin words with letters of other scripts are no words.
    """
    script, table = main_script(text), _table()
    words = distinct_words(text)
    if script == "latin":
        words = [word for word in words if _LATIN_WORD.fullmatch(word)]
    codes, columns_L = table.in_script(script)
    if not words or not codes:
        return None
    listed_WL = table.frequencies(words)[:, columns_L]
    spelled_WL = np.exp(table.spellings(words)[:, columns_L])
    nats_WL = np.log(LISTED * listed_WL + (1 - LISTED) * spelled_WL)
    capped_WL = np.maximum(nats_WL, nats_WL.max(axis=1, keepdims=True) - CAP)
    return Evidence(codes, capped_WL.sum(axis=0), (listed_WL > 0).sum(axis=0))


def distinct_words(text: str) -> list[str]:
    """The different words of a text in lower case: at most 100, of 2 to 24 letters.

    >>> distinct_words("No, nooooo! See www.example.org, b4 the the end")
    ['no', 'see', 'the', 'end']
    """
    plain = unicodedata.normalize("NFKC", _NO_WORDS.sub(" ", text)).lower().replace("’", "'")
    found = dict.fromkeys(_WORD.findall(plain))
    return [word for word in found if 2 <= len(word) <= LONGEST_WORD][:MOST_WORDS]


def letter_codes(words: Iterable[str]) -> npt.NDArray[np.uint64]:
    """The letters of words one after another, each word with two marks before and one after it."""
    joined = "".join(f"{_START}{_START}{word}{_END}" for word in words)
    codes = np.frombuffer(joined.encode("utf-32-le", errors="replace"), dtype=np.uint32)
    return codes.astype(np.uint64)


def trigram_buckets(codes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The bucket of every three letters in turn, with those that end in a mark of a start."""
    mixed = codes[:-2] * _MIX[0] + codes[1:-1] * _MIX[1] + codes[2:] * _MIX[2]
    mixed = (mixed ^ (mixed >> np.uint64(31))) * _MIX[0]
    buckets: npt.NDArray[np.int64] = (mixed >> np.uint64(64 - TRIGRAM_BITS)).astype(np.int64)
    return buckets


def word_hash(word: str) -> int:
    """The hash under which a word is listed, of 32 bits."""
    return zlib.crc32(word.encode(errors="replace"))


class Table:
    """The embedded languages L with their listed words and the trigrams of their letters.

    `hashes_U` increase; the entries of word u are `starts_U[u]` to `starts_U[u + 1]` of `owners_E`
    (languages) and `bits_E` (-ln frequency in steps). `trigrams_VL` are -ln p in steps.
    """

    def __init__(
        self,
        codes: Sequence[str],
        hashes_U: npt.NDArray[np.uint32],
        starts_U: npt.NDArray[np.int64],
        owners_E: npt.NDArray[np.uint8],
        bits_E: npt.NDArray[np.uint8],
        trigrams_VL: npt.NDArray[np.uint8],
    ) -> None:
        self.codes = tuple(codes)
        self._hashes_U, self._starts_U, self._owners_E = hashes_U, starts_U, owners_E
        self._frequencies_E = np.exp(-bits_E.astype(np.float64) / WORD_STEP)
        self._trigrams_VL = trigrams_VL
        others = {code for codes in SCRIPTS.values() for code in codes}
        by_script = {"latin": tuple(code for code in self.codes if code not in others)}
        for script, codes_of_it in SCRIPTS.items():
            by_script[script] = tuple(code for code in self.codes if code in codes_of_it)
        self._in_script = {
            script: (of_it, np.flatnonzero(np.isin(self.codes, of_it)))
            for script, of_it in by_script.items()
        }

    def in_script(self, script: str) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
        """The languages in a script, and their columns in the table; none of an unknown one."""
        return self._in_script.get(script, ((), np.array([], dtype=np.int64)))

    def frequencies(self, words: Sequence[str]) -> FloatArray:
        """(W, L) frequencies of words, 0 where the list lacks one."""
        found_WL = np.zeros((len(words), len(self.codes)))
        hashes_W = np.array([word_hash(word) for word in words], dtype=np.uint32)
        places_W = np.minimum(np.searchsorted(self._hashes_U, hashes_W), len(self._hashes_U) - 1)
        rows_H = np.flatnonzero(self._hashes_U[places_W] == hashes_W)
        first_H = self._starts_U[places_W[rows_H]]
        counts_H = self._starts_U[places_W[rows_H] + 1] - first_H
        before_H = np.cumsum(counts_H) - counts_H
        entries_E = np.repeat(first_H - before_H, counts_H) + np.arange(counts_H.sum())
        rows_E = np.repeat(rows_H, counts_H)
        found_WL[rows_E, self._owners_E[entries_E]] = self._frequencies_E[entries_E]
        return found_WL

    def spellings(self, words: Sequence[str]) -> FloatArray:
        """(W, L) log-probabilities of words by their letters, in nats."""
        codes = letter_codes(words)
        real_M = codes[2:] != ord(_START)
        steps_ML = self._trigrams_VL[trigram_buckets(codes)[real_M]]
        starts_W = np.cumsum([0] + [len(word) + 1 for word in words[:-1]])
        sums_WL = np.add.reduceat(steps_ML, starts_W, axis=0, dtype=np.int64)
        return sums_WL / -TRIGRAM_STEP


@functools.cache
def _table() -> Table:
    if not FILE.is_file():
        raise MissingFileError(
            f"{FILE.name}, the table of languages, is not installed",
            remedy="Install detoxlab again, or build it with scripts/language_table.py.",
        )
    with np.load(FILE, allow_pickle=False) as stored:
        return Table(
            [str(code) for code in stored["codes"]],
            stored["hashes"],
            np.concatenate([[0], np.cumsum(stored["counts"], dtype=np.int64)]),
            stored["owners"],
            stored["bits"],
            stored["trigrams"],
        )


def _language_of_script(text: str) -> str:
    """The language that the script of a text tells, "" where it tells none."""
    script = main_script(text)
    return _east_asian(text) if script == "east asian" else SCRIPT_LANGUAGE.get(script, "")


def _east_asian(text: str) -> str:
    names = [unicodedata.name(letter, "").split(" ")[0] for letter in text]
    kana = sum(name in ("HIRAGANA", "KATAKANA") for name in names)
    ideographs = sum(name == "CJK" for name in names)
    return "ja" if kana * 10 >= kana + ideographs else "zh"


def _lead_of_others(found: Evidence, languages: tuple[str, ...]) -> tuple[float, int]:
    """The nats by which the best other language is ahead of the best of these, and its place."""
    ours_L = np.array([code in languages for code in found.codes])
    best = int(np.where(ours_L, -np.inf, found.nats_L).argmax())
    return float(found.nats_L[best] - found.nats_L[ours_L].max(initial=-np.inf)), best


def _is_ahead_of_english(text: str) -> bool:
    found = evidence(text)
    if found is None:
        return False
    ahead, best = _lead_of_others(found, ("en",))
    return ahead > SURE and bool(found.listed_L[best] >= 2)


def _without_marks(text: str) -> str:
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
