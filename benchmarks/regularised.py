"""What regularised fine-tuning costs: an optimizer step against plain fine-tuning's, NADO's tokens.

    python benchmarks/regularised.py                 # a small shape, a minute
    python benchmarks/regularised.py --shape gpt2    # GPT-2 small's shape, random weights
    python benchmarks/regularised.py --shape llama-7b --dtype bfloat16 --device cuda

Weights and token ids are random: only time is measured. Half of the rows are tagged, and their
whole text behind its beginning is regularised. Plain and regularised trainings see the same
rows in the same order, with LoRA, and take turns step by step in one process, so that what
else the machine does meets all alike; a ratio is the median of the ratios of turns. On a CPU
processor time is compared, on a GPU wall-clock time.

Everything that the method adds is counted. Drawing and labelling responses, reading their
hidden states, fitting the head and keeping its targets (`refresh`) are spread over `--interval`
steps. The reference anchor is drawn from once in a training of `--epochs` intervals; making its
targets of all tagged rows (`cache`) is spread over as many passes. Fixed settings are printed; a
refresh costs as much per step when responses, fit and interval are all smaller.
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers.trainer
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, TrainerCallback

from detoxlab.auxiliary.head import AuxiliaryHead, HeadShape, save_head
from detoxlab.data.split import TextSplit
from detoxlab.generate import LocalEngine
from detoxlab.methods import method_of
from detoxlab.methods.imitation.sft import SFTConfig
from detoxlab.methods.regularised.config import RegularisedConfig
from detoxlab.methods.regularised.domain import ConstrainedDomain
from detoxlab.methods.regularised.penalty import Penalty
from detoxlab.methods.regularised.targets import TargetCache
from detoxlab.models import LanguageModel, load_model
from detoxlab.models.hidden import output_layer
from detoxlab.records import Prompt, Sampling, Text
from detoxlab.runs import Run
from detoxlab.runs.usage import peak_bytes
from detoxlab.scorers import load_scorer
from detoxlab.steering.nado import Nado
from detoxlab.subject import Subject

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
OPENING = 6  # tokens of a text by which the anchor is asked to go on with it
PLAIN = "plain"
WAYS: dict[str, dict[str, Any] | None] = {
    PLAIN: None,
    "reference, top-64": {"anchor": "reference"},
    "current, top-64": {"anchor": "current"},
    "snapshot, top-64": {},
    "snapshot, full vocabulary": {"top_k": None},
}


def random_lm(shape: str, dtype: str, device: str) -> LanguageModel:
    """A model of the shape, with the embedded model's tokenizer: its ids are a subset."""
    tokens = load_model("embedded", device="cpu")
    config = SHAPES[shape]()
    config.bos_token_id = config.pad_token_id = None
    config.eos_token_id = int(tokens.tokenizer.eos_token_id)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).to(device).eval()
    return LanguageModel(shape, f"{shape}@random", model, tokens.tokenizer)


def texts(options: argparse.Namespace) -> TextSplit:
    """Random words, more than `options.tokens` tokens of them; every second text is tagged."""
    rng = np.random.default_rng(0)
    made = [
        Text(
            str(i),
            " ".join(rng.choice(WORDS, options.tokens)),
            "random",
            "toxic" if i % 2 else "general",
        )
        for i in range(options.batch * options.steps)
    ]
    return TextSplit(made)


def median_score(lm: LanguageModel, options: argparse.Namespace) -> float:
    """A threshold under which about half of what the random model draws is."""
    prompts = [Prompt(f"p{i}", WORDS[i], "random") for i in range(16)]
    drawn = LocalEngine(Subject(lm), chat=False).generate(
        prompts, Sampling(1, options.tokens - OPENING)
    )
    scorer = load_scorer("rtp-linear")
    scores_N = scorer([one.text for one in drawn])[:, scorer.attributes.index("toxicity")]
    return float(np.nanmedian(scores_N))


# --- steps ---


