"""Words in odd spelling: masked, with digits for letters, stretched, or in odd characters.

A word is rewritten only where the result is a word of the list, and, where ordinary text has such
spellings too, only where it is a rude one. So prices, codes, e-mail addresses and names stay.
"""

import functools
import itertools
import re
from collections.abc import Iterator

from detoxlab.scorers.texts.characters import INVISIBLE, Oddity, oddities, plain
from detoxlab.scorers.texts.words import LETTERS, RUDE, Word, rank, word_list

# Signs in place of letters, with the letters that they may stand for.
SIGNS = {
    "0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "6": "bg", "7": "t", "8": "b", "9": "g",
    "@": "ao", "$": "s", "!": "il", "|": "il", "+": "t", "€": "e", "£": "l", "¡": "i", "©": "c",
}  # fmt: skip
MASKS = "*#•●×✱∗＊"
# Fewest letters of a word in odd characters, of a rude word, of a common word, of a masked word.
SHORTEST_ODD, SHORTEST, SHORTEST_COMMON, SHORTEST_MASKED = 2, 3, 4, 4
MOST_RUNS = 6
NEVER = 2.0  # no word is as rude
LONGEST_TOKEN = 400  # characters, marks counted

_OPTIONS = {letter: letter for letter in LETTERS} | SIGNS | dict.fromkeys(MASKS, LETTERS)
_UNSEEN = "".join(INVISIBLE)
_TOKEN = re.compile(r"[^\s\"()\[\]{}<>,.;:?/\\&=~^%…“”„«»'’`_-]+")
_TRIMMED = re.compile(rf"([#*!|+{_UNSEEN}]*)(.*?)([!|+{_UNSEEN}]*)", re.DOTALL)
_RUN = re.compile(r"([a-z])\1{2,}")
_ROMAN = frozenset("ivxlcdm")
_HYPHENED = re.compile(r"(?<![\w-])([A-Za-z]{1,2})[-_]([A-Za-z]{1,4})(?![\w-])")
# Addresses, tags, names of accounts: nobody spells words there.
_ADDRESS = re.compile(
    r"(?<!\S)(?:\S*(?:://|www\.|\w@\w+\.\w)\S*|#\w+|@(?=[a-z]*[_\d])\w+)", re.IGNORECASE
)


def respelled(text: str, *, whole_look_alikes: bool = True) -> str:
    """The text with each oddly spelled word as its likeliest reading; other words as they are.

    Without `whole_look_alikes`, a word of look-alikes alone stays: it may be of another language.

    >>> respelled("You 1d10t, you f**l, you foooool! Pay $100 to me@example.org.")
    'You idiot, you fool, you fool! Pay $100 to me@example.org.'
    """
    pieces, end = [], 0
    for address in _ADDRESS.finditer(text):
        pieces += [_words(text[end : address.start()], whole_look_alikes), address[0]]
        end = address.end()
    return "".join([*pieces, _words(text[end:], whole_look_alikes)])


def _words(text: str, whole_look_alikes: bool) -> str:
    text = _HYPHENED.sub(lambda found: _rewritten(f"{found[1]}*{found[2]}", True, found[0]), text)
    return _TOKEN.sub(lambda found: _token(found[0], whole_look_alikes), text)


def _token(token: str, whole_look_alikes: bool) -> str:
    is_plain = token.isascii() and token.isalpha() and not _RUN.search(token.lower())
    if is_plain or len(token) > LONGEST_TOKEN:
        return token
    return _rewritten(token, whole_look_alikes, token)


@functools.lru_cache(maxsize=65_536)
def _rewritten(token: str, whole_look_alikes: bool, otherwise: str) -> str:
    """The token with its word rewritten, and the signs around the word kept."""
    before, word, after = _parts(token)
    read = _reading(word, whole_look_alikes)
    return before + _cased(read.text, word) + after if read else otherwise


