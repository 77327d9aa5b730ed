"""Responses as arrays: prompts × samples, prompts in the order of their ids."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detoxlab.errors import ConfigError, DataError, UnknownNameError
from detoxlab.measures.guards import switches_language
from detoxlab.measures.statistics import BoolArray, FloatArray
from detoxlab.measures.texts import Block, HeldTexts, StreamedScores, StreamedTexts, Texts
from detoxlab.measures.texts.streamed import LIKELIHOOD as LIKELIHOOD
from detoxlab.measures.texts.streamed import SIMILARITY as SIMILARITY
from detoxlab.measures.texts.streamed import Places, ScoreTables, check_scores
from detoxlab.measures.writing.languages import writings
from detoxlab.records import PERSPECTIVE_ATTRIBUTES, Generation, Prompt, Responses, Score, Streamed

REMEMBERED = 1 << 16
"""Texts whose language or refusal is kept while other blocks of responses are read."""
HATE = "hate"
"""The attribute of scorers that tell hate against a protected group from rude words."""
Key = tuple[str, str]


@dataclass(frozen=True)
class Grid:
    """One run's responses: P prompts × K samples, with NaN scores where there are none.

    `scores` and `prompt_scores` are by (scorer id, attribute); the second holds the scores
    of the prompts' own texts, which stand in files as sample -1. `stop` are the stop strings
    that the sampling asked for. `cut` marks, by scorer id, the responses of which it read only
    the beginning (P, K); it lacks scorers that read all responses whole.
    """

    prompts: tuple[Prompt, ...]
    k: int
    texts: Texts
    scores: Mapping[Key, FloatArray]
    prompt_scores: Mapping[Key, FloatArray]
    stop: tuple[str, ...] = ()
    cut: Mapping[str, BoolArray] = field(default_factory=dict)

    @property
    def generated(self) -> BoolArray:
        """True where a generation was asked for (P, K): the denominator of coverage."""
        return self.texts.generated

    @property
    def answered(self) -> BoolArray:
        """True where there is a response to read, (P, K): no absent and no withheld one."""
        return self.texts.answered

    def over_blocks(self, values: Callable[[Block], FloatArray]) -> FloatArray:
        """The numbers of each response (P, K) that `values` gives for a block; NaN elsewhere."""
        found_PK = np.full((len(self.prompts), self.k), np.nan)
        for block in self.texts.blocks():
            found_PK[block.rows_N] = values(block)
        return found_PK

    @cached_property
    def switched(self) -> FloatArray:
        """1 where a response leaves the script or language of its prompt, else 0 (P, K).

        NaN where there is too little text to tell.
        """
        asked = writings([prompt.text for prompt in self.prompts])
        switches = functools.lru_cache(REMEMBERED)(switches_language)

        def values(block: Block) -> FloatArray:
            kinds = [asked[row] for row in block.rows_N.tolist()]
            return block.each_of(kinds, lambda kind, one: switches(kind, one.text))

        return self.over_blocks(values)

    def rows(self, index: Sequence[int] | NDArray[np.int64]) -> "Grid":
        """The grid of some prompts, in the given order."""
        if np.array_equal(index, np.arange(len(self.prompts))):
            return self
        return dataclasses.replace(
            self,
            prompts=tuple(self.prompts[i] for i in index),
            texts=self.texts.rows(index),
            scores=_rows(self.scores, index),
            prompt_scores=_rows(self.prompt_scores, index),
            cut={scorer: flags[index] for scorer, flags in self.cut.items()},
        )

    def of(self, scorer_id: str | None, attribute: str) -> FloatArray:
        """Scores (P, K) by that scorer; all NaN where it gave none."""
        missing = np.full((len(self.prompts), self.k), np.nan)
        return self.scores.get((scorer_id or "", attribute), missing)

    def scorer_ids(self) -> list[str]:
        """Scorers of toxicity, in the order of the scores: no likelihoods, no similarities."""
        ids = dict.fromkeys(scorer_id for scorer_id, _ in self.scores)
        return [name for name in ids if not name.startswith((LIKELIHOOD, SIMILARITY))]

    def hate_scorers(self) -> list[str]:
        """The scorers that gave scores for `hate`, in the order of the scores."""
        return [name for name in self.scorer_ids() if HATE in self.attributes_of(name)]

    def attributes_of(self, scorer_id: str | None) -> list[str]:
        """Attributes a scorer scored, Perspective's in their usual order and then any others."""
        found = dict.fromkeys(attribute for name, attribute in self.scores if name == scorer_id)
        known = [name for name in PERSPECTIVE_ATTRIBUTES if name in found]
        return known + [name for name in found if name not in known]


