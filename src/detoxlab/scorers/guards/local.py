"""A guard model in this process: the probability of its verdict, in one pass per text.

The beginning of the prompt, which texts have in common, is read once for a batch of them.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from detoxlab.errors import ScorerError
from detoxlab.models import (
    FALLBACK_TEMPLATE,
    LanguageModel,
    Rendering,
    shared_next_token_log_probs,
)
from detoxlab.scorers.guards.formats import GuardFormat
from detoxlab.scorers.guards.verdicts import Verdict, verdict_of

# A template may write today's date, and a score must not depend on the day.
DATE = datetime.date(2025, 1, 1)


def rendering(guard_format: GuardFormat, policy: str) -> Rendering:
    """The inputs of the model's chat template under a policy."""
    return Rendering(options=guard_format.policies[policy].options, date=DATE)


class LocalGuard:
    """A language model that answers in a format.

    Raises `ScorerError` when the model has no chat template where the format needs its own, or when
    verdicts begin with the same token; `ConfigError` when its template does not read a policy's
    options.
    """

    def __init__(
        self,
        lm: LanguageModel,
        guard_format: GuardFormat,
        policies: Sequence[str],
        *,
        batch_tokens: int = 4096,
    ) -> None:
        self.format, self.batch_tokens = guard_format, batch_tokens
        self._score_of = first_tokens(lm, guard_format.verdicts)
        self.asked = {
            name: replace(lm, rendering=rendering(guard_format, name)) for name in policies
        }
        if guard_format.messages:
            _check_template(lm, guard_format)
            for asked in self.asked.values():
                asked.chat.check_user()

    def verdicts(self, texts: Sequence[str], policy: str) -> list[Verdict]:
        """A verdict per text, in their order. No text is cut: one too long for it has none."""
        lm = self.asked[policy]
        prompts = [self.prompt_ids(text, policy) for text in texts]
        fits = [at for at, ids in enumerate(prompts) if len(ids) < lm.context_length]
        log_probs_NC = shared_next_token_log_probs(
            lm, [prompts[at] for at in fits], list(self._score_of), batch_tokens=self.batch_tokens
        )
        found = [Verdict.missing("failed: too long for the guard")] * len(texts)
        for at, row_C in zip(fits, np.exp(log_probs_NC.astype(np.float64)), strict=True):
            weighed = zip(self._score_of.values(), row_C.tolist(), strict=True)
            found[at] = verdict_of(weighed, self.format.floor)
        return found

    def prompt_ids(self, text: str, policy: str) -> list[int]:
        """The token ids after which the model gives its verdict.

        A control token that `text` spells out is read as text, so that it cannot end its turn.
        """
        chat = self.asked[policy].chat
        return chat.ids(self.prompt(text, policy), opens=self.format.prompt is not None)

    def prompt(self, text: str, policy: str) -> str:
        """The prompt as text, with marks around control tokens that `text` spells out."""
        chat, opening = self.asked[policy].chat, self.format.opening
        chosen = self.format.policies[policy]
        if self.format.prompt is not None:
            return self.format.literal(chat.marked(text), chosen)
        rendered = chat.render(self.format.dialogue(text, chosen), reply=True)
        return rendered if rendered.endswith(opening) else rendered + opening


def first_tokens(lm: LanguageModel, verdicts: Mapping[str, float]) -> dict[int, float]:
    """The tokens that begin the words, each with its word's score.

    A token that begins words of unlike scores, such as a lone space, is left out. Raises
    `ScorerError` when no token is left for a score.
    """
    scores_of: dict[int, set[float]] = {}
    for word, score in verdicts.items():
        scores_of.setdefault(lm.piece_ids(word)[0], set()).add(score)
    clear = {token: scores.pop() for token, scores in scores_of.items() if len(scores) == 1}
    if set(clear.values()) != set(verdicts.values()):
        words = ", ".join(repr(word.strip()) for word in verdicts)
        raise ScorerError(
            f"{lm.id}: its tokenizer begins several of the verdicts {words} by the same token",
            remedy="Take the model that the format is for.",
        )
    return clear


def _check_template(lm: LanguageModel, guard_format: GuardFormat) -> None:
    if lm.template_name == FALLBACK_TEMPLATE.name:
        raise ScorerError(
            f"{lm.id}: has no chat template, which the format {guard_format.name} needs",
            remedy="Take the guard that the format is for, or a format with a literal prompt.",
        )
