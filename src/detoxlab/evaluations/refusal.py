"""Over-refusal: how often a model refuses safe prompts, and unsafe ones beside them.

The model answers each prompt once, greedily. Rules or a judge say whether the answer is a full
refusal, a partial one, or none. Completions with people's labels can be judged along with it.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from detoxlab.data import describe_source, load_prompts
from detoxlab.data.settings import DataSettings, relative
from detoxlab.data.where import Conditions
from detoxlab.data.xstest import read_completions
from detoxlab.errors import DataError
from detoxlab.evaluations import sums
from detoxlab.evaluations.base import Evaluation
from detoxlab.evaluations.detection import (
    detection_measurements,
    published_agreement,
    with_exact_ends,
)
from detoxlab.evaluations.refusal_judge import Judged, judge_id, judge_name, judged, load_judge
from detoxlab.measures.catalogue import MEASURES
from detoxlab.measures.guards import is_empty
from detoxlab.measures.refusal import DETECTOR, refusal_class
from detoxlab.measures.statistics import ratio
from detoxlab.protocols import get_protocol
from detoxlab.provenance import file_sha256
from detoxlab.records import RESAMPLES, Difference, ItemResult, Measurement, Prompt, Sampling
from detoxlab.scorers.guards.names import check_guard
from detoxlab.subject import Subject

if TYPE_CHECKING:
    from detoxlab.scorers.guards.scorer import GuardScorer

PROTOCOL = get_protocol("xstest")
SAFE, UNSAFE, LABELLED = "safe", "unsafe", "labelled"
EMPTY = "an empty response"
KINDS = {"": "refusal", "full_": "full", "partial_": "partial"}


@dataclass(frozen=True)
class Item:
    """A prompt to ask; or one with a completion that is known, and what people call it.

    The id begins with `safe/`, `unsafe/` or `labelled/SET/`.
    """

    id: str
    prompt: str
    completion: str | None = None
    human: str | None = None


class OverRefusal(DataSettings, Evaluation):
    """Shares of full and partial refusals, of safe and of unsafe prompts.

    Safe prompts should be answered, unsafe ones need not be. An empty response, and one of which
    the judge's verdict cannot be read, have no class: they lower the coverage.

    Source: Röttger et al. 2024, XSTest. Departure: the classes come from rules, or from a judge
    that is named here, instead of from people or GPT-4; how far they agree stands beside them.
    """

    kind: Literal["refusal"] = Field("refusal", description="of evaluation")
    source: str = Field("xstest", description="a known name, a local file, or a hub id")
    where: Conditions = Field({}, description="keep rows in these ranges")
    label: str = Field("label", description="the attribute that says what is safe")
    safe: tuple[str, ...] = Field((SAFE,), description="its values for safe prompts")
    unsafe: tuple[str, ...] = Field((UNSAFE,), description="its values for unsafe prompts")
    all_are: Literal["safe", "unsafe"] | None = Field(
        None, description="of a file without labels: what its prompts are"
    )
    chat: bool = Field(PROTOCOL.chat, description="ask in the model's chat template")
    max_new_tokens: int = Field(
        PROTOCOL.sampling.max_new_tokens, ge=1, description="tokens of a response, at most"
    )
    judge: str | None = Field(
        None, description="a model, or http://HOST/v1#MODEL, that tells refusals; none: rules"
    )
    judge_format: str | None = Field(
        None, description="plain, chat, or a file like those of guards; see the docs"
    )
    labelled: tuple[str, ...] = Field(
        (), description="files of XSTest completions with people's labels, to check the detector"
    )

    @field_validator("labelled", mode="before")
    @classmethod
    def _relative(cls, given: Any) -> Any:
        files = [given] if isinstance(given, str) else given
        return tuple(relative(str(one)) for one in files)

    @field_validator("judge")
    @classmethod
    def _portable(cls, given: str | None) -> str | None:
        if given and ("://" in given) != ("#" in given):
            raise ValueError("judge: write a model, or http://HOST/v1#MODEL")
        return relative(given) if given else given

    @property
    def sampling(self) -> Sampling:
        """Greedy, one response per prompt."""
        return dataclasses.replace(PROTOCOL.sampling, max_new_tokens=self.max_new_tokens)

    @property
    def protocol(self) -> str:
        """The preset, and whatever differs from it.

        >>> OverRefusal().protocol, OverRefusal(limit=20, max_new_tokens=64).protocol
        ('xstest@1', 'xstest@1 (limit=20, max_new_tokens=64)')
        """
        asked = self.model_dump(include={"source", "where", "limit"})
        count = self.limit or PROTOCOL.n_prompts or 0
        differs = PROTOCOL.departures(asked, {}, count)
        return dataclasses.replace(PROTOCOL, chat=self.chat).overridden(self.sampling, differs)

    def describe(self) -> dict[str, Any]:
        """Files by name and hash, the hub's revision, and the detector."""
        found = describe_source(self.source, path=self.path, revision=self.revision)
        files = [
            {"name": PurePath(one).name, "sha256": file_sha256(Path(one))} for one in self.labelled
        ]
        told_by = judge_id(self.judge, self.judge_format) if self.judge else DETECTOR
        return found | {"labelled": files, "detector": told_by}

    def items(self, seed: int) -> Sequence[Item]:
        """The labelled completions, then the prompts, long ones first.

        Raises `DataError` where it is not said whether a prompt is safe, and the errors of a
        guard's name for a judge that cannot be asked.
        """
        if self.judge:
            check_guard(judge_name(self.judge, self.judge_format))
        given = self.model_dump(
            include={"source", "path", "columns", "where", "limit", "revision"},
            exclude_defaults=True,
        )
        prompts = load_prompts(**{"source": self.source, **given}, seed=seed)
        asked = [Item(f"{self.safety(one)}/{one.id}", one.text) for one in prompts]
        asked.sort(key=lambda one: (-len(one.prompt), one.id))
        return [*self._labelled(), *asked]

    def safety(self, prompt: Prompt) -> str:
        """ "safe" or "unsafe"; raises `DataError` where the prompt's label is neither."""
        if self.all_are:
            return self.all_are
        label = str(prompt.meta.get(self.label)).lower()
        if label in map(str.lower, self.safe):
            return SAFE
        if label in map(str.lower, self.unsafe):
            return UNSAFE
        raise DataError(
            f"{self.source}: prompt {prompt.id!r} is neither safe nor unsafe by its {self.label!r}",
            remedy="Set label, safe and unsafe, or all_are for a file of one kind.",
        )

    def results(self, subject: Subject, items: Sequence[Item]) -> list[ItemResult]:
        """1 or 0 for full and for partial; the response as text."""
        responses = self._responses(subject, items)
        classes = self._classes(items, responses)
        return [
            _result(item, response, found, rules=self.judge is not None)
            for item, response, found in zip(items, responses, classes, strict=True)
        ]

    def measurements(
        self, results: Sequence[ItemResult], *, seed: int = 0, resamples: int = RESAMPLES
    ) -> list[Measurement]:
        """Refusals of safe and of unsafe prompts; the detector's agreement with people."""
        rows = [
            row
            for kind, part in _by_kind(results)
            for row in sums.measurements(
                _measures(kind), part, protocol=self.protocol, seed=seed, resamples=resamples
            )
        ]
        if self.judge:
            asked = [one for one in results if not one.item.startswith(LABELLED)]
            rows += sums.measurements(
                [AGREEMENT], asked, protocol=self.protocol, seed=seed, resamples=resamples
            )
        named = [dataclasses.replace(row, scorer_id=self._detector) for row in rows]
        return [*with_exact_ends(named), *self._checked(results, seed, resamples)]

    def differences(
        self,
        baseline: Sequence[ItemResult],
        treated: Sequence[ItemResult],
        *,
        seed: int = 0,
        resamples: int = RESAMPLES,
    ) -> list[Difference]:
        """Treated against baseline on the prompts with both classes, paired by prompt."""
        theirs = dict(_by_kind(treated))
        return [
            row
            for kind, part in _by_kind(baseline)
            if kind in theirs and sums.paired(part, theirs[kind])[0]
            for row in sums.differences(
                _measures(kind), part, theirs[kind], seed=seed, resamples=resamples
            )
        ]

    # --- inside ---

    @property
    def _detector(self) -> str:
        return f"judge:{self.judge}" if self.judge else DETECTOR

    def _labelled(self) -> Iterator[Item]:
        for path in self.labelled:
            name = PurePath(path).name.partition(".")[0].rpartition("_")[2]
            for one in read_completions(path):
                yield Item(f"{LABELLED}/{name}/{one.id}", one.prompt, one.text, one.refusal)

    def _responses(self, subject: Subject, items: Sequence[Item]) -> list[str]:
        """The known completions, and the model's answers to the other prompts."""
        from detoxlab.generate import LocalEngine

        markers = subject.lm.next_turn_markers if self.chat else ()
        engine = LocalEngine(subject, chat=self.chat, next_turn_markers=markers)
        open_prompts = [
            Prompt(item.id, item.prompt, self.source) for item in items if item.completion is None
        ]
        drawn = {
            one.prompt_id: one.text
            for batch in engine.batches(open_prompts, self.sampling)
            for one in engine.generate(batch, self.sampling)
        }
        return [drawn[item.id] if item.completion is None else item.completion for item in items]

    def _classes(self, items: Sequence[Item], responses: Sequence[str]) -> list[Judged]:
        judge = load_judge(judge_name(self.judge, self.judge_format)) if self.judge else None
        filled = [at for at, response in enumerate(responses) if not is_empty(response)]
        found: list[Judged] = [(None, EMPTY)] * len(items)
        told = _told(judge, [items[at].prompt for at in filled], [responses[at] for at in filled])
        for at, one in zip(filled, told, strict=True):
            found[at] = one
        return found

    def _checked(
        self, results: Sequence[ItemResult], seed: int, resamples: int
    ) -> list[Measurement]:
        """The detector against people: on the labelled files, or as measured beforehand."""
        sets: dict[str, list[ItemResult]] = {}
        for one in results:
            if one.item.startswith(LABELLED):
                sets.setdefault(one.item.split("/")[1], []).append(one)
        if not sets:
            return [] if self.judge else list(published_agreement())
        return [
            row
            for name, rows in sets.items()
            for row in self._agreement(name, rows, seed, resamples)
        ]

    def _agreement(
        self, name: str, rows: Sequence[ItemResult], seed: int, resamples: int
    ) -> list[Measurement]:
        known = [one.values for one in rows if one.error is None]
        return detection_measurements(
            np.array([one["refusal"] for one in known], dtype=np.bool_),
            np.array([one["human"] for one in known], dtype=np.bool_),
            labelled=name,
            scorer_id=self._detector,
            rows=len(rows),
            seed=seed,
            resamples=resamples,
        )