def grid_of(responses: Responses) -> Grid:
    """The responses as arrays, prompts sorted by id, so that no result depends on file order.

    K is the sampling's k, or, for imported responses, the longest list of samples.
    Raises `DataError` on a duplicate prompt, generation or score, and on a row that belongs
    to no prompt or generation.
    """
    prompts = tuple(sorted(responses.prompts, key=lambda prompt: prompt.id))
    row_of = _positions(responses, prompts)
    k = _samples(responses)
    drawn, scored = responses.generations, responses.scores
    if isinstance(drawn, Streamed) and isinstance(scored, Streamed):
        return _streamed(responses, drawn, scored, Places(responses.name, row_of, k), prompts)
    generations: list[list[Generation | None]] = [[None] * k for _ in prompts]
    for one in responses.generations:
        row, sample = _place(responses, row_of, one, k)
        if generations[row][sample] is not None:
            raise DataError(
                f"{responses.name}: two generations of prompt {one.prompt_id!r}, sample {sample}"
            )
        generations[row][sample] = one
    table = _table(responses, responses.scores, row_of, k)
    grid = Grid(
        prompts,
        k,
        HeldTexts(tuple(map(tuple, generations)), k),
        {key: values_PK[:, :k] for key, values_PK in table.items()},
        {key: values_PK[:, k] for key, values_PK in table.items()},
        responses.sampling.stop if responses.sampling else (),
        _cut(responses, row_of, k),
    )
    for key, values_PK in table.items():
        check_scores(responses.name, key, values_PK, grid.answered)
    return grid


def score_matrix(responses: Responses, scorer_id: str, attribute: str) -> FloatArray:
    """Scores (P, K) in the order of `responses.prompts`; NaN where one is missing.

    Raises `UnknownNameError` when that scorer scored nothing for that attribute.
    """
    return _one_table(responses, scorer_id, attribute)[:, :-1]


def prompt_scores(responses: Responses, scorer_id: str, attribute: str) -> FloatArray:
    """Scores (P,) of the prompts' own texts; NaN where one is missing."""
    return _one_table(responses, scorer_id, attribute)[:, -1]


def prompt_groups(prompts: Sequence[Prompt], keys: Iterable[str]) -> dict[str, list[int]]:
    """Indices of the prompts in each group, groups in alphabetical order.

    A group is a value of one of the `keys` in `Prompt.meta`, a text or a list of texts; a
    prompt counts in each of its groups.

    >>> prompts = [Prompt("1", "", "", {"groups": ["a", "b"]}), Prompt("2", "", "", {"kind": "a"})]
    >>> prompt_groups(prompts, ("groups", "kind"))
    {'a': [0, 1], 'b': [0]}
    """
    members: dict[str, list[int]] = {}
    for index, prompt in enumerate(prompts):
        names: list[str] = []
        for key in keys:
            value = prompt.meta.get(key)
            names += [value] if isinstance(value, str) else value or []
        for name in dict.fromkeys(names):
            members.setdefault(name, []).append(index)
    return dict(sorted(members.items()))


def compared_groups(
    prompts: Sequence[Prompt], keys: Sequence[str]
) -> dict[str | None, dict[str, list[int]]]:
    """Groups that are held against each other: indices by group, by the part that they are in.

    `keys` are those of `Protocol.compared_groups`. With one key all groups are together, in the
    part None. Parts of a single group are left out.

    >>> prompts = [Prompt(x, "", "", {"domain": d, "group": x}) for x, d in ("ac", "bc", "xy")]
    >>> compared_groups(prompts, ("domain", "group"))
    {'c': {'a': [0], 'b': [1]}}
    """
    *parts, last = keys or [""]
    within: dict[str | None, list[int]] = {None: list(range(len(prompts)))}
    if parts:
        within = dict(prompt_groups(prompts, parts).items())
    found: dict[str | None, dict[str, list[int]]] = {}
    for part, index in within.items():
        members = prompt_groups([prompts[at] for at in index], (last,))
        if len(members) > 1:
            found[part] = {name: [index[at] for at in places] for name, places in members.items()}
    return found


def judge_of(responses: Responses, grid: Grid) -> str:
    """The judge: `judge_id`, or the only scorer there is.

    Raises `ConfigError` when no judge is named and there are none or several.
    """
    if responses.judge_id is not None:
        return responses.judge_id
    ids = grid.scorer_ids()
    if len(ids) != 1:
        raise ConfigError(
            f"{responses.name}: no judge is named and {len(ids)} scorers have scored",
            remedy=f"Name one of: {', '.join(ids)}." if ids else "Score the responses first.",
        )
    return ids[0]


def judged_attribute(grid: Grid, judge: str, attribute: str) -> str:
    """The attribute to read of the judge; `ConfigError` when it did not score it."""
    found = attribute_read(grid, judge, attribute)
    if found is None:
        known = ", ".join(grid.attributes_of(judge))
        raise ConfigError(
            f"scorer {judge!r} has no scores for {attribute!r}",
            remedy=f"It scored: {known or 'nothing'}.",
        )
    return found


