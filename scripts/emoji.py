"""Prints the table of docs/odd-text.md on emoji: what they do to scores, in three readings.

    python scripts/emoji.py --data DIR rtp-neural rtp-linear hate-neural

Emoji are put after insults and calm texts (those of `robustness.py`), and read as they are, as
`normalise` words some of them, and with the Unicode name of each in its place. The test part of
HatemojiBuild (Kirk et al. 2022), in which the emoji turns the label, is read in the same ways.
"""

import argparse
import csv
import gzip
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from robustness import THRESHOLD, insults_and_calm

from detoxlab.measures.ranking import ranking
from detoxlab.scorers import Scorer, load_scorer
from detoxlab.scorers.texts import normalise

ENDINGS = {
    "no emoji": "",
    "a smile": " 😀",
    "smile, thumb, confetti": " 😀👍🎉",
    "two hearts": " ❤️❤️",
    "a clown": " 🤡",
    "a middle finger": " 🖕",
}
EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf]")


def named(text: str) -> str:
    """The text with the Unicode name of every emoji in its place."""
    words = EMOJI.sub(lambda found: f" {unicodedata.name(found[0], '').lower()} ", text)
    return words.replace("\ufe0f", "")


READINGS: tuple[Callable[[str], str], ...] = (str, normalise, named)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scorers", nargs="+", help="names of scorers")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--rows", type=int, default=200, help="texts of each kind")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    insults, calm = (
        [texts[at] for at in rng.permutation(len(texts))[: arguments.rows]]
        for texts in insults_and_calm(arguments.data)
    )
    file = arguments.data / "hate" / "hatemoji_build" / "build_test.csv.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    is_hate_N = np.array([row["label_gold"] == "1" for row in rows])
    once = np.ones((1, len(rows)))
    for name in arguments.scorers:
        scorer = load_scorer(name)
        print(f"\n{scorer.id}, marked at {THRESHOLD}; readings: as written, normalised, named")
        for ending, emoji in ENDINGS.items():
            shares = [
                " → ".join(marked(scorer, [text + emoji for text in texts]))
                for texts in (insults, calm)
            ]
            print(f"| {ending} | {' | '.join(shares)} |")
        areas = [
            float(ranking(scorer([read(row["text"]) for row in rows])[:, 0], is_hate_N)(once)[0])
            for read in READINGS
        ]
        print("HatemojiBuild, ROC-AUC:", " → ".join(f"{area:.3f}" for area in areas))


def marked(scorer: Scorer, texts: Sequence[str]) -> list[str]:
    """The percentage of texts at the threshold or above, in each reading."""
    scores = [scorer([read(text) for text in texts])[:, 0] for read in READINGS]
    return [f"{100 * float((scores_N >= THRESHOLD).mean()):.1f}" for scores_N in scores]


if __name__ == "__main__":
    main()
