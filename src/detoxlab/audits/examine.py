"""Scores the texts of a section and computes its figures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detoxlab.audits.card import SectionResult
from detoxlab.audits.probes import PROBES
from detoxlab.audits.scored import Scored
from detoxlab.audits.sections import AuditSection
from detoxlab.data.source import sample
from detoxlab.errors import ConfigError
from detoxlab.measures.statistics import FloatArray
from detoxlab.provenance import file_sha256
from detoxlab.records import Prompt
from detoxlab.scorers import Scorer
from detoxlab.scorers.scoring import checked_scores

PORTION = 512  # texts between two entries into the cache
USUAL = ("toxicity", "hate")
THRESHOLD = 0.5


def attributes_to_audit(scorer: Scorer, asked: Sequence[str]) -> list[str]:
    """The attributes to audit: those asked for that the scorer has; without any, the usual ones.

    Raises `ConfigError` where the scorer has none of those asked for.
    """
    chosen = [name for name in asked or USUAL if name in scorer.attributes]
    if asked and not chosen:
        raise ConfigError(
            f"scorer {scorer.id}: has no attribute {', '.join(asked)}",
            remedy=f"It has {', '.join(scorer.attributes)}: name one with --attribute.",
        )
    return chosen or [scorer.attributes[0]]


def threshold_of(scorer: Scorer, attribute: str, asked: float | None) -> float:
    """The threshold: the one asked for, else the scorer's own, else .5."""
    own = getattr(scorer, "thresholds", {})
    return float(own.get(attribute, THRESHOLD)) if asked is None else asked


def texts_of(
    section: AuditSection, data: Path, limit: int | None, seed: int
) -> tuple[list[Prompt], dict[str, Any]]:
    """The texts of a section, at most `limit` of them, and the sha256 of its files by name.

    Raises `MissingFileError` where a file is not in the folder.
    """
    files = section.files(data)
    prompts = sample(section.read(files, seed), limit, seed)
    return prompts, {name: file_sha256(file) for name, file in _named(files).items()}


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """The files by name, with the folder where two have the same."""
    names = [file.name for file in files]
    return {
        f"{file.parent.name}/{file.name}" if names.count(file.name) > 1 else file.name: file
        for file in files
    }


def score_texts(scorer: Scorer, texts: Sequence[str], advance: Callable[[int], None]) -> FloatArray:
    """The scores (N, A), computed in portions of like length, so that a kill loses one at most."""
    scores_NA = np.full((len(texts), len(scorer.attributes)), np.nan)
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    for start in range(0, len(order), PORTION):
        portion = order[start : start + PORTION]
        scores_NA[portion] = checked_scores(scorer, [texts[at] for at in portion])
        advance(len(portion))
    return scores_NA


def examined(section: AuditSection, texts: Scored, files: dict[str, Any]) -> SectionResult:
    """The figures of a section, with the number of texts that have no score."""
    rows, curves, notes = section.examine(texts)
    if texts.attribute != section.about:
        notes = [f"The labels are of {section.about}, the scores of {texts.attribute}.", *notes]
    return SectionResult(
        key=section.key,
        texts=len(texts.prompts),
        unscored=int(np.isnan(texts.scores).sum()),
        figures=tuple(rows),
        curves=tuple(curves),
        notes=tuple(notes),
        files=files,
    )


def probed(key: str, scorer: Scorer, seed: int) -> SectionResult:
    """The figures of a section that needs no data."""
    _, probe, _ = PROBES[key]
    rows = probe(scorer, seed)
    return SectionResult(key, max(row.n for row in rows), 0, tuple(rows))
