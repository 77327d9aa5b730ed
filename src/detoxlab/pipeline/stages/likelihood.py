"""The log-likelihood of each response under the untouched base model, or under a reference."""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from detoxlab.completions.names import is_served
from detoxlab.pipeline.stages.drawing import engine_of
from detoxlab.pipeline.stages.rows import ScoreWork, fill, number
from detoxlab.pipeline.stages.served import ServedJudge, served_judge
from detoxlab.pipeline.subjects import load_other
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.records import Generation, Prompt, Score
from detoxlab.runs import Run, file_name
from detoxlab.subject import Subject
from detoxlab.workers import HERE, Workers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detoxlab.generate import Engine
    from detoxlab.models import LanguageModel

NAMES = ("nll", "nll_tokens")
Compute: TypeAlias = Callable[[Sequence[Generation]], list[Score]]


def likelihood_into(
    run: Run,
    settings: MeasureSettings,
    engine: "Engine",
    subject: Subject | None,
    workers: Workers = HERE,
) -> None:
    """Append the log-likelihood of every response; nothing where no model can tell it.

    It is unknown where prompt and response do not fit into the reference's context, or where the
    reference's server does not tell it.
    """
    prompts = tuple(run.read("prompts.jsonl", Prompt))
    with _judging(settings, subject) as judged_by:
        if judged_by is None:
            return
        compute = likelihoods(settings, engine, judged_by, prompts)
        scorer_id = likelihood_id(judged_by)
        work = Judging(scorer_id, NAMES, settings, prompts)
        generations = run.read_all("generations", Generation)
        file = f"scores/{file_name(scorer_id)}.jsonl"
        title = "fluency under the base model"
        fill(run, file, title, generations, compute, 2, partial(workers.results, work))
    run.update(base_likelihood_id=scorer_id)


@dataclass(frozen=True)
class Judging(ScoreWork):
    """The work of the model that judges fluency."""

    settings: MeasureSettings
    prompts: tuple[Prompt, ...]

    @property
    def on_gpu(self) -> bool:
        """Whether the settings leave the model a GPU."""
        return self.settings.device != "cpu"

    def begin(self) -> Compute:
        """Loads the model as the run's settings say, and judges with its base or the reference."""
        engine, subject = engine_of(self.settings, self.settings.resolved_protocol())
        # A worker does nothing else with its model, so the adapter stays off.
        judged_by = contextlib.ExitStack().enter_context(_judging(self.settings, subject))
        assert judged_by is not None
        return likelihoods(self.settings, engine, judged_by, self.prompts)


def likelihood_id(judged_by: "LanguageModel | ServedJudge") -> str:
    """The name of a model that judges fluency, where scorers have theirs."""
    return f"likelihood:{judged_by.id}"


def likelihoods(
    settings: MeasureSettings,
    engine: "Engine",
    judged_by: "LanguageModel | ServedJudge",
    prompts: Sequence[Prompt],
) -> Compute:
    """The function that gives nats and tokens of each response after its prompt."""
    from detoxlab.models import log_probs_that_fit

    scorer_id = likelihood_id(judged_by)
    if isinstance(judged_by, ServedJudge):
        return judged_by.likelihoods(scorer_id, NAMES, prompts)
    own_ids = settings.reference is None
    given = _given_ids(settings, engine, judged_by, prompts)

    def ids(row: Generation) -> list[int]:
        if own_ids and row.token_ids:
            return list(row.token_ids)
        return judged_by.piece_ids(row.text)

    def compute(batch: Sequence[Generation]) -> list[Score]:
        answers = [ids(row) for row in batch]
        found = log_probs_that_fit(judged_by, [given[row.prompt_id] for row in batch], answers)
        return [
            score
            for row, log_probs in zip(batch, found, strict=True)
            for score in _scores(row, scorer_id, log_probs, judged_by)
        ]

    return compute


# --- inside ---


def _judging(
    settings: MeasureSettings, subject: Subject | None
) -> "AbstractContextManager[LanguageModel | ServedJudge | None]":
    """The reference, else the untouched base while the block lasts; None for a server's model."""
    if settings.reference is not None and is_served(settings.reference.model):
        return served_judge(settings)
    if settings.reference is not None:
        return nullcontext(load_other(settings.reference, settings.device, settings))
    return nullcontext(None) if subject is None else subject.base()


def _given_ids(
    settings: MeasureSettings,
    engine: "Engine",
    judged_by: "LanguageModel",
    prompts: Sequence[Prompt],
) -> dict[str, tuple[int, ...]]:
    """The token ids before the responses, by prompt: exactly those that the model was given.

    A reference whose tokens differ gets the whole prompt. None gets the system prompt.
    """
    from detoxlab.generate import LocalEngine

    protocol = settings.resolved_protocol()

    def ids(prompt: Prompt) -> tuple[int, ...]:
        whole = tuple(judged_by.prompt_ids(prompt.text, protocol.chat))
        if isinstance(engine, LocalEngine) and (
            settings.reference is None or engine.own_ids(prompt) == whole
        ):
            return engine.asked_ids(prompt, settings.resolved_sampling())
        return whole

    return {prompt.id: ids(prompt) for prompt in prompts}


def _scores(
    row: Generation,
    scorer_id: str,
    log_probs: "NDArray[np.float32] | None",
    judged_by: "LanguageModel",
) -> list[Score]:
    """Nats and tokens of one response; if one is unknown, both are."""
    if log_probs is None:
        context = judged_by.context_length
        reason = f"not computable: prompt and response are longer than {context} tokens"
        return [Score(row.prompt_id, row.sample, scorer_id, name, error=reason) for name in NAMES]
    nats = -float(np.sum(log_probs, dtype=np.float64))
    return [
        number(row, scorer_id, "nll", nats),
        number(row, scorer_id, "nll_tokens", float(len(log_probs))),
    ]
