"""Fits the line of SASA and publishes it. Imports torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from detoxlab import processes
from detoxlab.data.split import PairSplit, TextSplit
from detoxlab.errors import TrainingError
from detoxlab.measures import roc_auc
from detoxlab.methods.base import record_model
from detoxlab.methods.rows.contrast import contrast_of
from detoxlab.methods.sasa.config import SasaConfig
from detoxlab.models import LanguageModel, evaluating
from detoxlab.models.hidden import watching_hidden_states
from detoxlab.models.likelihood import left_padded
from detoxlab.progress import progress, say
from detoxlab.runs import Run
from detoxlab.steering.activations.files import FOLDER, Content, SiteMap, write_steering
from detoxlab.steering.sasa import LINE

ROWS = 32
FloatArray = NDArray[np.float64]


class Discriminant(NamedTuple):
    """The normal of the line, towards other texts, and the point between both means."""

    normal_D: FloatArray
    mid_D: FloatArray


def discriminant(toxic_ND: FloatArray, other_ND: FloatArray, shrinkage: float) -> Discriminant:
    """The linear discriminant between two samples of states.

    >>> toxic, other = np.array([[-1.0, 1.0], [-1.0, -1.0]]), np.array([[1.0, 3.0], [1.0, 1.0]])
    >>> found = discriminant(toxic, other, shrinkage=1.0)
    >>> found.normal_D.tolist(), found.mid_D.tolist()
    ([4.0, 4.0], [0.0, 1.0])
    """
    means = toxic_ND.mean(axis=0), other_ND.mean(axis=0)
    within_ND = np.concatenate([toxic_ND - means[0], other_ND - means[1]])
    covariance_DD = within_ND.T @ within_ND / len(within_ND)
    round_DD = np.eye(len(covariance_DD)) * np.trace(covariance_DD) / len(covariance_DD)
    shrunk_DD = (1 - shrinkage) * covariance_DD + shrinkage * round_DD
    normal_D = np.linalg.solve(shrunk_DD, means[1] - means[0])
    return Discriminant(normal_D, (means[0] + means[1]) / 2)


def fit_sasa(config: SasaConfig, lm: LanguageModel, data: PairSplit | TextSplit, run: Run) -> Path:
    """The folder of the discriminant between toxic texts and others (`contrast_of`).

    `run.json` has how well it tells the validation texts apart (`held_out_auroc`). Raises
    `TrainingError` where a kind has no text.
    """
    folder = run.path / FOLDER
    if folder.is_dir():
        return folder
    processes.check_alone("sasa")
    record_model(run, lm, "sasa")
    learnt = contrast_of(data.train)
    sides = (learnt.toxic, learnt.other)
    toxic_ND, other_ND = (end_states(lm, texts, config.max_length) for texts in sides)
    found = discriminant(toxic_ND, other_ND, config.shrinkage)
    area = _held_out(config, lm, data, found)
    _publish(config, lm, found, folder)
    counts = {"toxic": len(toxic_ND), "other": len(other_ND)}
    run.update(texts_learnt=counts, held_out_auroc=area)
    shown = "unknown" if area is None else f"{area:.3f}"
    say(f"{len(data.validation)} held-out texts: AUROC {shown} by the margin at their end")
    return folder


def end_states(lm: LanguageModel, texts: Sequence[str], max_length: int) -> FloatArray:
    """The last hidden state at the last token of each text (N, D), float64.

    Texts are read without template, cut at `max_length` tokens.
    """
    rows = [lm.prompt_ids(text, chat=False)[:max_length] for text in texts]
    order = sorted(range(len(rows)), key=lambda at: -len(rows[at]))
    found: dict[int, Any] = {}
    with (
        progress("reading texts", len(rows)) as advance,
        evaluating(lm),
        watching_hidden_states(lm) as watched,
    ):
        for start in range(0, len(order), ROWS):
            batch = order[start : start + ROWS]
            inputs = left_padded(lm, [rows[at] for at in batch])
            lm.model(**inputs, **lm.last_logits(1), use_cache=False)
            ends_BD = watched.take()[:, -1].double().cpu().numpy()
            found |= dict(zip(batch, ends_BD, strict=True))
            advance(len(batch))
    return np.stack([found[at] for at in range(len(rows))])


# --- inside ---


def _held_out(
    config: SasaConfig, lm: LanguageModel, data: PairSplit | TextSplit, line: Discriminant
) -> float | None:
    """The area under the ROC curve of the margins of validation texts; None without both kinds."""
    try:
        held_out = contrast_of(data.validation)
    except TrainingError:
        return None
    states_ND = end_states(lm, [*held_out.toxic, *held_out.other], config.max_length)
    is_other_N = np.arange(len(states_ND)) >= len(held_out.toxic)
    area = roc_auc((states_ND - line.mid_D) @ line.normal_D, is_other_N)
    return None if area is None else round(area, 4)


def _publish(config: SasaConfig, lm: LanguageModel, line: Discriminant, folder: Path) -> None:
    facts = {"base_model_id": lm.id, **config.model_dump(exclude={"seed"})}
    vectors = {"normal": torch.from_numpy(line.normal_D), "mid": torch.from_numpy(line.mid_D)}
    content = Content("sasa", "response", {}, (), facts)
    write_steering(folder, content, {LINE: SiteMap(LINE, vectors)})
