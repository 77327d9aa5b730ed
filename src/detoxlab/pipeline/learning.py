"""What a method learns from: which source it was given, checked, read and described."""

from typing import Any

from detoxlab.data import (
    Part,
    describe_dialogues,
    describe_preferences,
    describe_source,
    load_dialogues,
    load_preferences,
    load_prompts,
    mix,
    not_beginning_with,
    split_dialogues,
    split_pairs,
    split_texts,
)
from detoxlab.data.source import sample
from detoxlab.errors import ConfigError, DataError
from detoxlab.methods import METHODS, DialogueSplit, Method, PairSplit
from detoxlab.methods.base import Source, TextSplit
from detoxlab.pipeline.reading import read_prompts
from detoxlab.recipe.learning import Learning
from detoxlab.recipe.sources import DialogueSettings, PairSettings, TextPart, TextSettings
from detoxlab.records import Prompt
from detoxlab.registry import look_up


def usual_source(method: str) -> Source:
    """The kind of data that a method usually learns from; `UnknownNameError` for no method.

    >>> usual_source("sft")
    'dialogues'
    """
    return look_up("method", method, METHODS).learns_from[0]


def source_kind(settings: Learning, place: str = "train") -> Source:
    """The kind of data that was given; `ConfigError` unless it is one that the method takes."""
    takes = look_up("method", settings.method, METHODS).learns_from
    given = list(settings.sources())
    if len(given) == 1 and given[0] in takes:
        kind: Source = given[0]
        return kind
    raise ConfigError(
        f"{place}: {settings.method} learns from {' or '.join(takes)}; "
        f"given: {', '.join(given) or 'none'}",
        remedy=f"Give {' or '.join(takes)} and nothing else.",
    )


def training_scorers(settings: Learning, method: Method) -> tuple[str, ...]:
    """Names of the scorers that the method trains on; given pairs were ranked without them."""
    return () if source_kind(settings) == "pairs" else method.config.training_scorers


def read_data(settings: Learning, seed: int) -> Any:
    """A `DialogueSplit`, `PairSplit`, `TextSplit` or list of prompts, as the method takes it."""
    source = settings.sources()[source_kind(settings)]
    if isinstance(source, DialogueSettings):
        return read_dialogues(source, seed)
    if isinstance(source, PairSettings):
        return read_pairs(source, seed)
    if isinstance(source, TextSettings):
        return read_texts(source, seed)
    return read_prompts(source, seed)


def describe_data(settings: Learning) -> dict[str, Any]:
    """What is read, for the run's record, under the name of its kind."""
    kind = source_kind(settings)
    source: Any = settings.sources()[kind]
    if isinstance(source, TextSettings):
        return {kind: {name: _described_part(part) for name, part in source.parts.items()}}
    describe = {
        "dialogues": describe_dialogues,
        "pairs": describe_preferences,
        "prompts": describe_source,
    }
    return {kind: describe[kind](source.source, path=source.path, revision=source.revision)}


def summary(data: Any) -> str:
    """How much there is to learn from, in words."""
    kinds = {DialogueSplit: "dialogues", PairSplit: "pairs", TextSplit: "texts"}
    if kind := kinds.get(type(data)):
        return (
            f"{len(data.train)} {kind}, {len(data.validation)} for validation, "
            f"{len(data.rejected)} left out"
        )
    return f"{len(data)} prompts"


def read_dialogues(settings: DialogueSettings, seed: int) -> DialogueSplit:
    """Training and validation dialogues, and those left out with the reason."""
    options = settings.model_dump(exclude={"source", "validation"}, exclude_defaults=True)
    read = load_dialogues(settings.source, **options, seed=seed)
    training, validation = split_dialogues(
        read.dialogues, validation=settings.validation, seed=seed
    )
    return DialogueSplit(training, validation, read.rejected)


def read_pairs(settings: PairSettings, seed: int) -> PairSplit:
    """Training and validation pairs, and those left out with the reason."""
    options = settings.model_dump(exclude={"source", "validation"}, exclude_defaults=True)
    read = load_preferences(settings.source, **options, seed=seed)
    training, validation = split_pairs(read.pairs, validation=settings.validation, seed=seed)
    return PairSplit(training, validation, read.rejected)


def read_texts(settings: TextSettings, seed: int) -> TextSplit:
    """Training and validation texts of all parts, mixed in their proportions.

    Raises `DataError` when all texts of a part are excluded.
    """
    unwanted = read_prompts(settings.exclude, seed) if settings.exclude else []
    parts = {
        name: Part(_read_part(name, part, unwanted, seed), part.proportion)
        for name, part in settings.parts.items()
    }
    texts = mix(parts, limit=settings.limit, seed=seed, verbaliser=settings.verbaliser)
    training, validation = split_texts(texts, validation=settings.validation, seed=seed)
    return TextSplit(training, validation)


def _read_part(name: str, part: TextPart, unwanted: list[Prompt], seed: int) -> list[Prompt]:
    options = part.model_dump(exclude={"source", "proportion", "limit"}, exclude_defaults=True)
    texts = load_prompts(part.source, **options, seed=seed, deduplicate=True)
    kept = not_beginning_with(texts, [prompt.text for prompt in unwanted])
    if not kept:
        raise DataError(
            f"part {name!r}: all {len(texts)} texts begin with an excluded prompt",
            remedy="Train on other texts than those that are asked in the end.",
        )
    return sample(kept, part.limit, seed)


def _described_part(part: TextPart) -> dict[str, Any]:
    described = describe_source(part.source, path=part.path, revision=part.revision)
    return described | {"proportion": part.proportion}
