"""Measures a model: prompts → generations → scores → measurements, in one run folder."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detoxlab.data.reading import described, read_prompts
from detoxlab.encoders import Encoder, cosine_similarity, load_encoder
from detoxlab.measures import measure
from detoxlab.pipeline.preflight import check_measure
from detoxlab.pipeline.subjects import date_record, dated, load_other, load_subject
from detoxlab.progress import progress, say
from detoxlab.protocols import Protocol, get_protocol
from detoxlab.recipe.measuring import MeasureSettings, Measuring
from detoxlab.records import Generation, Prompt, Score
from detoxlab.runs import Run, file_name, is_run
from detoxlab.runs.changes import changes
from detoxlab.scorers import Scorer, load_scorer, score_into
from detoxlab.scorers.scales import with_scales
from detoxlab.subject import Subject

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from detoxlab.generate import Engine
    from detoxlab.models import LanguageModel

BATCH = 64


def measure_model(settings: MeasureSettings, out: Path | str, *, resume: bool = False) -> Run:
    """The run at `out` with generations, scores and measurements of `settings.model`.

    Prompts, scorers and model are checked before the first token is drawn. With `resume`,
    finished batches are kept, and a finished run is returned as it is.
    """
    config = settings.run_config()
    if resume and (finished := finished_run(out, config)):
        return finished
    check_measure(settings, out, resume=resume)
    from detoxlab.generate import generate_into

    day = settings.template_date
    settings = dated(settings, out, resume=resume)
    protocol = get_protocol(settings.protocol)
    prompts = read_prompts(settings.prompts, settings.seed)
    provenance = described(settings.prompts)
    scorers = load_scorers(settings.judge, settings.second, (settings.hate, *settings.scorers))
    engine, subject = _engine(settings, protocol)
    run = Run.start(out, kind="measure", config=config, seed=settings.seed, resume=resume)
    with run.writing():
        run.write_once("prompts.jsonl", prompts)
        run.update(
            **(date_record(settings) if subject else {}),
            model=subject.fingerprint() if subject else {"id": engine.id},
            train_scorers=list(subject.training_scorers) if subject else [],
            prompts=provenance,
            departures=list(departures(settings, provenance, len(prompts))),
            **scorer_roles(scorers, settings.second),
        )
        generate_into(run, engine, prompts, settings.resolved_sampling())
        if day is None:
            _offer_day(run)
        score_run(run, prompts, scorers, encoder=settings.encoder)
        _likelihood(run, settings, engine, subject, protocol)
        write_measured(run, protocol, settings.seed, settings.resamples)
    return run


def write_measured(run: Run, protocol: Protocol, seed: int, resamples: int) -> None:
    """Measure the responses of a run, and name the scale of each measurement."""
    found = measure(run.responses(), protocol=protocol, seed=seed, resamples=resamples)
    run.write_measurements(with_scales(found))


def _offer_day(run: Run) -> None:
    """Print the day that the chat template wrote, so that other models can be asked alike."""
    if day := (run.info.get("asked") or {}).get("date"):
        say(
            f"{run.path}: the chat template wrote the date {day}; on another day, ask other "
            f"models alike with --template-date {day}"
        )


def finished_run(out: Path | str, config: dict[str, Any]) -> Run | None:
    """The run at `out` if it finished with exactly these settings."""
    run = Run(Path(out))
    if not is_run(run.path) or run.info["status"] != "finished":
        return None
    return None if changes(run.config, config, run.working_folder) else run


def departures(settings: Measuring, provenance: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """The differences of the prompts from the protocol's own."""
    protocol = get_protocol(settings.protocol)
    return protocol.departures(settings.prompts.model_dump(), provenance, count)


def protocol_label(settings: Measuring, count: int) -> str:
    """The name of the protocol in results, with all differences from it."""
    found = departures(settings, described(settings.prompts), count)
    return get_protocol(settings.protocol).overridden(settings.resolved_sampling(), found)


def load_scorers(judge: str, second: str | None, more: Sequence[str | None]) -> list[Scorer]:
    """The judge first, then the second scorer, then the others."""
    names = dict.fromkeys(name for name in (judge, second, *more) if name)
    return [load_scorer(name) for name in names]


def scorer_roles(scorers: Sequence[Scorer], second: str | None) -> dict[str, str | None]:
    """The entries of `run.json` for the judge and for the second scorer."""
    return {"judge_id": scorers[0].id, "second_id": scorers[1].id if second else None}


def score_run(
    run: Run, prompts: Sequence[Prompt], scorers: Sequence[Scorer], *, encoder: str | None
) -> None:
    """Score every response, and every prompt itself (as sample -1), by every scorer."""
    generations = run.read_all("generations", Generation)
    asked = [Generation(prompt.id, -1, prompt.text, (), "unknown") for prompt in prompts]
    for scorer in scorers:
        score_into(run, scorer, [*asked, *generations])
    if encoder:
        loaded = load_encoder(encoder)
        file = f"scores/{file_name(f'similarity:{loaded.id}')}.jsonl"
        similarity_into(run, file, loaded, prompts, generations)


