"""Builds the embedded scorers `rtp-linear` and `rtp-neural`, and their cards.

    python scripts/build_scorers.py --data DIR --out src/detoxlab/assets

`--data` is the folder that holds `real_toxicity_prompts/` and `hatecheck/` (evaluation
only). The linear one takes half a minute, the neural one about ten minutes on one core.
The two families learn from disjoint texts, so that one may judge what the other trained.
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from scorer_cards import write_card
from scorer_corpus import NewFromOld, Split, read_corpus, split_corpus
from scorer_linear import save_linear, train_linear
from scorer_neural import EPOCHS, train_neural

from detoxlab.scorers.linear import load_linear
from detoxlab.scorers.neural import load_neural
from detoxlab.scorers.offline import BASE_SHA256

VERSION = "1"


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    split = split_corpus(read_corpus(arguments.data))
    for name in ("test", "held_out", "linear", "neural"):
        print(f"{name}: {len(getattr(split, name)):,} texts")
    new_from_old = NewFromOld(split.linear + split.neural)
    if "linear" in arguments.only:
        build_linear(split, new_from_old, arguments)
    if "neural" in arguments.only:
        build_neural(split, new_from_old, arguments)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the two assets")
    parser.add_argument(
        "--only", nargs="+", choices=["linear", "neural"], default=["linear", "neural"]
    )
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the neural scorer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--cards-only",
        action="store_true",
        help="measure the assets that lie in --out and write their cards",
    )
    return parser.parse_args()


def build_linear(split: Split, new_from_old: NewFromOld, arguments: argparse.Namespace) -> None:
    """Train, store and describe `rtp-linear`."""
    path = arguments.out / "rtp-linear" / "model.npz"
    if not arguments.cards_only:
        save_linear(train_linear(split.linear, new_from_old, version=VERSION), path)
    write_card(load_linear(path), path, split, new_from_old, arguments.data)


def build_neural(split: Split, new_from_old: NewFromOld, arguments: argparse.Namespace) -> None:
    """Train, store and describe `rtp-neural`."""
    path = arguments.out / "rtp-neural" / "model.safetensors"
    if not arguments.cards_only:
        tensors = train_neural(
            split.neural, new_from_old, seed=arguments.seed, epochs=arguments.epochs
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path, {"version": VERSION, "base_sha256": BASE_SHA256})
        path.chmod(0o644)
    scorer = load_neural(path, device="cpu")
    write_card(scorer, path, split, new_from_old, arguments.data)


if __name__ == "__main__":
    main()
