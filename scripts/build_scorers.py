"""Builds the embedded scorer `rtp-linear`, and writes the texts that `rtp-neural` learns from.

    python scripts/build_scorers.py --data DIR --out src/detoxlab/assets
    python scripts/build_scorers.py --data DIR --texts runs/rtp-neural-texts.jsonl

`--data` is the folder that holds `real_toxicity_prompts/` and `hatecheck/` (evaluation only).
`recipes/scorers/rtp-neural.yaml` trains on the written texts. The two scorers learn from disjoint
texts, so that one may judge what the other trained.
"""

import argparse
import json
from pathlib import Path

import torch
from scorer_cards import write_card
from scorer_corpus import NewFromOld, Split, Text, read_corpus, split_corpus, targets
from scorer_linear import save_linear, train_linear

from detoxlab.scorers.base import PERSPECTIVE_ATTRIBUTES
from detoxlab.scorers.linear import load_linear
from detoxlab.scorers.neural import load_neural

VERSION = "1"


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    split = split_corpus(read_corpus(arguments.data))
    for name in ("test", "held_out", "linear", "neural"):
        print(f"{name}: {len(getattr(split, name)):,} texts")
    new_from_old = NewFromOld(split.linear + split.neural)
    if arguments.texts:
        write_texts(split.neural, new_from_old, arguments.texts)
    if arguments.out and not arguments.cards_only:
        path = arguments.out / "rtp-linear" / "model.npz"
        save_linear(train_linear(split.linear, new_from_old, version=VERSION), path)
    if arguments.out:
        write_cards(split, new_from_old, arguments)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, help="folder for rtp-linear, and of both cards")
    parser.add_argument("--texts", type=Path, help="file for the texts of rtp-neural (.jsonl)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--cards-only",
        action="store_true",
        help="measure the assets that lie in --out and write their cards",
    )
    return parser.parse_args()


def write_texts(texts: list[Text], new_from_old: NewFromOld, path: Path) -> None:
    """A JSON object per text: its scores on the newer scale, its document, `carried` or not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as lines:
        for text, scores_A in zip(texts, targets(texts, new_from_old), strict=True):
            scores = dict(zip(PERSPECTIVE_ATTRIBUTES, scores_A.round(6).tolist(), strict=True))
            place = {"document": min(text.documents), "carried": text.new is None}
            lines.write(json.dumps({"text": text.text, **scores, **place}) + "\n")
    print(f"{path}: {len(texts):,} texts")


def write_cards(split: Split, new_from_old: NewFromOld, arguments: argparse.Namespace) -> None:
    """Measure and describe the assets in --out."""
    linear = arguments.out / "rtp-linear" / "model.npz"
    write_card(load_linear(linear), linear, split, new_from_old, arguments.data)
    neural = arguments.out / "rtp-neural" / "model.safetensors"
    if neural.is_file():
        scorer = load_neural(neural, device="cpu")
        write_card(scorer, neural, split, new_from_old, arguments.data)


if __name__ == "__main__":
    main()
