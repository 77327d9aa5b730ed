"""Several servers of one model: which of them answers, or fails, changes no record."""

import subprocess
import sys
from pathlib import Path

import pytest

from detoxlab.errors import EngineError, RunMismatchError
from detoxlab.generate import SameSamplesWarning, generate_into
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.runs import Run
from tests.support.fake_endpoint import FakeEndpoint, answered, drawn_at, engine_at, half
from tests.support.judge_server import serving
from tests.support.kill_driver import kill_when_grown

pytestmark = pytest.mark.enable_socket

PROMPTS = [Prompt(f"p{i}", f"Hello {i}", "t") for i in range(20)]
SAMPLING = Sampling(k=4, seed=2)


def alone(prompts: list[Prompt] = PROMPTS, sampling: Sampling = SAMPLING) -> list[Generation]:
    """The rows from one server without faults."""
    with serving(FakeEndpoint()) as one:
        return drawn_at(one, prompts=prompts, sampling=sampling)


def test_seeds_are_distinct_and_do_not_change_with_k_or_other_prompts() -> None:
    rows = alone()
    assert len({row.text for row in rows}) == 80
    few = alone(PROMPTS[7:9], Sampling(k=2, seed=2))
    assert few == [row for row in rows if row.prompt_id in ("p7", "p8") and row.sample < 2]
    other = alone(PROMPTS, Sampling(k=4, seed=3))
    assert not {row.text for row in rows} & {row.text for row in other}


def test_with_half_the_requests_of_one_server_failing_nothing_is_lost_or_there_twice() -> None:
    with serving(FakeEndpoint(half)) as bad, serving(FakeEndpoint()) as good:
        rows = drawn_at(bad, good, prompts=PROMPTS, sampling=SAMPLING)
    assert rows == alone()
    assert answered([bad, good]) == sorted(set(answered([bad, good])))
    assert bad.answered, "it is asked again after its failures"
    assert good.answered


def test_work_goes_on_without_a_server_that_dies() -> None:
    dying = FakeEndpoint(lambda number, _body: 0 if number > 10 else None)
    with serving(dying), serving(FakeEndpoint()) as good:
        rows = drawn_at(dying, good, prompts=PROMPTS, sampling=SAMPLING)
    assert rows == alone()
    assert len(good.answered) == 80 - 11


def test_nobody_at_an_address_is_no_harm_while_another_server_answers() -> None:
    nobody = FakeEndpoint(url="http://127.0.0.1:9/v1")
    with serving(FakeEndpoint()) as good:
        assert drawn_at(nobody, good, prompts=PROMPTS, sampling=SAMPLING) == alone()


def test_a_server_that_lacks_the_model_is_asked_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(FakeEndpoint(lambda *_: 404)) as wrong, serving(FakeEndpoint()) as good:
        assert drawn_at(wrong, good, prompts=PROMPTS, sampling=SAMPLING) == alone()
        address = wrong.url.removeprefix("http://").removesuffix("/v1")
    assert len(wrong.requests) <= 3
    said = capsys.readouterr().err
    assert said.count(f"warning: {address}: status 404; it is asked no more") == 1


def test_with_no_server_left_it_is_an_error() -> None:
    lacks, busy = (FakeEndpoint(lambda *_, status=status: status) for status in (404, 503))
    with (
        serving(lacks),
        serving(busy),
        pytest.raises(EngineError, match=r"127\.0\.0\.1, model .*: status 503, 4 times"),
    ):
        drawn_at(lacks, busy, prompts=PROMPTS[:1], sampling=Sampling())
    assert (len(lacks.requests), len(busy.requests)) == (1, 4)


def test_each_server_works_on_so_many_requests_at_once_and_no_more() -> None:
    with serving(FakeEndpoint(seconds=0.01)) as one, serving(FakeEndpoint(seconds=0.01)) as two:
        drawn_at(one, two, concurrency=2, prompts=PROMPTS, sampling=SAMPLING)
    assert (one.most_running, two.most_running) == (2, 2)
    with serving(FakeEndpoint(lambda *_: 404)) as lost, serving(FakeEndpoint(seconds=0.01)) as left:
        drawn_at(lost, left, concurrency=2, prompts=PROMPTS, sampling=SAMPLING)
    assert left.most_running == 2, "it does not take over the places of the other one"


def test_a_refused_prompt_is_asked_once() -> None:
    refuses = FakeEndpoint(lambda _number, body: 400 if body["prompt"] == "Hello 3" else None)
    with serving(refuses) as one:
        rows = drawn_at(one, prompts=PROMPTS, sampling=SAMPLING)
    assert [row.sample for row in rows if row.error] == [0, 1, 2, 3]
    assert [body["prompt"] for body in one.requests].count("Hello 3") == 1


def test_a_server_that_does_not_sample_is_warned_of(tmp_path: Path) -> None:
    same = FakeEndpoint(says=lambda body: f" to {body['prompt']}")
    sampled = Run.start(tmp_path / "sampled", kind="measure", config={})
    greedy = Run.start(tmp_path / "greedy", kind="measure", config={})
    with serving(same), engine_at(same) as engine:
        with pytest.warns(SameSamplesWarning, match="each of 3 prompts the same"):
            generate_into(sampled, engine, PROMPTS[:3], Sampling(k=3))
        generate_into(greedy, engine, PROMPTS[:3], Sampling(k=3, temperature=0.0))


DRAW = """
import sys
from tests.generate.test_endpoints import PROMPTS, SAMPLING
from tests.support.fake_endpoint import FakeEndpoint, engine_at
from detoxlab.generate import SameSamplesWarning, generate_into
from detoxlab.runs import Run

run = Run.start(sys.argv[1], kind="measure", config={}, resume=True)
with engine_at(*(FakeEndpoint(url=url) for url in sys.argv[2:]), batch_size=4) as engine:
    generate_into(run, engine, PROMPTS, SAMPLING)
"""


def test_a_killed_run_asks_for_nothing_that_it_has_stored(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "run", kind="measure", config={})
    file = run.path / "generations" / "worker-0.jsonl"
    with serving(FakeEndpoint(seconds=0.02)) as one, serving(FakeEndpoint(seconds=0.02)) as two:
        command = [sys.executable, "-c", DRAW, str(run.path), one.url, two.url]
        assert kill_when_grown(subprocess.Popen(command), file, 500, 0.01)
    stored = {row.prompt_id for row in Run.open(run.path).read_all("generations", Generation)}
    assert 0 < len(stored) < 20
    with (
        serving(FakeEndpoint(half)) as one,
        serving(FakeEndpoint()) as two,
        engine_at(one, two, batch_size=4) as engine,
    ):
        generate_into(run, engine, PROMPTS, SAMPLING)
    asked = {prompt for prompt, _seed in answered([one, two])}
    assert asked == {prompt.text for prompt in PROMPTS if prompt.id not in stored}
    assert run.read_all("generations", Generation) == alone()


def test_a_run_of_a_model_in_the_process_does_not_go_on_at_an_endpoint() -> None:
    with (
        engine_at(FakeEndpoint(url="http://h/v1")) as engine,
        pytest.raises(RunMismatchError, match="not at an endpoint"),
    ):
        engine.restore({"engine": "local"})
