"""Classification of labelled texts by the probability of label words: ROC-AUC.

A question follows each text; the model's score is the probability of the positive label's words
as the answer, against the words of the other labels.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from detoxlab.data import describe_source, load_prompts
from detoxlab.data.settings import DataSettings
from detoxlab.data.verbaliser import Verbaliser, label_text
from detoxlab.data.where import Conditions
from detoxlab.errors import DataError
from detoxlab.evaluations.base import Evaluation, window_of
from detoxlab.evaluations.sums import paired
from detoxlab.measures.agreement import roc_auc
from detoxlab.measures.catalogue import MEASURES
from detoxlab.measures.ranking import roc_auc_difference, roc_auc_interval
from detoxlab.measures.statistics import BoolArray, FloatArray, Interval
from detoxlab.records import RESAMPLES, Difference, ItemResult, Measurement, Prompt
from detoxlab.subject import Subject

MEASURE = MEASURES["roc_auc"]
LOG_ODDS, POSITIVE = "log_odds", "positive"


class Classification(DataSettings, Evaluation):
    """ROC-AUC of the label words' probability, with a bootstrap over items; higher is better.

    Text and question are read as training reads them (`verbaliser` of texts): plain, the text cut
    at its end so that `max_length` tokens hold text, question and answer. The score of an item
    is the log-odds of the positive label's words against all other labels' words together.

    Departure: the probability is taken among the labels' words, so that a model which has not
    learnt to answer with one of them is still ranked by the likelier words.
    """

    kind: Literal["classification"] = Field("classification", description="of evaluation")
    where: Conditions = Field({}, description="keep rows in these ranges")
    verbaliser: Verbaliser = Field(description="the question, and the words that answer it")
    positive: str = Field("toxic", description="the label that a high score speaks for")
    max_length: int | None = Field(
        None, ge=2, description="tokens of text, question and answer; None: the model's context"
    )

    @field_validator("positive", mode="before")
    @classmethod
    def _text_of_positive(cls, given: Any) -> Any:
        return label_text(given)

    @model_validator(mode="after")
    def _positive_has_words(self) -> Self:
        if self.positive not in self.verbaliser.words:
            known = ", ".join(self.verbaliser.words)
            raise ValueError(f"positive is {self.positive!r}, the labels with words are: {known}")
        return self

    @property
    def protocol(self) -> str:
        """Kind, version, question and answers, and the tokens read."""
        asked = f"{self.verbaliser.question!r} {dict(self.verbaliser.words)}"
        return f"classification@1 ({asked}, positive={self.positive}, max_length={self.max_length})"

    def resolved(self, subject: Subject) -> Self:
        """With `max_length` in tokens; `ConfigError` when it is above the model's context."""
        length = window_of(subject, self.max_length)
        return type(self).model_validate(self.model_dump() | {"max_length": length})

    def describe(self) -> dict[str, Any]:
        """The file by name and hash, or the hub's revision."""
        return describe_source(self.source, path=self.path, revision=self.revision)

    def items(self, seed: int) -> Sequence[Prompt]:
        """The labelled texts, short ones first, so that texts in a batch have similar lengths.

        Raises `DataError` where a label has no words, or all texts have one label.
        """
        given = self.model_dump(
            include={"source", "path", "columns", "where", "limit", "revision"},
            exclude_defaults=True,
        )
        texts = load_prompts(**given, seed=seed)
        answers = {self.verbaliser.answer(text) for text in texts}
        if len(answers) < 2:
            raise DataError(
                f"{self.source}: all {len(texts)} texts have one label",
                remedy="ROC-AUC needs both: change `where` or raise `limit`.",
            )
        return sorted(texts, key=lambda text: (len(text.text), text.id))

    def results(self, subject: Subject, items: Sequence[Prompt]) -> list[ItemResult]:
        """Log-odds of the positive label's words, in nats, and whether the label is positive."""
        words = list(self.verbaliser.words)
        log_probs_NL = self._answer_log_probs(subject, items, words)
        at = words.index(self.positive)
        others_NL = np.delete(log_probs_NL, at, axis=1)
        log_odds_N = log_probs_NL[:, at] - np.logaddexp.reduce(others_NL, axis=1)
        return [
            _result(item, float(log_odds), self.verbaliser.label(item) == self.positive)
            for item, log_odds in zip(items, log_odds_N, strict=True)
        ]

    def measurements(
        self, results: Sequence[ItemResult], *, seed: int = 0, resamples: int = RESAMPLES
    ) -> list[Measurement]:
        """`roc_auc` over the items that have a result."""
        known = [one for one in results if one.error is None]
        scores_N, positive_N = _columns(known)
        interval = (
            roc_auc_interval(scores_N, positive_N, seed=seed, resamples=resamples)
            if known
            else None
        )
        return [
            MEASURE.measurement(
                value=roc_auc(scores_N, positive_N) if known else None,
                ci_low=interval.low if interval else None,
                ci_high=interval.high if interval else None,
                n=len(known),
                coverage=len(known) / len(results) if results else None,
                protocol=self.protocol,
            )
        ]

    def differences(
        self,
        baseline: Sequence[ItemResult],
        treated: Sequence[ItemResult],
        *,
        seed: int = 0,
        resamples: int = RESAMPLES,
    ) -> list[Difference]:
        """The difference of both areas on the items with both results; empty without any."""
        before, after, items = paired(baseline, treated)
        if not before:
            return []
        (before_N, positive_N), (after_N, _) = _columns(before), _columns(after)
        interval = roc_auc_difference(before_N, after_N, positive_N, seed=seed, resamples=resamples)
        return [_difference(before_N, after_N, positive_N, interval, items)]

    def _answer_log_probs(
        self, subject: Subject, items: Sequence[Prompt], labels: Sequence[str]
    ) -> FloatArray:
        """Log-probability of each label's words after each text and the question, (N, L)."""
        from detoxlab.models.questions import asked_text

        assert self.max_length is not None
        answers = [subject.lm.piece_ids(self.verbaliser.words[label]) for label in labels]
        longest = max(map(len, answers)) + 1  # training learns the end token with the answer
        asked = [
            asked_text(
                subject.lm,
                item.text,
                self.verbaliser.question,
                answer_tokens=longest,
                max_length=self.max_length,
            ).ids
            for item in items
        ]
        if longest == 2:
            first_NL = subject.next_token_log_probs(asked, [answer[0] for answer in answers])
            return first_NL.astype(np.float64)
        log_probs = subject.token_log_probs(
            [ids for ids in asked for _ in answers], [answer for _ in asked for answer in answers]
        )
        totals = np.array([one.sum(dtype=np.float64) for one in log_probs])
        return totals.reshape(len(items), len(labels))


def _result(item: Prompt, log_odds: float, is_positive: bool) -> ItemResult:
    if not np.isfinite(log_odds):
        return ItemResult(item.id, error="not computable")
    return ItemResult(item.id, {LOG_ODDS: round(log_odds, 6), POSITIVE: float(is_positive)})


def _columns(results: Sequence[ItemResult]) -> tuple[FloatArray, BoolArray]:
    """Scores (N,), and whether each item is positive (N,)."""
    scores_N = np.array([one.values[LOG_ODDS] for one in results], dtype=np.float64)
    return scores_N, np.array([one.values[POSITIVE] == 1 for one in results], dtype=np.bool_)


def _difference(
    before_N: FloatArray,
    after_N: FloatArray,
    positive_N: BoolArray,
    interval: Interval | None,
    items: int,
) -> Difference:
    return MEASURE.difference(
        baseline=roc_auc(before_N, positive_N),
        treated=roc_auc(after_N, positive_N),
        difference=interval.value if interval else None,
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        percentile_low=interval.percentile_low if interval else None,
        percentile_high=interval.percentile_high if interval else None,
        n_prompts=len(before_N),
        n_pairs=len(before_N),
        coverage=len(before_N) / items if items else None,
    )