@dataclass
class Turns:
    """Trainings that take turns, a step each; `seconds` are those of each one's steps."""

    names: list[str]
    clock: Callable[[], float]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    turn: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    began: float = 0.0

    def wait(self, name: str) -> None:
        """Go on when it is this training's turn."""
        with self.changed:
            self.changed.wait_for(lambda: self.names[self.turn % len(self.names)] == name)
        self.began = self.clock()

    def passed_on(self, name: str, *, counts: bool) -> None:
        """Let the next one have its turn."""
        if counts:
            self.seconds.setdefault(name, []).append(self.clock() - self.began)
        with self.changed:
            self.turn += 1
            self.changed.notify_all()

    def left(self, name: str) -> None:
        """The training is over."""
        with self.changed:
            place = self.turn % len(self.names)
            self.names.remove(name)
            self.turn = place
            self.changed.notify_all()


class Turning(TrainerCallback):  # type: ignore[misc]
    """Passes the turn on before each step; a step's time is from one to the next."""

    turns: Turns

    def on_step_begin(self, _args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        name = threading.current_thread().name
        self.turns.passed_on(name, counts=state.global_step > 0)
        self.turns.wait(name)


def clock_of(device: str) -> Callable[[], float]:
    """Processor seconds of all threads, which take turns; with a GPU seconds, its work done."""
    if not device.startswith("cuda"):
        return time.process_time

    def synchronised() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return synchronised


def train(folder: Path, way: str, lm: LanguageModel, data: TextSplit, settings: Any) -> None:
    """One training, plain or regularised."""
    changes = WAYS[way]
    plain = {key: value for key, value in settings.items() if key in SFTConfig.model_fields}
    method: Any = method_of(SFTConfig(**plain))
    if changes is not None:
        method = method_of(RegularisedConfig(**(settings | changes)))
    run = Run.start(folder, kind="train", config={"way": way})
    with run.writing():
        method.fit(lm, data, run)


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """What all ways share."""
    return {
        "batch_size": options.batch,
        "max_steps": options.steps,
        "epochs": 1,
        "save_steps": 10_000,
        "max_length": options.tokens,
        "chat": False,
        "bf16": False,
        "domains": {"toxic": {"weight": 3.0}},
        "conditions": [{"scorer": "rtp-linear", "threshold": options.threshold}],
        "iterations": 1,
        "prompts": options.prompts,
        "prompt_tokens": OPENING,
        "sampled_rows": options.sampled_rows,
        "draws": {"k": 4, "max_new_tokens": options.tokens - OPENING},
        "head": {"steps": options.fit_steps},
    }


def step_costs(lm: LanguageModel, ways: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Seconds per step of each way, and the ratios to the plain one's."""
    data, settings = texts(options), settings_of(options)
    turns = Turns(list(ways), clock_of(options.device))
    Turning.turns = turns
    transformers.trainer.DEFAULT_CALLBACKS.append(Turning)
    Penalty._fill_cache = timed_fill_cache  # type: ignore[method-assign]

    def work(way: str, folder: Path) -> None:
        threading.current_thread().name = way
        turns.wait(way)
        try:
            train(folder, way, copied(lm), data, settings)
            turns.seconds[way].append(turns.clock() - turns.began)
        finally:
            turns.left(way)

    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(len(ways)) as pool:
        done = [pool.submit(work, way, Path(place) / str(i)) for i, way in enumerate(ways)]
        for one in done:
            one.result()
    Penalty._fill_cache = fill_cache  # type: ignore[method-assign]
    transformers.trainer.DEFAULT_CALLBACKS.remove(Turning)
    return {way: found(way, turns.seconds, options) for way in ways}


def copied(lm: LanguageModel) -> LanguageModel:
    return LanguageModel(lm.ref, lm.id, copy.deepcopy(lm.model), lm.tokenizer)


def found(
    way: str, seconds: dict[str, list[float]], options: argparse.Namespace
) -> dict[str, float]:
    """The figures of one way from the seconds of its steps; the last has the end's work.

    `ratio` holds all but the cache, `ratio_with_cache` that too.
    """
    first, *steps, _ = seconds[way]
    _, *plain, _ = seconds[PLAIN]
    each, base = statistics.median(steps), statistics.median(plain)
    row = {"step_seconds": each}
    if way != PLAIN:
        ratios = [mine / theirs for mine, theirs in zip(steps, plain, strict=True)]
        cache = sum(CACHING.get(way, [0.0]))
        once, passes = first - each - cache, options.epochs if way in CACHING else 1
        ratio = statistics.median(ratios) + once / (options.interval * passes) / base
        row |= {
            "step_ratio": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
            "refresh_seconds": once,
            "ratio": ratio,
        }
        if way in CACHING:
            more = cache / (options.steps * options.epochs) / base
            row |= {"cache_seconds": cache, "ratio_with_cache": ratio + more}
    return {key: round(value, 4) for key, value in row.items()}


CACHING: dict[str, list[float]] = {}  # seconds spent on making targets of all tagged rows
fill_cache = Penalty._fill_cache


def timed_fill_cache(self: Penalty, domain: ConstrainedDomain) -> TargetCache:
    """The cache, with its time noted."""
    began, clock = Turning.turns.clock(), Turning.turns.clock
    cache = fill_cache(self, domain)
    CACHING.setdefault(threading.current_thread().name, []).append(clock() - began)
    return cache


# --- decoding ---


def nado_cost(lm: LanguageModel, options: argparse.Namespace) -> dict[str, float]:
    """Seconds per token of NADO decoding against plain decoding, in turns."""
    table = output_layer(lm).weight_VD
    prompts = [Prompt(f"p{i}", " ".join(WORDS[i : i + 8]), "random") for i in range(options.rows)]
    sampling = Sampling(1, 20, top_k=50)  # random weights would have top-p keep most tokens
    clock = clock_of(options.device)

    def seconds(*steerings: Nado) -> float:
        engine, start = LocalEngine(Subject(lm, steerings), chat=False), clock()
        rows = engine.generate(prompts, sampling)
        return (clock() - start) / sum(len(row.token_ids) for row in rows)

    with tempfile.TemporaryDirectory() as place:
        head = AuxiliaryHead(HeadShape(table.shape[1], table.shape[0], 1), table)
        save_head(head, Path(place))
        nado = Nado.load(place)
        seconds(), seconds(nado)
        turns = [(seconds(), seconds(nado)) for _ in range(5)]
    plain, steered = (statistics.median(column) for column in zip(*turns, strict=True))
    ratios = [mine / theirs for theirs, mine in turns]
    return {
        "plain_ms_per_token": round(plain * 1e3, 3),
        "nado_ms_per_token": round(steered * 1e3, 3),
        "ratio": round(statistics.median(ratios), 3),
        "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3),
    }


# --- memory ---


def peak_of(way: str) -> float:
    """GiB at the most of one way's training, in a process of its own."""
    command = [sys.executable, *sys.argv, "--only", "peak", "--way", way]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=32, help="tokens per text")
    parser.add_argument("--steps", type=int, default=8, help="steps of each training")
    parser.add_argument("--interval", type=int, default=500, help="steps per refresh")
    parser.add_argument("--prompts", type=int, default=64, help="beginnings per refresh, 4 each")
    parser.add_argument("--fit-steps", type=int, default=50)
    parser.add_argument("--sampled-rows", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3, help="passes of a training")
    parser.add_argument("--rows", type=int, default=32, help="of NADO decoding")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--only", choices=["steps", "nado", "memory", "peak"])
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    lm = random_lm(options.shape, options.dtype, options.device)
    options.threshold = median_score(lm, options)
    if options.only == "peak":
        with tempfile.TemporaryDirectory() as place:
            train(Path(place) / "run", options.way, lm, texts(options), settings_of(options))
        print(round(peak_bytes(options.device) / 2**30, 3))
        return
    found: dict[str, Any] = {"settings": vars(options)}
    if options.only in (None, "steps"):
        ways = [way for way in WAYS if way == PLAIN or way in options.ways]
        found["steps"] = step_costs(lm, ways, options)
    if options.only in (None, "nado"):
        found["nado"] = nado_cost(lm, options)
    if options.only in (None, "memory"):
        found["peak_GiB"] = {way: peak_of(way) for way in options.ways}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
