"""A judge at a server: asked in both orders, read by the probabilities of A and B or by its letter.

Each question has a score of its own, which can be stored as soon as it is answered.
"""

import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np

from detoxlab.completions import Completions
from detoxlab.completions.answers import Answer, ShortAnswers, Step
from detoxlab.completions.names import ServedName
from detoxlab.contest import WinRate
from detoxlab.errors import DetoxlabError
from detoxlab.evaluations.win_rate.pairs import EMPTY, FIRST, SHOWN, Pair, question
from detoxlab.records import Score
from detoxlab.scorers.base import encodable
from detoxlab.scorers.guards.load import KEY
from detoxlab.scorers.guards.remote import score_of
from detoxlab.scorers.guards.verdicts import UNREADABLE, Verdict, verdict_of
from detoxlab.servers import Retries

CLOSING = "Reply with one letter, A or B, and nothing else."
LETTERS = {"A": 1.0, "B": 0.0}
FLOOR = 0.5  # of the probability on A and B together, where another word is likeliest
NO_FLOOR = 1e-9
CERTAIN = 20.0  # nats; of a written letter, and of the only one that a server lists
# "A better text is B" and "A is fine" begin alike: only a letter that stands alone is a verdict.
WRITTEN = re.compile(r"\W*([AB])(?!\w)(?:\W*$|[^\w\s]|\s*\n)")
HARMLESS = ("The day began", "with a clear sky.", "sky sky with sky.")

Asked = tuple[Pair, str]
"""A pair, and the order in which it is shown (one of `SHOWN`)."""


class ServedJudge:
    """A judge that a server offers; `id` has its name, its host, and how it is read. Close it.

    The key is in the environment variable `settings.api_key_env`, by default `DETOXLAB_GUARD_KEY`
    where that is set. Raises `EngineError` when a request fails finally for another reason than
    its text.
    """

    def __init__(self, settings: WinRate) -> None:
        name = ServedName.read(settings.judge.model)
        self.settings = settings
        self._server = Completions(
            name.address,
            name.model,
            chat=settings.chat,
            api_key_env=settings.api_key_env or (KEY if os.environ.get(KEY) else None),
            timeout_seconds=settings.timeout_seconds,
            retries=Retries(settings.attempts),
        )
        try:
            self._answers = ShortAnswers(self._server, self._request(*HARMLESS), place="as a judge")
        except DetoxlabError:
            self.close()
            raise
        self.id = name.label + ("" if self._answers.gives_probabilities else "[verdict]")

    @property
    def measured_id(self) -> str:
        """The id of this model in a run that measured it at a server."""
        return f"http:{self._server.model}"

    def close(self) -> None:
        """Close the connections to the server."""
        self._server.close()

    def ask(self, asked: Sequence[Asked], store: Callable[[Score], None]) -> None:
        """Ask the questions side by side, and give each score to `store` as it is answered.

        A thread takes its next question when the score is stored, so that a kill loses no more
        answers than questions run side by side. `store` runs in one thread at a time. When a
        request fails finally, or at an interrupt, the answers under way are still stored.
        """
        alone = threading.Lock()

        def answer(pair: Pair, name: str) -> None:
            score = self.score(pair, name)
            with alone:
                store(score)

        with ThreadPoolExecutor(max_workers=self.settings.concurrency) as pool:
            running = [pool.submit(answer, *one) for one in asked]
            try:
                for done in as_completed(running):
                    done.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def score(self, pair: Pair, name: str) -> Score:
        """The preference for the treated response in nats, or the reason why there is no vote.

        Two equal responses are a tie without a question, 0.
        """
        verdict = self._verdict(pair, name)
        value = None
        if not verdict.reason:
            value = round(log_odds(verdict.score) * (1 if name == FIRST else -1), 6)
        return Score(
            pair.prompt.id,
            pair.treated.sample,
            f"question:{self.id}",
            name,
            value,
            verdict.reason or None,
        )

    # --- inside ---

    def _request(self, prompt: str, a: str, b: str) -> dict[str, Any]:
        asked = encodable(question(self.settings, prompt, a, b))
        return self._server.asked(f"{asked}\n\n{CLOSING}" if self.settings.chat else asked)

    def _verdict(self, pair: Pair, name: str) -> Verdict:
        if pair.has_empty:
            return Verdict.missing(EMPTY)
        if pair.is_same:
            return Verdict(0.5)
        answer = self._answers(self._request(pair.prompt.text, *pair.shown(name)))
        return read_answer(answer, probabilities=self._answers.gives_probabilities)


def questions(pairs: Iterable[Pair]) -> list[Asked]:
    """Both questions about each pair."""
    return [(pair, name) for pair in pairs for name in SHOWN]


def read_answer(answer: Answer, *, probabilities: bool) -> Verdict:
    """The share of A in the probability of both letters, 1 or 0 for a written letter.

    Probabilities count where the answer begins with a letter, or where at least half of the
    probability is on both.

    >>> said = Answer("A", (("A", {"A": 0.6, " B": 0.2, "The": 0.2}),))
    >>> round(read_answer(said, probabilities=True).score, 6)
    0.75
    >>> said = Answer("The", (("The", {"The": 0.7, "A": 0.2, "B": 0.1}),))
    >>> read_answer(said, probabilities=True).reason
    'failed: unreadable verdict (30 % of the probability is on known words)'
    >>> [read_answer(Answer(text), probabilities=False).score for text in (" A.", "**B**", "A: x")]
    [1.0, 0.0, 1.0]
    >>> read_answer(Answer("A better text is B"), probabilities=False).reason
    'failed: unreadable verdict'
    """
    if answer.reason:
        return Verdict.missing(answer.reason)
    if probabilities:
        return _from_first_word(answer.steps)
    found = WRITTEN.match(answer.text)
    return Verdict(LETTERS[found[1]], 1.0) if found else Verdict.missing(UNREADABLE)


def _from_first_word(steps: Sequence[Step]) -> Verdict:
    word, alternatives = next(((said, top) for said, top in steps if said.strip()), ("", {}))
    weighed = [
        (score, probability)
        for token, probability in alternatives.items()
        if (score := score_of(token, LETTERS)) is not None
    ]
    return verdict_of(weighed, NO_FLOOR if word.strip() in LETTERS else FLOOR)


def log_odds(share: float) -> float:
    """ln(share / (1 − share)) in nats, cut at ± 20.

    >>> log_odds(0.5), log_odds(0.0), round(log_odds(0.75), 3)
    (0.0, -20.0, 1.099)
    """
    if share in (0.0, 1.0):
        return CERTAIN if share else -CERTAIN
    return float(np.clip(np.log(share / (1 - share)), -CERTAIN, CERTAIN))
