"""Letters written with other characters: look-alikes, styled letters, invisible ones, marks."""

import functools
import unicodedata
from enum import Enum, auto

# Soft hyphen, joiners, directions, variation selectors.
INVISIBLE = frozenset(
    "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufe0e\ufe0f"
)

# Letters of other scripts, and rare Latin ones, in the shape of an English letter.
_LOOK_ALIKES = {
    "a": "аɑαᴀ", "b": "ЬƄʙвβ", "c": "сϲᴄ", "d": "ԁɗᴅ", "e": "еєҽɛεᴇ", "f": "ғƒϝꜰ", "g": "ɡցɢ",
    "h": "һнʜΗ", "i": "іιɩӏɪ", "j": "јϳᴊ", "k": "кκᴋ", "l": "ⅼʟ", "m": "мᴍΜ", "n": "пηոɴΝ",
    "o": "оοσօᴏ", "p": "рρᴘ", "q": "ԛ", "r": "гʀ", "s": "ѕꜱ", "t": "тτᴛ", "u": "υսцᴜ",
    "v": "ѵνᴠ", "w": "ԝшᴡ", "x": "хχⅹ", "y": "уүγʏΥ", "z": "ᴢΖ",
}  # fmt: skip

# Decompositions that change the style of a letter and nothing else.
_STYLES = ("<wide>", "<font>", "<circle>", "<square>")
_FEWEST_ACCENTS = 2


class Oddity(Enum):
    """How the characters of a word are odd; `MIXED` has look-alikes beside English letters."""

    STYLED = auto()
    INVISIBLE = auto()
    MARKS = auto()
    MIXED = auto()
    LOOK_ALIKES = auto()
    ACCENTS = auto()


def plain(word: str) -> str:
    """The word in ASCII as far as its characters have a likely English letter.

    It is one reading of a single word, not for whole texts: it would take Greek for English.

    >>> plain("ｆｏｏｌ"), plain("f\\u043e\\u200bol"), plain("f\\u0336o\\u0336o\\u0336l")
    ('fool', 'fool', 'fool')
    """
    return word if word.isascii() else "".join(map(_plain, word))


def oddities(word: str) -> set[Oddity]:
    """How the characters of a word are odd; ordinary letters of Latin alphabets are not.

    >>> oddities("naïve"), oddities("f\\u043eol"), oddities("\\u0441\\u043e")
    (set(), {<Oddity.MIXED: 4>}, {<Oddity.LOOK_ALIKES: 5>})
    """
    if word.isascii():
        return set()
    composed = unicodedata.normalize("NFC", word)
    found = {oddity for c in composed if (oddity := _oddity(c))}
    if Oddity.LOOK_ALIKES in found and any(c.isascii() and c.isalpha() for c in word):
        found = found - {Oddity.LOOK_ALIKES} | {Oddity.MIXED}
    if sum(not c.isascii() and _oddity(c) is None for c in composed) >= _FEWEST_ACCENTS:
        found.add(Oddity.ACCENTS)
    return found


def _oddity(character: str) -> Oddity | None:
    if character.isascii():
        return None
    if character in INVISIBLE:
        return Oddity.INVISIBLE
    if _is_mark(character):
        return Oddity.MARKS
    if _look_alike(character):
        return Oddity.LOOK_ALIKES
    return Oddity.STYLED if unicodedata.decomposition(character).startswith(_STYLES) else None


@functools.lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    if character.isascii():
        return character
    if character in INVISIBLE or _is_mark(character):
        return ""
    if found := _look_alike(character):
        return found
    if unicodedata.decomposition(character).startswith(_STYLES):
        return unicodedata.normalize("NFKC", character)
    base = unicodedata.normalize("NFD", character)[0]
    return base if base.isascii() and base.isalpha() else character


def _look_alike(character: str) -> str | None:
    letter = _ascii_of().get(character) or _ascii_of().get(character.lower())
    return letter.upper() if letter and character.isupper() else letter


@functools.cache
def _ascii_of() -> dict[str, str]:
    return {odd: letter for letter, odds in _LOOK_ALIKES.items() for odd in odds}


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Me")
