"""Short greedy answers of a server, with the probabilities of other tokens where it gives them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from detoxlab.completions.client import Completions
from detoxlab.completions.replies import Answered, Withheld, text_of

ANSWER_TOKENS = 16  # enough for an opening and a verdict
TOP = 20  # alternatives per token: no server that we know gives more by default

Step = tuple[str, Mapping[str, float]]  # a token of the answer; its alternatives' probabilities


@dataclass(frozen=True)
class Answer:
    """The text of an answer with its steps, which only some servers give, or why there is none."""

    text: str = ""
    steps: tuple[Step, ...] = ()
    reason: str = ""


class ShortAnswers:
    """Asks a server for the beginnings of greedy answers; threads may share it.

    A question is the part of a request that holds the messages or the prompt, as
    `Completions.asked` makes it. Whether the server gives log-probabilities is found out here, by a
    harmless question; `gives_probabilities` is False where it does not. `place` is the work that
    errors name. Raises `EngineError` when a request fails finally for another reason than its text.
    """

    def __init__(self, server: Completions, harmless: Mapping[str, Any], *, place: str) -> None:
        self.server, self.place = server, place
        self.gives_probabilities = self._answers_with_probabilities(harmless)

    def __call__(self, question: Mapping[str, Any]) -> Answer:
        """The answer; a reason where the server refuses the question or withholds its text."""
        reply = self._reply(question, probabilities=self.gives_probabilities)
        if isinstance(reply, Withheld):
            return Answer(reason=f"failed: {reply.code}")
        text, withheld = text_of(reply.choices[0], chat=self.server.chat)
        if withheld:
            return Answer(reason=f"failed: {withheld}")
        return Answer(text, tuple(steps(reply.choices[0])) if self.gives_probabilities else ())

    # --- inside ---

    def _answers_with_probabilities(self, harmless: Mapping[str, Any]) -> bool:
        reply = self._reply(harmless, probabilities=True)
        if isinstance(reply, Withheld):
            # Perhaps it refuses to give log-probabilities. Otherwise it refuses this one as well.
            plain = self._reply(harmless, probabilities=False)
            if isinstance(plain, Withheld):
                raise self.server.error(f"it refuses a harmless text ({plain.code})", self.place)
            return False
        return bool(list(steps(reply.choices[0])))

    def _reply(self, question: Mapping[str, Any], *, probabilities: bool) -> Answered | Withheld:
        body = {"model": self.server.model, **question}
        body |= {"max_tokens": ANSWER_TOKENS, "temperature": 0.0}
        if probabilities:
            in_chat: dict[str, Any] = {"logprobs": True, "top_logprobs": TOP}
            body |= in_chat if self.server.chat else {"logprobs": TOP}
        return self.server.reply(body, self.server.headers(), place=self.place)


def steps(choice: Mapping[str, Any]) -> Iterator[Step]:
    """The tokens of an answer with their alternatives, of a chat or of a completion."""
    given = choice.get("logprobs")
    if not isinstance(given, Mapping):
        return
    for one in given.get("content") or []:
        top = {other["token"]: other["logprob"] for other in one.get("top_logprobs") or []}
        yield one["token"], _probabilities(top)
    for token, top in zip(given.get("tokens") or [], given.get("top_logprobs") or [], strict=False):
        yield token, _probabilities(top or {})


def _probabilities(log_probs: Mapping[str, float]) -> dict[str, float]:
    return {token: math.exp(value) for token, value in log_probs.items()}
