"""The steps of the method `auxiliary`: draw, label, fit, report. Imports torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from detoxlab import processes
from detoxlab.auxiliary.config import AUXILIARY
from detoxlab.auxiliary.features import (
    Sample,
    acceptance_rate,
    drawn_from,
    labelled,
    log_weights,
    read_features,
)
from detoxlab.auxiliary.fit import Fit, Report, evaluate_head
from detoxlab.auxiliary.head import head_facts, new_head, publish_head
from detoxlab.auxiliary.losses import importance_weights
from detoxlab.data import split_prompts
from detoxlab.methods.auxiliary.config import AuxiliaryConfig
from detoxlab.methods.base import record_model
from detoxlab.methods.feedback.conditions import Oracle
from detoxlab.methods.feedback.drawing import draw_generations
from detoxlab.methods.loop.log import TrainLog, figures
from detoxlab.methods.loop.trackers import check_installed, trackers
from detoxlab.models import LanguageModel
from detoxlab.models.hidden import output_layer
from detoxlab.progress import progress, say
from detoxlab.records import Prompt
from detoxlab.runs import Run

REPORT = f"{AUXILIARY}/report.json"


def fit_auxiliary(
    config: AuxiliaryConfig, lm: LanguageModel, prompts: Sequence[Prompt], run: Run
) -> Path:
    """The folder of the head fitted on responses to the prompts; no adapter is made.

    Responses are kept in the run folder, so that a killed run draws none again; the fit
    itself takes seconds and begins anew. `auxiliary/report.json` says how well R orders
    responses to held-out prompts, and how well it is calibrated. Raises `TrainingError` when no
    response is accepted.
    """
    folder = run.path / AUXILIARY
    if (run.path / REPORT).is_file():
        return folder
    processes.check_alone("auxiliary")
    check_installed(config.report_to)
    oracle, output = Oracle(config.conditions), output_layer(lm)
    record_model(run, lm, "auxiliary")
    drawn = draw_generations(lm, prompts, config.draws, run, chat=config.chat, seed=config.seed)
    verdicts = oracle([generation.text for generation in drawn[0]])
    samples = labelled(*drawn, verdicts.accepted_N)
    train, held_out = _divided(config, prompts, samples)
    length = config.draws.max_new_tokens
    features = read_features(lm, output, train, length)
    train = drawn_from(train, features, output, config.draws.temperature)
    weights_N = importance_weights(log_weights(train, features))
    acceptance = acceptance_rate(train, weights_N)
    head = new_head(config.head, output, acceptance, seed=config.seed)
    _fit(config, Fit(head, output, features, weights_N, config.head, config.seed), run)
    report = evaluate_head(head, output, read_features(lm, output, held_out, length))
    publish_head(head, folder, head_facts(lm, config.conditions, acceptance))
    run.update(
        acceptance=round(acceptance, 6), unscored=verdicts.unscored_share, drawn=len(samples)
    )
    run.write_json(REPORT, report)
    say(summary(report))
    return folder


def summary(report: Report) -> str:
    """How good a head is, in one line.

    >>> found = {"responses": 40, "acceptance": 0.84, "prompt_r": 0.88, "auroc": 0.756}
    >>> found |= {"prompt_auroc": None, "calibration_error": 0.02, "consistency_gap": 0.05}
    >>> print(summary(found).replace("; ", "\\n"))
    40 held-out responses: AUROC 0.756, before the first token unknown
    calibration error 0.020
    R(x) 0.880 against 0.840 accepted
    mean |S - R| 0.050
    """
    keys = ("auroc", "prompt_auroc", "calibration_error", "prompt_r", "acceptance")
    auroc, prompt_auroc, error, prompt_r, accepted, gap = (
        "unknown" if report[key] is None else f"{report[key]:.3f}"
        for key in (*keys, "consistency_gap")
    )
    return (
        f"{report['responses']} held-out responses: AUROC {auroc}, before the first token "
        f"{prompt_auroc}; calibration error {error}; R(x) {prompt_r} against {accepted} accepted; "
        f"mean |S - R| {gap}"
    )


def _fit(config: AuxiliaryConfig, fit: Fit, run: Run) -> None:
    """Fit the head, with a row of each step in the run's log and to the trackers."""
    with (
        progress("fitting the auxiliary model", config.head.steps) as advance,
        trackers(config.report_to, run.path) as send,
    ):
        log = TrainLog(run.path, send)
        log.cut_after(-1)

        def record(row: Mapping[str, float]) -> None:
            log.append(row)
            advance(1, figures(log.latest))

        fit.run(record)


def _divided(
    config: AuxiliaryConfig, prompts: Sequence[Prompt], samples: Sequence[Sample]
) -> tuple[list[Sample], list[Sample]]:
    _, held_out = split_prompts(prompts, validation=config.validation, seed=config.seed)
    aside = {prompt.id for prompt in held_out}
    return (
        [sample for sample in samples if sample.prompt_id not in aside],
        [sample for sample in samples if sample.prompt_id in aside],
    )
