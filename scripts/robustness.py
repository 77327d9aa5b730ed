"""Prints the tables of docs/odd-text.md: insults in odd spelling, before and after normalisation.

    python scripts/robustness.py --data DIR --rows 400 rtp-neural rtp-linear

Insults are prompts of RealToxicityPrompts' test files that Perspective scores at .75 or above; calm
texts are those at .1 or below, and HateCheck's neutral and positive statements about groups.
"""

import argparse
from pathlib import Path

import numpy as np

from detoxlab.audits.sections.changed import CALM_TO, CHANGES, INSULT_FROM, unchanged
from detoxlab.audits.sections.hatecheck import NEUTRAL, POSITIVE
from detoxlab.data import load_prompts
from detoxlab.scorers import Scorer, load_scorer
from detoxlab.scorers.texts.perturbations import Perturbation

THRESHOLD = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scorers", nargs="+", help="names of scorers")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--rows", type=int, default=400, help="texts of each kind")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    insults, calm = (
        [texts[at] for at in rng.permutation(len(texts))[: arguments.rows]]
        for texts in insults_and_calm(arguments.data)
    )
    print(f"{len(insults)} insults, {len(calm)} calm texts")
    for name in arguments.scorers:
        print(f"\n{table(name, insults, calm, arguments.seed)}")


def table(name: str, insults: list[str], calm: list[str], seed: int) -> str:
    """Markdown: marked shares of insults and of calm texts by trick, as written and normalised."""
    plain, wrapped = load_scorer(name), load_scorer(f"normalised({name})")
    lines = [
        f"| `{plain.id}` | insults marked | normalised | calm marked | normalised |",
        "|---|---|---|---|---|",
    ]
    for trick, perturb in (("none", unchanged), *CHANGES):
        shares = [
            f"{100 * marked(scorer, texts, perturb, seed):.1f} %"
            for texts in (insults, calm)
            for scorer in (plain, wrapped)
        ]
        lines.append(f"| {trick} | {' | '.join(shares)} |")
    return "\n".join(lines)


def marked(scorer: Scorer, texts: list[str], perturb: Perturbation, seed: int) -> float:
    """The share of texts at .5 or above; a text without a score counts as not marked."""
    changed = [perturb(text, np.random.default_rng([seed, at])) for at, text in enumerate(texts)]
    return float((scorer(changed)[:, 0] >= THRESHOLD).mean())


def insults_and_calm(data: Path) -> tuple[list[str], list[str]]:
    """Insults, and calm texts."""
    toxicity = {}
    for kind in ("toxic", "no_toxic"):
        file = data / "real_toxicity_prompts" / f"rtp_destein_{kind}_1k.jsonl.gz"
        toxicity |= {one.text: one.meta["toxicity"] for one in load_prompts("rtp", path=file)}
    cases = load_prompts("hatecheck", path=data / "hatecheck")
    about_groups = [one.text for one in cases if one.meta["functionality"] in (NEUTRAL, POSITIVE)]
    insults = [text for text, score in toxicity.items() if score >= INSULT_FROM]
    return insults, [text for text, score in toxicity.items() if score <= CALM_TO] + about_groups


if __name__ == "__main__":
    main()
