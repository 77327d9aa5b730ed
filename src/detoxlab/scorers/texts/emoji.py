"""Emoji that stand for a word in insults and threats, as words."""

import re

# Chosen by hand: gestures, insults, weapons and the animals that people are likened to.
WORDS = {
    "🖕": "fuck you", "🤡": "clown", "💩": "shit", "🤮": "vomit", "🤢": "disgusting",
    "🐒": "monkey", "🐵": "monkey", "🦍": "ape", "🦧": "ape", "🐷": "pig", "🐖": "pig", "🐽": "pig",
    "🐀": "rat", "🐁": "rat", "🐍": "snake", "🐕": "dog", "🐩": "dog", "🐶": "dog", "🐄": "cow",
    "🐮": "cow", "🪳": "cockroach", "🗑": "trash", "🚮": "trash",
    "🔪": "knife", "🗡": "knife", "🔫": "gun", "💣": "bomb", "⚰": "coffin", "🪦": "grave",
    "☠": "death", "🏳️‍🌈": "gay", "🧕": "muslim woman", "✡": "jew",
    "☪": "islam", "🕌": "mosque", "🕍": "synagogue",
}  # fmt: skip
_TONES = "[\U0001f3fb-\U0001f3ff\ufe0f]*"
_JOINER = "\u200d"  # inside emoji that are made of several: those are others
_EMOJI = re.compile(
    f"(?<!{_JOINER})({'|'.join(sorted(WORDS, key=len, reverse=True))}){_TONES}(?!{_JOINER})"
)

# A word of ours against anything but white space, the end and a closing mark.
_JOINT = re.compile(r"(?<=\S)\0+(?=[^\s.,!?;:)\]\0])")


def worded(text: str) -> str:
    """The text with those emoji as words, apart from their neighbours; other emoji stay.

    >>> worded("you🤡, what a sun 🌞")
    'you clown, what a sun 🌞'
    """
    spaced = _EMOJI.sub(lambda found: f"\0{WORDS[found[1]]}\0", text)
    return _JOINT.sub(" ", spaced).replace("\0", "")
