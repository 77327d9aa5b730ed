"""Speed at the shape of a real small model, as ratios to its peers, on one core.

    OMP_NUM_THREADS=1 DETOXLAB_DATA=DIR python benchmarks/real_model.py [--only PART …] [--rounds 3]

The model is SmolLM2-135M-Instruct in float32 (`make model`), or what `--model` names. The parts:

    generation   20 new tokens, top-p .9, k = 1 and 5, against `generate` at its best batch size
    sft dpo ppo  training, against a plain loop on the same batches, and TRL with its defaults
    scoring      rtp-neural against a plain loop over the same encoder at its best batch size
    perplexity   WikiText-2 in windows, against a plain loop at its best batch size
    memory       the peaks of all these, a process each

Each part checks first that both sides compute the same. Sides take turns; times are processor
seconds, which a busy machine stretches less than the clock; printed are medians of the rounds.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import real_model_training as training
import torch
from plain_loops import plain_dpo, plain_sft
from real_model_sides import Way, best_of, compare, matrix_peak, rtp_prompts, same
from real_model_training import dialogues, dpo, pairs, ppo, sft
from transformers.utils import logging

from detoxlab.evaluations.perplexity import windows
from detoxlab.generate import LocalEngine
from detoxlab.methods.imitation.sft import SFTConfig
from detoxlab.methods.preference.dpo import DPOConfig
from detoxlab.models import LanguageModel, load_model, token_log_probs
from detoxlab.records import Prompt, Sampling
from detoxlab.runs.usage import peak_bytes
from detoxlab.scorers import load_scorer
from detoxlab.scorers.neural import NeuralScorer
from detoxlab.subject import Subject

NEW_TOKENS = 20
BATCHES = (1, 2, 4, 8, 16)
WINDOW, STRIDE = 512, 256
MIB = 2**20


# --- generation ---


def engine(lm: LanguageModel, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[int]]:
    """Token ids of the engine's samples, prompt after prompt."""
    drawing = LocalEngine(Subject(lm), chat=False)
    batches = drawing.batches(prompts, sampling)
    drawn = {g.prompt_id: list(g.token_ids) for b in batches for g in drawing.generate(b, sampling)}
    return [drawn[prompt.id] for prompt in prompts]


def generate(
    lm: LanguageModel, prompts: Sequence[Prompt], sampling: Sampling, batch: int
) -> list[list[int]]:
    """Token ids of transformers' samples, prompts of like length together."""
    drawn: list[list[int]] = [[] for _ in prompts]
    ids = [lm.prompt_ids(prompt.text, chat=False) for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda at: -len(ids[at]))
    lm.tokenizer.padding_side = "left"
    how = {"do_sample": True, "top_p": sampling.top_p, "top_k": 0, "temperature": 1.0}
    greedy = {"do_sample": False, "top_p": None, "top_k": None, "temperature": None}
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        inputs = lm.tokenizer.pad({"input_ids": [ids[at] for at in places]}, return_tensors="pt")
        found = lm.model.generate(
            **inputs,
            **(how if sampling.temperature else greedy),
            max_new_tokens=sampling.max_new_tokens,
            num_return_sequences=sampling.k,
            pad_token_id=lm.pad_id,
        )
        new = found[:: sampling.k, inputs["input_ids"].shape[1] :].tolist()
        for at, row in zip(places, new, strict=True):
            drawn[at] = row
    return drawn


def sample(k: int) -> Sampling:
    return Sampling(k=k, max_new_tokens=NEW_TOKENS, top_p=0.9)


def generation(lm: LanguageModel, options: argparse.Namespace) -> None:
    prompts = rtp_prompts(options.data, 16)
    greedy = Sampling(k=1, max_new_tokens=8, temperature=0.0)
    few = prompts[:4]
    same(engine(lm, few, greedy), generate(lm, few, greedy, 2), 0.0, "greedy tokens")
    peak = matrix_peak()
    for k in (1, 5):
        sampling = sample(k)
        batch = best_of(
            lambda size: generate(lm, prompts, sampling, size),  # noqa: B023
            BATCHES,
            f"generate, k = {k}",
        )
        ways: dict[str, Way] = {
            "engine": lambda: engine(lm, prompts, sampling),  # noqa: B023
            f"generate, {batch} prompts per call": lambda: generate(lm, prompts, sampling, batch),  # noqa: B023
        }
        taken = compare(ways, options.rounds, "samples", k * len(prompts))
        print_limits(lm, prompts, k, taken["engine"], peak)


