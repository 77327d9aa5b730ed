"""Odd text in plain spelling, so that a scorer that learnt plain text can read it."""

import re

from detoxlab.scorers.base import is_mostly_latin
from detoxlab.scorers.texts.emoji import worded
from detoxlab.scorers.texts.spacing import joined
from detoxlab.scorers.texts.spelling import respelled

VERSION = "1"  # part of the ids of scorers: raise it whenever `normalise` gives another text

# Every trick has one of these: most texts have none, and need no further look.
_SUSPECT = re.compile(
    r"[^\x00-\x7f]|([a-z])\1\1|[a-z][!|+]?[\d@$*#]|[\d@$*#!|+][a-z]"
    r"|(?<![a-z])[a-z]{1,2}[-_][a-z]|(?<![a-z])[a-z][\s.~/*|+-]{1,3}[a-z](?![a-z])",
    re.IGNORECASE,
)


def normalise(text: str) -> str:
    """The text with tricks of spelling undone; text without any comes back as it is.

    Undone: look-alike, styled and invisible characters inside English words, stacked marks,
    masked letters, digits and signs for letters, letters that stand apart, stretched letters, and
    some emoji, which become words. Not undone: words cut by a space ("fo ol"), changed order or
    sound ("phool"), words masked to more than four letters, text upside down, reversed or in
    pictures, and any trick with words that are not English.

    >>> normalise("You f o o l, you 1d\\u200b10t!"), normalise("At 10am, 3 kg for $5 each.")
    ('You fool, you idiot!', 'At 10am, 3 kg for $5 each.')
    """
    if not _SUSPECT.search(text):
        return text
    # In a text of another script, a word of its letters alone is no trick, and emoji stay.
    is_latin = is_mostly_latin(text)
    spelled = joined(respelled(text, whole_look_alikes=is_latin))
    return worded(spelled) if is_latin else spelled
