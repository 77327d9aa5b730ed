"""The script of a text, from the names of its letters in the Unicode database."""

import functools
import unicodedata
from collections import Counter

UNKNOWN = "unknown"

# Japanese mixes kana and ideographs in every sentence, so they count as one script here;
# the language then tells Japanese from Chinese.
_EAST_ASIAN = {"HIRAGANA", "KATAKANA", "CJK", "IDEOGRAPHIC", "BOPOMOFO"}

SCRIPT_LANGUAGE = {
    "hangul": "ko",
    "greek": "el",
    "hebrew": "he",
    "thai": "th",
    "armenian": "hy",
    "georgian": "ka",
    "tamil": "ta",
    "telugu": "te",
    "bengali": "bn",
    "gujarati": "gu",
    "khmer": "km",
    "lao": "lo",
}


@functools.lru_cache(maxsize=64)
def main_script(text: str) -> str:
    """The script of most letters of the text, in lower case; `UNKNOWN` without letters.

    Compatibility forms (full width, mathematical letters) count as ordinary letters.

    >>> main_script("What a day, Ольга!"), main_script("何ですか"), main_script("42 :-)")
    ('latin', 'east asian', 'unknown')
    """
    if text.isascii():
        return "latin" if any(map(str.isalpha, text)) else UNKNOWN
    letters = Counter(map(_script_of, unicodedata.normalize("NFKC", text)))
    letters.pop("", None)
    return max(letters, key=lambda name: letters[name]) if letters else UNKNOWN


@functools.lru_cache(maxsize=1 << 14)
def _script_of(letter: str) -> str:
    """The script of one character; "" if it is no letter."""
    if not letter.isalpha():
        return ""
    name = unicodedata.name(letter, "").split(" ")[0]
    return "east asian" if name in _EAST_ASIAN else name.lower()
