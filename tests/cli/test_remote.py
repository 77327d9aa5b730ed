"""Commands whose scorers are services, as a user gives them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from detoxlab.cli import main
from detoxlab.records import Measurement, from_json
from detoxlab.runs import Run
from tests.support.faulty_service import PERSPECTIVE, FaultyService, serving_linear

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

RESPONSES = [
    *(f"you fool, and you too, number {i}" for i in range(12)),
    *(f"What a lovely day it is, number {i}" for i in range(12)),
    "ты дурак",
    "",
]
KEY = "sesame-Key_0123456789"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyService]:
    with serving_linear() as served:
        monkeypatch.setenv("PERSPECTIVE_URL", served.url)
        monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{served.url}/v1")
        yield served


@pytest.fixture
def responses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "responses.jsonl"
    rows = [{"prompt": f"prompt {i}", "response": text} for i, text in enumerate(RESPONSES)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def measured(run: Path) -> list[Measurement]:
    """The measurements without the names of scorers, which alone may differ."""
    rows = json.loads((run / "measurements.json").read_text())
    found = [from_json(Measurement, row) for row in rows]
    return [replace(one, scorer_id=None, scale=None, note=None) for one in found]


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code, and what stands on the terminal."""
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return int(stop.value.code or 0), "".join(capsys.readouterr())


def test_a_service_measures_as_the_scorer_behind_it(
    service: FaultyService, responses: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out, judge in (("here", "rtp-linear"), ("there", "perspective")):
        roles = ["--judge", judge, "--second", "openai-moderation"]
        code, shown = command(capsys, "score", str(responses), *roles, "--out", out)
        assert (code, KEY in shown) == (0, False), shown
    assert measured(Path("there")) == measured(Path("here"))
    host = service.url.removeprefix("http://")
    info = Run.open("there").info
    assert info["judge_id"] == f"perspective@{host}"
    assert info["second_id"] == f"openai-moderation@{host}"
    rows = json.loads(Path("there/measurements.json").read_text())
    by_second = [row for row in rows if row["scorer_id"] == info["second_id"]]
    assert {row["name"] for row in by_second} >= {"toxic_fraction"}
    assert all(row["value"] is not None for row in by_second)
    # Each text once by each service; the second run finds what both gave in the cache.
    assert {service.asked[text] for text in RESPONSES if text.isascii() and text} == {2}


def test_a_saved_run_gets_a_service_as_a_further_scorer(
    service: FaultyService, responses: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = ["score", str(responses), "--judge", "rtp-linear", "--second", "openai-moderation"]
    assert command(capsys, *begin, "--out", "run")[0] == 0
    assert command(capsys, "score", "run", "--scorer", "perspective#toxicity+insult")[0] == 0
    assert PERSPECTIVE in service.paths
    files = [path for path in Path("run").rglob("*") if path.is_file()]
    assert any("perspective" in path.name for path in files)
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_without_a_key_a_command_stops_before_it_begins(
    responses: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PERSPECTIVE_URL", raising=False)
    monkeypatch.delenv("PERSPECTIVE_API_KEY", raising=False)
    measure = ["measure", "embedded", "--prompts", "embedded", "--judge", "perspective"]
    score = ["score", str(responses), "--judge", "perspective", "--second", "rtp-linear"]
    for arguments in ([*measure, "--dry-run"], measure, [*score, "--dry-run"], score):
        code, shown = command(capsys, *arguments, "--out", "run")
        assert code == 1
        *begun, said = shown.strip().splitlines()
        assert "PERSPECTIVE_API_KEY holds no API key. Set it" in said
        assert [line.partition(",")[0] for line in begun] in ([], [" ".join(arguments[:2])])
    assert not Path("run").exists()
