"""The first words of texts as prompts, and texts that begin with the words of a prompt."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from detoxlab.data.split import words_of
from detoxlab.records import Prompt


def with_openings(prompts: Sequence[Prompt], words: int) -> list[Prompt]:
    """The prompts cut after so many words; prompts that are not longer are left out.

    White space divides words, as in RealToxicityPrompts, whose prompts are the first halves of
    sentences.

    >>> cut = with_openings([Prompt("a", "one two  three", "s"), Prompt("b", "one two", "s")], 2)
    >>> [(prompt.id, prompt.text) for prompt in cut]
    [('a', 'one two')]
    """
    pattern = re.compile(rf"\s*(?:\S+\s+){{{words - 1}}}\S+(?=\s+\S)")
    matches = [(prompt, pattern.match(prompt.text)) for prompt in prompts]
    return [
        dataclasses.replace(prompt, text=match.group().strip())
        for prompt, match in matches
        if match is not None
    ]


def not_beginning_with(texts: Sequence[Prompt], openings: Iterable[str]) -> list[Prompt]:
    """The texts that do not begin with any of `openings`, ignoring case and punctuation.

    So a model is not trained on texts that begin with the prompts of a bench.

    >>> texts = [Prompt("a", "One, two three", "s"), Prompt("b", "One twofold", "s")]
    >>> [text.id for text in not_beginning_with(texts, ["one two"])]
    ['b']
    """
    unwanted = {tuple(words_of(opening).split()) for opening in openings}
    lengths = {len(words) for words in unwanted}

    def is_wanted(text: Prompt) -> bool:
        words = tuple(words_of(text.text).split())
        return not any(words[:length] in unwanted for length in lengths)

    return [text for text in texts if is_wanted(text)]
