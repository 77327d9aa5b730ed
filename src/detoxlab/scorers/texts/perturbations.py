"""Tricks of spelling, to see which of them hide an insult from a scorer.

Each is a function of a text and a random generator: equal seeds give equal texts. Tricks change
every word of three letters or more, or the rude ones alone: only these are masked in practice.
"""

import re
from collections.abc import Callable
from functools import partial

import numpy as np

from detoxlab.scorers.texts.words import RUDE, word_list

Perturbation = Callable[[str, np.random.Generator], str]
Respell = Callable[[str, np.random.Generator], str]

SHORTEST = 3
_WORD = re.compile(r"(?<![\w@#*])[A-Za-z]{3,}(?![\w@*])")
_VOWELS = "aeiou"
_LOOK_ALIKES = str.maketrans("aceiopsxyACEIOPSXY", "асеіорѕхуАСЕІОРЅХУ")
_LEET = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7"}
_MARKS = "\u0316\u0317\u0318\u0319\u0320\u0323\u0324\u0325\u032d\u0330\u0336"
_INVISIBLE = "\u200b\u200c\u200d\u2060\u00ad"
_WIDE, _BOLD = 0xFEE0, 0x1D41A


def look_alikes(word: str, rng: np.random.Generator) -> str:  # noqa: ARG001
    """Cyrillic letters for all Latin ones that look like them."""
    return word.translate(_LOOK_ALIKES)


def full_width(word: str, rng: np.random.Generator) -> str:  # noqa: ARG001
    return "".join(chr(ord(letter) + _WIDE) for letter in word)


def bold(word: str, rng: np.random.Generator) -> str:  # noqa: ARG001
    """Mathematical bold letters, in lower case."""
    return "".join(chr(ord(letter) - ord("a") + _BOLD) for letter in word.lower())


def invisible(word: str, rng: np.random.Generator) -> str:
    """An invisible character after every letter but the last."""
    return "".join(letter + rng.choice(list(_INVISIBLE)) for letter in word[:-1]) + word[-1]


def stacked_marks(word: str, rng: np.random.Generator) -> str:
    """One to three marks on every letter."""
    return "".join(
        letter + "".join(rng.choice(list(_MARKS), size=rng.integers(1, 4))) for letter in word
    )


def masked(word: str, rng: np.random.Generator) -> str:
    """A star for one letter inside, a vowel where there is one."""
    inside = range(1, len(word) - 1)
    places = [at for at in inside if word[at].lower() in _VOWELS] or list(inside)
    at = int(rng.choice(places))
    return f"{word[:at]}*{word[at + 1 :]}"


def masked_middle(word: str, rng: np.random.Generator) -> str:
    """Stars for two or three letters inside."""
    hidden = min(int(rng.integers(2, 4)), len(word) - 2)
    at = 1 + int(rng.integers(0, len(word) - 1 - hidden))
    return word[:at] + "*" * hidden + word[at + hidden :]


def leet(word: str, rng: np.random.Generator) -> str:
    """Digits and signs for one to three letters."""
    places = [at for at, letter in enumerate(word) if letter.lower() in _LEET]
    chosen = set(rng.permutation(places)[: int(rng.integers(1, 4))].tolist())
    return "".join(
        str(rng.choice(list(_LEET[letter.lower()]))) if at in chosen else letter
        for at, letter in enumerate(word)
    )


def apart(word: str, rng: np.random.Generator, *, gap: str) -> str:  # noqa: ARG001
    return gap.join(word)


def stretched(word: str, rng: np.random.Generator) -> str:
    """One letter three to eight times."""
    at = int(rng.integers(0, len(word)))
    return word[:at] + word[at] * int(rng.integers(3, 9)) + word[at + 1 :]


def swapped(word: str, rng: np.random.Generator) -> str:
    """Two neighbouring letters inside change places. `normalise` does not undo it."""
    at = int(rng.integers(1, len(word) - 1))
    return word[:at] + word[at : at + 2][::-1] + word[at + 2 :]


def in_two(word: str, rng: np.random.Generator) -> str:
    """A space inside. `normalise` does not undo it."""
    at = int(rng.integers(1, len(word)))
    return f"{word[:at]} {word[at:]}"


def perturbed(
    text: str, rng: np.random.Generator, *, respell: Respell, only_rude: bool = False
) -> str:
    """The text with each word of three letters or more, or each rude one, spelt oddly.

    >>> perturbed("You fool!", np.random.default_rng(0), respell=partial(apart, gap="."))
    'Y.o.u f.o.o.l!'
    """

    def one(found: re.Match[str]) -> str:
        return respell(found[0], rng) if not only_rude or _is_rude(found[0]) else found[0]

    return _WORD.sub(one, text)


def _is_rude(word: str) -> bool:
    known = word_list().find(word.lower())
    return known is not None and known.rudeness >= RUDE


def _every(respell: Respell) -> Perturbation:
    return partial(perturbed, respell=respell)


def _rude(respell: Respell) -> Perturbation:
    return partial(perturbed, respell=respell, only_rude=True)


PERTURBATIONS: tuple[tuple[str, Perturbation], ...] = (
    ("look-alikes", _every(look_alikes)),
    ("full width", _every(full_width)),
    ("bold letters", _every(bold)),
    ("invisible characters", _every(invisible)),
    ("stacked marks", _every(stacked_marks)),
    ("digits for letters", _every(leet)),
    ("digits in rude words", _rude(leet)),
    ("a letter masked in rude words", _rude(masked)),
    ("letters masked in rude words", _rude(masked_middle)),
    ("letters apart", _every(partial(apart, gap=" "))),
    ("dots between", _every(partial(apart, gap="."))),
    ("letters apart in rude words", _rude(partial(apart, gap=" "))),
    ("stretched", _every(stretched)),
)
"""Tricks that `normalise` undoes, by name."""

LIMITS: tuple[tuple[str, Perturbation], ...] = (
    ("a letter masked in every word", _every(masked)),
    ("two letters swapped", _every(swapped)),
    ("words cut in two", _every(in_two)),
)
"""Tricks that it does not undo, or not where every word has them."""
