"""Which texts a scorer of certain languages reads."""

import functools

from detoxlab.measures.script import COMMON_WORDS, SCRIPT_LANGUAGE, UNKNOWN, language, main_script

EAST_ASIAN = ("ja", "zh")


def is_among(text: str, languages: tuple[str, ...]) -> bool:
    """Whether a text is in one of the languages (ISO 639-1), or may be.

    Where its language cannot be told, its script decides; a text without letters is in all.

    >>> is_among("Das ist nicht mein Haus", ("en", "de")), is_among("Das ist nicht", ("en", "ru"))
    (True, False)
    >>> is_among("Hello", ("en", "ru")), is_among("Привет", ("en", "ru")), is_among("42", ("ru",))
    (True, True, True)
    >>> is_among("Hello", ("ru",))
    False
    """
    code = language(text)
    if code != UNKNOWN:
        return code in languages
    script = main_script(text)
    return script == UNKNOWN or script in _scripts(languages)


@functools.cache
def _scripts(languages: tuple[str, ...]) -> frozenset[str]:
    """The scripts that these languages are written in, as far as they are known."""
    words = {main_script(COMMON_WORDS[code]) for code in languages if code in COMMON_WORDS}
    own = {script for script, code in SCRIPT_LANGUAGE.items() if code in languages}
    return frozenset(words | own | ({"east asian"} if set(languages) & set(EAST_ASIAN) else set()))
