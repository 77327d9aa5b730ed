"""A judge in this process: likelihoods of two responses, or log-probabilities of its answers."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from detoxlab.contest import Kind, WinRate
from detoxlab.evaluations.win_rate.pairs import EMPTY, NUMBERS, SHOWN, Pair, question
from detoxlab.records import Generation, Score

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

Ids = Sequence[int]
SAME = (0.0, 0.0)
UNREAD = "does not fit into the judge's context"


def judged(
    settings: WinRate, judge: "LanguageModel", pairs: Sequence[Pair], *, chat: bool, own_ids: bool
) -> list[Score]:
    """Two scores per pair, named by `NUMBERS` of the kind, or the reason why there are none.

    `chat` puts the prompt into the judge's chat template, as the models were asked. `own_ids`
    says that the judge has the models' tokenizer: likelihood then reads the tokens as they were
    drawn, including the token that ended the response.
    """
    judge_pairs: dict[Kind, Callable[..., list[tuple[float, float]]]] = {
        "likelihood": functools.partial(_nats_per_token, chat=chat, own_ids=own_ids),
        "question": functools.partial(_answers, settings),
    }
    asked = [pair for pair in pairs if not _is_settled(settings, pair)]
    numbers = iter(judge_pairs[settings.kind](judge, asked))
    return [
        score
        for pair in pairs
        for score in _scores(
            settings, judge, pair, SAME if _is_settled(settings, pair) else next(numbers)
        )
    ]


# --- inside ---


def _is_settled(settings: WinRate, pair: Pair) -> bool:
    """Whether there is nothing to ask about the pair."""
    return pair.has_empty or (settings.kind == "question" and pair.is_same)


def _scores(
    settings: WinRate, judge: "LanguageModel", pair: Pair, numbers: tuple[float, float]
) -> list[Score]:
    reason = EMPTY if pair.has_empty else None if np.isfinite(numbers).all() else UNREAD
    values = (None, None) if reason else tuple(round(float(one), 6) for one in numbers)
    return [
        Score(pair.prompt.id, pair.treated.sample, _scorer_id(settings, judge), name, value, reason)
        for name, value in zip(NUMBERS[settings.kind], values, strict=True)
    ]


def _scorer_id(settings: WinRate, judge: "LanguageModel") -> str:
    return f"{settings.kind}:{judge.id}"


def _nats_per_token(
    judge: "LanguageModel", pairs: Sequence[Pair], *, chat: bool, own_ids: bool
) -> list[tuple[float, float]]:
    def ids(row: Generation) -> Ids:
        if own_ids and row.token_ids:
            return row.token_ids
        return judge.piece_ids(row.text)

    contexts = [judge.prompt_ids(pair.prompt.text, chat) for pair in pairs for _ in range(2)]
    responses = [ids(row) for pair in pairs for row in (pair.baseline, pair.treated)]
    means = [-total / max(1, len(ids)) for total, ids in _totals(judge, contexts, responses)]
    return list(zip(means[::2], means[1::2], strict=True))


def _answers(
    settings: WinRate, judge: "LanguageModel", pairs: Sequence[Pair]
) -> list[tuple[float, float]]:
    """The preference for the treated response in nats, when shown first and when shown second."""
    letters = [judge.piece_ids(f" {x}") for x in "AB"]
    orders = [
        question(settings, pair.prompt.text, *pair.shown(name)) for pair in pairs for name in SHOWN
    ]
    contexts = [judge.prompt_ids(asked, chat=False) for asked in orders for _ in letters]
    found = _totals(judge, contexts, letters * len(orders))
    totals = np.array([total for total, _ in found]).reshape(len(pairs), 2, 2)
    for_a = totals[:, :, 0] - totals[:, :, 1]
    return [(float(first), float(-second)) for first, second in for_a]


def _totals(
    judge: "LanguageModel", contexts: Sequence[Ids], responses: Sequence[Ids]
) -> list[tuple[float, Ids]]:
    """Log-probability of each response in nats, NaN where it does not fit or has no token."""
    from detoxlab.models import log_probs_that_fit

    found = log_probs_that_fit(judge, contexts, responses)
    return [
        (np.nan if one is None or not len(one) else float(one.sum(dtype=np.float64)), ids)
        for one, ids in zip(found, responses, strict=True)
    ]
