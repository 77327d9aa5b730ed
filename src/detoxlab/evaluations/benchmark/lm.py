"""A subject as lm-evaluation-harness asks a model. Imports lm_eval and torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from lm_eval.api.model import LM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from detoxlab.generate import LocalEngine
from detoxlab.models import ContinuationScore
from detoxlab.records import Prompt, Sampling
from detoxlab.subject import Subject

NEW_TOKENS = 256
"""Tokens of an answer, at most, where a task does not say: the harness's own default."""


class SubjectLM(LM):  # type: ignore[misc]
    """A subject with its adapter, edit and steerings, as a model of lm-evaluation-harness.

    Texts become tokens as with the harness's `HFLM`: a context and its continuation together,
    cut apart after as many tokens as the context has alone; white space at the end of a context
    belongs to the continuation; an empty context is the token that opens a text. A context that
    does not fit loses its beginning.

    Departures: where that leaves a continuation without a token, which stops the harness, the
    continuation begins at the first token that differs; a control token that a text spells out is
    read as text, as everywhere here.

    It may also be given to `lm_eval.simple_evaluate` as `model`.
    """

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.subject = subject

    def loglikelihood(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Log-probability in nats of each continuation, and whether it is the greedy one."""
        del disable_tqdm
        return [(one.log_prob, one.is_greedy) for one in self.scores(r.args for r in requests)]

    def scores(self, pairs: Iterable[tuple[str, str]]) -> list[ContinuationScore]:
        """The score of each pair of a context and its continuation."""
        contexts_ids, continuations_ids = [], []
        known: dict[str, list[int]] = {}  # answers to one question follow each other
        for context, continuation in pairs:
            before, after = self._pair_ids(context, continuation, known)
            contexts_ids.append(before)
            continuations_ids.append(after)
        return self.subject.continuation_scores(contexts_ids, continuations_ids)

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-probability in nats of each whole text, in windows that do not overlap."""
        del disable_tqdm
        lm = self.subject.lm
        contexts_ids: list[Sequence[int]] = []
        continuations_ids: list[Sequence[int]] = []
        owners: list[int] = []
        for at, request in enumerate(requests):
            windows = get_rolling_token_windows(
                lm.prompt_ids(request.args[0], chat=False) if request.args[0] else [],
                prefix_token=self._opening,
                max_seq_len=lm.context_length,
                context_len=1,
            )
            for context, continuation in map(make_disjoint_window, windows):
                contexts_ids.append(context)
                continuations_ids.append(continuation)
                owners.append(at)
        totals = [0.0] * len(requests)
        found = self.subject.continuation_scores(contexts_ids, continuations_ids)
        for at, one in zip(owners, found, strict=True):
            totals[at] += one.log_prob
        return totals

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Each response to a context, cut at the first of its stop strings; greedy unless asked."""
        del disable_tqdm
        asked: dict[Sampling, list[int]] = {}
        for at, request in enumerate(requests):
            asked.setdefault(sampling_of(request.args[1]), []).append(at)
        texts = [""] * len(requests)
        for sampling, places in asked.items():
            prompts = [Prompt(str(at), requests[at].args[0], "benchmark") for at in places]
            engine = LocalEngine(self.subject, chat=False)
            for batch in engine.batches(prompts, sampling):
                for one in engine.generate(batch, sampling):
                    texts[int(one.prompt_id)] = one.text
        return texts

    @property
    def _opening(self) -> int:
        return self.subject.lm.prompt_ids("", chat=False)[-1]

    def _pair_ids(
        self, context: str, continuation: str, known: dict[str, list[int]]
    ) -> tuple[list[int], list[int]]:
        lm = self.subject.lm
        if not context:
            ids = lm.piece_ids(continuation)
            return ([self._opening], ids) if ids[0] != self._opening else (ids[:1], ids[1:])
        kept = context.rstrip()
        continuation = context[len(kept) :] + continuation
        if kept not in known:
            known.clear()
            known[kept] = lm.prompt_ids(kept, chat=False)
        before = known[kept]
        whole = lm.prompt_ids(kept + continuation, chat=False)
        cut = len(before) if len(before) < len(whole) else _alike(before, whole)
        return whole[:cut] if cut < len(before) else before, whole[cut:]


def _alike(first: Sequence[int], second: Sequence[int]) -> int:
    """The number of tokens with which both begin.

    >>> _alike([1, 2, 3], [1, 2, 4])
    2
    """
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    )


def sampling_of(given: Mapping[str, Any]) -> Sampling:
    """A task's `generation_kwargs` as sampling: greedy unless `do_sample` is true.

    >>> sampling_of({"until": ["Q:"], "do_sample": False, "max_gen_toks": 8, "temperature": 1.0})
    Sampling(k=1, max_new_tokens=8, temperature=0.0, top_p=1.0, top_k=0, stop=('Q:',), seed=0)
    """
    until = given.get("until") or ()
    stop = (until,) if isinstance(until, str) else tuple(until)
    limit = given.get("max_gen_toks") or given.get("max_new_tokens") or NEW_TOKENS
    greedy = Sampling(max_new_tokens=int(limit), temperature=0.0, stop=tuple(filter(None, stop)))
    if not given.get("do_sample"):
        return greedy
    return replace(
        greedy,
        temperature=float(given.get("temperature", 1.0)),
        top_p=float(given.get("top_p", 1.0)),
        top_k=int(given.get("top_k", 0)),
    )