def print_limits(
    lm: LanguageModel, prompts: Sequence[Prompt], k: int, taken: float, peak: float
) -> None:
    """The least operations of both ways, and which share of the core's peak the engine reaches."""
    head = lm.model.get_output_embeddings().weight.numel()
    body = lm.model.num_parameters() - head
    read = sum(len(lm.prompt_ids(prompt.text, chat=False)) for prompt in prompts)
    drawn, steps = k * len(prompts), NEW_TOKENS - 1
    ours = body * (read + drawn * steps) + head * (len(prompts) + drawn * steps)
    theirs = body * (k * read + drawn * steps) + head * drawn * NEW_TOKENS
    reached = 2 * ours / taken
    print(f"  multiplications of generate: {theirs / ours:.2f} x those of the engine")
    print(f"  weights: {4 * (head + body) / MIB:.0f} MiB, read for each step of {drawn} rows")
    print(
        f"  engine: {reached / 1e9:.0f} GFLOP/s, {reached / peak:.0%} of the core's "
        f"{peak / 1e9:.0f} in a large matrix product",
        flush=True,
    )


# --- scoring and perplexity ---


def plain_scores(scorer: NeuralScorer, texts: Sequence[str], batch: int) -> Any:
    """The scorer's encoder over batches of texts as they come, as people write it."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(texts), batch):
            inputs = scorer._tokenizer(
                list(texts[start : start + batch]), padding=True, truncation=True,
                max_length=256, return_tensors="pt",
            )  # fmt: skip
            found.append(scorer._model(inputs["input_ids"], inputs["attention_mask"]))
    return scorer._calibration(torch.cat(found).double().numpy())


def unpacked(model: Any) -> Any:
    """The model with its linear layers as torch computes them."""
    for layer in model.modules():
        vars(layer).pop("forward", None)
    return model


def scoring(_lm: LanguageModel, options: argparse.Namespace) -> None:
    ours = load_scorer("rtp-neural", cache=False)
    theirs = load_scorer("rtp-neural", cache=False)
    unpacked(theirs._model)  # type: ignore[attr-defined]
    texts = [prompt.text for prompt in rtp_prompts(options.data, 600)]
    same(ours(texts[:50]), plain_scores(theirs, texts[:50], 8), 2e-4, "scores")  # type: ignore[arg-type]
    sizes = (1, 4, 16, 32, 64)
    batch = best_of(lambda size: plain_scores(theirs, texts, size), sizes, "plain loop")  # type: ignore[arg-type]
    ways: dict[str, Way] = {
        "rtp-neural": lambda: ours(texts),
        f"plain loop, {batch} texts per call": lambda: plain_scores(theirs, texts, batch),  # type: ignore[arg-type]
    }
    compare(ways, options.rounds, "texts", len(texts))


def text_windows(lm: LanguageModel, data: Path, count: int) -> list[tuple[list[int], list[int]]]:
    """(context, targets) of the first windows of WikiText-2."""
    with gzip.open(data / "text" / "wikitext2_test.txt.gz", "rt", encoding="utf-8") as file:
        ids = lm.prompt_ids(file.read(20 * WINDOW * count // 4), chat=False)
    made = windows(len(ids), WINDOW, STRIDE)[1 : count + 1]
    return [(ids[w.context : w.start], ids[w.start : w.stop]) for w in made]


def plain_nats(lm: LanguageModel, rows: Sequence[tuple[list[int], list[int]]], batch: int) -> Any:
    """Nats of each window's targets, from the logits of the whole batch."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch):
            ids_BT = torch.tensor([context + new for context, new in rows[start : start + batch]])
            new = len(rows[start][1])
            log_probs_BTV = lm.model(ids_BT, use_cache=False).logits[:, :-1].log_softmax(-1)
            chosen_BT = log_probs_BTV.gather(-1, ids_BT[:, 1:, None])[..., 0]
            found += (-chosen_BT[:, -new:].sum(-1)).tolist()
    return found


