"""Keys, moderations that are filled, suggestions, several scorers: servers with other settings."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detoxlab.cli import main
from detoxlab.errors import ConfigError
from detoxlab.serve.answers.attributes import served_attributes
from detoxlab.serve.answers.moderations import CATEGORIES, judges
from detoxlab.serve.pool.messages import Offer
from detoxlab.serve.web.keys import Keys, keys_from
from detoxlab.serve.wire.refusals import Refusal
from tests.support.served import ANALYZE, Server, asked, serving

KEY, OTHER = "k-1234567890", "k/+& ü"
ENV = "MY_KEYS"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two keys that keeps suggestions and fills what it does not know."""
    file = tmp_path_factory.mktemp("feedback") / "suggested.jsonl"
    options = ["--keys-from", ENV, "--feedback", str(file), "--fill-unknown"]
    more = ["--public-url", "https://example.org/perspective/"]
    env = {ENV: f"{KEY}, {OTHER}"}
    with serving("rtp-linear", "rtp-linear:2020", options=[*options, *more], env=env) as server:
        server.file = file  # type: ignore[attr-defined]
        yield server


@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {}, 403),
        ("?key=wrong", {}, 403),
        (f"?key={KEY}", {}, 200),
        ("?key=k%2F%2B%26+%C3%BC", {}, 200),
        ("", {"x-goog-api-key": KEY}, 200),
        ("", {"Authorization": f"Bearer {KEY}"}, 200),
        ("", {"Authorization": f"Basic {KEY}"}, 403),
        (f"?key={KEY}x", {}, 403),
        (f"?key={KEY[:-1]}", {}, 403),
        ("?key=", {}, 403),
    ],
)
def test_a_key_is_asked_for(
    locked: Server, query: str, headers: dict[str, str], status: int
) -> None:
    with locked.client() as client:
        answer = client.post(ANALYZE + query, json=asked("fool"), headers=headers)
        moderated = client.post("/v1/moderations" + query, json={"input": "a"}, headers=headers)
        suggested = client.post("/v1alpha1/comments:suggestscore" + query, headers=headers)
    assert answer.status_code == status
    assert moderated.status_code == (401 if status == 403 else 200)
    assert (suggested.status_code == 403) == (status == 403)
    if status == 403:
        assert answer.json()["error"]["status"] == "PERMISSION_DENIED"
        assert KEY[:-1] not in answer.text


@pytest.mark.enable_socket
def test_each_part_of_a_batch_has_its_own_key(locked: Server) -> None:
    """Google's client writes the key into the parts; they also stand under the public path."""
    with_key = f"{ANALYZE}?key={KEY}"
    targets = [with_key, f"/perspective{with_key}", ANALYZE, "/batch?key=x"]
    body = json.dumps(asked("a"))
    parts = "".join(
        f"--x\nContent-Type: application/http\n\nPOST {target} HTTP/1.1\n\n{body}\n"
        for target in targets
    )
    headers = {"Content-Type": "multipart/mixed; boundary=x"}
    with locked.client() as client:
        answer = client.post("/batch", content=f"{parts}--x--", headers=headers)
        outer = client.post(f"/batch?key={KEY}", content=f"{parts}--x--", headers=headers)
    assert statuses(answer.text) == [200, 200, 403, 404]
    assert statuses(outer.text) == [200, 200, 200, 404]


def statuses(text: str) -> list[int]:
    return [int(line.split()[1]) for line in text.splitlines() if line.startswith("HTTP/1.1 ")]


@pytest.mark.enable_socket
def test_the_discovery_document_names_the_public_url(locked: Server, linear: Server) -> None:
    with locked.client() as client:
        public = client.get("/$discovery/rest?version=v1alpha1").json()
        other = client.get("/$discovery/rest?version=v2")
    assert public["rootUrl"] == "https://example.org/perspective/"
    assert other.status_code == 404
    with linear.client() as client:
        own = client.get("/$discovery/rest", headers={"Host": "scorer.lan:81"}).json()
        bad = client.get("/$discovery/rest", headers={"Host": "a/b?c"})
    assert own["rootUrl"] == "http://scorer.lan:81/"
    assert bad.status_code == 400


