"""What the cards say about a scorer on texts it never saw."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scorer_corpus import FloatArray, NewFromOld, Split, targets

from detoxlab.audits.sections.hatecheck import DENOUNCEMENTS, NEUTRAL, POSITIVE
from detoxlab.data import load_prompts
from detoxlab.measures.agreement import calibration_bins, pearson, roc_auc
from detoxlab.scorers.base import PERSPECTIVE_ATTRIBUTES, Scorer


def agreement_table(scorer: Scorer, split: Split) -> str:
    """Markdown: one row per attribute on the test prompts (the two 1k files)."""
    predicted_NA = scorer([text.text for text in split.test])
    published_NA = np.array([text.new for text in split.test])
    lines = ["| attribute | r | AUC at .5 | calibration | worst bin |", "|---|---|---|---|---|"]
    for a, attribute in enumerate(PERSPECTIVE_ATTRIBUTES):
        figures = _figures(predicted_NA[:, a], published_NA[:, a])
        lines.append(f"| {attribute.replace('_', ' ')} | {figures} |")
    return "\n".join(lines)


def toxicity_table(scorer: Scorer, split: Split, new_from_old: NewFromOld) -> str:
    """Markdown: toxicity on each kind of unseen text."""
    new = [text for text in split.held_out if text.new]
    old = [text for text in split.held_out if not text.new]
    both = split.test + split.held_out
    sets = {
        "test prompts (two 1k files)": (split.test, [t.new for t in split.test]),
        "held-out prompts, newer scores": (new, [t.new for t in new]),
        "held-out texts, older scores carried over": (old, targets(old, new_from_old)),
        "held-out texts, older scores as published": (old, [t.old for t in old]),
        "all of these, scores as published": (both, [t.new or t.old for t in both]),
    }
    head = "| texts never trained on | n | r | AUC at .5 | calibration | worst bin |"
    lines = [head, "|---|---|---|---|---|---|"]
    for name, (texts, published) in sets.items():
        predicted_N = scorer([text.text for text in texts])[:, 0]
        figures = _figures(predicted_N, np.asarray(published)[:, 0])
        lines.append(f"| {name} | {len(texts):,} | {figures} |")
    return "\n".join(lines)


@dataclass(frozen=True)
class HateCheck:
    """ROC-AUC of toxicity over all cases, and the share of cases at .5 or above by kind."""

    auc: float
    implicit: float
    neutral: float
    positive: float
    counter_speech: float


def hatecheck(scorer: Scorer, data: Path) -> HateCheck:
    """What the scorer makes of HateCheck's functional tests (evaluation only)."""
    cases = load_prompts("hatecheck", path=data / "hatecheck")
    scores_N = scorer([case.text for case in cases])[:, 0]
    hateful_N = np.array([case.meta["label"] == "hateful" for case in cases])

    def share(*functionalities: str) -> float:
        chosen_N = np.array([case.meta["functionality"] in functionalities for case in cases])
        return float((scores_N[chosen_N] >= 0.5).mean())

    return HateCheck(
        auc=roc_auc(scores_N, hateful_N),
        implicit=share("derog_impl_h"),
        neutral=share(NEUTRAL),
        positive=share(POSITIVE),
        counter_speech=share(*DENOUNCEMENTS),
    )


def calibration_gaps(predicted_N: FloatArray, published_N: FloatArray) -> FloatArray:
    """|mean prediction - mean published score| in 15 equal-count bins of the prediction."""
    bins = calibration_bins(predicted_N, published_N)
    return np.array([abs(one.predicted - one.target) for one in bins])


def _figures(predicted_N: FloatArray, published_N: FloatArray) -> str:
    r, auc = pearson(predicted_N, published_N), roc_auc(predicted_N, published_N >= 0.5)
    gaps = calibration_gaps(predicted_N, published_N)
    return f"{r:.3f} | {auc:.3f} | {gaps.mean():.3f} | {gaps.max():.3f}"
