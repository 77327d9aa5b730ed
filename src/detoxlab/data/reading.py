"""Reads data that settings name, describes them for the record, and checks that they exist."""

from collections.abc import Sequence
from typing import Any

from detoxlab.data import (
    Part,
    check_source,
    describe_source,
    load_dialogues,
    load_preferences,
    load_prompts,
    mix,
    not_beginning_with,
)
from detoxlab.data.settings import (
    DataSettings,
    DialogueSettings,
    PairSettings,
    PromptSettings,
    TextPart,
    TextSettings,
    excluded,
)
from detoxlab.data.source import sample
from detoxlab.data.split import words_of
from detoxlab.errors import DataError
from detoxlab.records import Prompt, Text

Items = tuple[Sequence[Any], Sequence[tuple[str, str]]]
"""Records, and the (id, reason) of those that were left out while reading."""

# --- read ---


def read_prompts(settings: PromptSettings, seed: int) -> list[Prompt]:
    """The prompts that `settings` describe.

    Raises `DataError` when all of them are excluded.
    """
    options = settings.model_dump(exclude={"source", "exclude", "limit"}, exclude_defaults=True)
    if not excluded(settings):
        return load_prompts(settings.source, **options, limit=settings.limit, seed=seed)
    unwanted = {words_of(prompt.text) for prompt in _unwanted(settings, seed)}
    prompts = load_prompts(settings.source, **options, seed=seed)
    kept = [prompt for prompt in prompts if words_of(prompt.text) not in unwanted]
    if not kept:
        raise DataError(
            f"{settings.source}: all {len(prompts)} prompts are among the excluded ones",
            remedy="Train on other prompts than those that are asked in the end.",
        )
    return sample(kept, settings.limit, seed)


def read_dialogues(settings: DialogueSettings, seed: int) -> Items:
    """The dialogues that `settings` describe, and those left out with the reason."""
    options = settings.model_dump(exclude={"source", "validation"}, exclude_defaults=True)
    found = load_dialogues(settings.source, **options, seed=seed)
    return found.dialogues, found.rejected


def read_pairs(settings: PairSettings, seed: int) -> Items:
    """The pairs that `settings` describe, and those left out with the reason."""
    options = settings.model_dump(exclude={"source", "validation"}, exclude_defaults=True)
    found = load_preferences(settings.source, **options, seed=seed)
    return found.pairs, found.rejected


def read_texts(settings: TextSettings, seed: int) -> list[Text]:
    """The texts of all parts, mixed in their proportions.

    Raises `DataError` when all texts of a part are excluded.
    """
    unwanted = _unwanted(settings, seed)
    parts = {
        name: Part(_read_part(name, part, unwanted, seed), part.proportion)
        for name, part in settings.parts.items()
    }
    return mix(parts, limit=settings.limit, seed=seed, verbaliser=settings.verbaliser)


def _unwanted(settings: PromptSettings | TextSettings, seed: int) -> list[Prompt]:
    return [prompt for one in excluded(settings) for prompt in read_prompts(one, seed)]


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


# --- described ---


def described(settings: DataSettings, kind: str | None = None) -> dict[str, Any]:
    """The provenance of the data, as `describe_source` gives it."""
    return describe_source(
        settings.source, kind=kind, path=settings.path, revision=settings.revision
    )


def described_texts(settings: TextSettings) -> dict[str, Any]:
    """The provenance of each part, and its proportion."""
    return {
        name: described(part) | {"proportion": part.proportion}
        for name, part in settings.parts.items()
    }


# --- looked for ---


def check_data(settings: DataSettings, kind: str, **options: bool) -> list[str]:
    """The source if it is on the hub, which only loading can check; empty for a local one.

    Raises the errors of loading when the source is unknown or its files are not there.
    """
    on_hub = check_source(
        kind, settings.source, path=settings.path, columns=settings.columns, **options
    )
    return [settings.source] if on_hub else []


def check_prompts(settings: PromptSettings) -> list[str]:
    """As `check_data`, for the prompts and for the prompts to exclude."""
    own = check_data(settings, "prompts", join_continuation=settings.join_continuation)
    return own + _check_unwanted(settings)


def check_texts(settings: TextSettings) -> list[str]:
    """As `check_data`, for every part and for the prompts to exclude."""
    parts = [one for part in settings.parts.values() for one in check_data(part, "prompts")]
    return parts + _check_unwanted(settings)


def _check_unwanted(settings: PromptSettings | TextSettings) -> list[str]:
    return [one for source in excluded(settings) for one in check_prompts(source)]
