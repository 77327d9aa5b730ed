"""A saved run scored once more: roles by id or name, the run's own seed, protocol and resamples."""

import json
from pathlib import Path

import numpy as np
import pytest

from detoxlab.cli import main
from detoxlab.errors import ConfigError, UnknownNameError
from detoxlab.pipeline import score_again, score_file
from detoxlab.protocols import get_protocol
from detoxlab.records import Generation, Measurement, Prompt, Score
from detoxlab.runs import Run

TEXTS = ("Good morning to you", "you fool, go away", "The sea is calm", "you are a fool")
RESAMPLES = 200


def saved(folder: Path, *, resamples: int = RESAMPLES) -> Run:
    """A run with the scores of `given@1`, the judge, and `other@1`, the second."""
    config = {"protocol": "rtp", "model": "m", "resamples": resamples}
    run = Run.start(folder, kind="measure", config=config, seed=7)
    ids = [f"p{number}" for number in range(len(TEXTS))]
    run.write_once("prompts.jsonl", [Prompt(i, f"Text {i}", "test") for i in ids])
    rows = [Generation(i, 0, text, (1,), "eos") for i, text in zip(ids, TEXTS, strict=True)]
    run.append("generations/worker-0.jsonl", rows)
    for scorer, values in (("given@1", (0.1, 0.9, 0.1, 0.9)), ("other@1", (0.2, 0.2, 0.2, 0.8))):
        for sample in (-1, 0):
            scores = zip(ids, values, strict=True)
            run.append(
                f"scores/{scorer}.jsonl",
                [Score(i, sample, scorer, "toxicity", value) for i, value in scores],
            )
    run.update(judge_id="given@1", second_id="other@1")
    run.finish()
    return run


def fraction(run: Run, scorer: str) -> Measurement:
    rows = (row for row in run.measurements() if row.name == "toxic_fraction")
    return next(row for row in rows if row.scorer_id == scorer and row.group is None)


def roles(run: Run) -> tuple[str | None, str | None]:
    return run.info["judge_id"], run.info["second_id"]


def command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


# --- roles ---


def test_a_new_scorer_is_reported_beside_the_roles_that_were(tmp_path: Path) -> None:
    run = saved(tmp_path / "r")
    score_again(run.path, ["rtp-linear"])
    assert roles(run) == ("given@1", "other@1")
    assert fraction(run, "given@1").value == 0.5
    assert fraction(run, "other@1").value == 0.25
    assert fraction(run, "rtp-linear@1").value is not None


@pytest.mark.parametrize("name", ["other", "other@1"])
def test_the_judge_may_be_a_scorer_of_the_run_by_name_or_id(name: str, tmp_path: Path) -> None:
    run = saved(tmp_path / "r")
    assert command("score", run.path, "--judge", name, "--second", "given") == 0
    assert roles(run) == ("other@1", "given@1")
    assert fraction(run, "other@1").value == 0.25


@pytest.mark.parametrize("more", [[], ["--scorer", "rtp-linear"]])
def test_the_judge_may_be_a_scorer_that_is_run_now(more: list[str], tmp_path: Path) -> None:
    run = saved(tmp_path / "r")
    assert command("score", run.path, "--judge", "rtp-linear", *more) == 0
    assert roles(run) == ("rtp-linear@1", "other@1")


def test_the_second_is_heard_and_may_be_none(tmp_path: Path) -> None:
    run = saved(tmp_path / "r")
    assert command("score", run.path, "--second", "rtp-linear") == 0
    assert roles(run) == ("given@1", "rtp-linear@1")
    assert command("score", run.path, "--second", "none") == 0
    assert roles(run) == ("given@1", None)


@pytest.mark.parametrize(
    ("judge", "second"),
    [("other", None), ("other@1", None), (None, "given"), ("given", "given@1"), ("x", "x")],
)
def test_one_scorer_never_has_both_roles(
    judge: str | None, second: str | None, tmp_path: Path
) -> None:
    run = saved(tmp_path / "r")
    before = (run.path / "run.json").read_bytes()
    wanted = UnknownNameError if judge == "x" else ConfigError
    with pytest.raises(wanted, match=r"judge and second scorer would both be|unknown scorer 'x'"):
        score_again(run.path, judge=judge, second=second)
    assert (run.path / "run.json").read_bytes() == before


def test_a_name_that_nobody_has_is_unknown_and_those_of_the_run_are_listed(tmp_path: Path) -> None:
    run = saved(tmp_path / "r")
    with pytest.raises(UnknownNameError, match=r"unknown scorer 'givn@1'. Did you mean 'given@1'"):
        score_again(run.path, judge="givn@1")
    with pytest.raises(ConfigError, match="somebody must judge"):
        score_again(run.path, judge="none")
    with pytest.raises(ConfigError, match="no scorer named"):
        score_again(run.path)


# --- measured as before ---


def test_the_runs_own_seed_and_resamples_are_used(tmp_path: Path) -> None:
    from detoxlab.measures import measure
    from detoxlab.scorers.scales import with_scales

    run = saved(tmp_path / "r")
    score_again(run.path, ["rtp-linear"])
    expected = measure(run.responses(), protocol=get_protocol("rtp"), seed=7, resamples=RESAMPLES)
    assert run.measurements() == with_scales(expected)


def test_the_resamples_of_an_imported_run_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"Prompt {i},Good morning,{value:.3f}" for i, value in enumerate(rng.random(40))]
    (tmp_path / "r.csv").write_text("\n".join(["prompt,response,tox", *rows]) + "\n")
    options = {"prompt_column": "prompt", "response_column": "response", "second": "rtp-linear"}
    options |= {"score_columns": {"tox": "tox"}, "resamples": RESAMPLES}
    run = score_file(tmp_path / "r.csv", tmp_path / "r", **options)
    before = fraction(run, "tox")
    score_again(run.path, judge="tox")
    assert fraction(run, "tox") == before


# --- options that make no sense for a run ---


@pytest.mark.parametrize(
    "option",
    [
        ("--out", "new"),
        ("--seed", "3"),
        ("--prompt-column", "prompt"),
        ("--response-column", "response"),
        ("--id-column", "id"),
        ("--score-column", "a=b"),
        ("--missing-value", "-1"),
        ("--repeats", "first"),
    ],
    ids=lambda option: option[0],
)
def test_what_makes_no_sense_for_a_run_is_refused_by_name(
    option: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = saved(tmp_path / "r")
    before = json.dumps(run.info)
    assert command("score", run.path, "--scorer", "rtp-linear", *option) == 1
    error = capsys.readouterr().err
    assert f"error: {option[0]}: {run.path} is a run, which is scored in place" in error
    assert json.dumps(run.info) == before
