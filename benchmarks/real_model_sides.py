"""How `real_model.py` compares: sides in turn, in processor seconds, once they agree."""

import gzip
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detoxlab.internals.torch import packed_linear, packed_weight
from detoxlab.records import Prompt

Way = Callable[[], Any]


def seconds(work: Way) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def best_of(work: Callable[[int], Any], sizes: Sequence[int], what: str) -> int:
    """The batch size with which the work takes the least time."""
    taken = {size: seconds(lambda size=size: work(size)) for size in sizes}  # type: ignore[misc]
    listed = ", ".join(f"{size}: {value:.2f}" for size, value in taken.items())
    print(f"{what}: seconds by batch size {listed}", flush=True)
    return min(taken, key=lambda size: taken[size])


def compare(ways: dict[str, Way], rounds: int, unit: str, count: float) -> dict[str, float]:
    """Run the ways in turn; print each one's rate and its time over that of the first."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            taken[name].append(seconds(work))
    first = taken[next(iter(ways))]
    for name, values in taken.items():
        ratios = [value / own for value, own in zip(values, first, strict=True)]
        listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        rate = count / statistics.median(values)
        print(f"  {name:42s} {rate:8.1f} {unit}/s  {statistics.median(ratios):5.2f} x ({listed})")
    sys.stdout.flush()
    return {name: statistics.median(values) for name, values in taken.items()}


def same(ours: Any, theirs: Any, within: float, what: str) -> None:
    """Stop unless both sides gave the same numbers."""
    gap = float(np.abs(np.asarray(ours, float) - np.asarray(theirs, float)).max())
    print(f"{what}: both sides agree within {gap:.1e}", flush=True)
    if not gap <= within:
        raise SystemExit(f"they differ by more than {within}: there is nothing to compare")


def matrix_peak() -> float:
    """Multiplications and additions per second of one core, in a large packed matrix product."""
    weight, x = torch.randn(3072, 2048), torch.randn(1024, 2048)
    packed = packed_weight(weight, len(x))
    with torch.inference_mode():
        best = min(seconds(lambda: packed_linear(x, packed, None)) for _ in range(5))
    return 2 * weight.numel() * len(x) / best


def rtp_prompts(data: Path, count: int) -> list[Prompt]:
    """The first prompts of a sample of RealToxicityPrompts."""
    with gzip.open(data / "real_toxicity_prompts" / "rtp_quark_val.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(count), strict=False)]
    return [Prompt(f"p{i}", row["prompt"]["text"], "rtp") for i, row in enumerate(rows)]
