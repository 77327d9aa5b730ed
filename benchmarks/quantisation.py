"""Memory and error by precision: loading a model, one LoRA step on it, merging the adapter.

    python benchmarks/quantisation.py [--hidden 768] [--layers 12] [--tokens 128]

A Llama with random weights of that shape (138M parameters by default) is saved to a temporary
folder; each precision then has a process of its own. Printed are the bytes of the weights, the
peak of anonymous memory (RssAnon) above that of a process which only imported everything, while
loading and in two training steps of a LoRA adapter with AdamW, the second step's seconds, all of
them also as ratios to float32, and the error of the logits against float32. Weights that a model
leaves in the mapped file are copied out of it, or they would not count; what loading has freed
is given back before training.

Then, for quantised bases with an adapter on: the error of the logits (root mean square, over
that of the unmerged model) after three ways to merge. The adapter is random; its updates have
--update of the norm of the weights.
"""

import argparse
import contextlib
import ctypes
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from detoxlab.models import LanguageModel, Quantisation, load_model

PRECISIONS: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"quantisation": Quantisation("int8")},
    "nf4": {"quantisation": Quantisation("nf4", double=False)},
    "nf4 double": {"quantisation": Quantisation("nf4")},
    "fp4 double": {"quantisation": Quantisation("fp4")},
}
QUANTISED = ("int8", "nf4", "nf4 double", "fp4 double")
MEBIBYTE = 2**20


@dataclass
class Peak:
    """Anonymous memory of this process: where it began and the most it had, in bytes."""

    begin: int
    most: int = 0


@contextlib.contextmanager
def watched() -> Iterator[Peak]:
    """Looks every 2 ms."""
    peak, over = Peak(anonymous_bytes()), threading.Event()

    def look() -> None:
        while not over.wait(0.002):
            peak.most = max(peak.most, anonymous_bytes())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()
        peak.most = max(peak.most, anonymous_bytes())


def anonymous_bytes() -> int:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise SystemExit("this benchmark reads /proc/self/status, which only Linux has")
    return int(found[1]) * 1024


def save_model(folder: Path, shape: argparse.Namespace) -> None:
    """The random model, with the embedded model's tokenizer."""
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=shape.hidden,
        intermediate_size=4 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // 64,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    load_model("embedded").tokenizer.save_pretrained(folder)


def batch(tokens: int) -> torch.Tensor:
    return torch.randint(5, 4000, (1, tokens), generator=torch.Generator().manual_seed(0))


def measure(folder: Path, precision: str, tokens: int) -> dict[str, Any]:
    """What one precision needs; run in a process of its own."""
    ids_BT = batch(tokens)
    with watched() as loading:
        lm = load_model(folder, device="cpu", **PRECISIONS[precision])
        own_weights(lm)
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    weights = lm.model.get_memory_footprint()
    logits_BTV = logits(lm.model, ids_BT)
    torch.save(logits_BTV, folder / f"{precision}.pt")
    with watched() as training:
        seconds = train_step(lm, ids_BT)
    begin = loading.begin
    return {
        "weights": weights,
        "loading": loading.most - begin,
        "training": training.most - begin,
        "seconds": seconds,
    }


def own_weights(lm: LanguageModel) -> None:
    """Copies what is still in the mapped file; quantised weights never are."""
    for weight in lm.model.parameters():
        if weight.is_floating_point():
            weight.data = weight.data.clone()


def train_step(lm: LanguageModel, ids_BT: torch.Tensor) -> float:
    """Seconds of the second of two steps: the first one allocates."""
    model = get_peft_model(lm.model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    model.train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4)
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        model(ids_BT, labels=ids_BT).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds = time.perf_counter() - began
    return seconds


def logits(model: Any, ids_BT: torch.Tensor) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        found: torch.Tensor = model(ids_BT).logits.float()
    return found


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Root mean square of the difference over that of what was wanted."""
    return float((found - wanted).norm() / wanted.norm())


# --- merging ---


def save_adapter(folder: Path, update: float) -> Path:
    """A random adapter whose updates have `update` of the norm of their weights."""
    torch.manual_seed(1)
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")
    model = get_peft_model(load_model(folder, device="cpu").model, config)
    for module in model.modules():
        if hasattr(module, "lora_B") and "default" in module.lora_B:
            weight_B = module.lora_B["default"].weight.data.normal_()
            norm = module.get_base_layer().weight.norm()
            weight_B *= update * norm / module.get_delta_weight("default").norm()
    model.save_pretrained(folder / "adapter")
    return folder / "adapter"


def merging_errors(folder: Path, adapter: Path, precision: str, tokens: int) -> list[float]:
    """Errors of requantised, dequantised and original weights with the adapter merged in."""
    ids_BT, options = batch(tokens), PRECISIONS[precision]
    tuned = load_model(folder, adapter=adapter, device="cpu", **options)
    wanted = logits(tuned.model, ids_BT)
    dequantised = load_model(folder, adapter=adapter, device="cpu", merge_adapter=True, **options)
    original = load_model(
        folder, adapter=adapter, device="cpu", merge_adapter=True, quantisation=Quantisation()
    )
    errors = [error(logits(lm.model, ids_BT), wanted) for lm in (dequantised, original)]
    base = load_model(folder, device="cpu", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        requantised = PeftModel.from_pretrained(base.model, adapter).merge_and_unload()
    return [error(logits(requantised, ids_BT), wanted), *errors]


# --- printing ---


def print_memory(folder: Path, tokens: int) -> None:
    print(f"{'precision':12s} {'weights':>15s} {'loading':>15s} {'training step':>15s}", end="")
    print(f" {'seconds':>14s} {'error':>7s}")
    first: dict[str, float] = {}
    for precision in PRECISIONS:
        found = json.loads(in_own_process(folder, precision, tokens))
        first = first or found
        cells = [
            f"{found[key] / MEBIBYTE:5.0f} MiB x{found[key] / first[key]:4.2f}"
            for key in ("weights", "loading", "training")
        ]
        seconds = f"{found['seconds']:6.2f} s x{found['seconds'] / first['seconds']:4.2f}"
        off = error(*(torch.load(folder / f"{p}.pt") for p in (precision, "float32")))
        print(f"{precision:12s} {' '.join(cells)} {seconds} {off:7.4f}", flush=True)


def in_own_process(folder: Path, precision: str, tokens: int) -> str:
    command = [sys.executable, __file__, "--measure", precision, "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--tokens", str(tokens)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def print_merging(folder: Path, update: float, tokens: int) -> None:
    adapter = save_adapter(folder, update)
    print(f"\n{'merged into':12s} {'requantised':>12s} {'dequantised':>12s} {'original':>12s}")
    for precision in QUANTISED:
        errors = merging_errors(folder, adapter, precision, tokens)
        print(f"{precision:12s} " + " ".join(f"{value:12.2e}" for value in errors), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--update", type=float, default=0.05)
    parser.add_argument("--measure", choices=PRECISIONS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.folder, options.measure, options.tokens)))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        save_model(folder, options)
        print_memory(folder, options.tokens)
        print_merging(folder, options.update, options.tokens)


if __name__ == "__main__":
    main()
