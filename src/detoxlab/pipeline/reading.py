"""The prompts that settings describe."""

from detoxlab.data import load_prompts
from detoxlab.data.source import sample
from detoxlab.data.split import words_of
from detoxlab.errors import DataError
from detoxlab.recipe.sources import PromptSettings
from detoxlab.records import Prompt


def read_prompts(settings: PromptSettings, seed: int) -> list[Prompt]:
    """The prompts that `settings` describe.

    Raises `DataError` when all of them are excluded.
    """
    options = settings.model_dump(exclude={"source", "exclude", "limit"}, exclude_defaults=True)
    if settings.exclude is None:
        return load_prompts(settings.source, **options, limit=settings.limit, seed=seed)
    unwanted = {words_of(prompt.text) for prompt in read_prompts(settings.exclude, seed)}
    prompts = load_prompts(settings.source, **options, seed=seed)
    kept = [prompt for prompt in prompts if words_of(prompt.text) not in unwanted]
    if not kept:
        raise DataError(
            f"{settings.source}: all {len(prompts)} prompts are among the excluded ones",
            remedy="Train on other prompts than those that are asked in the end.",
        )
    return sample(kept, settings.limit, seed)
