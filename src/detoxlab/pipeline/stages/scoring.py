"""Scores the responses and the prompts of a run: by scorers, and by their similarity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from detoxlab.encoders import Encoder, cosine_similarity, load_encoder
from detoxlab.pipeline.stages.rows import ScoreWork, fill, number
from detoxlab.records import Generation, Prompt, Score
from detoxlab.runs import Over, Run, file_name
from detoxlab.scorers import Scorer, load_scorer, score_generations, score_into
from detoxlab.workers import HERE, Workers

SIMILARITY = "similarity"


def score_run(
    run: Run,
    prompts: Sequence[Prompt],
    scorers: Mapping[str, Scorer],
    *,
    encoder: str | None,
    workers: Workers = HERE,
) -> None:
    """Score every response, and every prompt itself (as sample -1), by every scorer.

    `scorers` are by the names by which workers load them.
    """
    generations = run.read_all("generations", Generation)
    asked = [Generation(prompt.id, -1, prompt.text, (), "unknown") for prompt in prompts]
    for name, scorer in scorers.items():
        work = Scoring(scorer.id, scorer.attributes, name)
        score_into(run, scorer, asked, generations, over=partial(workers.results, work))
    if encoder:
        loaded = load_encoder(encoder)
        file = f"scores/{file_name(similarity_id(loaded))}.jsonl"
        resembling = Resembling(similarity_id(loaded), (SIMILARITY,), encoder, tuple(prompts))
        over = partial(workers.results, resembling)
        similarity_into(run, file, loaded, prompts, generations, over=over)


def similarity_into(
    run: Run,
    file: str,
    encoder: Encoder,
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
    *,
    over: Over[Sequence[Generation]] = map,
) -> None:
    """Append the similarity of each response to its prompt to a file of the run."""
    compute = similarities(encoder, prompts)
    fill(run, file, "similarity to the prompt", generations, compute, 1, over)


def similarities(
    encoder: Encoder, prompts: Sequence[Prompt]
) -> Callable[[Sequence[Generation]], list[Score]]:
    """The function that gives the similarity of each response to its prompt."""
    texts = {prompt.id: prompt.text for prompt in prompts}

    def compute(batch: Sequence[Generation]) -> list[Score]:
        values = cosine_similarity(
            encoder, [texts[row.prompt_id] for row in batch], [row.text for row in batch]
        )
        return [
            number(row, similarity_id(encoder), SIMILARITY, value)
            for row, value in zip(batch, values, strict=True)
        ]

    return compute


def similarity_id(encoder: Encoder) -> str:
    """The name of similarities by an encoder, where scorers have theirs."""
    return f"similarity:{encoder.id}"


@dataclass(frozen=True)
class Scoring(ScoreWork):
    """The work of a scorer, which workers load by its name."""

    name: str

    def begin(self) -> Callable[[Sequence[Generation]], list[Score]]:
        """Loads the scorer, and scores with it."""
        return partial(score_generations, load_scorer(self.name))


@dataclass(frozen=True)
class Resembling(ScoreWork):
    """The work of an encoder, which compares responses with their prompts."""

    name: str
    prompts: tuple[Prompt, ...]

    def begin(self) -> Callable[[Sequence[Generation]], list[Score]]:
        """Loads the encoder, and compares with it."""
        return similarities(load_encoder(self.name), self.prompts)
