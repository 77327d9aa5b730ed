"""Sections that need no data: whether a score depends on its batch, and how fast scores come.

Both use the prompts that are embedded in the package, so that their figures compare anywhere.
"""

import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from detoxlab.audits.names import FIGURES
from detoxlab.data import load_prompts
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import Measurement
from detoxlab.scorers import Scorer, load_scorer

YARDSTICK = "rtp-linear"
REPEATS = 5
SHORT, LONG = 48, 6  # texts in batches; a long one is made of so many short ones
TOKEN = re.compile(r"\w+|[^\w\s]")

Probe = Callable[[Scorer, int], list[Measurement]]


def batch_independence(scorer: Scorer, seed: int) -> list[Measurement]:
    """The largest difference of any score between a text alone and in batches of mixed lengths.

    A text that is scored in one batch and not in another counts as a difference of 1.
    """
    texts = _mixed_texts()
    order = np.random.default_rng(seed).permutation(len(texts))
    alone_NA = np.concatenate([scorer([text]) for text in texts])
    together_NA = scorer(texts)
    shuffled_NA = np.empty_like(together_NA)
    for half in np.array_split(order, 2):
        shuffled_NA[half] = scorer([texts[at] for at in half])
    worst = max(_largest_gap(alone_NA, other_NA) for other_NA in (together_NA, shuffled_NA))
    figure = FIGURES["batch_difference"]
    return [figure.measurement(value=worst, n=len(texts), scorer_id=scorer.id)]


def throughput(scorer: Scorer, seed: int) -> list[Measurement]:
    """Texts and tokens per second on one thread, and the time as a multiple of rtp-linear's.

    The best of five rounds, in which both scorers take turns. Tokens are words and signs.
    """
    del seed
    texts = [prompt.text for prompt in load_prompts("embedded")]
    yardstick = load_scorer(YARDSTICK, cache=False)
    with _one_thread():
        rounds = [(_seconds(scorer, texts), _seconds(yardstick, texts)) for _ in range(REPEATS)]
    seconds, reference = (min(column) for column in zip(*rounds, strict=True))
    tokens = sum(len(TOKEN.findall(text)) for text in texts)
    values = {
        "texts_per_second": len(texts) / seconds,
        "tokens_per_second": tokens / seconds,
        "time_ratio": seconds / reference,
    }
    return [
        FIGURES[name].measurement(value=value, n=len(texts), scorer_id=scorer.id)
        for name, value in values.items()
    ]


PROBES: dict[str, tuple[str, Probe, str]] = {
    "batch": (
        "Batches",
        batch_independence,
        "A text must have one score, alone and in any batch, in all attributes.",
    ),
    "throughput": (
        "Speed",
        throughput,
        "Processor time of one thread, without the cache: the embedded prompts (250 short texts), "
        "best of five; on a GPU the time by the clock. Waiting for a server is not counted. "
        "Compare the ratio, which was measured in one run; the rest depends on the machine.",
    ),
}
"""Title, function and guide of each section, by key."""


def _mixed_texts() -> list[str]:
    """Short texts, and long ones made of them."""
    short = [prompt.text for prompt in load_prompts("embedded", limit=SHORT)]
    return short + [" ".join(short[at : at + LONG]) for at in range(0, SHORT, LONG)]


def _largest_gap(one_NA: FloatArray, other_NA: FloatArray) -> float:
    unlike = np.isnan(one_NA) != np.isnan(other_NA)
    gaps = np.where(unlike, 1.0, np.nan_to_num(np.abs(one_NA - other_NA)))
    return float(gaps.max())


def _seconds(scorer: Scorer, texts: Sequence[str]) -> float:
    """Processor time, which other programs do not lengthen; by the clock where a GPU is used."""
    torch = sys.modules.get("torch")
    clock = time.perf_counter if torch and torch.cuda.is_initialized() else time.process_time
    start = clock()
    scorer(texts)
    return clock() - start


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Torch, where it is loaded, computes on one thread; its setting is put back."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
