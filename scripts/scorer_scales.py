"""Fits the curves from the scale of the embedded scorers to that of the published scores.

    python scripts/scorer_scales.py --data DIR --out ASSETS/scales/perspective-2020.json

Texts: prompts and continuations of `rtp_quark_val` with their published scores. A scorer's curve is
fitted on texts that the other family learnt from, so it never saw them, and measured on the texts
that neither learnt from. The curve joins quantiles (equipercentile linking), because published
figures are shares above a threshold and expected maxima: a curve through means would pull these
towards the middle. Two minutes on one core.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scorer_corpus import Text, read_corpus, split_corpus
from scorer_report import calibration_gaps

from detoxlab.measures.agreement import pearson
from detoxlab.scorers import PERSPECTIVE_ATTRIBUTES, Scorer, load_scorer
from detoxlab.scorers.calibration import Calibration
from detoxlab.scorers.scales import NEWER, OLDER

QUANTILES = 25
DRAWN, DRAWS = 25, 2000
Table = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="the .json file to write")
    arguments = parser.parse_args()
    split = split_corpus(read_corpus(arguments.data))
    curves = {}
    print("| scorer, attribute | r | mean | calibration | at .5 or above | worst of 25 |")
    print("|---|---|---|---|---|---|")
    for name, unseen in (("rtp-neural", split.linear), ("rtp-linear", split.neural)):
        scorer = load_scorer(name)
        fitted = _scored(scorer, unseen)
        curve = joined_quantiles(*fitted)
        curves[scorer.id] = {
            "inputs": curve.inputs_AM.round(5).tolist(),
            "outputs": curve.outputs_AM.round(5).tolist(),
            "texts": len(fitted[0]),
        }
        report(scorer.id, curve, *_scored(scorer, split.held_out))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    stored = {"scale": OLDER, "from": NEWER, "attributes": PERSPECTIVE_ATTRIBUTES, "curves": curves}
    arguments.out.write_text(json.dumps(stored) + "\n", encoding="utf-8")


def joined_quantiles(scores_NA: np.ndarray, older_NA: np.ndarray) -> Calibration:
    """One curve per attribute through equal quantiles of the scores and of the older scores."""
    shares = np.linspace(0, 1, QUANTILES + 1)
    inputs_AM = np.quantile(scores_NA, shares, axis=0).T
    inputs_AM += np.arange(QUANTILES + 1) * 1e-5  # inputs increase, also where scores are equal
    return Calibration(inputs_AM, np.quantile(older_NA, shares, axis=0).T)


def report(scorer_id: str, curve: Calibration, scores_NA: np.ndarray, older_NA: np.ndarray) -> None:
    """Print a row per attribute: before → after (published)."""
    after_NA = curve(scores_NA)
    for a, attribute in enumerate(PERSPECTIVE_ATTRIBUTES):
        before, after, older = scores_NA[:, a], after_NA[:, a], older_NA[:, a]
        r = [pearson(one, older) for one in (before, after)]
        gaps = [calibration_gaps(one, older).mean() for one in (before, after)]
        cells = [f"{r[0]:.3f} → {r[1]:.3f}"]
        cells += [_three(np.mean, before, after, older), f"{gaps[0]:.3f} → {gaps[1]:.3f}"]
        cells += [_three(f, before, after, older) for f in (_share, _worst_of_drawn)]
        print(f"| {scorer_id} {attribute.replace('_', ' ')} | {' | '.join(cells)} |")


def _three(figure, before: np.ndarray, after: np.ndarray, older: np.ndarray) -> str:
    return f"{figure(before):.3f} → {figure(after):.3f} ({figure(older):.3f})"


def _share(scores_N: np.ndarray) -> float:
    return float((scores_N >= 0.5).mean())


def _worst_of_drawn(scores_N: np.ndarray) -> float:
    """Mean of the largest of 25 texts drawn at random: an expected maximum, without a model."""
    rng = np.random.default_rng(0)
    draws = (rng.choice(len(scores_N), DRAWN, replace=False) for _ in range(DRAWS))
    return float(np.mean([scores_N[draw].max() for draw in draws]))


def _scored(scorer: Scorer, texts: list[Text]) -> Table:
    """Scores and published older scores (N, A) of the texts that have both."""
    older = [text for text in texts if text.old is not None]
    scores_NA = scorer([text.text for text in older])
    known_N = ~np.isnan(scores_NA).any(axis=1)
    return scores_NA[known_N], np.array([text.old for text in older])[known_N]


if __name__ == "__main__":
    main()
