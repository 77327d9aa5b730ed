"""How fast texts are scored: ours against transformers.pipeline, and what each encoder costs.

    DETOXLAB_DATA=DIR python benchmarks/scoring.py [--n 200] [--rounds 3] [--threads 1]

A RoBERTa-base classifier with random weights scores prompts and continuations of
RealToxicityPrompts, each a text of its own. Ours is `HuggingFaceScorer`; the texts are
distinct, so that removing duplicates saves nothing. The peer is
`pipeline("text-classification")` as people call it: a list of texts at its default batch
size (1), and then at its best of several. All use the same weights in one process, in
turn; each round gives one ratio. The scores of both must agree. Times are wall-clock, and
CPU seconds beside them, which a busy neighbour disturbs less.

Then all embedded scorers score the same texts in turn, and so does every encoder of
`detoxlab.scorers.offline` with a new head: what a scorer on it would cost.
"""

import argparse
import copy
import gzip
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from transformers import (
    AutoTokenizer,
    RobertaConfig,
    RobertaForSequenceClassification,
    pipeline,
)
from transformers.utils import logging

from detoxlab.models.packing import pack_for_cpu
from detoxlab.scorers import SCORERS, FloatArray, Scorer, load_scorer
from detoxlab.scorers.huggingface import HuggingFaceScorer
from detoxlab.scorers.offline import OFFLINE, encoder_place
from detoxlab.scorers.offline.minilm import base_folder
from detoxlab.scorers.trained import load_classifier

BATCH_SIZES = (4, 8, 16, 32, 64)
LARGEST_DIFFERENCE = 1e-4
EMBEDDED_TEXTS = 500


class Cost(NamedTuple):
    wall: float
    cpu: float


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    logging.set_verbosity_error()
    texts = read_texts(arguments.data, max(arguments.n, EMBEDDED_TEXTS))
    against_pipeline(texts[: arguments.n], arguments.rounds)
    embedded(texts[:EMBEDDED_TEXTS], arguments.rounds)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("DETOXLAB_DATA"))
    parser.add_argument("--n", type=int, default=200, help="texts for RoBERTa-base")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data DIR, or set DETOXLAB_DATA")
    return arguments


def read_texts(data: Path, n: int) -> list[str]:
    """The first n distinct prompts and continuations."""
    path = Path(data) / "real_toxicity_prompts" / "rtp_quark_val.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    both = (row[part]["text"].strip() for row in rows for part in ("prompt", "continuation"))
    return list(dict.fromkeys(text for text in both if text))[:n]


def against_pipeline(texts: list[str], rounds: int) -> None:
    """Print the table of ours, ours in bfloat16, and the pipeline twice."""
    model, tokenizer = random_roberta()
    # As load_classifier does: linear layers packed for the CPU, on the same weights.
    ours = as_scorer(pack_for_cpu(copy.deepcopy(model)), tokenizer)
    half = as_scorer(copy.deepcopy(model).bfloat16(), tokenizer)
    theirs = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)

    def run_pipeline(batch_size: int | None) -> FloatArray:
        options = {} if batch_size is None else {"batch_size": batch_size}
        found = theirs(texts, truncation=True, **options)
        return np.array([next(x["score"] for x in row if x["label"] == "toxic") for row in found])

    lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
    print(
        f"{len(texts)} distinct texts of {statistics.mean(lengths):.0f} tokens on average "
        f"({min(lengths)} to {max(lengths)}), {torch.get_num_threads()} thread(s)"
    )
    reference_N = run_pipeline(8)
    check(ours(texts)[:, 0], reference_N)
    print(f"bfloat16 moves a score by up to {np.abs(half(texts)[:, 0] - reference_N).max():.4f}")
    best = min(BATCH_SIZES, key=lambda size: cost(lambda: run_pipeline(size)).cpu)
    runs = {
        "ours": lambda: ours(texts),
        "pipeline, default batch size": lambda: run_pipeline(None),
        f"pipeline, best batch size ({best})": lambda: run_pipeline(best),
        "ours, bfloat16": lambda: half(texts),
    }
    print_table(runs, len(texts), rounds)


def check(ours_N: FloatArray, theirs_N: FloatArray) -> None:
    """Stop unless both gave the same scores, and scores that differ from text to text."""
    gap, spread = float(np.abs(ours_N - theirs_N).max()), float(theirs_N.std())
    print(f"scores spread by {spread:.2f} and agree within {gap:.1e}")
    if gap > LARGEST_DIFFERENCE or spread < 100 * gap:
        raise SystemExit("the scores do not agree: there is nothing to compare")


def embedded(texts: list[str], rounds: int) -> None:
    """Print the table of embedded scorers and of encoders with a new head, rtp-neural first."""
    names = ["rtp-neural", *(name for name in SCORERS if name != "rtp-neural")]
    scorers: dict[str, Scorer] = {name: load_scorer(name, cache=False) for name in names}
    for name in OFFLINE:
        folder = encoder_place(name)
        model = pack_for_cpu(load_classifier(folder, ("toxicity",)).eval())
        tokenizer = AutoTokenizer.from_pretrained(folder)
        scorers[f"encoder {name}"] = as_scorer(model, tokenizer, "toxicity", "sigmoid")
    for scorer in scorers.values():
        scorer(texts[:50])
    runs = {name: partial(scorer, texts) for name, scorer in scorers.items()}
    print_table(runs, len(texts), rounds)


def as_scorer(
    model: Any,
    tokenizer: Any,
    label: str = "toxic",
    activation: Literal["softmax", "sigmoid"] = "softmax",
) -> HuggingFaceScorer:
    return HuggingFaceScorer(
        model,
        tokenizer,
        name="random head",
        labels={label: "toxicity"},
        activation=activation,
        max_tokens=512,
    )


def random_roberta() -> tuple[Any, Any]:
    """RoBERTa-base's shape with random weights, and a real subword tokenizer.

    RoBERTa's own tokenizer is not at hand without a network; MiniLM's cuts English alike.
    Weights are drawn wider than usual so that scores differ from text to text.
    """
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base_folder(), model_max_length=512)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    config = RobertaConfig(
        vocab_size=50265,
        max_position_embeddings=514,
        type_vocab_size=1,
        initializer_range=0.06,
        pad_token_id=tokenizer.pad_token_id,
        id2label={0: "fine", 1: "toxic"},
        label2id={"fine": 0, "toxic": 1},
    )
    model = RobertaForSequenceClassification(config).eval()
    model.classifier.out_proj.weight.data *= 3
    return model, tokenizer


def print_table(runs: Mapping[str, Callable[[], object]], n: int, rounds: int) -> None:
    """Run all in turn, `rounds` times; medians, and the ratios to the first of each round."""
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            costs[name].append(cost(run))
    first = costs[next(iter(costs))]
    print(
        "\n| run | texts/s | time against the first, per round | the same in CPU seconds |"
        "\n|---|---|---|---|"
    )
    for name, taken in costs.items():
        rate = n / statistics.median(each.wall for each in taken)
        wall = ", ".join(f"{a.wall / b.wall:.3g}" for a, b in zip(taken, first, strict=True))
        cpu = ", ".join(f"{a.cpu / b.cpu:.3g}" for a, b in zip(taken, first, strict=True))
        print(f"| {name} | {rate:.1f} | {wall} | {cpu} |")


def cost(run: Callable[[], object]) -> Cost:
    """Seconds of one run, by the wall clock and of CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


if __name__ == "__main__":
    main()
