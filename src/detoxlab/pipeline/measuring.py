"""Measures a model: prompts → generations → scores → measurements, in one run folder."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detoxlab.data.reading import described, read_prompts
from detoxlab.measures import measure
from detoxlab.pipeline.preflight import check_measure
from detoxlab.pipeline.stages.drawing import Drawing, connected, drawing_of, engine_of
from detoxlab.pipeline.stages.likelihood import likelihood_into
from detoxlab.pipeline.stages.scoring import score_run
from detoxlab.pipeline.subjects import date_record, dated
from detoxlab.progress import say
from detoxlab.protocols import Protocol, get_protocol
from detoxlab.recipe.measuring import WITHOUT_TEMPLATE, MeasureSettings, Measuring, leaves_template
from detoxlab.runs import Run, is_run
from detoxlab.runs.changes import changes
from detoxlab.runs.usage import GENERATE, recorded
from detoxlab.scorers import Scorer, load_scorer
from detoxlab.scorers.scales import with_scales
from detoxlab.subject import Subject
from detoxlab.workers import HERE, Workers

if TYPE_CHECKING:
    from detoxlab.generate import Engine


def measure_model(
    settings: MeasureSettings, out: Path | str, *, resume: bool = False, workers: Workers = HERE
) -> Run:
    """The run at `out` with generations, scores and measurements of `settings.model`.

    Prompts, scorers and model are checked before the first token is drawn. With `resume`,
    finished batches are kept, and a finished run is returned as it is. `workers` draw and score;
    the results do not depend on them, and a run may go on with others.
    """
    config = settings.run_config()
    if resume and (finished := finished_run(out, config)):
        return finished
    check_measure(settings, out, resume=resume)
    prompts = read_prompts(settings.prompts, settings.seed)
    from detoxlab.generate import generate_into

    day = settings.template_date
    settings = dated(settings, out, resume=resume)
    protocol = settings.resolved_protocol()
    provenance = described(settings.prompts)
    scorers = load_scorers(settings.judge, settings.second, (settings.hate, *settings.scorers))
    engine, subject = engine_of(settings, protocol)
    if subject and leaves_template(settings.chat, protocol.chat, subject.lm.template_name):
        say(f"warning: {settings.model}: {WITHOUT_TEMPLATE}")
    drawing = drawing_of(settings, engine, protocol)
    run = Run.start(
        out,
        kind="measure",
        config=config,
        seed=settings.seed,
        resume=resume,
        may_differ=settings.may_move,
    )
    with run.writing(), workers, connected(engine):
        run.write_once("prompts.jsonl", prompts)
        run.update(
            **(date_record(settings) if subject else {}),
            model=_model_record(subject, drawing),
            train_scorers=_training_scorers(subject, drawing),
            prompts=provenance,
            departures=list(departures(settings, provenance, len(prompts))),
            **scorer_roles(list(scorers.values()), settings.second),
            **workers.record(),
        )
        device = subject.lm.device.type if subject else "cpu"
        with recorded(run, GENERATE, device) as meter:
            sampling = settings.resolved_sampling()
            over = partial(workers.results, Drawing(settings))
            generate_into(run, drawing, prompts, sampling, over=over, drawn=meter.count_tokens)
        if day is None:
            _offer_day(run)
        with recorded(run, "score", device):
            score_run(run, prompts, scorers, encoder=settings.encoder, workers=workers)
        with recorded(run, "likelihood", device):
            likelihood_into(run, settings, engine, subject, workers)
        write_measured(run, protocol, settings.seed, settings.resamples)
    return run


def write_measured(run: Run, protocol: Protocol, seed: int, resamples: int) -> None:
    """Measure the responses of a run, and name the scale of each measurement."""
    responses = run.responses()
    say(f"measuring {len(responses.generations)} responses, with {resamples} resamples")
    found = measure(responses, protocol=protocol, seed=seed, resamples=resamples)
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
    return settings.resolved_protocol().overridden(settings.resolved_sampling(), found)


def load_scorers(judge: str, second: str | None, more: Sequence[str | None]) -> dict[str, Scorer]:
    """The scorers by name: the judge first, then the second scorer, then the others."""
    names = dict.fromkeys(name for name in (judge, second, *more) if name)
    return {name: load_scorer(name) for name in names}


def scorer_roles(scorers: Sequence[Scorer], second: str | None) -> dict[str, str | None]:
    """The entries of `run.json` for the judge and for the second scorer."""
    return {"judge_id": scorers[0].id, "second_id": scorers[1].id if second else None}


def _model_record(subject: Subject | None, drawing: "Engine") -> dict[str, Any]:
    """The record of the model; its id says whether responses are chosen."""
    from detoxlab.generate import BestOf

    record = subject.fingerprint() if subject else {"id": drawing.id}
    if subject and isinstance(drawing, BestOf):
        record["id"] += f"+{drawing.mark}"
    return record


def _training_scorers(subject: Subject | None, drawing: "Engine") -> list[str]:
    """The scorers from whose judgement the responses were made."""
    from detoxlab.generate import BestOf

    own = subject.training_scorers if subject else ()
    chooses = [drawing.scorer.id] if isinstance(drawing, BestOf) else []
    return list(dict.fromkeys([*own, *chooses]))
