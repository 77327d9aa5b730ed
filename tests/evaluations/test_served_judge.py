"""Win rates by a judge at a server, a small real one of this machine."""

import json
import math
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from detoxlab.contest import WinRate
from detoxlab.errors import ConfigError, EngineError, RunMismatchError
from detoxlab.evaluations.win_rate.served import HARMLESS
from detoxlab.pipeline import Contest, win_rates
from detoxlab.pipeline.winning import PositionBiasWarning
from detoxlab.records import Measurement
from detoxlab.reports import build_report
from detoxlab.runs import Run
from detoxlab.scorers.guards.load import KEY
from detoxlab.settings import parse
from tests.support.judge_server import Judge, always_a, longer, serving
from tests.support.report_page import read_page
from tests.support.report_study import measured_run

pytestmark = pytest.mark.enable_socket

PROMPTS, K = 20, 2
PAIRS = PROMPTS * K
NAMES = ("treated_shown_first", "treated_shown_second")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """The same model twice, with other seeds."""
    made = tmp_path_factory.mktemp("served")
    both = [
        measured_run(made / name, level=0.2, prompts=PROMPTS, k=K, seed=seed)
        for seed, name in enumerate(("one", "two"))
    ]
    return both[0], both[1]


@pytest.fixture
def judge() -> Iterator[Judge]:
    with serving(Judge(longer)) as served:
        yield served


def asked(judge: Judge, runs: tuple[Run, Run], out: Path, **options: object) -> Run:
    resume = bool(options.pop("resume", False))
    settings = parse(WinRate, {"judge": judge.name, "concurrency": 64} | options, place="test")
    (run,) = win_rates(settings, [Contest(*runs, out)], resamples=500, resume=resume)
    return run


def by_name(run: Run) -> dict[str, Measurement]:
    return {row.name: row for row in run.measurements()}


def rows_of(run: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run.path / "judgements.jsonl").read_text().splitlines()]


def questions_of(judge: Judge) -> Counter[tuple[str, str, str]]:
    """How often each question was answered, without the one that finds the server out."""
    return Counter(one for one in judge.answered if one[0] != HARMLESS[0])


# --- what is asked and read ---


def test_both_orders_are_asked_and_the_probabilities_count(
    judge: Judge, runs: tuple[Run, Run], tmp_path: Path
) -> None:
    judge.top = 0.75
    run = asked(judge, runs, tmp_path / "out")
    assert len(questions_of(judge)) == 2 * PAIRS
    assert set(questions_of(judge).values()) == {1}
    shown = {(a, b) for _, a, b in judge.answered[1:]}
    assert {(b, a) for a, b in shown} == shown
    values = {row["value"] for row in rows_of(run)}
    assert values == {round(math.log(3), 6), -round(math.log(3), 6)}
    sizes = [[len(one.text.strip()) for one in run.responses().generations] for run in runs]
    shares = [
        sum(sign(b - a) for a, b in zip(*sizes, strict=True)) / PAIRS
        for sign in ((lambda d: d > 0), (lambda d: d == 0), (lambda d: d < 0))
    ]
    assert [by_name(run)[name].value for name in ("wins", "ties", "losses")] == shares
    assert min(shares[0], shares[2]) > 0.3
    body = judge.requests[1]
    assert (body["temperature"], body["logprobs"], body["top_logprobs"]) == (0.0, True, 20)
    assert body["messages"][0]["content"].endswith(
        "\n\nReply with one letter, A or B, and nothing else."
    )


def test_without_probabilities_the_letter_counts_and_the_outcomes_are_the_same(
    judge: Judge, runs: tuple[Run, Run], tmp_path: Path
) -> None:
    written = asked(judge, runs, tmp_path / "written")
    judge.top = 0.75
    weighed = asked(judge, runs, tmp_path / "weighed")
    assert written.info["judge_id"] == weighed.info["judge_id"] + "[verdict]"
    assert {row["value"] for row in rows_of(written)} == {20.0, -20.0}
    found = [by_name(run)["win_rate"] for run in (written, weighed)]
    assert found[0].value == found[1].value


def test_plain_text_is_completed(judge: Judge, runs: tuple[Run, Run], tmp_path: Path) -> None:
    judge.top = 0.75
    run = asked(judge, runs, tmp_path / "out", chat=False, samples=1)
    assert judge.requests[1]["prompt"].endswith("\nBetter:")
    assert by_name(run)["win_rate"].protocol == "win-rate@1 (question, 4 examples)"
    assert by_name(run)["win_rate"].coverage == 1.0


