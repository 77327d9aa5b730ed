"""The harness's own numbers, from its own model class, beside ours; and a run that is killed."""

import gzip
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import lm_eval
import numpy as np
import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from detoxlab.errors import ConfigError, DataError
from detoxlab.evaluations import Benchmark, evaluate_into, read_evaluated
from detoxlab.evaluations.benchmark.asking import load_tasks, quiet
from detoxlab.evaluations.benchmark.kind import Question
from detoxlab.evaluations.benchmark.lm import SubjectLM
from detoxlab.models import LanguageModel, load_model
from detoxlab.records import ItemResult
from detoxlab.runs import Run
from detoxlab.subject import Subject
from tests.support.kill_driver import kill_when_grown

LIMIT = 24


@pytest.fixture(scope="module")
def lm(data_dir: Path) -> LanguageModel:
    return load_model(str(data_dir / "models" / "tinystories-656k"))


# Questions are drawn by seeds with which the harness's own class can ask this model: its
# tokenizer leaves the answers to some of LAMBADA's without a token.
TASKS = {"arc_easy": 0, "mmlu_astronomy": 0, "lambada_openai": 5, "wikitext": 0}
NAMES = {
    "acc": "accuracy",
    "acc_norm": "normalised_accuracy",
    "perplexity": "target_perplexity",
    "word_perplexity": "word_perplexity",
    "byte_perplexity": "byte_perplexity",
}


def own_numbers(
    lm: LanguageModel, tasks: dict[str, Any], places: dict[str, list[int]]
) -> dict[str, dict[str, float]]:
    """The harness's numbers by its own model class, one call for all tasks: it takes 10 seconds."""
    with quiet():
        model = HFLM(pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=8, device="cpu")
        found = lm_eval.simple_evaluate(
            model=model,
            tasks=list(tasks.values()),
            samples=places,
            bootstrap_iters=0,
            log_samples=False,
        )
    return {
        name: {NAMES[key]: rows[f"{key},none"] for key in NAMES if f"{key},none" in rows}
        for name, rows in found["results"].items()
    }


