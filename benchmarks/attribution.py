"""How fast attributions are, against one step and one sequence at a time, as ratios.

    python benchmarks/attribution.py [--shape gpt2] [--layers 12] [--batch 16] [--sample 4]

Random weights in the shape of GPT-2 small or SmolLM2-135M, prompts of 50 tokens, responses of 50.
The loop explains single steps of single sequences, each from its own forward pass: `--sample` of
them are timed, spread over the response, and the mean stands for all. Gradients are timed on the
last ten steps alone. Printed are ratios of processor time, forward passes, and memory.

Limits by counts of multiplications: a step of the loop costs a pass over the tokens before it, so
ALTI-Logit cannot gain more than steps × 3/4, and gradients not more than the forward passes that
one graph saves, about 2. What is beyond comes from products of a better shape.
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from detoxlab.explanations import TARGETS, Attributed, Exchange
from detoxlab.explanations.methods import Attribution, load_attribution
from detoxlab.explanations.reading import plain_logits
from detoxlab.explanations.texts import Batch
from detoxlab.models import LanguageModel
from detoxlab.subject import Subject

PROMPT = RESPONSE = 50
SEGMENT = 10
TARGET = TARGETS["logit"]


class NoText:
    """A tokenizer is asked for nothing but the token for padding."""

    pad_token_id = 0
    eos_token_id = 0


def model_of(shape: str, layers: int | None) -> LanguageModel:
    torch.manual_seed(0)
    model: Any
    if shape == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(n_layer=layers or 12))
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=49152,
                hidden_size=576,
                intermediate_size=1536,
                num_hidden_layers=layers or 30,
                num_attention_heads=9,
                num_key_value_heads=3,
            )
        )
    return LanguageModel(shape, f"{shape}@0", model.eval(), NoText())


def exchanges(count: int) -> list[Exchange]:
    rng = np.random.default_rng(0)
    draw = [
        [tuple(rng.integers(5, 40_000, n).tolist()) for n in (PROMPT, RESPONSE)]
        for _ in range(count)
    ]
    return [Exchange(prompt, response) for prompt, response in draw]


def one_step(one: Exchange, step: int) -> Exchange:
    return Exchange(one.prompt_ids, one.response_ids[: step + 1], step)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call, after nothing: what is prepared once must be prepared before."""
    started = time.process_time()
    work()
    return time.process_time() - started


def together(subject: Subject, method: str, batch: Batch) -> tuple[float, list[Attributed]]:
    """Seconds for all steps of the batch, and the scores."""
    attribution = prepared(subject, method, batch)
    found: list[Attributed] = []
    return seconds(lambda: found.extend(attribution.attribute(batch, TARGET))), found


def alone(
    subject: Subject, method: str, batch: Batch, steps: Sequence[int]
) -> tuple[float, list[Attributed]]:
    """Mean seconds for one step of one sequence, from these steps of rows in turn; the scores."""
    attribution = prepared(subject, method, batch)
    times, found = [], list[Attributed]()
    for row, step in enumerate(steps):
        part = Batch.of(batch.lm, [one_step(batch.exchanges[row % len(batch.exchanges)], step)])
        times.append(seconds(partial(_extend, found, attribution, part)))
    return float(np.mean(times)), found


def prepared(subject: Subject, method: str, batch: Batch) -> Attribution:
    """The method, after its first use, which prepares and checks."""
    attribution = load_attribution(method, subject)
    attribution.attribute(Batch.of(batch.lm, [one_step(batch.exchanges[0], 0)]), TARGET)
    return attribution


def _extend(found: list[Attributed], attribution: Attribution, part: Batch) -> None:
    found += attribution.attribute(part, TARGET)


def largest_error(
    batch: Batch, whole: Sequence[Attributed], steps: Sequence[int], singles: Sequence[Attributed]
) -> float:
    """The largest difference between both, relative to the largest score of the step."""
    errors = []
    for row, (step, single) in enumerate(zip(steps, singles, strict=True)):
        at = row % len(whole)
        values_T = single.values_ST[0]
        whole_T = whole[at].values_ST[step - batch.exchanges[at].start, : len(values_T)]
        errors.append(float(np.abs(values_T - whole_T).max() / np.abs(values_T).max()))
    return max(errors)


def memory() -> float:
    """The largest resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=["gpt2", "smollm2"], default="gpt2")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--sample", type=int, default=4)
    parser.add_argument("--methods", nargs="+", default=["alti-logit", "input-x-gradient"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    subject = Subject(model_of(asked.shape, asked.layers))
    whole = exchanges(asked.batch)
    batch = Batch.of(subject.lm, whole)
    plain_logits(subject, batch)
    forward, before = seconds(lambda: plain_logits(subject, batch)), memory()
    print(
        f"{asked.shape}, batch {asked.batch}: a forward pass takes {forward:.2f} s, {before:.0f} MB"
    )
    for method in asked.methods:
        is_alti = method.startswith("alti")
        first = 0 if is_alti else RESPONSE - SEGMENT
        part = Batch.of(subject.lm, [Exchange(e.prompt_ids, e.response_ids, first) for e in whole])
        steps = np.linspace(first, RESPONSE - 1, asked.sample).round().astype(int).tolist()
        counted = asked.batch * (RESPONSE - first)
        time_of_all, found = together(subject, method, part)
        time_of_one, singles = alone(subject, method, part, steps)
        print(
            f"{method}: {counted * time_of_one / time_of_all:.1f} x the loop ({counted} steps), "
            f"{time_of_all / forward:.2f} forward passes, "
            f"largest difference {largest_error(part, found, steps, singles):.1e}, "
            f"memory +{memory() - before:.0f} MB"
        )
        if is_alti:
            backward, _ = alone(subject, "input-x-gradient", part, steps)
            print(f"  {counted * backward / time_of_all:.1f} x one backward pass per step")


if __name__ == "__main__":
    main()
