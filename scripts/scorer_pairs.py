"""Which second scorer is worth its veto: pairs of scorers against people's judgement.

    python scripts/scorer_pairs.py --data DIR rtp-neural rtp-linear hate-neural

A second scorer cross-checks the judge. It is worth its veto where it disagrees when the judge is
wrong (caught) and agrees when the judge is right (not vetoed). Both are counted on pairs of texts
that people decided: a toxic and a harmless comment (Jigsaw, the part for tests), and two statements
whose mean ratings differ by 1.5 of 4 or more (ToxiGen). A scorer that gives both texts one score
is half right. Prints a Markdown table. Speed: that of the scorers on 9,000 texts.
"""

import argparse
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np

from detoxlab.data import load_prompts
from detoxlab.measures.agreement import pearson
from detoxlab.scorers import load_scorer

DRAWS = 20_000
APART = 1.5
Judged = tuple[list[str], np.ndarray]  # texts, and people's judgement: higher is more toxic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scorers", nargs="+", help="names of scorers, two or more")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    arguments = parser.parse_args()
    print("| texts | judge | second | r | judge right | second right | caught | vetoed |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (read, apart) in SETS.items():
        texts, judged_N = read(arguments.data)
        scores = {one: load_scorer(one)(texts)[:, 0] for one in arguments.scorers}
        more, less = decided_pairs(judged_N, apart)
        for judge, second in permutations(arguments.scorers, 2):
            print(row(name, judge, second, scores, more, less))


def jigsaw(data: Path) -> Judged:
    """The comments for tests with people's label, 0 or 1."""
    found = load_prompts("jigsaw", path=data / "jigsaw" / "jigsaw_robtest_test.csv.gz")
    chosen = [one for one in found if one.meta["part"] == "test"]
    return _judged(chosen, lambda one: float(one.meta["label"] == "toxic"))


def toxigen(data: Path) -> Judged:
    """The annotated statements with people's mean rating, 1 to 5."""
    found = load_prompts("toxigen-annotated", path=data / "toxigen")
    return _judged(found, lambda one: float(one.meta["toxicity_score"]))


SETS: dict[str, tuple[Callable[[Path], Judged], float]] = {
    "Jigsaw": (jigsaw, 1.0),
    "ToxiGen": (toxigen, APART),
}


def decided_pairs(judged_N: np.ndarray, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the more and of the less toxic text of pairs that people decided, drawn once."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(len(judged_N), size=(2, 20 * DRAWS))
    decided = np.flatnonzero(judged_N[first] - judged_N[second] >= apart)[:DRAWS]
    return first[decided], second[decided]


def row(
    name: str,
    judge: str,
    second: str,
    scores: dict[str, np.ndarray],
    more: np.ndarray,
    less: np.ndarray,
) -> str:
    """A row of the table, from the pairs that both scorers scored."""
    known = ~np.isnan(sum(scores[one][side] for one in (judge, second) for side in (more, less)))
    right = {
        one: np.heaviside(scores[one][more] - scores[one][less], 0.5)[known]
        for one in (judge, second)
    }
    wrong = 1 - right[judge]
    caught = (wrong * right[second]).sum() / wrong.sum()
    vetoed = (right[judge] * (1 - right[second])).sum() / right[judge].sum()
    both = ~np.isnan(scores[judge] + scores[second])
    r = pearson(scores[judge][both], scores[second][both])
    numbers = (r, right[judge].mean(), right[second].mean(), caught, vetoed)
    cells = " | ".join(f"{one:.3f}".removeprefix("0") for one in numbers)
    return f"| {name} | `{judge}` | `{second}` | {cells} |"


def _judged(found: list, judgement: Callable) -> Judged:
    once = {one.text: judgement(one) for one in found}
    return list(once), np.array(list(once.values()))


if __name__ == "__main__":
    main()
