"""Log-likelihoods of continuations, several of which follow one context: it is read once.

Questions of a benchmark begin alike (the same examples come first), and the answers to one question
follow the same text. Such beginnings are read once, and the model goes on from their cache.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from detoxlab.errors import DataError
from detoxlab.internals.transformers import holds_keys_alone
from detoxlab.models.cache import forward_last, shared_among_samples
from detoxlab.models.finite import check_logits
from detoxlab.models.language_model import LanguageModel, evaluating
from detoxlab.models.likelihood import Ids, left_padded, packed_if_worth, scored_tokens
from detoxlab.models.prefix import WORTH_SHARING, common_beginning
from detoxlab.models.session import OpenSession, unsteered
from detoxlab.models.tokens.vocabulary import check_held


class ContinuationScore(NamedTuple):
    """The log-probability of a continuation in nats, and whether each of its tokens is likeliest.

    `cut` says whether the context lost its beginning, because it did not fit.
    """

    log_prob: float
    is_greedy: bool
    cut: bool = False


def continuation_scores(
    lm: LanguageModel,
    contexts_ids: Sequence[Ids],
    continuations_ids: Sequence[Ids],
    *,
    batch_tokens: int = 4096,
    session: OpenSession | None = None,
) -> list[ContinuationScore]:
    """The score of each continuation after its context, in the order given.

    The beginning that all contexts share is read once, a context that has several continuations
    too; batches are of similar lengths, at most `batch_tokens` tokens with what they share. The
    last token of a continuation is not read, so context and continuation have room for one token
    more than the model's context; a longer context loses its beginning.

    With `session` they are those of the distribution that each batch's session makes; every
    text is then read whole. So it is with a model that keeps more than keys and values of all
    tokens (states, sliding windows), or takes no positions.

    Raises `DataError` when the lists differ in length, a context or continuation has no token,
    or a continuation alone fills the model's context; `ModelError` where logits are NaN.
    """
    if len(contexts_ids) != len(continuations_ids):
        raise DataError(f"{len(contexts_ids)} contexts but {len(continuations_ids)} continuations")
    pairs = [
        _fitted(lm, at, tuple(context), tuple(continuation))
        for at, (context, continuation) in enumerate(
            zip(contexts_ids, continuations_ids, strict=True)
        )
    ]
    if session is None and _tells_places(lm):
        shared = _Shared(lm, batch_tokens)
        with evaluating(lm), packed_if_worth(lm, sum(map(len, contexts_ids))):
            found = shared.scores(pairs)
        if found is not None:
            return found
    return _whole(lm, pairs, batch_tokens, session)


class _Pair(NamedTuple):
    context: tuple[int, ...]
    continuation: tuple[int, ...]
    cut: bool


@dataclass
class _Group:
    """A context with its different continuations; of each continuation, sum and greediness."""

    context: tuple[int, ...]
    continuations: list[tuple[int, ...]]

    @property
    def followed(self) -> bool:
        """Whether continuations are read apart from the context, from its cache."""
        return len(self.longer) > 1

    @property
    def longer(self) -> list[tuple[int, ...]]:
        """The continuations of more than one token."""
        return [one for one in self.continuations if len(one) > 1]

    @property
    def read(self) -> tuple[int, ...]:
        """The tokens to read at first: the context, and a continuation that is the only one."""
        alone = () if self.followed else (self.longer or [()])[0][:-1]
        return self.context + alone

    @property
    def cells(self) -> tuple[int, int]:
        """Rows in the larger of both passes, and the tokens of each."""
        last = max(map(len, self.continuations)) - 1
        return (len(self.longer) if self.followed else 1), len(self.context) + last


def _fitted(lm: LanguageModel, at: int, context: tuple[int, ...], ids: tuple[int, ...]) -> _Pair:
    if not context or not ids:
        empty = "continuation" if context else "context"
        raise DataError(f"{empty} {at} has no token")
    room = lm.context_length + 1 - len(ids)
    if room < 1:
        raise DataError(
            f"continuation {at} has {len(ids)} tokens; the model's context is {lm.context_length}"
        )
    check_held(context + ids, lm.embedding_rows, lm.tokenizer, lm.id)
    return _Pair(context[-room:], ids, len(context) > room)


def _whole(
    lm: LanguageModel, pairs: Sequence[_Pair], batch_tokens: int, session: OpenSession | None
) -> list[ContinuationScore]:
    """Each context read with its continuation, and nothing shared."""
    found = scored_tokens(
        lm,
        [pair.context for pair in pairs],
        [pair.continuation for pair in pairs],
        batch_tokens=batch_tokens,
        session=session or unsteered,
    )
    return [
        ContinuationScore(float(log_probs.sum(dtype="float64")), bool(likeliest.all()), pair.cut)
        for (log_probs, likeliest), pair in zip(found, pairs, strict=True)
    ]


class _Shared:
    """Scores with shared beginnings, by one model."""

    def __init__(self, lm: LanguageModel, batch_tokens: int) -> None:
        self.lm, self.batch_tokens = lm, batch_tokens

    def scores(self, pairs: Sequence[_Pair]) -> list[ContinuationScore] | None:
        """One score per pair; None where the model's cache cannot be gone on from."""
        groups = _grouped(pairs)
        common = common_beginning([group.context for group in groups])
        if len(common) < WORTH_SHARING or len(groups) < 2:
            common = ()
        read = self._read(common) if common else self._read(groups[0].context[:1]) if groups else ()
        if not _goes_on(read):
            return None
        found: dict[tuple[tuple[int, ...], tuple[int, ...]], tuple[float, bool]] = {}
        for batch in self._batches(groups):
            for group, scored in zip(batch, self._batch(batch, common, read), strict=True):
                found |= {(group.context, ids): one for ids, one in scored.items()}
        return [ContinuationScore(*found[pair[:2]], pair.cut) for pair in pairs]

    def _read(self, ids: tuple[int, ...]) -> Any:
        _, cache = forward_last(self.lm, left_padded(self.lm, [ids]))
        return cache

    def _batches(self, groups: Sequence[_Group]) -> Iterator[list[_Group]]:
        """Groups of similar lengths, longest first, up to the tokens of a batch."""
        batch: list[_Group] = []
        rows = 0
        for group in sorted(groups, key=lambda one: (-one.cells[1], one.context)):
            more, _ = group.cells
            if batch and (rows + more) * batch[0].cells[1] > self.batch_tokens:
                yield batch
                batch, rows = [], 0
            batch.append(group)
            rows += more
        if batch:
            yield batch

    def _batch(
        self, groups: Sequence[_Group], common: tuple[int, ...], read: Any
    ) -> list[dict[tuple[int, ...], tuple[float, bool]]]:
        """Of each group, its continuations with log-probability and greediness."""
        rests = [group.read[len(common) :] for group in groups]
        followed = [at for at, group in enumerate(groups) if group.followed]
        keep = max(len(group.read) - len(group.context) for group in groups) + 1
        logits_BTV, cache, mask_BT = self._first(rests, len(common), read, keep, bool(followed))
        check_logits(logits_BTV[:, -1], self.lm, lambda n: f"after context {n} of a batch")
        scored: list[dict[tuple[int, ...], tuple[float, bool]]] = []
        for group, logits_TV in zip(groups, logits_BTV, strict=True):
            extra = len(group.read) - len(group.context)
            own_TV = logits_TV[len(logits_TV) - extra - 1 :].log_softmax(dim=-1)
            opened = [ids for ids in group.continuations if len(ids) == 1 or not group.followed]
            scored.append({ids: _summed(own_TV[: len(ids)], ids) for ids in opened})
        if followed:
            starts = {at: logits_BTV[at, -1].log_softmax(dim=-1) for at in followed}
            rows = [(at, ids) for at in followed for ids in groups[at].longer]
            places_B = [len(group.context) for group in groups]
            for (at, ids), rest_TV in zip(
                rows, self._second(rows, cache, mask_BT, places_B), strict=True
            ):
                all_TV = torch.cat([starts[at][None], rest_TV.log_softmax(dim=-1)])
                scored[at][ids] = _summed(all_TV, ids)
        return scored

    def _first(
        self, rests: Sequence[Ids], common: int, read: Any, keep: int, go_on: bool
    ) -> tuple[Tensor, Any, Tensor]:
        """Logits after the last `keep` tokens (B, keep, V), the cache, and its mask (B, T).

        The rests follow `common` tokens, whose cache is `read`; they are padded on the left.
        """
        inputs = left_padded(self.lm, rests)
        ids_BT = inputs["input_ids"]
        mask_BT = inputs.get("attention_mask", torch.ones_like(ids_BT))
        cache = None
        if common:
            inputs["position_ids"] = inputs["position_ids"] + common
            mask_BT = torch.nn.functional.pad(mask_BT, (common, 0), value=1)
            inputs["attention_mask"] = mask_BT
            index_R = torch.zeros(len(rests), dtype=torch.long, device=ids_BT.device)
            cache = shared_among_samples(copy.deepcopy(read), index_R, ids_BT.shape[1])
        outputs = self._forward(inputs, cache, keep, go_on or cache is not None)
        return outputs.logits[:, -keep:].float(), outputs.past_key_values, mask_BT

    def _second(
        self,
        rows: Sequence[tuple[int, tuple[int, ...]]],
        cache: Any,
        mask_BT: Tensor,
        places_B: Sequence[int],
    ) -> list[Tensor]:
        """Logits (T − 1, V) after all tokens but the last of each row's continuation.

        A row is the place of its context in the cache, and the continuation.
        """
        device = mask_BT.device
        read = [ids[:-1] for _, ids in rows]
        longest = max(map(len, read))
        ids_RT = torch.tensor([[*ids, *[self.lm.pad_id] * (longest - len(ids))] for ids in read])
        lengths_R = torch.tensor([len(ids) for ids in read])
        index_R = torch.tensor([at for at, _ in rows], device=device)
        own_RT = (torch.arange(longest) < lengths_R[:, None]).to(device)
        starts_R = torch.tensor([places_B[at] for at, _ in rows])
        inputs = {
            "input_ids": ids_RT.to(device),
            "attention_mask": torch.cat([mask_BT[index_R], own_RT.to(mask_BT.dtype)], dim=1),
            "position_ids": (starts_R[:, None] + torch.arange(longest)).to(device),
        }
        cache = shared_among_samples(cache, index_R, longest)
        outputs = self._forward(inputs, cache, longest, True)
        logits_RTV = outputs.logits.float()
        check_logits(logits_RTV[:, 0], self.lm, lambda n: f"in continuation {n} of a batch")
        return [logits_RTV[at, : len(ids)] for at, ids in enumerate(read)]

    def _forward(self, inputs: dict[str, Any], cache: Any, keep: int, use_cache: bool) -> Any:
        last = self.lm.last_logits(keep)
        return self.lm.model(**inputs, **last, past_key_values=cache, use_cache=use_cache)


