"""Explains responses of runs, batch after batch, as rows of `attributions.jsonl`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.methods import load_attribution
from detoxlab.explanations.names import GENERATED
from detoxlab.explanations.reliance import Predictions, predictions
from detoxlab.explanations.results import Attributed
from detoxlab.explanations.targets import load_target
from detoxlab.explanations.texts import Batch, Exchange
from detoxlab.explanations.tokens import pieces, prompt_classes, template_ids, words
from detoxlab.records import Generation, Prompt
from detoxlab.subject import Subject

DIGITS = 6


@dataclass(frozen=True)
class Item:
    """A response to explain: the runs of the model and of the text, the prompt, the response.

    `generation` is None where the run has no such response; the run left room for `new_tokens`
    after each prompt.
    """

    model: str
    text: str
    prompt: Prompt
    sample: int
    generation: Generation | None
    new_tokens: int


@dataclass(frozen=True)
class _Ready:
    """An item as tokens: prompt and response, the class of each, the prompt without its text."""

    exchange: Exchange
    classes: str
    template: tuple[int, ...]


class Explainer:
    """Explains items by one subject, method and target.

    `chat` says whether the prompts went through the chat template; at most `steps` tokens of each
    response are explained.

    Raises `ModelError` where the method does not fit the model.
    """

    def __init__(
        self, subject: Subject, method: str, target: str, *, chat: bool, steps: int
    ) -> None:
        self.subject, self.lm = subject, subject.lm
        self.attribution = load_attribution(method, subject)
        self.target = load_target(target)
        self.chat, self.steps = chat, steps

    def rows(self, items: Sequence[Item]) -> list[Attribution]:
        """One row per item, in order; items that cannot be explained say why."""
        ready = {at: one for at, item in enumerate(items) if (one := self._ready(item))}
        explained = dict(zip(ready, self._explained(list(ready.values())), strict=True))
        return [_row(item, explained.get(at)) for at, item in enumerate(items)]

    def exchange(self, item: Item) -> Exchange | None:
        """The tokens of an item; None where there is no response."""
        if item.generation is None or not item.generation.token_ids:
            return None
        room = self.lm.context_length - item.new_tokens
        prompt_ids = self.lm.shortened(self.lm.prompt_ids(item.prompt.text, self.chat), room)
        return Exchange(prompt_ids, tuple(item.generation.token_ids[: self.steps]))

    def prompt_classes(self, item: Item, exchange: Exchange) -> str:
        """The class of each of the prompt's tokens."""
        return prompt_classes(self.lm, item.prompt.text, self.chat, exchange.prompt_ids)

    # --- inside ---

    def _ready(self, item: Item) -> _Ready | None:
        exchange = self.exchange(item)
        if exchange is None:
            return None
        classes = self.prompt_classes(item, exchange)
        template = template_ids(self.lm, exchange.prompt_ids, classes)
        generated = GENERATED * len(exchange.response_ids)
        return _Ready(exchange, classes + generated, template)

    def _explained(self, ready: Sequence[_Ready]) -> list[dict[str, Any]]:
        if not ready:
            return []
        batch = Batch.of(self.lm, [one.exchange for one in ready])
        found = self.attribution.attribute(batch, self.target)
        predicted = predictions(self.subject, batch, [one.template for one in ready])
        parts = zip(ready, found, predicted, strict=True)
        return [
            self._tokens(one) | _scores(one.exchange, scores) | _predicted(steps)
            for one, scores, steps in parts
        ]

    def _tokens(self, one: _Ready) -> dict[str, Any]:
        ids = one.exchange.prompt_ids + one.exchange.response_ids
        texts = pieces(self.lm, ids)
        return {
            "classes": one.classes,
            "ids": ids,
            "tokens": tuple(texts),
            "words": tuple(words(texts, one.classes)),
        }


def _scores(exchange: Exchange, scores: Attributed) -> dict[str, Any]:
    seen = [place + 1 for place in exchange.places]
    return {
        "values": tuple(
            _rounded(values_T[:count])
            for values_T, count in zip(scores.values_ST, seen, strict=True)
        ),
        "targets": _rounded(scores.target_S),
        "gaps": tuple(None if np.isnan(gap) else _digits(gap) for gap in scores.gap_S),
    }


def _predicted(steps: Predictions) -> dict[str, Any]:
    return {
        "log_probs": _rounded(steps.log_prob_S),
        "entropies": _rounded(steps.entropy_S),
        "reliances": _rounded(steps.reliance_S),
        "informations": _rounded(steps.information_S),
    }


def _row(item: Item, explained: dict[str, Any] | None) -> Attribution:
    named = (item.model, item.text, item.prompt.id, item.sample)
    if explained is not None:
        return Attribution(*named, **explained)
    reason = "no response" if item.generation is None else item.generation.error or "no tokens"
    return Attribution(*named, error=reason)


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(_digits(value) for value in values)


def _digits(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
