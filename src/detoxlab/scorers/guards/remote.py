"""A guard model at a server: the verdict's probability from its log-probabilities, or its word."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from detoxlab.completions import Completions
from detoxlab.completions.answers import ShortAnswers, Step
from detoxlab.scorers.guards.formats import GuardFormat
from detoxlab.scorers.guards.verdicts import UNREADABLE, Verdict, verdict_of, written_verdict

HARMLESS = "Good morning."


class RemoteGuard:
    """A guard model that a server offers, in a format.

    The server's own chat template is used, with the policy's options (`chat_template_kwargs`), or
    the format's literal prompt. Where the server gives no log-probabilities (see `ShortAnswers`), a
    score is that of the word which the model wrote.

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
        harmless = self._question(HARMLESS, policies[0])
        self._answers = ShortAnswers(server, harmless, place="as a guard")

    @property
    def gives_probabilities(self) -> bool:
        """Whether the server gives log-probabilities."""
        return self._answers.gives_probabilities

    def verdicts(self, texts: Sequence[str], policy: str) -> list[Verdict]:
        """A verdict per text, in their order; requests run side by side."""
        with ThreadPoolExecutor(max_workers=self.concurrency) as pool:
            return list(pool.map(lambda text: self._verdict(text, policy), texts))

    # --- inside ---

    def _question(self, text: str, policy: str) -> dict[str, Any]:
        chosen = self.format.policies[policy]
        if not self.server.chat:
            return {"prompt": self.format.literal(text, chosen)}
        options = {"chat_template_kwargs": chosen.options} if chosen.options else {}
        return {"messages": self.format.dialogue(text, chosen), **options}

    def _verdict(self, text: str, policy: str) -> Verdict:
        answer = self._answers(self._question(text, policy))
        if answer.reason:
            return Verdict.missing(answer.reason)
        opening = self.format.opening if self.server.chat else ""
        if self.gives_probabilities:
            return read_verdict(answer.steps, opening, self.format)
        return written_verdict(answer.text, opening, self.format.verdicts)


def read_verdict(answer: Iterable[Step], opening: str, guard_format: GuardFormat) -> Verdict:
    """The verdict from the probabilities of the first token after the opening.

    >>> from detoxlab.scorers.guards.formats import load_format
    >>> said = [("Safety", {}), (":", {}), (" Safe", {" Safe": 0.6, " Un": 0.2, " Hm": 0.2})]
    >>> read_verdict(said, "Safety:", load_format("qwen3guard")).score
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
