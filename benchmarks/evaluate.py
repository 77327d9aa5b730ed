"""How fast benchmarks are asked, against lm-evaluation-harness's own model class, as ratios.

    OMP_NUM_THREADS=1 python benchmarks/evaluate.py --model models/smollm2-135m-instruct \\
        --data FOLDER [--mmlu 32] [--hellaswag 32] [--rounds 3] [--batches 1 4 16] [--agree 300]

The same requests of the harness's tasks go to `HFLM`, at the best of several batch sizes, and to
ours, in turn within each round; printed are the rounds' ratios of processor time, their median, and
the largest difference between log-probabilities. All questions of MMLU are of one subject, five
examples each. `--agree N` compares accuracies as well, on N questions of BoolQ, PIQA, ARC-E and
WinoGrande each, and of three subjects of MMLU.
"""

import argparse
import itertools
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM

from detoxlab.data.source import sample
from detoxlab.evaluations import Benchmark
from detoxlab.evaluations.benchmark.asking import load_tasks, quiet
from detoxlab.evaluations.benchmark.kind import QUESTIONS
from detoxlab.evaluations.benchmark.lm import SubjectLM
from detoxlab.models import load_model
from detoxlab.subject import Subject

Scores = list[tuple[float, bool]]
BARS = {"mmlu": 2.0, "hellaswag": 1.5}
AGREE = ("boolq", "piqa", "arc_easy", "winogrande")
SUBJECTS = ("mmlu_management", "mmlu_global_facts", "mmlu_marketing")


def requests_of(name: str, folder: str, questions: int, shots: int) -> list[list[Any]]:
    """The harness's requests for a seeded sample of questions, by question."""
    (task,) = load_tasks((name,), folder, shots).values()
    places = sample(range(len(task.eval_docs)), questions, seed=0)
    task.build_all_requests(samples=places)
    grouped = itertools.groupby(task.instances, key=lambda one: one.doc_id)
    return [list(found) for _, found in grouped]


def ours(lm: SubjectLM, questions: Sequence[list[Any]]) -> Scores:
    """Our scores, in the batches of an evaluation."""
    parts = [questions[at : at + QUESTIONS] for at in range(0, len(questions), QUESTIONS)]
    return [one for part in parts for one in lm.loglikelihood([r for q in part for r in q])]


def theirs(lm: HFLM, questions: Sequence[list[Any]]) -> Scores:
    return lm.loglikelihood([r for q in questions for r in q], disable_tqdm=True)


def timed(ask: Callable[[], Scores]) -> tuple[float, Scores]:
    """Processor seconds, and the scores."""
    start = time.process_time()
    scores = ask()
    return time.process_time() - start, scores


def race(name: str, lm: SubjectLM, model: Any, options: argparse.Namespace) -> None:
    """Print the ratios of one benchmark."""
    task, count, shots = {
        "mmlu": (options.subject, options.mmlu, 5),
        "hellaswag": ("hellaswag", options.hellaswag, 0),
    }[name]
    questions = requests_of(task, options.data, count, shots)
    few = questions[: options.tried]
    tried = {}
    for size in options.batches:
        tried[size], _ = timed(lambda size=size: theirs(hflm(model, lm, size), few))  # type: ignore[misc]
    best = min(tried, key=lambda size: tried[size])
    print(
        f"{name}: HFLM on {len(few)} questions, seconds by batch size: "
        f"{ {size: round(value, 1) for size, value in tried.items()} }"
    )
    ratios, gaps = [], []
    for _ in range(options.rounds):
        own_seconds, own = timed(lambda: ours(lm, questions))
        seconds, other = timed(lambda: theirs(hflm(model, lm, best), questions))
        ratios.append(seconds / own_seconds)
        gaps.append(max(abs(a[0] - b[0]) for a, b in zip(own, other, strict=True)))
        print(
            f"  {len(questions) / own_seconds:.2f} items/s ours, "
            f"{len(questions) / seconds:.2f} HFLM at batch {best}",
            flush=True,
        )
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(
        f"{name}: {statistics.median(ratios):.2f} x as many items per second ({shown}); "
        f"bar {BARS[name]} x; log-probabilities within {max(gaps):.1e} nats"
    )


def hflm(model: Any, lm: SubjectLM, size: int) -> HFLM:
    return HFLM(pretrained=model, tokenizer=lm.subject.lm.tokenizer, batch_size=size, device="cpu")


def agree(lm: SubjectLM, model: Any, options: argparse.Namespace) -> None:
    """Print the accuracies of both on the same questions, from the harness's own aggregation."""
    import lm_eval

    for name in (*AGREE, *SUBJECTS):
        evaluation = Benchmark(task=name, data=options.data, limit=options.agree)
        evaluation = evaluation.resolved(lm.subject)
        items = evaluation.items(0)
        results = [
            one for b in evaluation.batches(items) for one in evaluation.results(lm.subject, b)
        ]
        found = {row.name: row.value for row in evaluation.measurements(results, resamples=100)}
        (task,) = load_tasks((name,), options.data, evaluation.shots).values()
        harness = lm_eval.simple_evaluate(
            model=hflm(model, lm, 4),
            tasks=[task],
            samples={name: [one.at for one in items]},
            bootstrap_iters=0,
            log_samples=False,
        )
        row = harness["results"][name]
        print(
            f"{name}, {len(items)} questions: accuracy ours {found['accuracy']:.4f}, "
            f"harness {row['acc,none']:.4f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="models/smollm2-135m-instruct")
    parser.add_argument("--data", required=True)
    parser.add_argument("--subject", default="mmlu_management")
    parser.add_argument("--mmlu", type=int, default=32, help="questions; 0: left out")
    parser.add_argument("--hellaswag", type=int, default=32, help="questions; 0: left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--tried", type=int, default=8, help="questions to find the best batch by")
    parser.add_argument("--agree", type=int, default=0, help="questions of each task; 0: none")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    loaded = load_model(options.model)
    lm = SubjectLM(Subject(loaded))
    with quiet():
        for name in BARS:
            if getattr(options, name):
                race(name, lm, loaded.model, options)
        if options.agree:
            agree(lm, loaded.model, options)


if __name__ == "__main__":
    main()
