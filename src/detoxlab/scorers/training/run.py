"""A whole training of a scorer in a run folder: steps, calibration, export."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from detoxlab.errors import RunMismatchError
from detoxlab.progress import say
from detoxlab.runs import Run, keep_lines
from detoxlab.runs.files import complete_lines
from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers.forward import choose_device, tokenize
from detoxlab.scorers.training import folder
from detoxlab.scorers.training.card import figures_of
from detoxlab.scorers.training.checkpoints import load_state
from detoxlab.scorers.training.loop import CHECKPOINT, Examples, State, Training
from detoxlab.scorers.training.model import (
    encoder_id,
    learning_model,
    learnt_tensors,
    load_tokenizer,
    max_tokens,
)
from detoxlab.scorers.training.rows import Corpus, Example, goals_array, summary

SCORER, CHECKPOINTS, LOG = "scorer", "checkpoints", "train.jsonl"


def train_into(run: Run, settings: ScorerTraining, corpus: Corpus) -> Path:
    """The folder of the scorer in `run`; goes on from the last checkpoint that is there."""
    made = run.path / SCORER
    for line in summary(corpus):
        say(line)
    _record_start(run, settings, corpus)
    if made.is_dir():  # written whole; the program was killed before it recorded the end
        return made
    training = _training(run, settings, corpus)
    _cut_log(run)
    state = training.run(lambda row: run.append(LOG, [json.dumps(row) + "\n"]))
    _record_end(run, state, training)
    description = folder.write_scorer(
        settings,
        learnt_tensors(training.model, settings),
        corpus,
        made,
        best_step=state.best_step,
        device=training.device,
    )
    for line in figures_of(description):
        say(line)
    shutil.rmtree(run.path / CHECKPOINTS, ignore_errors=True)
    return made


# --- inside ---


def _training(run: Run, settings: ScorerTraining, corpus: Corpus) -> Training:
    model, tokenizer = learning_model(settings), load_tokenizer(settings)
    tokens = max_tokens(settings, model, tokenizer)
    tokens = min(tokens, settings.learn_tokens or tokens)
    return Training(
        model,
        _examples(settings, tokenizer, corpus.train, tokens),
        _examples(settings, tokenizer, corpus.validation, tokens),
        settings,
        pad_id=tokenizer.pad_token_id,
        seed=settings.seed,
        folder=run.path / CHECKPOINTS,
        device=choose_device(settings.device),
    )


def _examples(
    settings: ScorerTraining, tokenizer: Any, examples: list[Example], tokens: int
) -> Examples:
    texts = [settings.prefix + one.text for one in examples]
    repeats = [settings.data[one.set_name].repeat for one in examples]
    return Examples(
        token_ids=tokenize(tokenizer, texts, tokens),
        goals_NA=goals_array(examples),
        weights_N=np.array([settings.data[one.set_name].weight for one in examples]),
        weights_A=np.array([settings.attribute_weights.get(one, 1.0) for one in settings.columns]),
        order=[at for at, times in enumerate(repeats) for _ in range(times)],
    )


def _record_start(run: Run, settings: ScorerTraining, corpus: Corpus) -> None:
    """Write encoder and data into `run.json`; a resumed run must have the same."""
    now = {"rows_sha256": corpus.sha256(), "encoder": encoder_id(settings).model_dump()}
    for name, value in now.items():
        if run.info.get(name, value) != value:
            raise RunMismatchError(
                f"{run.path}: {name} is not what this training began with",
                remedy="Give the same data and encoder to resume, or choose another --out.",
            )
    run.update(makes="scorer", scorer=SCORER, **now)


def _record_end(run: Run, state: State, training: Training) -> None:
    run.update(
        steps=state.step,
        best_step=state.best_step,
        best_validation_loss=state.best_loss,
        tokens=state.tokens,
        tokens_per_second=round(state.tokens / state.seconds, 1),
        share_outside_model=round(1 - state.model_seconds / state.seconds, 4),
        bf16=training.bf16,
    )


def _cut_log(run: Run) -> None:
    """Cut the log back to the last checkpoint, from which the training goes on."""
    path, checkpoint = run.path / LOG, run.path / CHECKPOINTS / CHECKPOINT
    if path.exists():
        done = load_state(checkpoint)[1]["step"] if checkpoint.is_file() else 0
        lines = complete_lines(path)
        keep_lines(path, sum(json.loads(line)["step"] <= done for line in lines))
