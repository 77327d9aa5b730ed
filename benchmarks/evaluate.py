"""How fast benchmarks are asked, against lm-evaluation-harness's own model class, as ratios.

    OMP_NUM_THREADS=1 python benchmarks/evaluate.py --model models/smollm2-135m-instruct \\
        --data FOLDER [--mmlu 32] [--hellaswag 32] [--rounds 3] [--batches 1 4 16] [--agree 300] \\
        [--articles 10]

The same requests of the harness's tasks go to `HFLM`, at the best of several batch sizes, and to
ours, in turn within each round; printed are the rounds' ratios of processor time, their median, and
the largest difference between log-probabilities. All questions of MMLU are of one subject, five
examples each. `--agree N` compares accuracies as well, on N questions of BoolQ, PIQA, ARC-E and
WinoGrande each, and of three subjects of MMLU. `--articles N` compares perplexities of N articles
of WikiText-2, and shows what makes that of `Perplexity` another one than the harness's.
"""

import argparse
import itertools
import json
import re
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM

from detoxlab.data.source import sample
from detoxlab.evaluations import Benchmark, Evaluation, Perplexity
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
    for name in options.agree_on:
        show_both(name, "accuracy", "acc", lm, model, options.data, options.agree)


def wikitext(lm: SubjectLM, model: Any, options: argparse.Namespace) -> None:
    """Print perplexities per word of WikiText-2: the harness's, and ours step by step.

    The harness removes the spaces that WikiText has put around punctuation, and divides by the
    words of the text as published.
    """
    ppl = "word_perplexity"
    show_both("wikitext", ppl, ppl, lm, model, options.data, options.articles, size=1)
    (task,) = load_tasks(("wikitext",), options.data, 0).values()
    asked = Benchmark(task="wikitext", data=options.data, limit=options.articles).items(0)
    articles = [list(task.eval_docs)[one.at] for one in asked]
    texts = {
        "as published": [one["page"] for one in articles],
        "detokenised": [str(task.doc_to_target(one)) for one in articles],
    }
    published = sum(len(re.split(r"\s+", one)) for one in texts["as published"])
    windows = ((None, None), (1024, 1023), (1024, 512), (256, 128))
    for name, pages in texts.items():
        words = sum(len(page.split()) for page in pages)
        for length, stride in windows:
            found = windowed(lm, pages, max_length=length, stride=stride)
            print(
                f"  {name}, windows of {length}, stride {stride}: {found:.4f} per own word, "
                f"{found ** (words / published):.4f} per published word",
                flush=True,
            )


def windowed(lm: SubjectLM, pages: Sequence[str], **settings: Any) -> float:
    """Our perplexity per word of these documents."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "pages.jsonl"
        file.write_text("".join(json.dumps({"text": page}) + "\n" for page in pages))
        evaluation = Perplexity(source=str(file), **settings).resolved(lm.subject)
        return numbers(evaluation, lm, evaluation.items(0))["word_perplexity"]


def show_both(
    name: str,
    ours: str,
    theirs: str,
    lm: SubjectLM,
    model: Any,
    data: str,
    limit: int,
    size: int = 4,
) -> None:
    """Print one number of a task, as we and as the harness compute it, on the same items.

    `size` is the harness's batch: its logits of four articles need more than 10 GiB.
    """
    import lm_eval

    evaluation = Benchmark(task=name, data=data, limit=limit).resolved(lm.subject)
    items = evaluation.items(0)
    found = numbers(evaluation, lm, items)
    (task,) = load_tasks((name,), data, evaluation.shots).values()
    harness = lm_eval.simple_evaluate(
        model=hflm(model, lm, size),
        tasks=[task],
        samples={name: [one.at for one in items]},
        bootstrap_iters=0,
        log_samples=False,
    )
    value = harness["results"][name][f"{theirs},none"]
    print(
        f"{name}, {len(items)} items: {ours} ours {found[ours]:.4f}, harness {value:.4f}",
        flush=True,
    )


def numbers(evaluation: Evaluation, lm: SubjectLM, items: Sequence[Any]) -> dict[str, float]:
    """The numbers of an evaluation of these items, by name."""
    parts = evaluation.batches(items)
    results = [one for part in parts for one in evaluation.results(lm.subject, part)]
    return {row.name: row.value for row in evaluation.measurements(results, resamples=100)}


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
    parser.add_argument("--agree-on", nargs="+", default=[*AGREE, *SUBJECTS], metavar="TASK")
    parser.add_argument("--articles", type=int, default=0, help="of WikiText-2; 0: none")
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
        if options.articles:
            wikitext(lm, loaded.model, options)


if __name__ == "__main__":
    main()
