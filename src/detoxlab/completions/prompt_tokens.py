"""The log-probabilities of a text's own tokens, from servers that give them of a prompt.

Source: `prompt_logprobs`, vLLM's extension of OpenAI's completions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detoxlab.completions.client import Completions
from detoxlab.completions.replies import Answered, Withheld
from detoxlab.errors import EngineError

NOT_OFFERED = "not computable: the server gives no prompt_logprobs"
NO_TOKEN = "not computable: the response has no token of its own"
IMPOSSIBLE = -9999.0  # what vLLM writes for minus infinity, which JSON lacks


@dataclass(frozen=True)
class PromptTokens:
    """The tokens of a text: ids and log-probabilities; None and NaN for the first one."""

    ids: tuple[str | None, ...]
    log_probs: tuple[float, ...]


class PromptReader:
    """Asks a server how likely each token of a text is after those before it.

    Whether the server tells it is found out here, by a harmless text; `is_offered` is False where
    it does not. `place` is the work that errors name. Threads may share it. Raises `EngineError`
    when a request fails finally for another reason than its text.
    """

    def __init__(self, server: Completions, harmless: str, *, place: str) -> None:
        self.server, self.place = server, place
        self.is_offered = self._is_offered(harmless)

    def __call__(self, text: str) -> PromptTokens | str:
        """The tokens of a text, or the reason why they are unknown."""
        if not self.is_offered:
            return NOT_OFFERED
        reply = self._reply(text, prompt_logprobs=0)
        if isinstance(reply, Withheld):
            return f"failed: {reply.code}"
        return prompt_tokens(reply.choices[0]) or NOT_OFFERED

    # --- inside ---

    def _is_offered(self, harmless: str) -> bool:
        try:
            reply = self._reply(harmless, prompt_logprobs=0)
        except EngineError:
            self._reply(harmless)  # it answers without: the extension is what it refuses
            return False
        return isinstance(reply, Answered) and prompt_tokens(reply.choices[0]) is not None

    def _reply(self, text: str, **more: Any) -> Answered | Withheld:
        body = {**self.server.asked(text), "max_tokens": 1, "temperature": 0.0, **more}
        return self.server.reply(body, self.server.headers(), place=self.place)


def prompt_tokens(choice: Mapping[str, Any]) -> PromptTokens | None:
    """The tokens of the prompt in an answer's choice; None where they are not there.

    Each token but the first is an object with its id as the first key.

    >>> prompt_tokens({"prompt_logprobs": [None, {"7": {"logprob": -0.5, "rank": 1}}]})
    PromptTokens(ids=(None, '7'), log_probs=(nan, -0.5))
    """
    given = choice.get("prompt_logprobs")
    if not isinstance(given, Sequence) or not given:
        return None
    ids: list[str | None] = [None]
    log_probs = [math.nan]
    for one in given[1:]:
        name, held = next(iter(one.items()), ("", None)) if isinstance(one, Mapping) else ("", None)
        value = held.get("logprob") if isinstance(held, Mapping) else None
        if not isinstance(value, int | float):
            return None
        ids.append(name)
        log_probs.append(-math.inf if value <= IMPOSSIBLE else float(value))
    return PromptTokens(tuple(ids), tuple(log_probs))


def response_nats(prompt: PromptTokens | None, whole: PromptTokens) -> tuple[float, int] | str:
    """Nats and number of the tokens that a response adds to its prompt, or why there are none.

    `whole` are the tokens of prompt and response together. Tokens with which both begin alike are
    the prompt's. A token that joins the prompt's end with the response's beginning is the
    response's, wholly. The first token follows nothing: it is never counted. None is a prompt
    without text.

    >>> prompt = PromptTokens((None, "5"), (math.nan, -1.0))
    >>> response_nats(prompt, PromptTokens((None, "5", "8", "9"), (math.nan, -1.0, -0.5, -2.0)))
    (2.5, 2)
    >>> response_nats(prompt, PromptTokens((None, "6", "9"), (math.nan, -3.0, -2.0)))
    (5.0, 2)
    """
    shared = _alike(prompt.ids, whole.ids) if prompt else 1
    nats = -math.fsum(whole.log_probs[shared:])
    if shared >= len(whole.ids):
        return NO_TOKEN
    return (nats, len(whole.ids) - shared) if math.isfinite(nats) else "not computable"


def _alike(first: Sequence[str | None], second: Sequence[str | None]) -> int:
    """The number of tokens with which both begin."""
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))
