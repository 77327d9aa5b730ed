"""Responses and scores of a large run, which stay on disk and are read by fields."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from detoxlab.errors import DataError
from detoxlab.measures.statistics import BoolArray, FloatArray
from detoxlab.measures.texts.blocks import Block, Index, IntArray
from detoxlab.records import Coded, Generation, Streamed

Key = tuple[str, str]
LIKELIHOOD, SIMILARITY = "likelihood:", "similarity:"
CodedRows = tuple[IntArray, IntArray, IntArray, list[Generation]]
KEPT = 3  # tables of scores in memory at a time


class Places:
    """The places of rows in a grid of P prompts × K samples."""

    def __init__(self, name: str, row_of: Mapping[str, int], k: int) -> None:
        self.name, self.row_of, self.k = name, row_of, k

    def rows(self, kind: str, prompts: Coded, samples: IntArray, lowest: int = 0) -> IntArray:
        """The prompts' rows (N,).

        Raises `DataError` for a row of no prompt of the grid, or of no sample.
        """
        known = np.array([self.row_of.get(name, -1) for name in prompts.values], dtype=np.int64)
        rows_N = known[prompts.codes] if len(known) else np.zeros(0, dtype=np.int64)
        bad = np.flatnonzero((rows_N < 0) | (samples < lowest) | (samples >= self.k))
        if bad.size:
            at = int(bad[0])
            prompt, sample = prompts.values[prompts.codes[at]], samples[at]
            cause = (
                "a prompt that is not there" if rows_N[at] < 0 else f"sample {sample} of {self.k}"
            )
            raise DataError(f"{self.name}: {kind} of prompt {prompt!r}: {cause}")
        return rows_N


class StreamedTexts:
    """The responses of a large run; `index` are the grid's rows of the prompts that count."""

    def __init__(
        self,
        source: Streamed,
        places: Places,
        index: IntArray | None = None,
        flags: tuple[BoolArray, BoolArray] | None = None,
    ) -> None:
        self.source, self.places, self.index = source, places, index
        self._given = flags

    @property
    def generated(self) -> BoolArray:
        """True where a generation was asked for (P, K)."""
        return self._flags[0]

    @property
    def answered(self) -> BoolArray:
        """True where there is a response to read (P, K)."""
        return self._flags[1]

    def blocks(self) -> Iterator[Block]:
        """The responses, a group of rows at a time; all at once if their prompts are mixed."""
        names = ("prompt_id", "sample", "text", "finish_reason", "error")
        found = (self._coded(batch) for batch in self.source.batches(*names))
        for rows_N, samples_N, codes_N, distinct in (
            found if self.source.is_together else iter([_merged(list(found))])
        ):
            prompts, at_N = np.unique(rows_N, return_inverse=True)
            codes_NK = np.full((len(prompts), self.places.k), -1, dtype=np.int32)
            codes_NK[at_N, samples_N] = codes_N
            if self.index is None:
                yield Block(prompts, codes_NK, distinct)
                continue
            for here, there in self._chosen(prompts):
                yield Block(there, codes_NK[here], distinct)

    def rows(self, index: Index) -> "StreamedTexts":
        """The responses of some prompts, in the given order."""
        chosen = np.asarray(index, dtype=np.int64)
        flags = self.generated[chosen], self.answered[chosen]
        within = chosen if self.index is None else self.index[chosen]
        return StreamedTexts(self.source, self.places, within, flags)

    # --- inside ---

    @cached_property
    def _flags(self) -> tuple[BoolArray, BoolArray]:
        if self._given is not None:
            return self._given
        shape = len(self.places.row_of), self.places.k
        generated_PK, answered_PK = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        for batch in self.source.batches("prompt_id", "sample", "error"):
            rows_N = self.places.rows("generation", batch["prompt_id"], batch["sample"])
            generated_PK[rows_N, batch["sample"]] = True
            answered_PK[rows_N, batch["sample"]] = _is_answered(batch["error"])
        if int(generated_PK.sum()) < len(self.source):
            raise DataError(f"{self.places.name}: two generations of one prompt and sample")
        return generated_PK, answered_PK

    def _coded(self, batch: dict[str, Any]) -> CodedRows:
        """Rows, samples, codes of distinct responses, and these."""
        texts, ends, errors = batch["text"], batch["finish_reason"], batch["error"]
        many = len(ends.values), len(errors.values) + 1
        triple_N = (
            (texts.codes.astype(np.int64) * many[0] + ends.codes) * many[1] + errors.codes + 1
        )
        triples, codes_N = np.unique(triple_N, return_inverse=True)
        rest, error_U = np.divmod(triples, many[1])
        text_U, end_U = np.divmod(rest, max(1, many[0]))
        distinct = [
            Generation("", 0, texts.values[text], (), ends.values[end], (None, *errors.values)[why])
            for text, end, why in zip(
                text_U.tolist(), end_U.tolist(), error_U.tolist(), strict=True
            )
        ]
        rows_N = self.places.rows("generation", batch["prompt_id"], batch["sample"])
        return rows_N, batch["sample"], codes_N, distinct

    def _chosen(self, prompts: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
        """Places in a block, and in the chosen rows; one that is chosen twice comes twice."""
        place = np.full(len(self.places.row_of), -1)
        place[prompts] = np.arange(len(prompts))
        assert self.index is not None
        here = place[self.index]
        there = np.flatnonzero(here >= 0)
        if len(there):
            yield here[there], there


def _is_answered(error: Coded) -> BoolArray:
    """Whether there is no reason for no response; an empty one is none."""
    empty = np.array([not text for text in error.values] + [True], dtype=np.bool_)
    return np.asarray(empty[error.codes])


def _merged(
    found: list[CodedRows],
) -> CodedRows:
    starts = np.cumsum([0, *(len(distinct) for *_, distinct in found)])
    codes = [codes_N + start for (_, _, codes_N, _), start in zip(found, starts, strict=False)]
    nothing = np.zeros(0, dtype=np.int64)
    return (
        np.concatenate([nothing, *(one[0] for one in found)]),
        np.concatenate([nothing, *(one[1] for one in found)]),
        np.concatenate([nothing, *codes]),
        [one for *_, distinct in found for one in distinct],
    )


class StreamedScores(Mapping[Key, FloatArray]):
    """The scores of a large run, a table (P, K) by scorer and attribute, read when asked for.

    With `of_prompts` those of the prompts' own texts (P,). The last few tables stay in memory.
    """

    def __init__(
        self, source: "ScoreTables", *, of_prompts: bool = False, index: IntArray | None = None
    ) -> None:
        self.source, self.of_prompts, self.index = source, of_prompts, index
        self._kept: OrderedDict[Key, FloatArray] = OrderedDict()

    def __iter__(self) -> Iterator[Key]:
        return iter(self.source.keys)

    def __len__(self) -> int:
        return len(self.source.keys)

    def __contains__(self, key: object) -> bool:
        return key in self.source.keys

    def __getitem__(self, key: Key) -> FloatArray:
        if key not in self._kept:
            table = self.source.table(key)
            part = table[:, -1] if self.of_prompts else table[:, :-1]
            self._kept[key] = part if self.index is None else part[self.index]
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def rows(self, index: Index) -> "StreamedScores":
        """The scores of some prompts, in the given order."""
        chosen = np.asarray(index, dtype=np.int64)
        within = chosen if self.index is None else self.index[chosen]
        return StreamedScores(self.source, of_prompts=self.of_prompts, index=within)


class ScoreTables:
    """The scores in the files of a large run."""

    def __init__(self, source: Streamed, places: Places, texts: StreamedTexts) -> None:
        self.parts, self.places, self.texts = source.parts, places, texts
        self._last: tuple[Key, FloatArray] | None = None

    @cached_property
    def keys(self) -> dict[Key, list[Streamed]]:
        """The files that hold scores, by scorer and attribute."""
        found: dict[Key, list[Streamed]] = {}
        for part in self.parts:
            own: dict[Key, None] = {}
            for batch in part.batches("scorer_id", "attribute"):
                scorers, attributes = batch["scorer_id"], batch["attribute"]
                size = max(1, len(attributes.values))
                pairs, first = np.unique(
                    scorers.codes.astype(np.int64) * size + attributes.codes, return_index=True
                )
                for pair in pairs[np.argsort(first)].tolist():
                    own[scorers.values[pair // size], attributes.values[pair % size]] = None
            for key in own:
                found.setdefault(key, []).append(part)
        return found

    def table(self, key: Key) -> FloatArray:
        """The scores (P, K + 1): the samples, then the prompt itself as the last.

        Raises `DataError` for a text that was scored twice, or is not there.
        """
        if self._last is None or self._last[0] != key:
            self._last = key, self._read(key)
        return self._last[1]

    def cut(self) -> dict[str, BoolArray]:
        """By scorer the responses of which it read only the beginning (P, K)."""
        flags: dict[str, BoolArray] = {}
        for part in self.parts:
            names = ("prompt_id", "sample", "scorer_id", "cut")
            if not any((one["cut"] == 1).any() for one in part.batches("cut")):
                continue
            for batch in part.batches(*names):
                is_cut = (batch["cut"] == 1) & (batch["sample"] >= 0)
                rows_N = self._rows(batch)
                for code in dict.fromkeys(batch["scorer_id"].codes[is_cut].tolist()):
                    scorer = batch["scorer_id"].values[code]
                    shape = len(self.places.row_of), self.places.k
                    own = is_cut & (batch["scorer_id"].codes == code)
                    table = flags.setdefault(scorer, np.zeros(shape, np.bool_))
                    table[rows_N[own], batch["sample"][own]] = True
        return flags

    # --- inside ---

    def _read(self, key: Key) -> FloatArray:
        shape = len(self.places.row_of), self.places.k + 1
        table, seen, count = np.full(shape, np.nan), np.zeros(shape, np.bool_), 0
        names = ("prompt_id", "sample", "scorer_id", "attribute", "value")
        for part in self.keys[key]:
            for batch in part.batches(*names):
                own = _is(batch["scorer_id"], key[0]) & _is(batch["attribute"], key[1])
                rows_N, samples_N = self._rows(batch)[own], batch["sample"][own]
                table[rows_N, samples_N] = batch["value"][own]
                seen[rows_N, samples_N] = True
                count += int(own.sum())
        if int(seen.sum()) < count:
            raise DataError(f"{self.places.name}: {key[0]} scored one text twice for {key[1]!r}")
        check_scores(self.places.name, key, table, self.texts.answered)
        return table

    def _rows(self, batch: dict[str, Any]) -> IntArray:
        return self.places.rows("score", batch["prompt_id"], batch["sample"], lowest=-1)


def check_scores(name: str, key: Key, table: FloatArray, answered_PK: BoolArray) -> None:
    """Raise `DataError` for scores (P, K + 1) out of range, or of responses that are not there."""
    outside = table[(table < 0) | (table > 1)]
    if outside.size and not key[0].startswith((LIKELIHOOD, SIMILARITY)):
        raise DataError(
            f"{name}: {key[0]} gave {key[1]!r} a score of {outside[0]:g}",
            remedy="Toxicity scores are probabilities between 0 and 1.",
        )
    stray = int((~np.isnan(table[:, :-1]) & ~answered_PK).sum())
    if stray:
        raise DataError(
            f"{name}: {key[0]} scored {stray} generations that are not there",
            remedy="Restore the generations file, or remove the scores file and score again.",
        )


def _is(column: Coded, value: str) -> BoolArray:
    """True where the text is this one (N,)."""
    here = np.array([one == value for one in column.values] + [False], dtype=np.bool_)
    return np.asarray(here[column.codes])