def _grouped(pairs: Sequence[_Pair]) -> list[_Group]:
    """One group per context, its continuations in the order given, each once."""
    groups: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
    for pair in pairs:
        groups.setdefault(pair.context, {})[pair.continuation] = None
    return [_Group(context, list(found)) for context, found in groups.items()]


def _tells_places(lm: LanguageModel) -> bool:
    """Whether attention goes by the positions that it is given, not by the place in the cache.

    GPT-Neo, which states a `window_size`, counts padding inside of the cache for its window.
    """
    config = lm.model.config.get_text_config(decoder=True)
    return lm.takes_positions and getattr(config, "window_size", None) is None


def _goes_on(cache: Any) -> bool:
    """Whether a cache holds the keys and values of all tokens, so that padding may lie in it."""
    return holds_keys_alone(cache) and not any(
        getattr(layer, "is_sliding", False) for layer in cache.layers
    )


def _summed(log_probs_TV: Tensor, ids: tuple[int, ...]) -> tuple[float, bool]:
    """The log-probability of the tokens together, in nats, and whether each is likeliest."""
    tokens_T = torch.tensor(ids, device=log_probs_TV.device)
    chosen_T = log_probs_TV.gather(-1, tokens_T[:, None])[:, 0]
    is_greedy = bool((log_probs_TV.argmax(dim=-1) == tokens_T).all())
    return float(chosen_T.double().sum()), is_greedy
