"""Perplexity of running text: how well the model predicts texts that it did not write.

    exp(sum of nats / number of tokens, words or bytes)

over all documents, with a bootstrap over documents. Nats per word or byte do not depend on the
tokenizer, so they compare models with different ones; nats per token need the same tokenizer.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from detoxlab.data import describe_source
from detoxlab.data.documents import load_documents
from detoxlab.data.settings import RunningText
from detoxlab.evaluations import sums
from detoxlab.evaluations.base import Evaluation, window_of
from detoxlab.measures.catalogue import MEASURES
from detoxlab.measures.guards import perplexity_of_sums
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import RESAMPLES, Difference, ItemResult, Measurement, Prompt
from detoxlab.subject import Subject

SUMS = tuple(
    sums.SumMeasure(
        MEASURES[f"{unit}_perplexity"], ("nats", f"{unit}s"), perplexity_of_sums, as_ratio=True
    )
    for unit in ("token", "word", "byte")
)
CHARACTERS = 20_000  # of a batch; what a kill can cost


class Window(NamedTuple):
    """Tokens `start` to `stop` are predicted; the model sees the tokens from `context` on."""

    context: int
    start: int
    stop: int


class Perplexity(RunningText, Evaluation):
    """Perplexity per token, per word and per byte; lower is better.

    Each document begins with the token that opens a text and is read through a window of
    `max_length` tokens that moves by `stride`: every token is predicted once, and sees at least
    the `max_length - stride` tokens before it, or all there are. White space separates words,
    bytes are those of UTF-8. The end token is not predicted. A steering sees the whole document
    as a response.

    Departure from lm-evaluation-harness, whose windows do not overlap: the first tokens of a
    window see hardly anything there. With `stride` close to `max_length` both agree.
    """

    kind: Literal["perplexity"] = Field("perplexity", description="of evaluation")

    @property
    def protocol(self) -> str:
        """Kind, version and window.

        >>> Perplexity(source="texts.txt", max_length=64, stride=32).protocol
        'perplexity@1 (max_length=64, stride=32, documents=rows)'
        """
        window = f"max_length={self.max_length}, stride={self.stride}"
        return f"perplexity@1 ({window}, documents={self.documents})"

    def resolved(self, subject: Subject) -> Self:
        """With the window in tokens; `ConfigError` when it is larger than the model's context."""
        length = window_of(subject, self.max_length)
        changes = {"max_length": length, "stride": self.stride or length // 2}
        return type(self).model_validate(self.model_dump() | changes)

    def describe(self) -> dict[str, Any]:
        """The file by name and hash, or the hub's revision."""
        return describe_source(self.source, path=self.path, revision=self.revision)

    def items(self, seed: int) -> Sequence[Prompt]:
        """The documents."""
        given = self.model_dump(include={"source", "path", "columns", "where", "limit", "revision"})
        return load_documents(**given, division=self.documents, seed=seed)

    def batches(self, items: Sequence[Prompt]) -> list[Sequence[Prompt]]:
        """Documents together up to some length, so that long ones are written one by one."""
        ends = list(accumulate(len(item.text) for item in items))
        parts: dict[int, list[Prompt]] = {}
        for item, end in zip(items, ends, strict=True):
            parts.setdefault(end // CHARACTERS, []).append(item)
        return list(parts.values())

    def results(self, subject: Subject, items: Sequence[Prompt]) -> list[ItemResult]:
        """Nats, tokens, words and bytes of each document."""
        assert self.max_length is not None
        assert self.stride is not None
        contexts, targets, owners, continued = [], [], [], []
        opening = subject.lm.prompt_ids("", chat=False)[-1:]
        tokens = [
            list(subject.lm.tokenizer(item.text, add_special_tokens=False).input_ids)
            for item in items
        ]
        for at, ids in enumerate(tokens):
            opened = opening + ids
            for window in windows(len(opened), self.max_length, self.stride):
                contexts.append(opened[window.context : window.start])
                targets.append(opened[window.start : window.stop])
                continued.append(window.start - max(window.context, len(opening)))
                owners.append(at)
        log_probs = subject.token_log_probs(contexts, targets, continued=continued)
        nats = np.bincount(
            owners, [-float(one.sum(dtype=np.float64)) for one in log_probs], len(items)
        )
        return [_result(item, float(nats[at]), len(tokens[at])) for at, item in enumerate(items)]

    def measurements(
        self, results: Sequence[ItemResult], *, seed: int = 0, resamples: int = RESAMPLES
    ) -> list[Measurement]:
        """`token_perplexity`, `word_perplexity` and `byte_perplexity`."""
        return sums.measurements(
            SUMS, results, protocol=self.protocol, seed=seed, resamples=resamples
        )

    def differences(
        self,
        baseline: Sequence[ItemResult],
        treated: Sequence[ItemResult],
        *,
        seed: int = 0,
        resamples: int = RESAMPLES,
    ) -> list[Difference]:
        """Differences and ratios; per token only where both models have the same tokens."""
        before, after, _ = sums.paired(baseline, treated)
        same = [one.values["tokens"] for one in before] == [one.values["tokens"] for one in after]
        shared = SUMS if same else SUMS[1:]
        return sums.differences(shared, baseline, treated, seed=seed, resamples=resamples)

    def resampled(
        self,
        name: str,
        models: Sequence[Sequence[ItemResult]],
        *,
        seed: int = 0,
        resamples: int = RESAMPLES,
    ) -> FloatArray | None:
        """The perplexity of this name of each model, on the same resamples of documents."""
        found = next((one for one in SUMS if one.measure.name == name), None)
        if found is None:
            return None
        return sums.resampled(found, models, seed=seed, resamples=resamples)


def windows(length: int, max_length: int, stride: int) -> list[Window]:
    """The windows of a text of `length` tokens, of which the first is given.

    Every token but the first is predicted in exactly one window; no window holds more than
    `max_length` tokens, its context included.

    >>> windows(9, max_length=4, stride=2)
    [Window(context=0, start=1, stop=4), Window(context=2, start=4, stop=6),
     Window(context=4, start=6, stop=8), Window(context=6, start=8, stop=9)]
    """
    found: list[Window] = []
    start = 1
    while start < length:
        stop = min(start + (stride if found else max_length - 1), length)
        full = start + stride if found else max_length
        found.append(Window(max(0, full - max_length), start, stop))
        start = stop
    return found


def _result(item: Prompt, nats: float, tokens: int) -> ItemResult:
    if not np.isfinite(nats):
        return ItemResult(item.id, error="not computable")
    values = {
        "nats": round(nats, 6),
        "tokens": float(tokens),
        "words": float(len(item.text.split())),
        "bytes": float(len(item.text.encode())),
    }
    return ItemResult(item.id, values)
