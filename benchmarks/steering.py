"""What a steering costs per generated token, against plain decoding of the same model.

    OMP_NUM_THREADS=1 python benchmarks/steering.py [--shape gpt2 smollm2] [--rounds 5]

Random weights in the shape of GPT-2 small and of SmolLM2-135M, float32; prompts of 24 tokens, two
responses each. Each way of steering takes turns with plain decoding, and what
is printed is the median of the ratios of processor time, with the lowest and the highest. `folded`
is the model with the steering in its weights. Times of the fits are processor seconds, on texts of
16 tokens.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from generation import random_prompts, word_tokenizer
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig
from transformers.utils import logging

from detoxlab.data.split import TextSplit
from detoxlab.generate import LocalEngine
from detoxlab.methods import load_method
from detoxlab.models import LanguageModel, load_model
from detoxlab.publish.export import export_folded
from detoxlab.records import Prompt, Sampling, Text
from detoxlab.runs import Run
from detoxlab.steering import load_steering
from detoxlab.steering.names import EXPERTS
from detoxlab.subject import Subject

SHAPES: dict[str, Any] = {
    "gpt2": GPT2Config(),
    "smollm2": LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    ),
}
FITS: dict[str, dict[str, Any]] = {
    "mean-act": {},
    "linear-act": {"support": True},
    "aura": {},
    "caa": {},
    "ablation": {},
    "iti": {},
    "lineas": {"steps": 2},
    "sasa": {"candidates": 16},
}
"""Methods that are fitted, and their settings: those with the dearest map, LinEAS for two steps."""
FOLDED = ("mean-act", "caa")
SLOW, SLOW_ROUNDS = ("dexperts", "anti-expert", "sasa"), 3
K = 2
TEXT_TOKENS = 16


def saved_model(folder: Path, config: Any) -> LanguageModel:
    """A random model of this config, as a folder and loaded."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer(config.vocab_size)
    config.eos_token_id = config.bos_token_id = config.pad_token_id = tokenizer.eos_token_id
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_model(folder)


def random_texts(count: int, vocabulary: int) -> list[Text]:
    """Texts of both sides in turn."""
    rows = torch.randint(0, vocabulary - 1, (count, TEXT_TOKENS)).tolist()
    parts = ("toxic", "other")
    return [
        Text(f"t{i}", " ".join(f"w{token}" for token in row), "b", parts[i % 2])
        for i, row in enumerate(rows)
    ]


def fitted(kind: str, lm: LanguageModel, folder: Path, samples: int) -> float:
    """Fit a method into `folder`; the processor seconds that it took."""
    texts = random_texts(2 * samples + 40, lm.embedding_rows)
    data = TextSplit(texts[40:], texts[:40])
    counted = {} if kind == "sasa" else {"samples": samples}
    method = load_method(kind, FITS[kind] | counted)
    run = Run.start(folder, kind="train", config={})
    with run.writing():
        started = time.process_time()
        method.fit(lm, data, run)
        return time.process_time() - started


def random_experts(lm: LanguageModel, folder: Path) -> list[Path]:
    """Two LoRA adapters of rank 16 on all linear layers."""
    found = []
    for name in ("expert", "anti"):
        config = LoraConfig(
            r=16,
            target_modules="all-linear",
            init_lora_weights=False,
            task_type="CAUSAL_LM",
            base_model_name_or_path=str(lm.ref),
        )
        adapted = get_peft_model(lm.model, config)
        adapted.save_pretrained(str(folder / name))
        lm = replace(lm, model=adapted.unload())
        found.append(folder / name)
    return found


def ways(
    lm: LanguageModel, folder: Path, samples: int, names: Sequence[str]
) -> Iterator[tuple[str, Subject]]:
    """The named subjects to time; fits are timed on the way."""
    experts = random_experts(lm, folder)
    for name in names:
        if name in EXPERTS:
            places = "+".join(map(str, experts[-len(EXPERTS[name]) :]))
            yield name, Subject(lm, (load_steering(f"{name}:{places}", strength=0.5),))
            continue
        took = fitted(name, lm, folder / name, samples)
        print(f"{lm.id.partition('@')[0]:8} fit of {name:10} {took:6.1f} s", flush=True)
        yield name, Subject(lm, (load_steering(f"{name}:{folder / name}", strength=0.5),))
        if name in FOLDED:
            out = folder / f"{name}-folded"
            export_folded(Run.open(folder / name), out, base=str(lm.ref), strength=0.5)
            yield f"{name} folded", Subject(load_model(out))


def seconds(subject: Subject, prompts: Sequence[Prompt], tokens: int) -> float:
    """Processor seconds per generated token."""
    sampling = Sampling(k=K, max_new_tokens=tokens, top_p=0.9)
    engine = LocalEngine(subject, chat=False, batch_size=len(prompts) * K)
    started = time.process_time()
    rows = [r for b in engine.batches(prompts, sampling) for r in engine.generate(b, sampling)]
    return (time.process_time() - started) / sum(len(row.token_ids) for row in rows)


def ratios(one: Callable[[], float], other: Callable[[], float], rounds: int) -> list[float]:
    """one ÷ other, in turn, each first as often as the other."""
    found = []
    for turn in range(rounds):
        if turn % 2:
            below = other()
            found.append(one() / below)
        else:
            above = one()
            found.append(above / other())
    return sorted(found)


def time_shape(shape: str, folder: Path, options: argparse.Namespace) -> None:
    """Print the fits' times and the ratio of each way for one shape."""
    lm = saved_model(folder / shape, SHAPES[shape])
    asked = random_prompts(options.prompts, lm.embedding_rows), options.tokens
    plain = Subject(lm)
    seconds(plain, *asked)
    for name, subject in ways(lm, folder, options.samples, options.only):
        seconds(subject, *asked)
        found = ratios(
            partial(seconds, subject, *asked),
            partial(seconds, plain, *asked),
            SLOW_ROUNDS if name in SLOW else options.rounds,
        )
        middle, low, high = statistics.median(found), found[0], found[-1]
        print(f"{shape:8} {name:16} {middle:5.2f} x ({low:.2f}, {high:.2f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=16, help="new tokens of a response")
    parser.add_argument("--samples", type=int, default=96, help="texts of each side of a fit")
    parser.add_argument("--only", nargs="+", default=[*FITS, *EXPERTS], help="ways to time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    for shape in options.shape:
        with tempfile.TemporaryDirectory() as place:
            time_shape(shape, Path(place), options)


if __name__ == "__main__":
    main()
