"""Words of other scripts in Latin letters, as people type them: several spellings of each."""

import random
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

Spellings = Mapping[str, str]  # the ways to write a sound, separated by spaces; "-" for none

_HINDI = "क ख ग घ ङ च छ ज झ ञ ट ठ ड ढ ण त थ द ध न प फ ब भ म य र ल ळ व श ष स ह"
_HINDI_SOUNDS = "k kh g gh n ch chh j jh n t th d dh n t th d dh n p ph b bh m y r l l v sh sh s h"
HINDI_CONSONANTS = dict(zip(_HINDI.split(), _HINDI_SOUNDS.split(), strict=True))
HINDI_DOTTED = {"क": "q", "ख": "kh", "ग": "g", "ज": "z", "ड": "d", "ढ": "dh", "फ": "f"}
HINDI_SIGNS = {
    "ा": "aa", "ि": "i", "ी": "ii", "ु": "u", "ू": "uu", "े": "e", "ै": "ai", "ो": "o", "ौ": "au",
    "ृ": "ri", "ॉ": "o", "ॅ": "e",
}  # fmt: skip
HINDI_VOWELS = {
    "अ": "a", "आ": "aa", "इ": "i", "ई": "ii", "उ": "u", "ऊ": "uu", "ए": "e", "ऐ": "ai", "ओ": "o",
    "औ": "au", "ऋ": "ri", "ऑ": "o",
}  # fmt: skip
HINDI_SPELLINGS = {
    "aa": "a a aa", "ii": "i ee i", "uu": "u oo u", "v": "v w", "sh": "sh sh s", "ph": "ph f",
    "chh": "ch chh", "z": "z j", "ai": "ai e ai", "au": "au o", "q": "q k",
}  # fmt: skip
# The commonest words are not written by rule.
HINDI_WORDS = {
    "में": "mein me main mai", "है": "hai hai he h", "हैं": "hain hai hein", "यह": "yeh ye yah",
    "वह": "woh wo vo", "वो": "wo woh", "ये": "ye yeh", "और": "aur or", "नहीं": "nahi nahin nai nhi",
    "बहुत": "bahut bohot bhot bahot", "क्या": "kya kia", "क्यों": "kyu kyun kyon", "मैं": "main mai me",
    "हूँ": "hoon hu hun", "हूं": "hoon hu hun", "मुझे": "mujhe muje", "कि": "ki ke", "लिए": "liye lie",
    "गया": "gaya gya", "कर": "kar kr", "पर": "par pr pe", "इस": "is iss", "उस": "us uss",
    "सब": "sab sb", "भी": "bhi bi", "जैसे": "jaise jese", "तो": "toh to", "ना": "na naa",
    "यार": "yaar yar",
}  # fmt: skip
_RUSSIAN_SPELLINGS = (
    "a|b|v|g|d|e e ye|yo e o|zh j|z|i|y j i|k|l|m|n|o|p|r|s|t|u|f|h kh x|ts c|ch|sh w|"
    "sch sh shch|-|y i|-|e|yu u ju|ya ja a"
)
_GREEK_SPELLINGS = "a|v b|g|d|e|z|i h|th|i|k|l|m|n|x ks|o|p|r|s|s|t|y u i|f ph|x h ch|ps|o w"
RUSSIAN = dict(zip("абвгдеёжзийклмнопрстуфхцчшщъыьэюя", _RUSSIAN_SPELLINGS.split("|"), strict=True))
GREEK = dict(zip("αβγδεζηθικλμνξοπρσςτυφχψω", _GREEK_SPELLINGS.split("|"), strict=True))
SERBIAN = dict(zip("abvgdđežzijklmnoprstćufhcčš", "абвгдђежзијклмнопрстћуфхцчш", strict=True))


def hindi(word: str, rng: random.Random) -> str:
    """A Hindi word in Latin letters, "" if it holds anything but Devanagari."""
    if word in HINDI_WORDS:
        return rng.choice(HINDI_WORDS[word].split())
    syllables = _syllables(unicodedata.normalize("NFD", word))
    _drop_silent(syllables)
    parts = []
    for place, (consonant, vowel, nasal) in enumerate(syllables):
        parts += [_spelt(consonant, HINDI_SPELLINGS, rng), _spelt(vowel, HINDI_SPELLINGS, rng)]
        is_last = place == len(syllables) - 1
        parts.append(rng.choice(("n", "n", "")) if nasal and is_last else nasal)
    return "".join(parts).replace("*", "")


def by_letters(spellings: Spellings) -> Callable[[str, random.Random], str]:
    """A way to write words letter by letter; letters without a spelling are left out."""

    def write(word: str, rng: random.Random) -> str:
        letters = (_spelt(letter, spellings, rng) for letter in word if letter in spellings)
        return re.sub("[^a-z]", "", "".join(letters))

    return write


def russian(word: str, rng: random.Random) -> str:
    """A Russian word in Latin letters."""
    return by_letters(RUSSIAN)(word, rng)


def greek(word: str, rng: random.Random) -> str:
    """A Greek word in Latin letters, without accents."""
    bare = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    return by_letters(GREEK | {"u": "u"})(bare.replace("ου", "οu"), rng)


def serbian(word: str) -> str:
    """A Serbian word of Latin letters in Cyrillic, "" if it holds others."""
    joined = word.replace("lj", "љ").replace("nj", "њ").replace("dž", "џ")
    letters = [SERBIAN.get(letter, letter) for letter in joined]
    return "".join(letters) if all("\u0400" <= c <= "\u04ff" for c in letters) else ""


def _spelt(sound: str, spellings: Spellings, rng: random.Random) -> str:
    return rng.choice(spellings.get(sound, sound).split() or [""]).replace("-", "")


def _syllables(word: str) -> list[list[str]]:
    """Consonant, vowel ("a*" where none is written) and nasal of each syllable; [] for others."""
    found: list[list[str]] = []
    for letter in word:
        if letter in HINDI_CONSONANTS:
            found.append([HINDI_CONSONANTS[letter], "a*", ""])
        elif letter in HINDI_VOWELS:
            found.append(["", HINDI_VOWELS[letter], ""])
        elif not found:
            return []
        elif letter == "\u093c":  # the dot below, for sounds of Persian
            plain = found[-1][0]
            dotted = {HINDI_CONSONANTS[one]: sound for one, sound in HINDI_DOTTED.items()}
            found[-1][0] = dotted.get(plain, plain)
        elif letter in HINDI_SIGNS:
            found[-1][1] = HINDI_SIGNS[letter]
        elif letter == "\u094d":  # no vowel
            found[-1][1] = ""
        elif letter in "\u0901\u0902\u0903":
            found[-1][2] = "h" if letter == "\u0903" else "n"
        else:
            return []
    return found


def _drop_silent(syllables: Sequence[list[str]]) -> None:
    """Takes away the vowels that are not written and not spoken: at the end, and between others."""
    for place in range(len(syllables) - 1, 0, -1):
        if syllables[place][1] != "a*" or syllables[place][2]:
            continue
        is_last = place == len(syllables) - 1
        if is_last or (syllables[place - 1][1] and all(syllables[place + 1][:2])):
            syllables[place][1] = ""
