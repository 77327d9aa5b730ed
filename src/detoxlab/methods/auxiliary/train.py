"""How the method `auxiliary` goes: draw, label, fit, report. Imports torch."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from detoxlab import processes
from detoxlab.data import split_prompts
from detoxlab.locations import stored
from detoxlab.methods.auxiliary.config import AUXILIARY, AuxiliaryConfig, HeadSettings
from detoxlab.methods.auxiliary.fit import Fit, Report, evaluate_head
from detoxlab.methods.auxiliary.head import AuxiliaryHead, HeadShape, save_head
from detoxlab.methods.auxiliary.samples import (
    Sample,
    acceptance_rate,
    drawn_from,
    labelled,
    log_weights,
    read_features,
)
from detoxlab.methods.feedback.conditions import Condition, Oracle
from detoxlab.methods.feedback.drawing import draw_generations
from detoxlab.methods.loop.log import TrainLog
from detoxlab.methods.loop.trackers import check_installed, trackers
from detoxlab.methods.regularised.losses import importance_weights
from detoxlab.models import LanguageModel
from detoxlab.models.hidden import OutputLayer, output_layer
from detoxlab.progress import progress, say
from detoxlab.records import Prompt
from detoxlab.runs import Run

REPORT = f"{AUXILIARY}/report.json"


def fit_auxiliary(
    config: AuxiliaryConfig, lm: LanguageModel, prompts: Sequence[Prompt], run: Run
) -> Path:
    """The folder of the head fitted on responses to the prompts: no adapter comes of it.

    Responses are kept in the run folder, so that a killed run draws none again; the fit
    itself takes seconds and begins anew. `auxiliary/report.json` tells on held-out prompts
    how well R orders and is calibrated. Raises `TrainingError` when no response at all is
    accepted.
    """
    folder = run.path / AUXILIARY
    if (run.path / REPORT).is_file():
        return folder
    processes.check_alone("auxiliary")
    check_installed(config.report_to)
    oracle, output = Oracle(config.conditions), output_layer(lm)
    run.update(
        method="auxiliary",
        base_model=stored(lm.ref, run.path),
        base_model_id=lm.id,
        model=lm.fingerprint(),
    )
    drawn = draw_generations(lm, prompts, config.draws, run, chat=config.chat, seed=config.seed)
    samples, unscored = labelled(oracle, *drawn)
    train, held_out = _divided(config, prompts, samples)
    length = config.draws.max_new_tokens
    features = read_features(lm, output, train, length)
    train = drawn_from(train, features, output, config.draws.temperature)
    weights_N = importance_weights(log_weights(train, features))
    acceptance = acceptance_rate(train, weights_N)
    head = new_head(config.head, output, acceptance, seed=config.seed)
    with (
        progress("fitting the auxiliary model", config.head.steps) as advance,
        trackers(config.report_to, run.path) as send,
    ):
        log = TrainLog(run.path, send)
        log.cut_after(-1)

        def record(row: Mapping[str, float]) -> None:
            log.append(row)
            advance(1)

        Fit(head, output, features, weights_N, config.head, config.seed).run(record)
    report = evaluate_head(head, output, read_features(lm, output, held_out, length))
    publish_head(head, folder, facts(config.conditions, lm, acceptance))
    run.update(acceptance=round(acceptance, 6), unscored=unscored, drawn=len(samples))
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


def new_head(
    settings: HeadSettings, output: OutputLayer, acceptance: float, *, seed: int
) -> AuxiliaryHead:
    """A head that knows nothing but the acceptance rate."""
    vocabulary, width = output.weight_VD.shape
    shape = HeadShape(width, vocabulary, settings.blocks, settings.tied)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = AuxiliaryHead(shape, output.weight_VD, acceptance=acceptance)
    return head.to(output.weight_VD.device)


def facts(conditions: Sequence[Condition], lm: LanguageModel, acceptance: float) -> dict[str, Any]:
    """What stands beside a saved head: whose hidden states it reads, and what it is about."""
    return {
        "model": lm.id,
        "conditions": [condition.model_dump() for condition in conditions],
        "acceptance": acceptance,
    }


def publish_head(head: AuxiliaryHead, folder: Path, content: dict[str, Any]) -> None:
    """Put the head into `folder` whole or not at all."""
    draft = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    save_head(head, draft, content)
    shutil.rmtree(folder, ignore_errors=True)
    draft.replace(folder)


def _divided(
    config: AuxiliaryConfig, prompts: Sequence[Prompt], samples: Sequence[Sample]
) -> tuple[list[Sample], list[Sample]]:
    _, held_out = split_prompts(prompts, validation=config.validation, seed=config.seed)
    aside = {prompt.id for prompt in held_out}
    return (
        [sample for sample in samples if sample.prompt_id not in aside],
        [sample for sample in samples if sample.prompt_id in aside],
    )
