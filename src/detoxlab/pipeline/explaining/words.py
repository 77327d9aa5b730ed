"""The toxic words of responses, and the words of prompts behind them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from detoxlab.errors import ConfigError
from detoxlab.explanations.measured.prompt_words import most_pulling
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.measured.toxic_words import Pulls, ToxicWords, toxic_words
from detoxlab.pipeline.explaining.sources import Models
from detoxlab.progress import progress
from detoxlab.recipe.explaining import ExplainSettings, ToxicWordsSettings
from detoxlab.records import Prompt, to_json
from detoxlab.runs import Run
from detoxlab.scorers import load_scorer

if TYPE_CHECKING:
    from detoxlab.explanations.measured.explainer import Item

WORDS, PROMPT_WORDS = "toxic_words.jsonl", "prompt_words.json"
BATCH = 16

Explained = Mapping[tuple[str, int], Mapping[str, Attribution]]


def find_toxic_words(
    run: Run, settings: ExplainSettings, models: Models, prompts: Sequence[Prompt]
) -> None:
    """Write a row per response of each run, and the table of the prompts' words."""
    asked = settings.toxic_words
    pulls = _pulls(asked, asked.scorer or models.sources[models.runs[0]].judge)
    run.update(words_scorer_id=pulls.scorer.id)
    explained = _by_text(run.read("attributions.jsonl", Attribution))
    batches = [
        items[start : start + BATCH]
        for name in models.runs
        for items in [models.items((name, name), prompts)]
        for start in range(0, len(items), BATCH)
    ]
    with progress("toxic words", sum(map(len, batches))) as advance:
        run.append_missing(
            WORDS,
            batches,
            rows_in=len,
            compute=lambda batch: _rows(batch, explained[batch[0].text], pulls),
            done=lambda batch: advance(len(batch), batch[0].text),
        )
    rows = run.read(WORDS, ToxicWords)
    found = most_pulling(rows, least=asked.least_prompts)
    run.write_json(PROMPT_WORDS, [to_json(one) for one in found])
    toxic = sum(one.toxic for row in rows for one in row.words)
    run.update(toxic_words=toxic, prompt_words=len(found))


# --- inside ---


def _pulls(asked: ToxicWordsSettings, name: str) -> Pulls:
    """The scorer without its cache: texts without one of their words are asked once."""
    scorer = load_scorer(name, cache=False)
    if asked.attribute not in scorer.attributes:
        raise ConfigError(
            f"scorer {name!r} gives no score for {asked.attribute!r}",
            remedy=f"Set toxic_words.attribute to one of: {', '.join(scorer.attributes)}.",
        )
    return Pulls(scorer, asked.attribute, asked.least_pull, asked.threshold)


def _by_text(rows: Sequence[Attribution]) -> Mapping[str, Explained]:
    """By run and response of a text, its attributions by model."""
    found: dict[str, dict[tuple[str, int], dict[str, Attribution]]] = {}
    for row in rows:
        responses = found.setdefault(row.text, {})
        responses.setdefault((row.prompt_id, row.sample), {})[row.model] = row
    return found


def _rows(items: "Sequence[Item]", explained: Explained, pulls: Pulls) -> list[ToxicWords]:
    responses = [(one.prompt.id, one.sample, one.generation) for one in items]
    return toxic_words(items[0].text, responses, explained, pulls)
