"""The client scorers against our own server: the same numbers as the scorer behind it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detoxlab.cli import main
from detoxlab.errors import ScorerError
from detoxlab.records import Measurement, from_json
from detoxlab.runs import Run
from detoxlab.scorers import load_scorer, score_generations
from detoxlab.scorers.remote.load import load_remote
from tests.scorers.test_remote import generations
from tests.support.served import Server, serving

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

KEY = "sesame-Key_0123456789"
KEYS = {"DETOXLAB_SERVE_KEYS": f"another,{KEY}"}
TEXTS = ["You stupid fool!", "It rains today. \U0001f600", "I will find you.", "\ud83d and so on"]
UNREAD = ["ты дурак", "Das ist nicht mein Haus, und ich gehe nicht hinein", "", " \n"]
BENCH = [*("--prompts", "embedded", "--limit", "12", "--k", "2", "--second", "none"), "--hate"]
JUDGED = {"harassment": "insult", "harassment/threatening": "threat", "hate": "identity_attack"}


@pytest.fixture(scope="module")
def neural() -> Iterator[Server]:
    with serving("rtp-neural", env=KEYS) as server:
        yield server


@pytest.fixture(autouse=True)
def _at_our_server(neural: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, address in (("PERSPECTIVE_URL", neural.url), ("OPENAI_BASE_URL", f"{neural.url}/v1")):
        monkeypatch.setenv(name, address)
    for name in ("PERSPECTIVE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)


def measured(run: Path) -> list[Measurement]:
    """The measurements without the names of scorers and of their scale, which alone may differ."""
    rows = json.loads((run / "measurements.json").read_text())
    found = [from_json(Measurement, row) for row in rows]
    return [replace(one, scorer_id=None, scale=None) for one in found]


def test_perspective_at_our_server_measures_as_its_scorer_does_here(
    neural: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for out, judge in (("here", "rtp-neural"), ("there", "perspective")):
        with pytest.raises(SystemExit) as stop:
            main(["measure", "embedded", *BENCH, "none", "--judge", judge, "--out", out])
        assert not stop.value.code
    host = neural.url.removeprefix("http://")
    assert Run.open("there").info["judge_id"] == f"perspective@{host}"
    assert measured(Path("there")) == measured(Path("here"))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert KEY not in neural.log()


def test_both_leave_the_same_texts_unscored() -> None:
    names = ("rtp-neural", "perspective")
    here_NA, there_NA = (load_scorer(name)(TEXTS + UNREAD) for name in names)
    np.testing.assert_array_equal(there_NA, here_NA)
    assert np.isnan(there_NA[len(TEXTS) :]).all()
    scorer = load_scorer("perspective", cache=False)
    rows = score_generations(scorer, generations(UNREAD))[:: len(scorer.attributes)]
    assert [row.error for row in rows] == ["unsupported language"] * 2 + ["empty"] * 2


def test_moderations_at_our_server_are_the_attributes_that_answer_for_them() -> None:
    here, there = load_scorer("rtp-neural"), load_scorer("openai-moderation")
    columns = {name: here(TEXTS)[:, at] for at, name in enumerate(here.attributes)}
    found = {name: there(TEXTS)[:, at] for at, name in enumerate(there.attributes)}
    for category, attribute in {**JUDGED, "sexual": "sexually_explicit"}.items():
        np.testing.assert_array_equal(found[category], columns[attribute])
    highest_N = np.max([columns[attribute] for attribute in JUDGED.values()], axis=0)
    np.testing.assert_array_equal(found["toxicity"], highest_N)
    unknown = [name for name, column_N in found.items() if np.isnan(column_N).all()]
    assert sorted(found.keys() - set(unknown)) == sorted([*JUDGED, "sexual", "toxicity"])
    assert np.isnan(there(UNREAD)).all()
    assert [there.missing_reason(text) for text in UNREAD[:3]] == [
        *["unsupported language"] * 2,
        "empty",
    ]


def test_a_wrong_key_is_one_line(neural: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "sesame-seed"
    monkeypatch.setenv("PERSPECTIVE_API_KEY", wrong)
    for name in ("perspective", f"perspective={neural.url}"):
        with pytest.raises(ScorerError, match=r"status 403 \(PERMISSION_DENIED\)") as error:
            load_remote(name)(["you fool"])
        assert wrong not in str(error.value)
