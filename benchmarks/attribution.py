"""How fast attributions are, against one step and one sequence at a time, as ratios.

    python benchmarks/attribution.py [--shape gpt2] [--layers 12] [--batch 16] [--sample 6]
    python benchmarks/attribution.py --methods input-x-gradient --inseq DIR/bin/python

Random weights in the shape of GPT-2 small or SmolLM2-135M, prompts of 50 tokens, responses of 50.
The plain loop is a forward and a backward pass of the model as it is, for one step of one sequence;
`--sample` steps are timed, spread over the response, and their mean stands for all. It is timed
before and after ours in every round. The lean loop asks only for the logits after the last token.
ALTI-Logit is also timed on single steps. Printed are ratios of processor time, forward passes,
the largest difference relative to a step's largest score, and the growth of the peak memory.

Limits by counts of multiplications: with ALTI-Logit a step of the loop costs a pass over the tokens
before it, so that steps x 3/4 is the most that it gains over itself. A step's backward pass costs
as much with ours as in the loop but for the last layer's MLP: what the loop can lose is its forward
pass and the logits of earlier tokens, which is printed. What is beyond comes from products of a
better shape and from derivatives of activations that are computed once.
"""

import argparse
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from detoxlab.explanations import TARGETS, Attributed, Exchange
from detoxlab.explanations.gradients import IntegratedGradients
from detoxlab.explanations.methods import Attribution, load_attribution
from detoxlab.explanations.reading import plain_logits
from detoxlab.explanations.texts import Batch
from detoxlab.models import LanguageModel
from detoxlab.subject import Subject

PROMPT = RESPONSE = 50
POINTS = 16
INSEQ = Path(__file__).with_name("attribution_inseq.py")
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
    batch: Batch, whole: Sequence[Attributed], steps: Sequence[int], singles: Sequence[Any]
) -> float:
    """The largest difference between both, relative to the largest score of the step."""
    errors = []
    for row, (step, values_T) in enumerate(zip(steps, singles, strict=True)):
        at = row % len(whole)
        whole_T = whole[at].values_ST[step - batch.exchanges[at].start, : len(values_T)]
        errors.append(float(np.abs(values_T - whole_T).max() / np.abs(values_T).max()))
    return max(errors)


def memory() -> float:
    """The largest resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def plain_step(model: Any, one: Exchange, step: int, lean: bool) -> Any:
    """|x * gradient| of one step of one exchange (T,), by a forward and a backward pass."""
    ids = torch.tensor([one.prompt_ids + one.response_ids[:step]])
    x_1TD = model.get_input_embeddings()(ids).detach().requires_grad_()
    options = {"logits_to_keep": 1} if lean else {}
    logits_V = model(inputs_embeds=x_1TD, use_cache=False, **options).logits[0, -1]
    (gradient_1TD,) = torch.autograd.grad(logits_V[one.response_ids[step]], x_1TD)
    return (x_1TD.detach() * gradient_1TD).square().sum(-1).sqrt()[0].numpy()


def loop(
    model: Any, batch: Batch, steps: Sequence[int], lean: bool = False
) -> tuple[float, list[Any]]:
    """Mean seconds of one step of the plain loop, from these steps of rows in turn; the scores."""
    times, found = [], list[Any]()
    for row, step in enumerate(steps):
        one = batch.exchanges[row % len(batch.exchanges)]
        times.append(seconds(lambda: found.append(plain_step(model, one, step, lean))))  # noqa: B023
    return float(np.mean(times)), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=["gpt2", "smollm2"], default="gpt2")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--sample", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--methods", nargs="+", default=["alti-logit", "input-x-gradient"])
    parser.add_argument("--inseq", help="a Python that has Inseq")
    parser.add_argument("--inseq-sequences", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    subject = Subject(model_of(asked.shape, asked.layers))
    batch = Batch.of(subject.lm, exchanges(asked.batch))
    plain_logits(subject, batch)
    forward, before = seconds(lambda: plain_logits(subject, batch)), memory()
    print(
        f"{asked.shape}, batch {asked.batch}: a forward pass takes {forward:.2f} s, {before:.0f} MB"
    )
    print_limits(subject.lm.model)
    steps = np.linspace(0, RESPONSE - 1, asked.sample).round().astype(int).tolist()
    for method in asked.methods:
        for _ in range(asked.rounds):
            print_round(subject, method, batch, steps, forward, before)
    if asked.inseq:
        compare_with_inseq(subject, batch, asked.inseq, asked.inseq_sequences)


def print_limits(model: Any) -> None:
    """By how much the loops multiply more than ours, attention's own products left out."""
    layers = [p.numel() for n, p in model.named_parameters() if ".h." in n or ".layers." in n]
    head = model.get_output_embeddings().weight.numel()
    below, layer = sum(layers), sum(layers) / model.config.num_hidden_layers
    read = 3 * model.config.hidden_size**2
    ours = below - (layer - read)
    print(
        f"multiplications of a step: plain loop {2 * (below + head) / ours:.2f} x ours, "
        f"lean loop {2 * below / ours:.2f} x"
    )