def _parts(token: str) -> tuple[str, str, str]:
    """The word of a token, and the signs around it that are no part of it.

    >>> _parts("*f**l*!"), _parts("f***")
    (('*', 'f**l', '*!'), ('', 'f***', ''))
    """
    found = _TRIMMED.fullmatch(token)
    assert found is not None
    before, word, after = found.groups()
    if before.endswith("*"):  # emphasis, which has its signs on both sides
        whole, word = word, word.rstrip("*")
        after = whole[len(word) :] + after
    return before, word, after


def _reading(word: str, whole_look_alikes: bool) -> Word | None:
    """The likeliest word behind an odd spelling; None where none is odd, or none is known."""
    spelled = plain(word).lower()
    if not set(spelled) <= _OPTIONS.keys() or not set(spelled) & set(LETTERS):
        return None
    demands = [*_demands_of_signs(spelled), *_demands_of_characters(word, whole_look_alikes)]
    if not demands:
        return None
    shortest, least = map(max, zip(*demands, strict=True))
    found = (
        word_list().best([_OPTIONS[sign] for sign in variant], least)
        for variant in _unstretched(spelled)
    )
    return max((one for one in found if one and _is_long(one, shortest)), key=rank, default=None)


def _is_long(word: Word, shortest: int) -> bool:
    return len(word.text) >= (min(SHORTEST, shortest) if word.rudeness >= RUDE else shortest)


def _demands_of_signs(spelled: str) -> Iterator[tuple[int, float]]:
    """(fewest letters, least rudeness) that each kind of sign asks of a reading."""
    if set(spelled) & set(MASKS):
        yield SHORTEST_MASKED, RUDE if _is_masked(spelled) else NEVER
    if spelled[0] in SIGNS or spelled[-1] in SIGNS:
        yield SHORTEST, RUDE
    elif set(spelled) & SIGNS.keys():
        yield SHORTEST_COMMON, 0.0
    if _RUN.search(spelled):
        yield SHORTEST_COMMON, NEVER if set(spelled) <= _ROMAN else 0.0


def _is_masked(spelled: str) -> bool:
    """Whether masks stand for letters: a footnote's sign, a star of code and a power do not."""
    visible = spelled.rstrip(MASKS)
    if set(visible) & set(MASKS):
        return spelled[-1] not in SIGNS
    is_whole = len(visible) >= SHORTEST and word_list().find(visible) is not None
    return len(spelled) - len(visible) > 1 and not is_whole


def _demands_of_characters(word: str, whole_look_alikes: bool) -> Iterator[tuple[int, float]]:
    odd = oddities(word)
    if odd & {Oddity.STYLED, Oddity.INVISIBLE, Oddity.MARKS, Oddity.MIXED}:
        yield SHORTEST_ODD, 0.0
    elif Oddity.LOOK_ALIKES in odd:
        yield SHORTEST, RUDE if whole_look_alikes else NEVER
    elif Oddity.ACCENTS in odd:
        yield SHORTEST, RUDE


def _unstretched(spelled: str) -> Iterator[str]:
    """The spellings in which each run of three or more equal letters has one or two."""
    runs = list(_RUN.finditer(spelled))[:MOST_RUNS]
    for lengths in itertools.product((1, 2), repeat=len(runs)):
        pieces, end = [], 0
        for run, length in zip(runs, lengths, strict=True):
            pieces += [spelled[end : run.start()], run[1] * length]
            end = run.end()
        yield "".join([*pieces, spelled[end:]])


def _cased(word: str, like: str) -> str:
    """The word in capitals, with one, or in small letters, as the spelling `like`.

    >>> _cased("fool", "F**L"), _cased("fool", "F**l"), _cased("fool", "fOOl")
    ('FOOL', 'Fool', 'fool')
    """
    letters = [c for c in plain(like) if c.isalpha()]
    if len(letters) > 1 and all(map(str.isupper, letters)):
        return word.upper()
    return word.capitalize() if letters[0].isupper() else word
