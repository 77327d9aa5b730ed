"""The first words of texts as prompts, and texts that begin with the words of a prompt."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from detoxlab.data.split import words_of
from detoxlab.records import Prompt


def with_openings(prompts: Sequence[Prompt], words: int) -> list[Prompt]:
    """The prompts cut after so many words; those that would be whole are left out.

    Words are what white space divides, as in RealToxicityPrompts, whose prompts are the first
    halves of sentences.

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
    """The texts whose first words are none of `openings`, but for case and punctuation.

    So what a bench asks to go on from is not trained on, whole or with its sequel.

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
