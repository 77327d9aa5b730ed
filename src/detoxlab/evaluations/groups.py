"""Toxicity of responses to prompts about groups of people: ToxiGen and BOLD.

The model answers each prompt once, as `measure` draws by the same protocol, and a scorer judges.
Shares by group, the mean over groups and the gaps between groups are those of `detoxlab.measures`.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from detoxlab.data import describe_source, load_prompts
from detoxlab.data.settings import DataSettings
from detoxlab.data.source import stratified_sample
from detoxlab.data.where import Conditions
from detoxlab.errors import ConfigError
from detoxlab.evaluations.base import Evaluation
from detoxlab.evaluations.group_pairs import Answered, group_differences
from detoxlab.measures import measure
from detoxlab.measures.grid import prompt_groups
from detoxlab.measures.statistics import FloatArray
from detoxlab.protocols import HATE_SCORER, JUDGE, PROTOCOLS, Protocol
from detoxlab.records import (
    RESAMPLES,
    Difference,
    Generation,
    ItemResult,
    Measurement,
    Prompt,
    Responses,
    Sampling,
    Score,
)
from detoxlab.scorers import Scorer, load_scorer
from detoxlab.scorers.names import learnt_from
from detoxlab.scorers.scoring import score_generations
from detoxlab.subject import Subject

JUDGED, BESIDE = "judge", "beside"
BESIDE_OF = {"bold": HATE_SCORER}


@dataclass(frozen=True)
class Item:
    """A prompt to ask, and the seed that draws its response."""

    prompt: Prompt
    seed: int


@dataclass(frozen=True)
class _Key:
    """The scorer of a number in the results, and the attribute that is read of it."""

    role: str
    scorer_id: str
    attribute: str

    @classmethod
    def read(cls, name: str) -> Self:
        role, _, rest = name.partition(":")
        scorer_id, _, attribute = rest.rpartition("#")
        return cls(role, scorer_id, attribute)

    def __str__(self) -> str:
        return f"{self.role}:{self.scorer_id}#{self.attribute}"


class GroupToxicity(DataSettings, Evaluation):
    """Toxic share per group of people, its mean over groups, and gaps between groups.

    A response that a scorer cannot read has no score: it lowers the coverage of its groups.
    """

    kind: Literal["groups"] = Field("groups", description="of evaluation")
    preset: Literal["toxigen", "bold"] = Field(description="the protocol of prompts and sampling")
    source: str = Field(description="a known name, a local file, or a hub id; none: the preset's")
    limit: int | None = Field(None, ge=1, description="a seeded sample, of each group its share")
    where: Conditions = Field({}, description="keep rows in these ranges")
    judge: str = Field(description="the scorer that judges; none: the preset's")
    beside: str | None = Field(
        None, description="a second scorer, reported beside; of bold one of hate, unless it is null"
    )
    chat: bool = Field(False, description="ask in the model's chat template")
    max_new_tokens: int | None = Field(
        None, ge=1, description="tokens of a response, at most; none: the preset's"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_the_preset(cls, given: Any) -> Any:
        preset = PROTOCOLS.get(str(given.get("preset"))) if isinstance(given, Mapping) else None
        if preset is None:
            return given
        own = {
            "source": preset.source,
            "judge": preset.judge or JUDGE,
            "beside": BESIDE_OF.get(preset.name),
        }
        return own | dict(given)

    @field_validator("beside", mode="before")
    @classmethod
    def _nobody(cls, given: Any) -> Any:
        return None if given == "none" else given

    @model_validator(mode="after")
    def _scorers_differ(self) -> Self:
        if self.judge == self.beside:
            raise ValueError(f"judge and beside are both {self.judge!r}: take another one, or none")
        return self

    @property
    def sampling(self) -> Sampling:
        """The preset's sampling, with the tokens asked for."""
        own = PROTOCOLS[self.preset].sampling
        return dataclasses.replace(own, max_new_tokens=self.max_new_tokens or own.max_new_tokens)

    @property
    def asked(self) -> Protocol:
        """The preset, with the changes of these settings."""
        return dataclasses.replace(PROTOCOLS[self.preset], chat=self.chat)

    @property
    def departures(self) -> tuple[str, ...]:
        """The differences of the prompts from the preset's own."""
        preset = PROTOCOLS[self.preset]
        given = self.model_dump(include={"source", "where", "limit"})
        return preset.departures(given, {}, self.limit or preset.n_prompts or 0)

    @property
    def protocol(self) -> str:
        """The preset, and whatever differs from it.

        >>> [GroupToxicity(preset=name, limit=90).protocol for name in ("toxigen", "bold")]
        ['toxigen@1 (limit=90)', 'bold@1 (limit=90)']
        """
        return self.asked.overridden(self.sampling, self.departures)

    def resolved(self, subject: Subject) -> Self:
        """These settings; `ConfigError` where one of the scorers trained the model."""
        for name in filter(None, (self.judge, self.beside)):
            if learnt := learnt_from(name, subject.training_scorers):
                raise ConfigError(
                    f"{learnt} trained {subject.id}: it cannot judge it",
                    remedy="Name other scorers for all models that are compared, by "
                    "--set judge=… and --set beside=….",
                )
        return self

    def describe(self) -> dict[str, Any]:
        """Files by name and hash, or the hub's revision."""
        return describe_source(self.source, path=self.path, revision=self.revision)

    def items(self, seed: int) -> Sequence[Item]:
        """The prompts, long ones first; with a limit, a sample that keeps the groups' proportions.

        Raises `ConfigError` where no prompt says which group it is about.
        """
        given = self.model_dump(
            include={"path", "columns", "where", "revision"}, exclude_defaults=True
        )
        prompts = load_prompts(self.source, **given, seed=seed)
        keys = self.asked.group_keys
        if not prompt_groups(prompts, keys):
            raise ConfigError(
                f"{self.source}: no prompt has {' or '.join(map(repr, keys))}",
                remedy=f"Name the column with columns: {{{keys[-1]}: COLUMN}}.",
            )
        strata = [repr(_groups(one, keys)) for one in prompts]
        drawn = stratified_sample(prompts, strata, self.limit, seed)
        drawn.sort(key=lambda one: (-len(one.text), one.id))
        return [Item(one, seed) for one in drawn]

    def results(self, subject: Subject, items: Sequence[Item]) -> list[ItemResult]:
        """The score of each response by each scorer, with the prompt's groups; the response."""
        drawn = self._responses(subject, items)
        known: list[dict[str, float]] = [{} for _ in items]
        reasons = [""] * len(items)
        for role, name in self._scorers():
            scorer = _loaded(name)
            attribute = _attribute(scorer, self.asked.attribute)
            key = str(_Key(role, scorer.id, attribute))
            scores = [one for one in score_generations(scorer, drawn) if one.attribute == attribute]
            for at, score in enumerate(scores):
                if score.value is None:
                    reasons[at] = reasons[at] or score.error or "no score"
                else:
                    known[at][key] = score.value
        return [
            ItemResult(
                item.prompt.id,
                values,
                error=None if values else reason,
                text=one.text,
                meta=_groups(item.prompt, self.asked.group_keys),
            )
            for item, values, reason, one in zip(items, known, reasons, drawn, strict=True)
        ]

    def measurements(
        self, results: Sequence[ItemResult], *, seed: int = 0, resamples: int = RESAMPLES
    ) -> list[Measurement]:
        """The tables of the judge and of the scorer beside it."""
        return [
            row
            for key in self._keys(results)
            for row in measure(
                self._as_responses(results, key),
                protocol=self.asked,
                brief=True,
                seed=seed,
                resamples=resamples,
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
        """Treated against baseline by each scorer of both, on the responses scored in both."""
        theirs = self._keys(treated)
        return [
            row
            for key in self._keys(baseline)
            if key in theirs
            for row in self._moved(key, baseline, treated, seed, resamples)
        ]

    # --- inside ---

    def _scorers(self) -> list[tuple[str, str]]:
        return [
            (role, name) for role, name in ((JUDGED, self.judge), (BESIDE, self.beside)) if name
        ]

    def _responses(self, subject: Subject, items: Sequence[Item]) -> list[Generation]:
        from detoxlab.generate import LocalEngine

        markers = subject.lm.next_turn_markers if self.chat else ()
        engine = LocalEngine(subject, chat=self.chat, next_turn_markers=markers)
        sampling = dataclasses.replace(self.sampling, seed=items[0].seed)
        return [
            one
            for batch in engine.batches([item.prompt for item in items], sampling)
            for one in engine.generate(batch, sampling)
        ]

    def _keys(self, results: Sequence[ItemResult]) -> list[_Key]:
        """The scorers of the results, the judge first, even where it scored nothing."""
        found = [
            _Key.read(name) for name in dict.fromkeys(n for one in results for n in one.values)
        ]
        if not any(one.role == JUDGED for one in found):
            found.append(_Key(JUDGED, self.judge, self.asked.attribute))
        return sorted(found, key=lambda one: one.role != JUDGED)

    def _as_responses(self, results: Sequence[ItemResult], key: _Key) -> Responses:
        """The results of one scorer as those of a measured run, without the prompts' texts."""
        return Responses(
            name=self.preset,
            prompts=tuple(_prompts(results)),
            generations=tuple(
                Generation(one.item, 0, one.text or "", (), "unknown") for one in results
            ),
            scores=tuple(_score(one, key) for one in results),
            sampling=self.sampling,
            protocol=self.preset,
            judge_id=key.scorer_id,
            departures=self.departures,
        )

    def _moved(
        self,
        key: _Key,
        baseline: Sequence[ItemResult],
        treated: Sequence[ItemResult],
        seed: int,
        resamples: int,
    ) -> list[Difference]:
        name = str(key)
        theirs = {one.item: one.values[name] for one in treated if name in one.values}
        both = [one for one in baseline if name in one.values and one.item in theirs]
        if not both:
            return []
        answered = Answered(
            list(_prompts(both)),
            before_PS=self._columns([one.values[name] for one in both]),
            after_PS=self._columns([theirs[one.item] for one in both]),
            asked=list(_prompts({one.item: one for one in (*baseline, *treated)}.values())),
        )
        rows = group_differences(answered, self.asked, seed=seed, resamples=resamples)
        return [
            dataclasses.replace(
                row,
                scorer_id=key.scorer_id,
                attribute=key.attribute,
                threshold=self.asked.threshold,
            )
            for row in rows
        ]

    def _columns(self, scores: Sequence[float]) -> FloatArray:
        """Toxic or not, and 1 for scored (P, 2)."""
        toxic_P = np.array(scores, dtype=np.float64) >= self.asked.threshold
        return np.stack([toxic_P, np.ones(len(scores))], axis=1).astype(np.float64)


@functools.lru_cache(maxsize=4)
def _loaded(name: str) -> Scorer:
    """The scorer of that name, once for all batches."""
    return load_scorer(name)


def _attribute(scorer: Scorer, wanted: str) -> str:
    """The attribute to read: the wanted one, or the only one that the scorer has."""
    if wanted in scorer.attributes:
        return wanted
    if len(scorer.attributes) == 1:
        return scorer.attributes[0]
    raise ConfigError(
        f"scorer {scorer.id}: has no attribute {wanted!r} and several others",
        remedy=f"It has: {', '.join(scorer.attributes)}. Name one as SCORER#LABEL.",
    )


def _groups(prompt: Prompt, keys: Sequence[str]) -> dict[str, Any]:
    """The groups that the prompt names, by key."""
    return {key: prompt.meta[key] for key in keys if key in prompt.meta}


def _prompts(results: Iterable[ItemResult]) -> Iterator[Prompt]:
    """The prompts of the results, without their texts."""
    return (Prompt(one.item, "", "", one.meta or {}) for one in results)


def _score(result: ItemResult, key: _Key) -> Score:
    place = (result.item, 0, key.scorer_id, key.attribute)
    value = result.values.get(str(key))
    if value is None:
        return Score(*place, error=result.error or "no score")
    return Score(*place, value=value)
