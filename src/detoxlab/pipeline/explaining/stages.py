"""Explains the responses of measured runs: attributions, measurements, differences, the check.

prompts.jsonl         the prompts whose responses are explained
attributions.jsonl    one row per model, text and response (`Attribution`)
faithfulness.jsonl    one row per checked response (`ItemResult`)
similarity/           one file per run: a row per response (`Score`)
toxic_words.jsonl     one row per response of each run (`ToxicWords`)
prompt_words.json     the words of prompts that pull most (`PromptWord`)
measurements.json     every measure of every model on every text
differences.json      every measure of each other model against the first (`ExplainedPair`)
sentences.json        what the numbers say, in sentences
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from detoxlab.encoders import load_encoder
from detoxlab.explanations.measured.explained import DIFFERENCES
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.measured.sentences import sentences
from detoxlab.explanations.measured.table import (
    How,
    Table,
    differences,
    faithfulness_measurements,
    measurements,
    sides,
)
from detoxlab.pipeline.explaining.sources import Models, shared_prompts, sources_of
from detoxlab.pipeline.explaining.words import find_toxic_words
from detoxlab.pipeline.measuring import finished_run
from detoxlab.pipeline.preflight import check_explaining, check_subject
from detoxlab.pipeline.stages.scoring import similarity_into
from detoxlab.progress import progress
from detoxlab.recipe.explaining import ExplainSettings
from detoxlab.records import ItemResult, Prompt, Score, to_json
from detoxlab.runs import Run, file_name

if TYPE_CHECKING:
    from detoxlab.explanations.measured.explainer import Item

FILE, CHECKED, SENTENCES = "attributions.jsonl", "faithfulness.jsonl", "sentences.json"


def explain_runs(settings: ExplainSettings, out: Path | str, *, resume: bool = False) -> Run:
    """The run at `out` with the explanations of the responses of measured runs.

    Each model explains the baseline's responses and its own, and the baseline explains all: so
    models are compared on the same text, and each on its own. With `resume`, finished batches are
    kept, and a finished run is returned as it is.

    Raises `ConfigError` where the runs cannot be explained together, and `ModelError` where the
    method does not fit a model.
    """
    config = settings.run_config()
    if resume and (finished := finished_run(out, config)):
        return finished
    check_explain(settings, out, resume=resume)
    sources = sources_of(settings)
    prompts = shared_prompts(settings, sources)
    run = Run.start(out, kind="explain", config=config, seed=settings.seed, resume=resume)
    with run.writing():
        run.write_once("prompts.jsonl", prompts)
        run.update(explained=[source.run.name for source in sources])
        models = Models(settings, {source.run.name: source for source in sources})
        _attribute(run, settings, models, prompts)
        _check(run, settings, models, prompts)
        _compare_with_prompts(run, settings, models, prompts)
        find_toxic_words(run, settings, models, prompts)
        _measure(run, settings, prompts)
    return run


def check_explain(settings: ExplainSettings, out: Path | str, *, resume: bool) -> list[str]:
    """Check runs, models and `out`; the hub ids that could not be checked."""
    Run.check_startable(out, kind="explain", config=settings.run_config(), resume=resume)
    sources = sources_of(settings)
    shared_prompts(settings, sources)
    unchecked = [name for source in sources for name in check_subject(source.subject)]
    return unchecked + check_explaining(settings, sources[0].judge)


def check_method(settings: ExplainSettings) -> None:
    """Load the baseline's model and make the method for it.

    Raises `ModelError` where the method does not fit the model.
    """
    baseline = sources_of(settings)[0]
    Models(settings, {baseline.run.name: baseline}).explainer(baseline.run.name)


def planned(settings: ExplainSettings) -> str:
    """The work that `explain` would do, in a sentence."""
    sources = sources_of(settings)
    prompts = shared_prompts(settings, sources)
    models, texts = len(sources), len(sides([source.run.name for source in sources]))
    return (
        f"would explain {len(prompts)} prompts x {settings.samples} responses by {models} models "
        f"on {texts} pairs of model and text, by {settings.method}"
    )


# --- inside ---


def _attribute(
    run: Run, settings: ExplainSettings, models: Models, prompts: Sequence[Prompt]
) -> None:
    batches = list(_batches(settings, models, prompts))
    with progress("explain", sum(map(len, batches))) as advance:
        run.append_missing(
            FILE,
            batches,
            rows_in=len,
            compute=lambda batch: models.explainer(batch[0].model).rows(batch),
            done=lambda batch: advance(len(batch), batch[0].model),
        )


def _batches(
    settings: ExplainSettings, models: Models, prompts: Sequence[Prompt]
) -> "Iterator[list[Item]]":
    """Responses of one model and text together, of similar length, longest first."""
    for side in sides(models.runs):
        items = models.items(side, prompts)
        items.sort(key=lambda item: (-len(item.prompt.text), item.prompt.id, item.sample))
        for start in range(0, len(items), settings.batch_size):
            yield items[start : start + settings.batch_size]


def _check(run: Run, settings: ExplainSettings, models: Models, prompts: Sequence[Prompt]) -> None:
    """Check the method on the own text of each model, on the first prompts."""
    chosen = prompts[: settings.faithfulness.prompts]
    items = [
        item
        for name in models.runs
        for item in models.items((name, name), chosen)
        if item.sample == 0
    ]
    rows = _own_rows(run)
    with progress("check the method", len(items)) as advance:
        run.append_missing(
            CHECKED,
            [[item] for item in items],
            rows_in=len,
            compute=lambda batch: [_checked(settings, models, batch[0], rows)],
            done=lambda batch: advance(len(batch), batch[0].model),
        )


def _own_rows(run: Run) -> Mapping[tuple[str, str, int], Attribution]:
    rows = run.read(FILE, Attribution)
    return {(one.model, one.prompt_id, one.sample): one for one in rows if one.model == one.text}


def _checked(
    settings: ExplainSettings,
    models: Models,
    item: "Item",
    rows: Mapping[tuple[str, str, int], Attribution],
) -> ItemResult:
    from detoxlab.explanations.measured.faithfulness import Faithfulness

    row = rows[item.model, item.prompt.id, item.sample]
    if row.error is not None:
        return ItemResult(row.item, error=row.error)
    explainer = models.explainer(item.model)
    exchange = explainer.exchange(item)
    assert exchange is not None
    check = Faithfulness(explainer.subject, settings.faithfulness.draws, settings.seed)
    return check.result(row, exchange.prompt_ids, exchange.response_ids)


def _compare_with_prompts(
    run: Run, settings: ExplainSettings, models: Models, prompts: Sequence[Prompt]
) -> None:
    """The similarity of each model's own responses to their prompts."""
    if settings.encoder is None:
        return
    encoder = load_encoder(settings.encoder, device=settings.device)
    for name in models.runs:
        items = models.items((name, name), prompts)
        there = [one.generation for one in items if one.generation is not None]
        similarity_into(run, similarity_file(name), encoder, prompts, there)


def similarity_file(name: str) -> str:
    """The file of the similarities of one run's responses."""
    return f"similarity/{file_name(name)}.jsonl"


def _measure(run: Run, settings: ExplainSettings, prompts: Sequence[Prompt]) -> None:
    runs = [str(name) for name in run.info["explained"]]
    similarities = {name: run.read(similarity_file(name), Score) for name in runs}
    table = Table(run.read(FILE, Attribution), prompts, similarities)
    how = How(settings.protocol, settings.seed, settings.resamples)
    checked = run.read(CHECKED, ItemResult)
    found = measurements(table, runs, how)
    if checked:
        found += [row for name in runs for row in faithfulness_measurements(checked, name, how)]
    run.write_measurements(found)
    pairs = [one for treated in runs[1:] for one in differences(table, runs[0], treated, how)]
    run.write_json(DIFFERENCES, [to_json(one) for one in pairs])
    run.write_json(SENTENCES, sentences(run))