def similarity_into(
    run: Run,
    file: str,
    encoder: Encoder,
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
) -> None:
    """Append the similarity of each response to its prompt to a file of the run."""
    texts = {prompt.id: prompt.text for prompt in prompts}
    scorer_id = f"similarity:{encoder.id}"

    def compute(batch: Sequence[Generation]) -> list[Score]:
        values = cosine_similarity(
            encoder, [texts[row.prompt_id] for row in batch], [row.text for row in batch]
        )
        return [
            _number(row, scorer_id, "similarity", value)
            for row, value in zip(batch, values, strict=True)
        ]

    _fill(run, file, "similarity to the prompt", generations, compute, 1)


def _engine(settings: MeasureSettings, protocol: Protocol) -> "tuple[Engine, Subject | None]":
    from detoxlab.generate import HttpEngine, LocalEngine

    if settings.endpoint:
        server = HttpEngine(
            settings.endpoint,
            settings.model,
            chat=protocol.chat,
            api_key_env=settings.api_key_env,
            template_options=settings.template_options,
        )
        return server, None
    subject = load_subject(settings.subject())
    markers = subject.lm.next_turn_markers if protocol.chat else ()
    engine = LocalEngine(
        subject,
        chat=protocol.chat,
        batch_size=settings.batch_size,
        next_turn_markers=markers,
    )
    return engine, subject


def _likelihood(
    run: Run,
    settings: MeasureSettings,
    engine: "Engine",
    subject: Subject | None,
    protocol: Protocol,
) -> None:
    """Log-likelihood of every response under the untouched base model, or the reference.

    It is unknown where prompt and response do not fit into the reference's context.
    """
    from detoxlab.models import log_probs_that_fit

    if settings.reference is not None:
        other = load_other(settings.reference, settings.device, settings)
        reference: AbstractContextManager[LanguageModel] = nullcontext(other)
    elif subject is not None:
        reference = subject.base()
    else:
        return
    own_ids = settings.reference is None
    with reference as judged_by:
        scorer_id = f"likelihood:{judged_by.id}"
        given = _given_ids(run, settings, engine, judged_by, protocol)

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
                for score in _likelihood_scores(row, scorer_id, log_probs, judged_by)
            ]

        generations = run.read_all("generations", Generation)
        file = f"scores/{file_name(scorer_id)}.jsonl"
        _fill(run, file, "fluency under the base model", generations, compute, 2)
    run.update(base_likelihood_id=scorer_id)


def _given_ids(
    run: Run,
    settings: MeasureSettings,
    engine: "Engine",
    judged_by: "LanguageModel",
    protocol: Protocol,
) -> dict[str, tuple[int, ...]]:
    """The token ids before the responses, by prompt: exactly those that the model was given.

    A reference whose tokens differ gets the whole prompt.
    """
    from detoxlab.generate import LocalEngine

    def ids(prompt: Prompt) -> tuple[int, ...]:
        whole = judged_by.prompt_ids(prompt.text, protocol.chat)
        if isinstance(engine, LocalEngine) and (
            settings.reference is None or engine.lm.prompt_ids(prompt.text, protocol.chat) == whole
        ):
            return engine.context_ids(prompt, settings.resolved_sampling())
        return tuple(whole)

    return {prompt.id: ids(prompt) for prompt in run.read("prompts.jsonl", Prompt)}


def _likelihood_scores(
    row: Generation,
    scorer_id: str,
    log_probs: "NDArray[np.float32] | None",
    judged_by: "LanguageModel",
) -> list[Score]:
    """Nats and tokens of one response; if one is unknown, both are."""
    if log_probs is None:
        context = judged_by.context_length
        reason = f"not computable: prompt and response are longer than {context} tokens"
        return [
            Score(row.prompt_id, row.sample, scorer_id, name, error=reason)
            for name in ("nll", "nll_tokens")
        ]
    return [
        _number(row, scorer_id, "nll", -float(np.sum(log_probs, dtype=np.float64))),
        _number(row, scorer_id, "nll_tokens", float(len(log_probs))),
    ]


def _fill(
    run: Run,
    file: str,
    title: str,
    generations: Sequence[Generation],
    compute: Callable[[Sequence[Generation]], list[Score]],
    rows_each: int,
) -> None:
    batches = [generations[start : start + BATCH] for start in range(0, len(generations), BATCH)]
    with progress(title, len(generations)) as advance:
        run.append_missing(
            file,
            batches,
            rows_in=lambda batch: rows_each * len(batch),
            compute=compute,
            done=lambda batch: advance(len(batch)),
        )


def _number(row: Generation, scorer_id: str, attribute: str, value: float) -> Score:
    if row.error is not None:
        reason = f"no response: {row.error}"
        return Score(row.prompt_id, row.sample, scorer_id, attribute, error=reason)
    if np.isfinite(value):
        rounded = round(float(value), 6)
        return Score(row.prompt_id, row.sample, scorer_id, attribute, rounded)
    return Score(row.prompt_id, row.sample, scorer_id, attribute, None, "not computable")