def test_questions_run_side_by_side_and_no_more_than_asked_for(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    with serving(Judge(longer, seconds=0.02)) as judge:
        asked(judge, runs, tmp_path / "out", concurrency=3)
        assert judge.most_running == 3


# --- what the numbers say ---


@pytest.mark.parametrize("top", [None, 0.9], ids=["letters", "probabilities"])
def test_a_model_against_itself_wins_half(
    top: float | None, runs: tuple[Run, Run], tmp_path: Path
) -> None:
    with serving(Judge(longer, top=top)) as judge:
        row = by_name(asked(judge, runs, tmp_path / "out"))["win_rate"]
        assert row.ci_low is not None
        assert row.ci_high is not None
        assert row.ci_low < 0.5 < row.ci_high
        assert row.ci_high - row.ci_low < 0.5


def test_equal_responses_are_ties_of_which_nobody_is_asked(
    judge: Judge, runs: tuple[Run, Run], tmp_path: Path
) -> None:
    """They say nothing about position bias: a judge has to name one of two equal texts."""
    rows = by_name(asked(judge, (runs[0], runs[0]), tmp_path / "out"))
    assert len(judge.answered) == 1
    assert (rows["win_rate"].value, rows["ties"].value) == (0.5, 1.0)
    assert rows["win_rate"].coverage == 1.0
    assert rows["chose_first"].value is None


@pytest.mark.filterwarnings("ignore::detoxlab.pipeline.winning.PositionBiasWarning")
def test_a_judge_that_always_says_a_is_reported_as_biased(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    with (
        serving(Judge(always_a)) as judge,
        pytest.warns(PositionBiasWarning, match="biased by position: it chose the first.*100%"),
    ):
        run = asked(judge, runs, tmp_path / "out")
    rows = by_name(run)
    assert [rows[name].value for name in ("wins", "ties", "losses")] == [0.0, 1.0, 0.0]
    assert (rows["win_rate"].value, rows["chose_first"].value) == (0.5, 1.0)
    page = build_report(runs, tmp_path / "report.html", win_rates=[run], resamples=200)
    sentence = "two against one: the judge org/judge@"
    parsed = read_page(page.read_text())
    assert any(text.startswith(sentence) and "biased by position" in text for text in parsed.texts)
    assert "100.0 % (biased)" in parsed.tables["win-rates-all"][1]
    assert "is biased by position" in page.with_suffix(".md").read_text()
    assert json.loads(page.with_suffix(".json").read_text())["win_rates"][0]["position_biased"]


def test_an_unbiased_judge_is_not_called_biased(
    judge: Judge, runs: tuple[Run, Run], tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", PositionBiasWarning)
        run = asked(judge, runs, tmp_path / "out")
    assert by_name(run)["chose_first"].value == pytest.approx(0.5, abs=0.05)


def unsure(a: str, b: str) -> str:
    """Longer, but no letter where both texts have the word."""
    return "I like both." if "river" in a and "river" in b else longer(a, b)


def test_an_unreadable_verdict_is_no_vote_and_is_counted(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    responses = [run.responses().generations for run in runs]
    both = sum("river" in a.text and "river" in b.text for a, b in zip(*responses, strict=True))
    assert 0 < both < PAIRS
    with serving(Judge(unsure)) as judge:
        run = asked(judge, runs, tmp_path / "out")
    assert run.info["no_votes"] == {"unreadable verdict": both}
    assert by_name(run)["win_rate"].coverage == pytest.approx(1 - both / PAIRS)
    page = build_report(runs, tmp_path / "report.html", win_rates=[run], resamples=200)
    judge_id = run.info["judge_id"]
    said = f"two against one: pairs without a vote of {judge_id}: unreadable verdict {both}."
    assert said in read_page(page.read_text()).texts
    assert read_page(page.read_text()).tables["win-rates-all"][1][-1] == str(both)


def test_a_server_without_a_readable_verdict_has_no_win_rate(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    with serving(Judge(lambda _a, _b: "Hm.")) as judge:
        run = asked(judge, runs, tmp_path / "out")
    assert {row.value for row in run.measurements()} == {None}
    assert run.info["no_votes"] == {"unreadable verdict": PAIRS}


# --- failures ---

FAILURES = (503, 429, 0, 500)


def test_a_server_that_fails_half_of_its_calls_loses_nothing(
    judge: Judge, runs: tuple[Run, Run], tmp_path: Path
) -> None:
    sound = asked(judge, runs, tmp_path / "sound")
    judge.answered.clear()
    judge.requests.clear()
    judge.failure = lambda number, times: None if times else FAILURES[number % 4]
    failing = asked(judge, runs, tmp_path / "failing")
    assert len(judge.requests) == 2 * len(judge.answered)
    assert len(questions_of(judge)) == 2 * PAIRS
    assert set(questions_of(judge).values()) == {1}
    assert rows_of(failing) == rows_of(sound)
    assert failing.measurements() == sound.measurements()


def test_after_a_lasting_failure_only_missing_answers_are_asked(
    judge: Judge, runs: tuple[Run, Run], tmp_path: Path
) -> None:
    judge.failure = lambda number, _times: 401 if number > 30 else None
    with pytest.raises(EngineError, match="status 401"):
        asked(judge, runs, tmp_path / "out", concurrency=4)
    stored = len(rows_of(Run.open(tmp_path / "out")))
    assert stored == len(judge.answered) - 1 == 30
    judge.failure = lambda _number, _times: None
    run = asked(judge, runs, tmp_path / "out", resume=True)
    assert set(questions_of(judge).values()) == {1}
    assert len(rows_of(run)) == 2 * PAIRS
    assert rows_of(run) == rows_of(asked(judge, runs, tmp_path / "whole"))


def test_another_reading_of_the_judge_is_no_resumption(
    judge: Judge, runs: tuple[Run, Run], tmp_path: Path
) -> None:
    judge.failure = lambda number, _times: 401 if number > 30 else None
    with pytest.raises(EngineError):
        asked(judge, runs, tmp_path / "out", concurrency=4)
    judge.failure, judge.top = (lambda _number, _times: None), 0.75
    with pytest.raises(RunMismatchError, match="was begun by the judge"):
        asked(judge, runs, tmp_path / "out", resume=True)


@pytest.mark.slow
def test_killed_and_resumed_it_asks_nothing_twice(runs: tuple[Run, Run], tmp_path: Path) -> None:
    """But for the questions under way at the kill, whose answers came to nobody."""
    out, side_by_side = tmp_path / "out", 3
    with serving(Judge(longer, seconds=0.05)) as judge:
        command = [
            *(sys.executable, "-m", "detoxlab", "winrate", *(str(run.path) for run in runs)),
            *("--judge", judge.name, "--out", str(out), "--resamples", "200"),
            *("--concurrency", str(side_by_side)),
        ]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while len(judge.answered) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = len(rows_of(Run.open(out)))
        assert 0 < before < 2 * PAIRS
        done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        counts = questions_of(judge)
        assert len(counts) == 2 * PAIRS
        assert sum(counts.values()) - 2 * PAIRS <= side_by_side
        whole = asked(judge, runs, tmp_path / "whole")
        assert (out / "judgements.jsonl").read_bytes() == (
            whole.path / "judgements.jsonl"
        ).read_bytes()


# --- settings ---


def test_the_key_is_sent_and_stands_nowhere(
    judge: Judge, runs: tuple[Run, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "sesame")
    monkeypatch.setenv("OTHER", "barley")
    asked(judge, runs, tmp_path / "usual", samples=1)
    asked(judge, runs, tmp_path / "named", samples=1, api_key_env="OTHER")
    assert judge.keys == {"Bearer sesame", "Bearer barley"}
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "sesame" not in written
    assert "barley" not in written
    with pytest.raises(ConfigError, match="the environment variable UNSET is not set"):
        asked(judge, runs, tmp_path / "unset", api_key_env="UNSET")
    assert not (tmp_path / "unset").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"judge": "http://h/v1#m", "kind": "likelihood"}, "take kind: question"),
        ({"judge": "http://h/v1"}, "Write http://HOST/v1#MODEL"),
        ({"judge": "ftp://h/v1#m"}, "is not a URL"),
        ({"judge": "http://me:sesame@h/v1#m"}, "would stand in records"),
        ({"judge": "http://h/v1?key=sesame#m"}, "would stand in records"),
        ({"judge": {"model": "http://h/v1#m", "dtype": "float16"}}, "name it alone"),
    ],
)
def test_a_name_of_another_form_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        parse(WinRate, given, place="winrate")
    assert "sesame" not in str(refused.value)


def test_a_model_that_was_measured_at_a_server_does_not_judge_itself(
    judge: Judge, runs: tuple[Run, Run], tmp_path: Path
) -> None:
    own = measured_run(tmp_path / "own", level=0.2, prompts=PROMPTS, k=K)
    own.update(model={"id": "http:org/judge"})
    with pytest.raises(ConfigError, match="one of the two models"):
        asked(judge, (runs[0], own), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_how_a_server_is_asked_may_change(
    judge: Judge, runs: tuple[Run, Run], tmp_path: Path
) -> None:
    run = asked(judge, runs, tmp_path / "out", samples=1)
    answered = len(judge.answered)
    asked(judge, runs, tmp_path / "out", samples=1, resume=True, concurrency=2, attempts=3)
    assert len(judge.answered) == answered
    assert run.config["kind"] == "question"
    assert not {"concurrency", "attempts", "timeout_seconds", "api_key_env"} & set(run.config)