AGREEMENT = sums.SumMeasure(MEASURES["judge_agreement"], ("agrees", "one"), ratio)


def _measures(kind: str) -> list[sums.SumMeasure]:
    return [
        sums.SumMeasure(MEASURES[f"{kind}_{which}refusals"], (value, "one"), ratio)
        for which, value in KINDS.items()
    ]


def _by_kind(results: Sequence[ItemResult]) -> list[tuple[str, list[ItemResult]]]:
    """The results of safe and of unsafe prompts, where there are any."""
    parts = [
        (kind, [one for one in results if one.item.startswith(f"{kind}/")])
        for kind in (SAFE, UNSAFE)
    ]
    return [(kind, part) for kind, part in parts if part]


def _told(
    judge: "GuardScorer | None", prompts: Sequence[str], responses: Sequence[str]
) -> list[Judged]:
    if judge is not None:
        return judged(judge, prompts, responses) if prompts else []
    return [
        (refusal_class(response, prompt), "")
        for prompt, response in zip(prompts, responses, strict=True)
    ]


def _result(item: Item, response: str, found: Judged, *, rules: bool) -> ItemResult:
    told, reason = found
    text = response if item.completion is None else None
    if told is None:
        return ItemResult(item.id, error=reason, text=text)
    values = {
        "one": 1.0,
        "refusal": float(told != "none"),
        "full": float(told == "full"),
        "partial": float(told == "partial"),
    }
    if rules:
        by_rules = refusal_class(response, item.prompt) != "none"
        values["agrees"] = float(by_rules == (told != "none"))
    if item.human is not None:
        values["human"] = float(item.human != "none")
    return ItemResult(item.id, values, text=text)
