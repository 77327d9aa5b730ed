"""What regularised fine-tuning costs: an optimizer step against plain fine-tuning's, NADO's tokens.

    python benchmarks/regularised.py                 # a small shape, a minute
    python benchmarks/regularised.py --shape gpt2    # GPT-2 small's shape, random weights
    python benchmarks/regularised.py --shape llama-7b --dtype bfloat16 --device cuda

Weights and token ids are random: only time is measured. Half of the rows are tagged. Plain and
regularised training see the same rows in the same order, with LoRA. Everything that the method
adds is counted and spread over the steps of one iteration: drawing and labelling responses,
reading their hidden states, fitting the head, the anchor's forward pass or, for the reference
anchor, making the cache. What is fixed is printed with the result.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

from detoxlab.generate import LocalEngine
from detoxlab.methods import SFT, Regularised, RegularisedConfig, SFTConfig, TextSplit
from detoxlab.methods.auxiliary_head import AuxiliaryHead, HeadShape, save_head
from detoxlab.methods.training.log import TrainLog
from detoxlab.models import LanguageModel, load_model
from detoxlab.models.hidden import output_layer
from detoxlab.records import Prompt, Sampling, Text
from detoxlab.runs import Run
from detoxlab.steering.nado import Nado

SHAPES: dict[str, Any] = {
    "small": lambda: LlamaConfig(
        vocab_size=4096,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=512,
    ),
    "gpt2": lambda: GPT2Config(),
    "llama-7b": lambda: LlamaConfig(vocab_size=32000, max_position_embeddings=2048),
}
WORDS = [f"w{i}" for i in range(400)]


def random_lm(shape: str, dtype: str, device: str) -> LanguageModel:
    """A model of the shape, with the embedded model's tokenizer: its ids are a subset."""
    tokens = load_model("embedded", device="cpu")
    config = SHAPES[shape]()
    config.bos_token_id = config.pad_token_id = None
    config.eos_token_id = int(tokens.tokenizer.eos_token_id)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).to(device).eval()
    return LanguageModel(shape, f"{shape}@random", model, tokens.tokenizer)


def texts(count: int, words: int) -> TextSplit:
    """Random words; every second text is tagged."""
    rng = np.random.default_rng(0)
    made = [
        Text(f"{i}", " ".join(rng.choice(WORDS, words)), "random", "toxic" if i % 2 else "general")
        for i in range(count)
    ]
    return TextSplit(made)


def seconds_per_step(run: Run, first: int) -> float:
    """The median over the steps from `first` on."""
    seconds = [row["seconds"] for row in TrainLog(run.path).rows() if "loss" in row]
    return statistics.median(np.diff(seconds)[first:])


def first_seconds(run: Run) -> float:
    """Seconds of the first step with all that goes before it."""
    return float(next(row["seconds"] for row in TrainLog(run.path).rows() if "loss" in row))


def trained(folder: Path, method: Any, lm: LanguageModel, data: TextSplit) -> Run:
    run = Run.start(folder, kind="train", config={"name": folder.name})
    with run.writing():
        method.fit(lm, data, run)
    return run


def step_costs(lm: LanguageModel, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds per step of plain and regularised training, and their ratios."""
    data, result = texts(options.batch * options.steps, options.words), {}
    common: dict[str, Any] = {
        "batch_size": options.batch,
        "max_steps": options.steps,
        "epochs": 1,
        "save_steps": 10_000,
        "max_length": 512,
        "chat": False,
        "bf16": False,
    }
    with tempfile.TemporaryDirectory() as place:
        plain = trained(Path(place) / "sft", SFT(SFTConfig(**common)), lm, data)
        base = seconds_per_step(plain, 1)
        result["plain_seconds"] = round(base, 4)
        for name, changes in {
            "snapshot, top-64": {},
            "reference cached, top-64": {"anchor": "reference"},
            "snapshot, full vocabulary": {"top_k": None},
        }.items():
            settings = {
                "domains": {"toxic": {"weight": 3.0}},
                "conditions": [{"scorer": "rtp-linear", "threshold": options.threshold}],
                "iterations": 1,
                "prompts": options.prompts,
                "sampled_rows": options.sampled_rows,
                "draws": {"k": 4, "max_new_tokens": 20},
                "head": {"steps": options.fit_steps},
            }
            config = RegularisedConfig(**(common | settings | changes))
            safe = name.replace(" ", "-").replace(",", "")
            run = trained(Path(place) / safe, Regularised(config), lm, data)
            each = seconds_per_step(run, 1)
            refresh = first_seconds(run) - each  # drawn, fitted and cached before the first step
            amortised = each + refresh / options.interval
            result[name] = {
                "step_seconds": round(each, 4),
                "refresh_seconds": round(refresh, 2),
                "step_ratio": round(each / base, 3),
                "amortised_ratio": round(amortised / base, 3),
            }
    return result


def nado_cost(lm: LanguageModel, options: argparse.Namespace) -> dict[str, float]:
    """Seconds per token of NADO decoding against plain decoding, the best of three each."""
    table = output_layer(lm).weight_VD
    prompts = [Prompt(f"p{i}", " ".join(WORDS[i : i + 8]), "random") for i in range(options.rows)]
    sampling = Sampling(1, 20)

    def best(steering: Nado | None) -> float:
        engine, times = LocalEngine(lm, chat=False, steering=steering), list[float]()
        for _ in range(3):
            start = time.perf_counter()
            rows = engine.generate(prompts, sampling)
            times.append((time.perf_counter() - start) / sum(len(r.token_ids) for r in rows))
        return min(times)

    with tempfile.TemporaryDirectory() as place:
        head = AuxiliaryHead(HeadShape(table.shape[1], table.shape[0], 1), table)
        save_head(head, Path(place))
        plain, steered = best(None), best(Nado.load(place))
    return {"plain": plain, "nado": steered, "ratio": round(steered / plain, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--words", type=int, default=24, help="words per text")
    parser.add_argument("--steps", type=int, default=8, help="steps measured")
    parser.add_argument("--interval", type=int, default=500, help="steps per refresh")
    parser.add_argument("--prompts", type=int, default=64, help="beginnings per refresh, 4 each")
    parser.add_argument("--fit-steps", type=int, default=50)
    parser.add_argument("--sampled-rows", type=int, default=1)
    parser.add_argument("--threshold", type=float, default=0.05, help="so that some are rejected")
    parser.add_argument("--rows", type=int, default=32, help="of NADO decoding")
    parser.add_argument("--only", choices=["steps", "nado"])
    options = parser.parse_args()
    lm = random_lm(options.shape, options.dtype, options.device)
    found: dict[str, Any] = {"settings": vars(options)}
    if options.only != "nado":
        found["steps"] = step_costs(lm, options)
    if options.only != "steps":
        found["nado"] = nado_cost(lm, options)
    found["peak_memory_GiB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    if options.device.startswith("cuda"):
        found["peak_gpu_GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
