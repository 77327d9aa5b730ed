"""The words of prompts that pull most on toxic words, over all responses of a run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean

from detoxlab.explanations.measured.toxic_words import ToxicWords

DIGITS = 6


@dataclass(frozen=True, slots=True)
class PromptWord:
    """A word of prompts, on the toxic words of the responses of run `text`.

    `prompts` is the number of prompts that hold it and led to a toxic word. `shares` is, by model,
    the mean over them of its share of the prompt's mass; `even` the share that it would have if
    all words of the prompt had the same.
    """

    text: str
    word: str
    prompts: int
    shares: Mapping[str, float]
    even: float

    @property
    def pull(self) -> float:
        """How many times its even share the word has, by the model that wrote the responses."""
        return self.shares[self.text] / self.even


@dataclass(frozen=True)
class _Held:
    """A word in one prompt: its share by model, and its even share."""

    word: str
    shares: Mapping[str, float]
    even: float


def most_pulling(rows: Iterable[ToxicWords], *, least: int = 3) -> list[PromptWord]:
    """The words that stand in at least `least` prompts, by text, the largest pull first.

    Words are compared in lower case without the punctuation around them. A prompt counts once:
    its toxic words and its samples are averaged, and the places of a word in it are summed. Only
    toxic words that all models have explained count, so that the models can be compared.
    """
    return list(_most_pulling(rows, least))


# --- inside ---


def _most_pulling(rows: Iterable[ToxicWords], least: int) -> Iterator[PromptWord]:
    by_text: dict[str, dict[str, list[ToxicWords]]] = {}
    for row in rows:
        if row.shares:
            by_text.setdefault(row.text, {}).setdefault(row.prompt_id, []).append(row)
    for text, prompts in by_text.items():
        models = _models(prompts.values())
        held: dict[str, list[_Held]] = {}
        for responses in prompts.values():
            for one in _of_prompt(responses, models):
                held.setdefault(one.word, []).append(one)
        found = [_mean(text, ones, models) for ones in held.values() if len(ones) >= least]
        yield from sorted(found, key=lambda one: (-one.pull, one.word))


def _models(prompts: Iterable[Sequence[ToxicWords]]) -> list[str]:
    names = (one.model for rows in prompts for row in rows for one in row.shares)
    return list(dict.fromkeys(names))


def _of_prompt(responses: Sequence[ToxicWords], models: Sequence[str]) -> Iterator[_Held]:
    """The words of one prompt, by the mean over its toxic words that all models have explained."""
    toxic = [one for row in responses for one in _by_model(row) if one.keys() == set(models)]
    if not toxic:
        return
    means = {
        name: [fmean(column) for column in zip(*(one[name] for one in toxic), strict=True)]
        for name in models
    }
    words = responses[0].prompt_words
    places: dict[str, list[int]] = {}
    for at, word in enumerate(words):
        places.setdefault(_plain(word), []).append(at)
    for word, held in places.items():
        if word:
            shares = {name: sum(mean[at] for at in held) for name, mean in means.items()}
            yield _Held(word, shares, len(held) / len(words))


def _by_model(row: ToxicWords) -> Iterator[dict[str, tuple[float, ...]]]:
    """The shares of each toxic word, by model."""
    for _, group in groupby(row.shares, key=lambda one: one.word):
        yield {one.model: one.shares for one in group}


def _mean(text: str, held: Sequence[_Held], models: Sequence[str]) -> PromptWord:
    shares = {name: round(fmean(one.shares[name] for one in held), DIGITS) for name in models}
    even = round(fmean(one.even for one in held), DIGITS)
    return PromptWord(text, held[0].word, len(held), shares, even)


def _plain(word: str) -> str:
    """The word in lower case, without what is neither letter nor digit at its ends.

    >>> _plain('"Anvil,'), _plain("...")
    ('anvil', '')
    """
    letters = [at for at, character in enumerate(word) if character.isalnum()]
    return word[letters[0] : letters[-1] + 1].casefold() if letters else ""
