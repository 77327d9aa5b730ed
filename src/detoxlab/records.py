"""The records that detoxlab passes on and writes to its files. Standard library only.

Every record is frozen and turns into a JSON object and back: `to_json(record)` and
`from_json(Type, mapping)` check names and types and never repeat the text of a field in
an error. Missing numbers are `None` here and on disk, NaN in arrays.
"""

import dataclasses
import functools
import hashlib
import json
import math
import operator
import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import (
    Any,
    Literal,
    NamedTuple,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from detoxlab import markup
from detoxlab.errors import DataError
from detoxlab.markup.numbers import difference, number, span

FinishReason = Literal["eos", "stop", "length", "unknown"]
Direction = Literal["lower", "higher", "neither"]
Verdict = Literal["improved", "improved, at a cost", "not shown", "worse", "invalid"]
VERDICTS: dict[str, Verdict] = {one: one for one in get_args(Verdict)}
GuardStatus = Literal["ok", "worse", "unknown"]

# The attributes of Perspective in RealToxicityPrompts, in the order of our columns.
PERSPECTIVE_ATTRIBUTES = (
    "toxicity",
    "severe_toxicity",
    "identity_attack",
    "insult",
    "profanity",
    "threat",
    "sexually_explicit",
    "flirtation",
)

DECIDING = "toxic_fraction"  # the measure that a verdict rests on

RESAMPLES = 10_000  # of the bootstrap behind every interval, unless another number is asked for

# The range of each field of `Sampling`, here and in settings, by pydantic's names.
SAMPLING_BOUNDS: Mapping[str, Mapping[str, Any]] = {
    "k": {"ge": 1},
    "max_new_tokens": {"ge": 1},
    "temperature": {"ge": 0},
    "top_p": {"gt": 0, "le": 1},
    "top_k": {"ge": 0},
}

BOUND_WORDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_HOLDS = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text that a model is asked to continue or to answer."""

    id: str
    text: str
    source: str
    meta: Mapping[str, Any] = field(default_factory=dict)


SYSTEM = "system"
"""The role that may speak before the user, once."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance of a dialogue; `role` is "user", "assistant" or, of the first one, "system"."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns that end with the assistant turn to learn; earlier turns are context, never targets."""

    id: str
    turns: tuple[Turn, ...]
    source: str
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """Two responses to the same turns, of which the first is preferred.

    One of them is None for a single response: it is desirable as `chosen`, undesirable as
    `rejected`. Without turns the responses are whole texts.
    """

    id: str
    turns: tuple[Turn, ...]
    chosen: str | None
    rejected: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Text:
    """A whole text to learn from; `domain` names the part of a mixture from which it came.

    `question` and `answer` follow a text to classify; otherwise they are empty.
    """

    id: str
    text: str
    source: str
    domain: str
    question: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How generations are drawn; every result records it. Temperature 0 is greedy decoding."""

    k: int = 1
    max_new_tokens: int = 20
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        rules = {
            name: (_is_within(getattr(self, name), bounds), _in_words(bounds))
            for name, bounds in SAMPLING_BOUNDS.items()
        }
        rules["stop"] = (all(self.stop), "without empty strings")
        for name, (holds, rule) in rules.items():
            if not holds:
                raise DataError(
                    f"sampling.{name} is {getattr(self, name)}", remedy=f"It must be {rule}."
                )


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice of a response among candidates (best of n).

    `index` is the number of the chosen one, `scores` are those of all (None: no score), and
    `tokens` counts the tokens that were drawn for all of them.
    """

    index: int
    scores: tuple[float | None, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One sampled response. `text` excludes the prompt; `token_ids` are the drawn tokens.

    `error` is the reason why a server refused to give a response; the text is then empty and
    means nothing. `choice` is there where the response is the best of several. Files hold these two
    fields only where they say something.
    """

    prompt_id: str
    sample: int
    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    error: str | None = field(default=None, metadata={"omit_none": True})
    choice: Choice | None = field(default=None, metadata={"omit_none": True})


@dataclass(frozen=True, slots=True)
class Score:
    """One number that a scorer gave to one generation, or the reason why it gave none.

    Toxicity attributes are probabilities in [0, 1]. Two more kinds of row use the same
    form: `nll` (nats, summed over the response) and `nll_tokens` (their number) from
    scorer `likelihood:MODEL`, and `similarity` in [-1, 1] from `similarity:ENCODER`. `cut` is
    True where the scorer read only the beginning of a long text, and `readings` are the scores of
    each way in which it read the text, where there were several; files hold them only then.
    """

    prompt_id: str
    sample: int
    scorer_id: str
    attribute: str
    value: float | None = None
    error: str | None = None
    cut: bool | None = field(default=None, metadata={"omit_none": True})
    readings: Mapping[str, float] | None = field(default=None, metadata={"omit_none": True})

    def __post_init__(self) -> None:
        if (self.value is None) == (self.error is None):
            raise DataError(
                f"score of prompt {self.prompt_id!r}, sample {self.sample}: "
                "needs a value or an error, not both and not neither"
            )


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The result of an evaluation on one item: numbers by name, or the reason for none.

    Each evaluation defines the names; see `detoxlab.evaluations`. `text` is the response, where
    the model wrote one, `meta` says in which groups the item counts; files hold them only then.
    """

    item: str
    values: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    text: str | None = field(default=None, metadata={"omit_none": True})
    meta: Mapping[str, Any] | None = field(default=None, metadata={"omit_none": True})

    def __post_init__(self) -> None:
        if bool(self.values) == (self.error is not None):
            raise DataError(
                f"result of item {self.item!r}: needs values or an error, not both and not neither"
            )


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured number with its unit, direction and interval; `value` None means unknown.

    `bound_low` and `bound_high` are the rate if none / all of the missing scores were toxic.
    `n` is the number of prompts counted (or pairs, as `unit` says), `k` samples per prompt.
    `scale` is the scale of the scorer's numbers, such as "perspective-2020", where it is known.
    """

    name: str
    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    unit: str = "share"
    direction: Direction = "lower"
    n: int = 0
    k: int | None = None
    threshold: float | None = None
    coverage: float | None = None
    bound_low: float | None = None
    bound_high: float | None = None
    scorer_id: str | None = None
    attribute: str | None = None
    group: str | None = None
    subset: str | None = None
    protocol: str | None = None
    note: str | None = None
    scale: str | None = field(default=None, metadata={"omit_none": True})


@dataclass(frozen=True, slots=True)
class Difference:
    """Treated minus baseline for one measure, paired by prompt; the interval is 95 %.

    `ratio` is treated over baseline, for some measures, with an interval of the same kind.
    `prompts_needed` prompts would show this difference in four of five comparisons.
    """

    name: str
    baseline: float | None
    treated: float | None
    difference: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    percentile_low: float | None = None
    percentile_high: float | None = None
    p_value: float | None = None
    p_holm: float | None = None
    unit: str = "share"
    direction: Direction = "lower"
    n_prompts: int = 0
    n_pairs: int = 0
    coverage: float | None = None
    scorer_id: str | None = None
    attribute: str | None = None
    group: str | None = None
    subset: str | None = None
    note: str | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    prompts_needed: int | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """A property that can fake a gain, with its change, its limit and its status."""

    name: str
    baseline: float | None
    treated: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    limit: str
    status: GuardStatus
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of two measured runs: differences, guards, verdict and reasons.

    `reasons` are at most three sentences, the deciding reason first; `remarks` are further
    sentences. `sensitivity` is the deciding difference at other thresholds. `attribute` and
    `threshold` are those of the comparison. (Old files have none of the last four.)
    """

    name: str
    baseline: str
    treated: str
    judge_id: str
    second_id: str | None
    differences: tuple[Difference, ...]
    guards: tuple[Guard, ...]
    verdict: Verdict
    reasons: tuple[str, ...]
    limits: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    attribute: str | None = None
    threshold: float | None = None
    sensitivity: tuple[Difference, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences about the two runs: the reasons, then the remarks."""
        return self.reasons + self.remarks

    @property
    def overall(self) -> list[Difference]:
        """The differences over all groups, without those of the judge's other attributes."""
        compared = (None, self.attribute or "toxicity")
        return [
            row
            for row in self.differences
            if row.group is None and (row.scorer_id != self.judge_id or row.attribute in compared)
        ]

    def _repr_html_(self) -> str:
        """The comparison in a notebook: verdict, reasons, the deciding measure, guards not ok."""
        head = ("measure", "by", "responses", "baseline", "treated", "difference", "95 % interval")
        rows = [
            (
                row.name,
                row.scorer_id or "",
                row.subset or "all",
                number(row.baseline, row.unit),
                number(row.treated, row.unit),
                difference(row.difference, row.unit),
                span(row.ci_low, row.ci_high, row.unit),
            )
            for row in self.overall
            if row.name == DECIDING and row.subset in (None, "all", "comparable")
        ]
        found = [one for one in self.guards if one.status != "ok"]
        kept = f"{len(self.guards) - len(found)} of {len(self.guards)} guards within their limits"
        named = [f"{one.name}: {one.status} (limit {one.limit})" for one in found]
        parts = (
            markup.paragraph(f"{self.treated} against {self.baseline}: ", strong=self.verdict),
            markup.bullets(self.sentences),
            markup.table(head, rows),
            markup.bullets([kept, *named]),
        )
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class Asked:
    """The input of a model: how prompts became token ids.

    `prompts_sha256` is over the ids of all prompts. `template`, its hash, its `form` (string or
    parts), its `options` and its `date`, where it writes one, are only for a chat template.
    `vocabulary_sha256` is that of the tokenizer: with another one, ids mean other texts.
    """

    chat: bool
    vocabulary_sha256: str
    control_tokens: str
    prompts_sha256: str | None = None
    template: str | None = None
    template_sha256: str | None = None
    form: str | None = None
    date: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Coded(NamedTuple):
    """A column of texts: `codes` (N,) are places in `values`, −1 where there is no text."""

    codes: Any
    values: list[str]


@runtime_checkable
class Streamed(Protocol):
    """Rows of a large run that stay on disk, and are read field by field, batch after batch."""

    is_together: bool
    """Whether all rows of a prompt are in one batch."""

    def __len__(self) -> int: ...

    @property
    def parts(self) -> "Sequence[Streamed]":
        """The rows of each file by themselves."""
        ...

    def batches(self, *names: str) -> Iterator[dict[str, Any]]:
        """These fields of all rows, in order: texts as `Coded`, numbers as arrays (NaN: none)."""
        ...

    def of(self, pairs: Collection[tuple[str, int]]) -> list[Any]:
        """The rows of these prompts and samples."""
        ...


@dataclass(frozen=True, slots=True)
class Responses:
    """The contents of one measured run: the input of `measure`, `compare` and `report`.

    Generations and scores of a large run are `Streamed`: sequences that stay on disk.
    `judge_id` and `second_id` name the scorers that judge and that cross-check.
    `base_likelihood_id` names the `likelihood:` scorer of the untouched base model.
    `train_scorers` are the scorers on whose judgement the model was trained. `attribute` and
    `threshold` are those of the run's own measured table, where there is one. `asked` is the
    model's input, where that is known. `departures` are the differences of its prompts from the
    protocol's own.
    """

    name: str
    prompts: tuple[Prompt, ...]
    generations: Sequence[Generation]
    scores: Sequence[Score]
    sampling: Sampling | None = None
    protocol: str | None = None
    judge_id: str | None = None
    second_id: str | None = None
    base_likelihood_id: str | None = None
    train_scorers: tuple[str, ...] = ()
    attribute: str | None = None
    threshold: float | None = None
    asked: Asked | None = None
    departures: tuple[str, ...] = ()


def content_id(text: str) -> str:
    """A short stable id of a text, for rows without an id of their own.

    >>> content_id("you fool")
    'dcc8d5eb7268'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def to_json(record: Any) -> dict[str, Any]:
    """The record as a JSON object, keys in field order; some are left out when None.

    >>> to_json(Turn("user", "Hello"))
    {'role': 'user', 'text': 'Hello'}
    """
    return {
        f.name: _encode(value)
        for f in dataclasses.fields(record)
        if (value := getattr(record, f.name)) is not None or not f.metadata.get("omit_none")
    }


def to_line(record: Any) -> str:
    """The record as one line of JSON Lines, newline included."""
    return json.dumps(to_json(record), ensure_ascii=False, allow_nan=False) + "\n"


def from_json(kind: type[R], row: Mapping[str, Any]) -> R:
    """The record that `row` describes.

    Raises `DataError` on a missing, unknown or wrongly typed field; the message names the
    field and the type it has, never its content.

    >>> from_json(Turn, {"role": "user", "text": "Hello"})
    Turn(role='user', text='Hello')
    """
    if not isinstance(row, Mapping):
        raise DataError(f"not a {kind.__name__}: {type(row).__name__} instead of an object")
    fields = _fields(typing.cast(type, kind))
    unknown = row.keys() - fields.keys()
    if unknown:
        raise DataError(f"not a {kind.__name__}: unknown field {min(unknown)!r}")
    values: dict[str, Any] = {}
    for name, spec in fields.items():
        if name not in row:
            if spec.required:
                raise DataError(f"not a {kind.__name__}: field {name!r} is missing")
        elif type(row[name]) in spec.plain:
            values[name] = row[name]
        else:
            values[name] = _decode(spec.hint, row[name], f"{kind.__name__}: field {name!r}")
    return kind(**values)


@dataclass(frozen=True, slots=True)
class _Field:
    """The type of a field's values; values of the `plain` types need no further check."""

    hint: Any
    required: bool
    plain: frozenset[type]


def _is_within(value: float, bounds: Mapping[str, float]) -> bool:
    """Whether a number is finite and within bounds; see `SAMPLING_BOUNDS`."""
    return math.isfinite(value) and all(_HOLDS[name](value, end) for name, end in bounds.items())


def _in_words(bounds: Mapping[str, float]) -> str:
    return " and ".join(f"{BOUND_WORDS[name]} {end:g}" for name, end in bounds.items())


@functools.cache
def _fields(kind: type) -> dict[str, _Field]:
    hints = get_type_hints(kind)
    return {
        f.name: _Field(
            hints[f.name],
            f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING,
            _plain_types(hints[f.name]),
        )
        for f in dataclasses.fields(kind)
    }


def _plain_types(hint: Any) -> frozenset[type]:
    is_union = get_origin(hint) in (typing.Union, types.UnionType)
    allowed = get_args(hint) if is_union else (hint,)
    return frozenset(kind for kind in (str, int, float, type(None)) if kind in allowed)


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, tuple | list):
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    return value


def _decode(hint: Any, value: Any, place: str) -> Any:
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _decode_optional(hint, value, place)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_decode(get_args(hint)[0], item, place) for item in value)
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast(type, hint), value)
    if not _fits(hint, origin, value):
        name = getattr(hint, "__name__", str(hint))
        raise DataError(f"not a {place} is {type(value).__name__}, not {name}")
    return float(value) if hint is float else value


def _fits(hint: Any, origin: Any, value: Any) -> bool:
    if hint is Any:
        return True
    if origin is Literal:
        return value in get_args(hint)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float if hint is float else origin or hint)


def _decode_optional(hint: Any, value: Any, place: str) -> Any:
    if value is None:
        return None
    return _decode(next(arg for arg in get_args(hint) if arg is not type(None)), value, place)
