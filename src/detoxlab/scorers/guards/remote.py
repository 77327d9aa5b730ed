"""A guard model at a server: the verdict's probability from its log-probabilities, or its word."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from detoxlab.completions import Answered, Completions, Withheld, text_of
from detoxlab.scorers.guards.formats import GuardFormat
from detoxlab.scorers.guards.verdicts import UNREADABLE, Verdict, verdict_of, written_verdict

ANSWER_TOKENS = 16  # enough for an opening and a verdict
TOP = 20  # alternatives per token: no server that we know gives more by default
HARMLESS = "Good morning."

Step = tuple[str, Mapping[str, float]]  # a token of the answer; its alternatives' probabilities


class RemoteGuard:
    """A guard model that a server offers, in a format.

    The server's own chat template is used, with the policy's options (`chat_template_kwargs`), or
    the format's literal prompt. Whether the server gives log-probabilities is found out here, by a
    harmless text; `gives_probabilities` is False where it does not, and a score is then that of the
    word which the model wrote.

    A text that the server refuses has no verdict. Raises `EngineError` when a request fails finally
    for another reason.
    """

    def __init__(
        self,
        server: Completions,
        guard_format: GuardFormat,
        policies: Sequence[str],
        *,
        concurrency: int = 8,
    ) -> None:
        self.server, self.format, self.concurrency = server, guard_format, concurrency
        self.gives_probabilities = self._answers_with_probabilities(policies[0])

    def verdicts(self, texts: Sequence[str], policy: str) -> list[Verdict]:
        """A verdict per text, in their order; requests run side by side."""
        with ThreadPoolExecutor(max_workers=self.concurrency) as pool:
            return list(pool.map(lambda text: self._verdict(text, policy), texts))

    def body(self, text: str, policy: str, *, probabilities: bool) -> dict[str, Any]:
        """The request for a greedy answer about `text`."""
        chosen = self.format.policies[policy]
        body: dict[str, Any] = {"model": self.server.model, "max_tokens": ANSWER_TOKENS}
        body["temperature"] = 0.0
        if self.server.chat:
            body["messages"] = self.format.dialogue(text, chosen)
            if chosen.options:
                body["chat_template_kwargs"] = chosen.options
        else:
            body["prompt"] = self.format.literal(text, chosen)
        if probabilities:
            in_chat: dict[str, Any] = {"logprobs": True, "top_logprobs": TOP}
            body |= in_chat if self.server.chat else {"logprobs": TOP}
        return body

    # --- inside ---

    def _answers_with_probabilities(self, policy: str) -> bool:
        reply = self._reply(HARMLESS, policy, probabilities=True)
        if isinstance(reply, Withheld):
            # Perhaps it refuses to give log-probabilities. Otherwise it refuses this one as well.
            plain = self._reply(HARMLESS, policy, probabilities=False)
            if isinstance(plain, Withheld):
                raise self.server.error(f"it refuses a harmless text ({plain.code})", "as a guard")
            return False
        return bool(list(steps(reply.choices[0])))

    def _reply(self, text: str, policy: str, *, probabilities: bool) -> Answered | Withheld:
        body = self.body(text, policy, probabilities=probabilities)
        return self.server.reply(body, self.server.headers(), place="as a guard")

    def _verdict(self, text: str, policy: str) -> Verdict:
        reply = self._reply(text, policy, probabilities=self.gives_probabilities)
        if isinstance(reply, Withheld):
            return Verdict.missing(f"failed: {reply.code}")
        answer, withheld = text_of(reply.choices[0], chat=self.server.chat)
        if withheld:
            return Verdict.missing(f"failed: {withheld}")
        opening = self.format.opening if self.server.chat else ""
        if self.gives_probabilities:
            return read_verdict(steps(reply.choices[0]), opening, self.format)
        return written_verdict(answer, opening, self.format.verdicts)


def read_verdict(answer: Iterator[Step], opening: str, guard_format: GuardFormat) -> Verdict:
    """The verdict from the probabilities of the first token after the opening.

    >>> from detoxlab.scorers.guards.formats import load_format
    >>> said = [("Safety", {}), (":", {}), (" Safe", {" Safe": 0.6, " Un": 0.2, " Hm": 0.2})]
    >>> read_verdict(iter(said), "Safety:", load_format("qwen3guard")).score
    0.25
    """
    said = ""
    for token, alternatives in answer:
        if said.strip() == opening.strip() and token.strip():
            weighed = [
                (score, probability)
                for alternative, probability in alternatives.items()
                if (score := score_of(alternative, guard_format.verdicts)) is not None
            ]
            return verdict_of(weighed, guard_format.floor)
        said += token
    return Verdict.missing(UNREADABLE)


def score_of(token: str, verdicts: Mapping[str, float]) -> float | None:
    """The score of the words that a token begins; None if there are none, or of unlike scores.

    >>> [score_of(token, {"safe": 0.0, "unsafe": 1.0}) for token in (" un", "safe\\n", " ", "sure")]
    [1.0, 0.0, None, None]
    """
    begun = token.strip()
    scores = {score for word, score in verdicts.items() if word.strip().startswith(begun)}
    return scores.pop() if begun and len(scores) == 1 else None


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
