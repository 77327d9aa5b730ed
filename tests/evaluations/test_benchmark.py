"""Benchmarks: questions, answers by hand, numbers of results, local files, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from detoxlab.cli import app
from detoxlab.errors import ConfigError, DataError, MissingFileError
from detoxlab.evaluations import Benchmark, evaluate_into, load_evaluation, read_evaluated
from detoxlab.evaluations.benchmark.asking import load_tasks
from detoxlab.evaluations.benchmark.lm import SubjectLM
from detoxlab.records import ItemResult
from detoxlab.runs import Run
from detoxlab.subject import Subject
from tests.support.benchmarks import QUESTIONS, SUBJECTS, benchmark_files, write_mmlu
from tests.support.plugins.steer_bias import Bias
from tests.support.tiny import tiny_lm

LM = tiny_lm()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return benchmark_files(tmp_path_factory.mktemp("benchmarks"))


def asked(task: str, folder: Path | str, **changes: Any) -> Benchmark:
    given = {"kind": "benchmark", "task": task, "data": str(folder), **changes}
    evaluation = load_evaluation(given)
    assert isinstance(evaluation, Benchmark)
    return evaluation


def answered(evaluation: Benchmark, seed: int = 0) -> list[ItemResult]:
    batches = evaluation.batches(evaluation.items(seed))
    return [one for batch in batches for one in evaluation.results(Subject(LM), batch)]


def log_probability(context: str, answer: str) -> float:
    before, after = (LM.prompt_ids(text, chat=False) for text in (context, answer))
    with torch.no_grad():
        logits_TV = LM.model(input_ids=torch.tensor([before + after])).logits[0].double()
    own_TV = torch.log_softmax(logits_TV[len(before) - 1 : -1], dim=-1)
    return float(own_TV.gather(1, torch.tensor(after)[:, None]).sum())


def test_the_likeliest_answer_counts_and_the_likeliest_per_character(folder: Path) -> None:
    found = answered(asked("arc_easy", folder))
    assert len(found) == QUESTIONS
    for at, result in enumerate(found):
        context, answers = f"Question: What is {at}?\nAnswer:", ["no", "a number", "it"]
        sums = [log_probability(context, f" {answer}") for answer in answers]
        per_character = [total / len(answer) for total, answer in zip(sums, answers, strict=True)]
        assert result.item == f"arc_easy:{at}"
        assert result.values == {
            "acc": float(max(sums) == sums[1]),
            "acc_norm": float(max(per_character) == per_character[1]),
        }


def test_the_answer_of_lambada_has_its_nats(folder: Path) -> None:
    for at, result in enumerate(answered(asked("lambada", folder))):
        nats = -log_probability(f"We walked {at} days and came", " home")
        assert result.values["nats"] == pytest.approx(nats, abs=1e-3)


def test_mmlu_is_asked_with_five_examples_of_the_subject(folder: Path) -> None:
    (task,) = load_tasks(("mmlu_anatomy",), str(folder), 5).values()
    context = task.fewshot_context(task.eval_docs[2], num_fewshot=5)
    assert context.startswith(
        "The following are multiple choice questions (with answers) about anatomy.\n\n"
        "anatomy, 0?\nA. a\nB. b\nC. c\nD. d\nAnswer: A\n\nanatomy, 1?\n"
    )
    assert context.count("Answer:") == 6
    assert context.endswith("Answer: A\n\nanatomy, 2?\nA. a\nB. b\nC. c\nD. d\nAnswer:")


def test_every_task_and_subject_is_asked(folder: Path) -> None:
    names = {one.task for one in asked("commonsense", folder).items(0)}
    assert names == {
        "boolq",
        "piqa",
        "hellaswag",
        "winogrande",
        "arc_easy",
        "arc_challenge",
        "openbookqa",
    }
    subjects = [one.task for one in asked("mmlu", folder, limit=1).items(0)]
    assert subjects == [f"mmlu_{name}" for name in SUBJECTS]
    assert len(subjects) == 57
    for result in answered(asked("commonsense", folder, limit=2)):
        assert set(result.values) <= {"acc", "acc_norm"}


def test_a_limit_is_a_sample_of_each_task_by_the_seed(folder: Path) -> None:
    whole = {one.id for one in asked("commonsense", folder).items(0)}
    draws = [
        {one.id for one in asked("commonsense", folder, limit=2).items(seed)} for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert all(len(drawn) == 7 * 2 and drawn < whole for drawn in draws)


def test_a_context_that_does_not_fit_is_said(folder: Path) -> None:
    evaluation = asked("mmlu_anatomy", folder)  # five examples take more than 256 bytes
    rows = evaluation.measurements(answered(evaluation), resamples=100)
    assert [row.note for row in rows] == ["3 of 3 questions did not fit: their beginning is cut"]
    fitting = asked("piqa", folder)
    assert [row.note for row in fitting.measurements(answered(fitting), resamples=100)] == [
        None
    ] * 2


def test_white_space_and_empty_contexts_as_in_the_harness() -> None:
    lm = SubjectLM(Subject(LM))
    ((spaced, plain),) = [lm.scores([("one ", "two"), ("one", " two")])]
    assert spaced == plain
    (opened,) = lm.scores([("", "two")])
    assert opened.log_prob == pytest.approx(log_probability("", "two"), abs=1e-3)


def test_settings_are_refused_before_anything_is_asked(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'gsm8k' is not among those"):
        asked("gsm8k", folder).items(0)
    with pytest.raises(MissingFileError, match="holds no piqa file"):
        asked("piqa", tmp_path).items(0)
    with pytest.raises(ConfigError, match="no examples to show"):
        asked("piqa", folder, shots=2).items(0)
    (tmp_path / "piqa.jsonl").write_text(json.dumps({"goal": "you fool"}) + "\n")
    with pytest.raises(DataError, match=r"piqa.jsonl:1: is no log-likelihood request") as caught:
        asked("piqa", tmp_path).items(0)
    assert "fool" not in str(caught.value)
    write_mmlu(tmp_path / "mmlu.tar.gz", subjects=SUBJECTS[:3])
    with pytest.raises(DataError, match="has no dev/business_ethics_dev"):
        asked("mmlu", tmp_path).items(0)


def test_a_steered_subject_is_asked_as_it_decodes(folder: Path) -> None:
    """A bias on one token's logit moves every log-probability as it is added by hand."""
    token = LM.prompt_ids("h", chat=False)[-1]  # " home" is five tokens of one byte
    steered = Subject(LM, (Bias(str(token), -3.0),))
    evaluation = asked("lambada", folder)
    found = evaluation.results(steered, evaluation.items(0))
    for at, result in enumerate(found):
        before = LM.prompt_ids(f"We walked {at} days and came", chat=False)
        after = LM.prompt_ids(" home", chat=False)
        with torch.no_grad():
            logits_TV = LM.model(input_ids=torch.tensor([before + after])).logits[0].double()
        logits_TV[:, token] += 3.0
        own_TV = torch.log_softmax(logits_TV[len(before) - 1 : -1], dim=-1)
        nats = -float(own_TV.gather(1, torch.tensor(after)[:, None]).sum())
        assert result.values["nats"] == pytest.approx(nats, abs=1e-3)


def test_two_evaluated_models_are_compared_alone(folder: Path, tmp_path: Path) -> None:
    runs = []
    for name, seed in (("a", 0), ("b", 3)):
        run = Run.start(tmp_path / name, kind="evaluate", config={}, seed=0, resume=False)
        evaluation = asked("commonsense", folder, limit=2)
        evaluate_into(run, "commonsense", evaluation, Subject(tiny_lm(seed)), resamples=100)
        runs.append(run)
    written = tmp_path / "out.json"
    command = [
        "compare",
        *(str(run.path) for run in runs),
        "--resamples",
        "100",
        "-o",
        str(written),
    ]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.exception
    assert "b − a: commonsense" in shown.output
    assert "piqa: normalised_accuracy" in shown.output
    (content,) = json.loads(written.read_text())
    before, after = (
        evaluation.measurements(read_evaluated(run)["commonsense"].results, resamples=100)[0]
        for run in runs
    )
    row = content["evaluations"]["commonsense"][0]
    assert (row["name"], row["baseline"], row["treated"]) == (
        "macro_accuracy",
        before.value,
        after.value,
    )