def print_round(
    subject: Subject,
    method: str,
    batch: Batch,
    steps: Sequence[int],
    forward: float,
    before: float,
) -> None:
    counted = len(batch.exchanges) * RESPONSE
    model = subject.lm.model
    ahead, plain = loop(model, batch, steps)
    time_of_all, found = together(subject, method, batch)
    behind, _ = loop(model, batch, steps)
    lean, _ = loop(model, batch, steps, lean=True)
    print(
        f"{method}: {counted * (ahead + behind) / 2 / time_of_all:.2f} x the plain loop "
        f"({counted * min(ahead, behind) / time_of_all:.2f} by its faster half), "
        f"{counted * lean / time_of_all:.2f} x the lean one; "
        f"{time_of_all / forward:.2f} forward passes, memory +{memory() - before:.0f} MB"
    )
    if method == "input-x-gradient":
        print(f"  largest difference {largest_error(batch, found, steps, plain):.1e}")
    elif method.startswith("alti"):
        alone_time, singles = alone(subject, method, batch, steps)
        values = [one.values_ST[0] for one in singles]
        print(
            f"  {counted * alone_time / time_of_all:.1f} x itself on single steps, "
            f"largest difference {largest_error(batch, found, steps, values):.1e}"
        )


def compare_with_inseq(subject: Subject, batch: Batch, python: str, sequences: int) -> None:
    """The same ids through Inseq: agreement of both methods, and time of input x gradient."""
    few = batch.exchanges[:sequences]
    short = [Exchange(e.prompt_ids[:10], e.response_ids[:5]) for e in few]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject.lm.model.save_pretrained(folder)
        ids_tokenizer(subject.lm.embedding_rows).save_pretrained(folder)
        per_step = len(batch.exchanges) * RESPONSE
        ahead, ours = together(subject, "input-x-gradient", batch)
        theirs, scores = inseq_scores(python, folder, "input-x-gradient", few)
        behind, _ = together(subject, "input-x-gradient", batch)
        print(
            f"Inseq, input-x-gradient: {theirs * per_step * 2 / (ahead + behind):.2f} x our time, "
            f"largest difference {difference(ours, scores):.1e}"
        )
        method = IntegratedGradients(subject, "pad", points=POINTS, most=POINTS)
        gradients = method.attribute(Batch.of(subject.lm, short), TARGET)
        _, scores = inseq_scores(python, folder, "integrated-gradients", short)
        print(
            f"Inseq, integrated-gradients: largest difference {difference(gradients, scores):.1e}"
        )


def ids_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """A tokenizer whose texts are ids; the baseline of Inseq is its unknown token, 0."""
    special = {"unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"}
    words = [*special.values(), *(f"t{token}" for token in range(len(special), size))]
    vocabulary = {word: token for token, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def inseq_scores(
    python: str, folder: Path, method: str, exchanges: Sequence[Exchange]
) -> tuple[float, list[Any]]:
    """Inseq's seconds per step, and its scores (S, T) of each exchange."""
    asked = [[one.prompt_ids, one.response_ids] for one in exchanges]
    (folder / "exchanges.json").write_text(json.dumps(asked))
    points = ["--points", str(POINTS)] if method == "integrated-gradients" else []
    command = [python, str(INSEQ), str(folder), method, *points]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    scores = np.load(folder / f"{method}.npz")
    return float(printed.splitlines()[-1]), [scores[str(at)] for at in range(len(exchanges))]


def difference(ours: Sequence[Attributed], theirs: Sequence[Any]) -> float:
    """The largest difference relative to the largest score of the step."""
    errors = []
    for one, values_ST in zip(ours, theirs, strict=False):
        size_S = np.abs(one.values_ST).max(axis=1)
        width = one.values_ST.shape[1]
        errors.append((np.abs(one.values_ST - values_ST[:, :width]).max(axis=1) / size_S).max())
    return float(max(errors))


if __name__ == "__main__":
    main()