def our_nats(lm: LanguageModel, rows: Sequence[tuple[list[int], list[int]]]) -> list[float]:
    contexts, targets = zip(*rows, strict=True)
    return [-float(one.sum(dtype=np.float64)) for one in token_log_probs(lm, contexts, targets)]


def perplexity(lm: LanguageModel, options: argparse.Namespace) -> None:
    rows = text_windows(lm, options.data, 8)
    same(our_nats(lm, rows), plain_nats(lm, rows, 4), 0.05, "nats per window of 256 tokens")
    batch = best_of(lambda size: plain_nats(lm, rows, size), (1, 2, 4, 8), "plain loop")
    ways: dict[str, Way] = {
        "token_log_probs": lambda: our_nats(lm, rows),
        f"plain loop, {batch} windows per call": lambda: plain_nats(lm, rows, batch),
    }
    compare(ways, options.rounds, "tokens", sum(len(new) for _, new in rows))


# --- memory ---


def alone(name: str, lm: LanguageModel, options: argparse.Namespace) -> None:
    """What a process of its own does once, so that its peak can be read."""
    data = options.data
    learning = SFTConfig(max_steps=1, batch_size=8)
    prompts, sampling = rtp_prompts(data, 16), sample(5)
    rows, four = dialogues(data, 8), pairs(data, 4)
    preferring = DPOConfig(max_steps=1, batch_size=4)
    ways: dict[str, Way] = {
        "load the model": lambda: None,
        "generation, ours": lambda: engine(lm, prompts, sampling),
        "generation, generate": lambda: generate(lm, prompts, sampling, 16),
        "sft, ours": lambda: training.our_sft(lm, rows, learning),
        "sft, plain loop": lambda: plain_sft(lm, training.batches(lm, rows), learning),
        "sft, TRL": lambda: training.trl_sft(lm, rows, learning, 1),
        "dpo, ours": lambda: training.our_dpo(lm, four, preferring),
        "dpo, plain loop": lambda: plain_dpo(lm, training.pair_batches(lm, four), preferring),
        "dpo, TRL": lambda: training.trl_dpo(lm, four, preferring, 1),
        "perplexity, ours": lambda: our_nats(lm, text_windows(lm, data, 8)),
        "perplexity, plain loop": lambda: plain_nats(lm, text_windows(lm, data, 8), 8),
    }
    if name == "names":
        print(json.dumps(list(ways)))
        return
    ways[name]()
    print(peak_bytes("cpu"))


def memory(_lm: LanguageModel, options: argparse.Namespace) -> None:
    command = [sys.executable, __file__, "--model", str(options.model), "--data", str(options.data)]

    def said(name: str) -> Any:
        done = subprocess.run(
            [*command, "--alone", name], check=True, capture_output=True, text=True
        )
        return json.loads(done.stdout.splitlines()[-1])

    for name in said("names"):
        print(f"  {name:42s} {said(name) / MIB:8.0f} MiB", flush=True)


PARTS = {part.__name__: part for part in (generation, sft, dpo, ppo, scoring, perplexity, memory)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/smollm2-135m-instruct")
    parser.add_argument("--data", type=Path, default=os.environ.get("DETOXLAB_DATA"))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="of a training; the first warms up")
    parser.add_argument("--trl-rounds", type=int, default=1, help="of TRL's slow defaults")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data DIR, or set DETOXLAB_DATA")
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    lm = load_model(options.model)
    if options.alone:
        alone(options.alone, lm, options)
        return
    for name in options.only:
        print(f"{name}:", flush=True)
        PARTS[name](lm, options)


if __name__ == "__main__":
    main()