def attribute_read(grid: Grid, scorer_id: str, attribute: str) -> str | None:
    """The attribute to read of a scorer when `attribute` is asked for; None if there is none.

    A classifier with one label of another name (hate, for instance) is read for toxicity.
    """
    return attribute_among(grid.attributes_of(scorer_id), attribute)


def attribute_among(known: Sequence[str], attribute: str) -> str | None:
    """The attribute to read of those that a scorer has, as `attribute_read`.

    >>> attribute_among(["hate"], "toxicity"), attribute_among(["hate", "insult"], "toxicity")
    ('hate', None)
    """
    if attribute in known:
        return attribute
    return known[0] if attribute == "toxicity" and len(known) == 1 else None


def _positions(responses: Responses, prompts: Sequence[Prompt]) -> dict[str, int]:
    row_of = {prompt.id: row for row, prompt in enumerate(prompts)}
    if not row_of:
        raise DataError(f"{responses.name}: holds no prompts")
    if len(row_of) < len(prompts):
        twice = next(a.id for a, b in itertools.pairwise(prompts) if a.id == b.id)
        raise DataError(f"{responses.name}: two prompts have the id {twice!r}")
    return row_of


def _samples(responses: Responses) -> int:
    if responses.sampling is not None:
        return responses.sampling.k
    if isinstance(responses.generations, Streamed):
        samples = responses.generations.batches("sample")
        return 1 + max(
            (int(one["sample"].max()) for one in samples if one["sample"].size), default=0
        )
    return 1 + max((one.sample for one in responses.generations), default=0)


def _place(
    responses: Responses, row_of: Mapping[str, int], one: Generation | Score, k: int
) -> tuple[int, int]:
    row = row_of.get(one.prompt_id)
    lowest = -1 if isinstance(one, Score) else 0
    if row is None or not lowest <= one.sample < k:
        kind = type(one).__name__.lower()
        cause = f"sample {one.sample} of {k}" if row is not None else "a prompt that is not there"
        raise DataError(f"{responses.name}: {kind} of prompt {one.prompt_id!r}: {cause}")
    return row, one.sample


def _table(
    responses: Responses, scores: Iterable[Score], row_of: Mapping[str, int], k: int
) -> dict[Key, FloatArray]:
    """Per scorer and attribute (P, K + 1): the samples, then the prompt itself as the last."""
    places: dict[Key, list[int]] = {}
    values: dict[Key, list[float]] = {}
    for one in scores:
        row, sample = _place(responses, row_of, one, k)
        key = one.scorer_id, one.attribute
        places.setdefault(key, []).append(row * (k + 1) + sample % (k + 1))
        values.setdefault(key, []).append(math.nan if one.value is None else one.value)
    table = {}
    for key, flat in places.items():
        table[key] = np.full(len(row_of) * (k + 1), np.nan)
        table[key][flat] = values[key]
        if len(set(flat)) < len(flat):
            raise DataError(f"{responses.name}: {key[0]} scored one text twice for {key[1]!r}")
    return {key: flat.reshape(len(row_of), k + 1) for key, flat in table.items()}


def _cut(responses: Responses, row_of: Mapping[str, int], k: int) -> dict[str, BoolArray]:
    flags: dict[str, BoolArray] = {}
    for one in responses.scores:
        if one.cut and one.sample >= 0:
            row, sample = _place(responses, row_of, one, k)
            if one.scorer_id not in flags:
                flags[one.scorer_id] = np.zeros((len(row_of), k), dtype=np.bool_)
            flags[one.scorer_id][row, sample] = True
    return flags


def _streamed(
    responses: Responses,
    drawn: Streamed,
    scored: Streamed,
    places: Places,
    prompts: tuple[Prompt, ...],
) -> Grid:
    """The grid of a large run, whose texts and scores stay on disk."""
    texts = StreamedTexts(drawn, places)
    tables = ScoreTables(scored, places, texts)
    stop = responses.sampling.stop if responses.sampling else ()
    own = StreamedScores(tables, of_prompts=True)
    return Grid(prompts, places.k, texts, StreamedScores(tables), own, stop, tables.cut())


def _rows(
    tables: Mapping[Key, FloatArray], index: Sequence[int] | NDArray[np.int64]
) -> Mapping[Key, FloatArray]:
    if isinstance(tables, StreamedScores):
        return tables.rows(index)
    return {key: values[index] for key, values in tables.items()}


def _one_table(responses: Responses, scorer_id: str, attribute: str) -> FloatArray:
    chosen = [
        one for one in responses.scores if one.scorer_id == scorer_id and one.attribute == attribute
    ]
    if not chosen:
        known = {f"{one.scorer_id} {one.attribute}" for one in responses.scores}
        raise UnknownNameError("score", f"{scorer_id} {attribute}", known)
    row_of = _positions(responses, responses.prompts)
    table = _table(responses, chosen, row_of, _samples(responses))
    return table[scorer_id, attribute]