@pytest.mark.enable_socket
def test_suggestions_are_appended(locked: Server) -> None:
    score = {"summaryScore": {"value": 1}}
    body = {"comment": {"text": "x"}, "attributeScores": {"TOXICITY": score}, "clientToken": "t"}
    path = f"/v1alpha1/comments:suggestscore?key={KEY}"
    file: Path = locked.file  # type: ignore[attr-defined]
    with locked.client() as client:
        assert client.post(path, json=body).json() == {"clientToken": "t"}
        for wrong in (
            body | {"attributeScores": {}},
            body | {"attributeScores": {"TOXICITY": {}}},
            body | {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 2}}}},
            body | {"attributeScores": {"TOXICITY": {"spanScores": [score["summaryScore"]]}}},
            body | {"comment": {"text": ""}},
        ):
            assert client.post(path, json=wrong).status_code == 400
        other = client.post(path, json=body, headers={"Origin": "https://other.example"})
    assert other.status_code == 403
    (line,) = file.read_text().splitlines()
    kept = json.loads(line)
    assert kept.pop("time") > 0
    assert kept == body
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.enable_socket
def test_unknown_categories_are_filled_where_the_operator_says_so(locked: Server) -> None:
    with locked.client() as client:
        answer = client.post(f"/v1/moderations?key={KEY}", json={"input": "fool"})
    (result,) = answer.json()["results"]
    assert list(result["categories"]) == list(result["category_scores"]) == list(CATEGORIES)
    filled = answer.headers["X-Detoxlab-Filled-Categories"].split(", ")
    assert len(filled) == 9
    assert {result["category_scores"][name] for name in filled} == {0.0}
    assert "unknown_categories" not in result


def test_the_first_scorer_that_has_an_attribute_answers_for_it() -> None:
    offers = [Offer("a", ("toxicity",)), Offer("b", ("toxicity", "hate"), (), {"hate": 0.7})]
    found = served_attributes(offers)
    assert (found["TOXICITY"].scorer, found["HATE"].scorer, found["HATE"].column) == (0, 1, 1)
    assert (found["TOXICITY"].threshold, found["HATE"].threshold) == (0.5, 0.7)
    assert {name: one.name for name, one in judges(found).items()} == {
        "harassment": "TOXICITY",
        "hate": "HATE",
    }


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETOXLAB_SERVE_KEYS", raising=False)
    assert not keys_from("DETOXLAB_SERVE_KEYS")
    with pytest.raises(ConfigError, match="MY_KEYS holds no key"):
        keys_from(ENV)
    monkeypatch.setenv(ENV, " , ")
    with pytest.raises(ConfigError):
        keys_from(ENV)
    monkeypatch.setenv(ENV, f"{KEY},")
    keys_from(ENV).check({}, f"key={KEY}")


def test_without_keys_every_request_is_taken() -> None:
    Keys().check({}, "")
    with pytest.raises(Refusal):
        Keys((KEY,)).check({}, "key=%FF%00")


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["serve", *arguments])
    assert stop.value.code == 1
    return capsys.readouterr().err


def test_a_dry_run_checks_and_starts_nothing(capsys: pytest.CaptureFixture[Any]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["serve", "--scorer", "max(rtp-linear, rtp-neural)", "--dry-run"])
    assert stop.value.code == 0
    assert "would serve max(rtp-linear, rtp-neural)" in capsys.readouterr().out
    assert "Did you mean 'rtp-linear'" in failure(capsys, "--scorer", "rtp-liner", "--dry-run")
    assert "public_url" in failure(
        capsys, "--scorer", "rtp-linear", "--public-url", "x", "--dry-run"
    )


@pytest.mark.enable_socket
def test_what_cannot_start_says_why_in_one_line(
    linear: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    taken = failure(capsys, "--scorer", "rtp-linear", "--port", str(linear.port))
    assert "cannot listen at 127.0.0.1" in taken
    assert len(taken.splitlines()) == 1
    (tmp_path / "empty").mkdir()
    broken = failure(capsys, "--scorer", str(tmp_path / "empty"), "--port", "0")
    assert broken.startswith("error: ")
    assert "Traceback" not in broken