@pytest.fixture(scope="module")
def folder(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The benchmarks' files, and two articles in WikiText's layout: one of them fills two windows.

    They name no `<unk>`, which this tokenizer has as a control token.
    """
    made = tmp_path_factory.mktemp("benchmarks")
    (made / "utility").symlink_to(data_dir / "utility")
    park = " = Park = \n \n = = Trees = = \n \n " + 'It has 1 @,@ 200 " old " trees . ' * 80
    (made / "wikitext2_test.txt").write_text(f"{park}\n = Lake = \n \n It is deep , and cold .\n")
    return made


@pytest.mark.slow
def test_the_harness_gives_the_same_numbers(lm: LanguageModel, folder: Path) -> None:
    ours, tasks, places = {}, {}, {}
    for name, seed in TASKS.items():
        asked = Benchmark(task=name, data=str(folder), limit=LIMIT)
        evaluation = asked.resolved(Subject(lm))
        items = evaluation.items(seed)
        rows = evaluation.measurements(evaluation.results(Subject(lm), items), resamples=100)
        ours[name] = {row.name: row.value for row in rows}
        tasks |= load_tasks((name,), str(folder), evaluation.shots)
        places[name] = [one.at for one in items]
    assert set(ours["arc_easy"]) == {"accuracy", "normalised_accuracy"}
    assert set(ours["lambada_openai"]) == {"accuracy", "target_perplexity"}
    theirs = own_numbers(lm, tasks, places)
    assert ours == {name: pytest.approx(rows, rel=1e-4) for name, rows in theirs.items()}


@pytest.mark.parametrize(
    ("task", "file"),
    [
        ("boolq", "boolq__rc_0shot"),
        ("arc_easy", "arc_easy__rc_0shot"),
        ("winogrande", "winogrande__rc_0shot"),
        ("lambada_openai", "lambada__bpb_0shot"),
    ],
)
def test_the_harness_asks_the_ready_requests(data_dir: Path, task: str, file: str) -> None:
    """Where those have the harness's own prompt, row by row."""
    (loaded,) = load_tasks((task,), str(data_dir / "utility"), 0).values()
    with gzip.open(data_dir / "utility" / f"{file}.jsonl.gz", "rt") as packed:
        lines = list(itertools.islice(packed, 40))
    ready: dict[int, set[tuple[str, str]]] = {}
    for line in map(json.loads, lines):
        request = line["request"]
        ready.setdefault(line["doc_id"], set()).add((request["context"], request["continuation"]))
    ready.popitem()  # perhaps not whole
    for at, pairs in ready.items():
        doc = loaded.eval_docs[at]
        made = loaded.construct_requests(
            doc=doc, ctx=loaded.fewshot_context(doc, num_fewshot=0), metadata=(task, at, 1)
        )
        assert {one.args for one in (made if isinstance(made, list) else [made])} == pairs


def asked(kind: str, *arguments: Any) -> list[Instance]:
    return [Instance(kind, {}, one, at) for at, one in enumerate(arguments)]


def test_running_text_and_responses_are_the_harness_s(lm: LanguageModel) -> None:
    """A text longer than the context, in windows; and greedy responses with stop strings."""
    theirs = HFLM(pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=2, device="cpu")
    ours = SubjectLM(Subject(lm))
    story = "Once upon a time there was a little girl who liked to play in the park. "
    texts = asked("loglikelihood_rolling", (story * 60,), (story,), ("Tom and his dog ran.",))
    assert len(lm.tokenizer(story * 60).input_ids) > lm.context_length
    np.testing.assert_allclose(
        ours.loglikelihood_rolling(texts),
        theirs.loglikelihood_rolling(texts, disable_tqdm=True),
        rtol=1e-5,
    )
    said = {"until": ["."], "max_gen_toks": 12}
    prompts = asked(
        "generate_until", (story, said), ("Tom and", said), ("One day", {**said, "until": []})
    )
    expected = theirs.generate_until(prompts, disable_tqdm=True)
    # The harness decodes a response alone, where this tokenizer drops the space before it.
    assert [text.lstrip() for text in ours.generate_until(prompts)] == expected


@pytest.mark.slow  # the harness reads all of its tasks
def test_what_the_hub_cannot_give_is_said() -> None:
    with pytest.raises(ConfigError, match=r"no task 'pikwa'\. Did you mean .*'piqa'"):
        load_tasks(("pikwa",), None, None)
    with pytest.raises(DataError, match="the data of piqa cannot be had from the hub"):
        load_tasks(("piqa",), None, None)


class Watched(Benchmark):
    """Keeps the names of the questions that it asked."""

    asked: ClassVar[list[str]] = []

    def results(self, subject: Subject, items: Sequence[Question]) -> list[ItemResult]:
        self.asked.extend(one.id for one in items)
        return super().results(subject, items)


@pytest.mark.slow  # kills a command, and repeats it whole
def test_mmlu_goes_on_after_a_kill(lm: LanguageModel, data_dir: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"task": "mmlu", "data": str(data_dir / "utility"), "limit": 2}
    model, out = str(data_dir / "models" / "tinystories-656k"), tmp_path / "killed"
    command = [sys.executable, "-m", "detoxlab", "evaluate", model, "--tasks", "mmlu"]
    command += ["--data", settings["data"], "--limit", "2", "-o", str(out), "--resamples", "100"]
    rows = out / "evaluation" / "mmlu.jsonl"
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert kill_when_grown(process, rows, 1500, 0.0)
    kept = [
        json.loads(line)["item"]
        for line in rows.read_text().splitlines(keepends=True)
        if line.endswith("\n")
    ]
    assert 10 < len(kept) < 2 * 57

    watched = Watched.model_validate(settings)
    Watched.asked.clear()
    run = Run.open(out)
    evaluate_into(run, "mmlu", watched, Subject(lm), resamples=100)
    whole = Run.start(tmp_path / "whole", kind="evaluate", config={}, seed=0, resume=False)
    evaluate_into(whole, "mmlu", Benchmark.model_validate(settings), Subject(lm), resamples=100)

    assert not set(Watched.asked) & set(kept)
    assert len(kept) + len(Watched.asked) == 2 * 57
    assert rows.read_bytes() == (whole.path / "evaluation" / "mmlu.jsonl").read_bytes()
    assert read_evaluated(run)["mmlu"].measurements == read_evaluated(whole)["mmlu"].measurements
