"""Scorers at services, against a small real server with faults."""

import asyncio
import datetime
import email.utils
import itertools
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from detoxlab.errors import ConfigError, ScorerError, UnknownNameError
from detoxlab.records import Generation, Score
from detoxlab.runs import Run
from detoxlab.scorers import cached, check_scorer, load_scorer, score_generations, score_into
from detoxlab.scorers.names import single_scorers
from detoxlab.scorers.remote.load import load_remote
from detoxlab.scorers.remote.scorer import HARMLESS
from tests.support.faulty_service import (
    FAULTS,
    MODERATIONS,
    PASSING,
    PERSPECTIVE,
    TIMEOUT_SECONDS,
    UNKNOWN_LANGUAGE,
    Fault,
    FaultyService,
    about_the_text,
    length_scores,
    scorer_at,
    serving,
)

pytestmark = pytest.mark.enable_socket

KEY = "sesame-Key_0123456789"
TEXTS = [f"you fool number {'x' * i}" for i in range(12)]
ODD = TEXTS[5]
SERVICES = ("perspective", "openai-moderation")
REASONS = {
    "429": "failed: status 429, 3 times",
    "500": "failed: status 500, 3 times",
    "503": "failed: status 503, 3 times",
    "hang": f"failed: no whole answer in {TIMEOUT_SECONDS:g} s, 3 times",
    "byte by byte": f"failed: no whole answer in {TIMEOUT_SECONDS:g} s, 3 times",
    "truncated JSON": "failed: an answer that is not JSON",
    "no probability": "failed: a score that is no probability",
    "redirect": "failed: a redirect, which is not followed (status 307)",
}


@pytest.fixture
def service() -> Iterator[FaultyService]:
    with serving(FaultyService()) as served:
        yield served


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("PERSPECTIVE", "OPENAI"):
        for name in ("URL", "BASE_URL", "API_KEY", "REQUESTS_PER_SECOND", "LANGUAGES"):
            monkeypatch.delenv(f"{service}_{name}", raising=False)


def toxicity_of(texts: list[str]) -> list[float]:
    return [length_scores(text, 1)[0] for text in texts]


def timeout_for(fault: str) -> dict[str, float]:
    """A long one where none shall run out, however busy the machine is."""
    return {"timeout_seconds": TIMEOUT_SECONDS if fault in ("hang", "byte by byte") else 30.0}


def generations(texts: list[str]) -> list[Generation]:
    return [Generation(f"p{i}", 0, text, (), "eos") for i, text in enumerate(texts)]


@pytest.mark.parametrize("name", SERVICES)
def test_every_text_is_asked_about_once_and_keeps_its_place(
    name: str, service: FaultyService
) -> None:
    scorer = scorer_at(service, name)
    scores_NA = scorer([*TEXTS, "", TEXTS[0], " \n"])
    assert scorer.attributes[0] == "toxicity"
    np.testing.assert_array_equal(scores_NA[[*range(12), 13], 0], toxicity_of([*TEXTS, TEXTS[0]]))
    assert np.isnan(scores_NA[[12, 14]]).all()
    assert [scorer.missing_reason(text) for text in ("", " \n", ODD)] == ["empty", "empty", ""]
    assert service.asked == service.answered == Counter(TEXTS)


def test_the_requests_are_those_of_the_documentation(
    service: FaultyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer_at(service, "perspective#toxicity+threat", languages=["en"])(["café \ud83d"])
    monkeypatch.setenv("PERSPECTIVE_LANGUAGES", "en, de")
    assert scorer_at(service).id == f"perspective@{service.url[7:]}[en,de]"
    scorer_at(service, "openai-moderation#hate")(["you fool"])
    assert service.paths == {PERSPECTIVE, MODERATIONS}
    assert service.bodies == [
        {
            "comment": {"text": "café ?"},
            "requestedAttributes": {"TOXICITY": {}, "THREAT": {}},
            "languages": ["en"],
            "doNotStore": True,
        },
        {"model": "omni-moderation-latest", "input": "you fool"},
    ]


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("fault", PASSING)
def test_after_a_passing_fault_every_text_is_scored_once(
    fault: str, name: str, service: FaultyService
) -> None:
    service.fault = lambda text, times: FAULTS[fault] if text == ODD and times < 2 else None
    scores_NA = scorer_at(service, name, **timeout_for(fault))(TEXTS)
    np.testing.assert_array_equal(scores_NA[:, 0], toxicity_of(TEXTS))
    assert service.answered == Counter(TEXTS)
    assert service.asked == Counter(TEXTS) + Counter({ODD: 2})


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_lasting_fault_the_text_is_missing_and_the_others_are_scored_once(
    fault: str, name: str, service: FaultyService
) -> None:
    with serving(FaultyService()) as other:
        service.elsewhere = other.url
        service.fault = lambda text, _times: FAULTS[fault] if text == ODD else None
        scorer = scorer_at(service, name, **timeout_for(fault))
        scores_NA = scorer(TEXTS)
    rest = [text for text in TEXTS if text != ODD]
    assert np.isnan(scores_NA[5]).all()
    np.testing.assert_array_equal(np.delete(scores_NA[:, 0], 5), toxicity_of(rest))
    assert Counter(rest) == service.answered - Counter({HARMLESS: 1})
    assert service.asked[ODD] == (3 if fault in PASSING else 1)
    reason = scorer.missing_reason(ODD)
    assert reason.startswith("failed: ")
    assert reason == REASONS.get(fault, reason)
    assert other.requests == []


def test_a_wrong_number_of_scores_is_told(service: FaultyService) -> None:
    service.fault = lambda text, _times: FAULTS["wrong number of scores"] if text == ODD else None
    for name, reason in {
        "perspective": "failed: an answer with 7 scores in place of 8",
        "openai-moderation": "failed: an answer with 2 results in place of 1",
    }.items():
        scorer = scorer_at(service, name)
        scorer([ODD])
        assert scorer.missing_reason(ODD) == reason


@pytest.mark.parametrize(
    ("kind", "reason"),
    {
        "COMMENT_EMPTY": "empty",
        "COMMENT_TOO_LONG": "failed: too long for the service",
        UNKNOWN_LANGUAGE: "unsupported language",
        "LANGUAGE_DETECTION_FAILED": "unsupported language",
        "INVALID_REQUEST": "failed: status 400 (INVALID_REQUEST)",
    }.items(),
)
def test_a_text_that_the_service_turns_down_is_missing(
    kind: str, reason: str, service: FaultyService
) -> None:
    service.fault = lambda text, _times: about_the_text(kind) if text == ODD else None
    scorer = scorer_at(service)
    rows = score_generations(scorer, generations([ODD, "you fool"]))
    assert [row.error for row in rows] == [reason] * 8 + [None] * 8


def test_moderations_turn_down_texts_too(service: FaultyService) -> None:
    """By the codes of `detoxlab serve`; OpenAI's service documents none about a text."""
    code = UNKNOWN_LANGUAGE.lower()
    service.fault = lambda text, _times: Fault(400, error={"code": code}) if text == ODD else None
    scorer = scorer_at(service, "openai-moderation")
    assert np.isnan(scorer([ODD])).all()
    assert scorer.missing_reason(ODD) == "unsupported language"


@pytest.mark.parametrize("said", ["seconds", "date"])
def test_a_server_that_is_asked_too_often_is_left_alone_as_long_as_it_says(
    said: str, service: FaultyService
) -> None:
    """No other text is asked about in that time either; requests under way had been sent."""
    first = TEXTS[0]
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=4)
    value = "1" if said == "seconds" else email.utils.format_datetime(at, usegmt=True)
    too_often = Fault(429, headers={"Retry-After": value})
    service.fault = lambda text, times: too_often if text == first and not times else None
    scorer = scorer_at(service, requests_per_second=50)
    scores_NA = scorer(TEXTS)
    np.testing.assert_array_equal(scores_NA[:, 0], toxicity_of(TEXTS))
    times = [when for when, _, _ in service.requests]
    again = [when for when, text, _ in service.requests if text == first][1]
    assert again - times[0] >= 1.0  # a date has whole seconds: three to four from then
    assert max(np.diff(times)) > 0.4


def test_requests_keep_to_the_rate_also_over_several_calls(service: FaultyService) -> None:
    scorer = scorer_at(service, requests_per_second=20)
    for start in (0, 4, 8):
        scorer(TEXTS[start : start + 4])
    times = [when for when, _, _ in service.requests]
    assert times[-1] - times[0] >= 11 / 20 - 0.05
    assert all(b - a >= 1 / 20 - 0.04 for a, b in itertools.pairwise(times))


def test_requests_run_side_by_side(service: FaultyService) -> None:
    slow = Fault(kind="drip")
    service.fault = lambda _text, times: None if times else slow
    began = time.monotonic()
    scorer_at(service, concurrency=12)(TEXTS)
    assert time.monotonic() - began < 6 * TIMEOUT_SECONDS  # one after another: 12 timeouts


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_answers_nobody_is_an_error_at_once(
    status: int, service: FaultyService
) -> None:
    service.fault = lambda _text, _times: Fault(status, error={"status": "PERMISSION_DENIED"})
    with pytest.raises(ScorerError, match=rf"status {status} \(PERM.*also for a harmless text"):
        scorer_at(service, concurrency=2)([f"{text} {i}" for text in TEXTS for i in range(20)])
    assert len(service.requests) < 8


def test_a_server_that_stops_answering_is_an_error(
    service: FaultyService,
) -> None:
    service.fault = lambda text, _times: None if text == "a" else Fault(503)
    scorer = scorer_at(service, concurrency=1)
    scorer(["a"])
    with pytest.raises(ScorerError, match="status 503, 3 times, also for a harmless text"):
        scorer(TEXTS)
    assert service.asked.total() == 1 + (8 + 1) * 3  # eight texts and the harmless one, thrice each


def test_nobody_at_the_address_is_an_error() -> None:
    with serving(FaultyService()) as service:
        scorer = scorer_at(service)
    with pytest.raises(ScorerError, match="ConnectError, 3 times"):
        scorer(["you fool"])


def test_it_works_inside_of_an_event_loop(service: FaultyService) -> None:
    async def inside() -> float:
        return float(scorer_at(service)(["you fool"])[0, 0])

    assert asyncio.run(inside()) == 0.008


# --- moderations ---


def test_toxicity_by_moderations_is_the_highest_of_harassment_and_hate(
    service: FaultyService,
) -> None:
    service.left_out = ("harassment",)
    scorer = scorer_at(service, "openai-moderation")
    row_A = dict(zip(scorer.attributes, scorer(["you fool"])[0], strict=True))
    assert (row_A["toxicity"], row_A["hate"], row_A["violence"]) == (0.008, 0.008, 0.004)
    assert len(scorer.attributes) == 14


def test_a_category_that_the_server_does_not_judge_is_unknown_not_zero(
    service: FaultyService, tmp_path: Path
) -> None:
    scorer = cached(scorer_at(service, "openai-moderation#toxicity+sexual"), tmp_path)
    for _ in range(2):  # the second time from the cache
        first, second = score_generations(scorer, generations(["you fool"]))
        assert (first.value, first.error) == (0.008, None)
        assert (second.value, second.error) == (None, "not judged")
    assert service.asked == Counter(["you fool"])
    with pytest.raises(ScorerError, match="without any of the scores asked for"):
        scorer_at(service, "openai-moderation#sexual")(["you fool"])


def test_a_category_that_the_server_only_fills_is_unknown_too(service: FaultyService) -> None:
    service.filled = "harassment, violence"
    row_A = scorer_at(service, "openai-moderation#toxicity+hate+violence")(["you fool"])[0]
    np.testing.assert_array_equal(row_A, [0.004, 0.004, np.nan])


# --- keys, names and addresses ---


def test_the_key_goes_to_its_server_in_a_header_and_is_nowhere_else(
    service: FaultyService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Even where the server sends it back in an error."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PERSPECTIVE_URL", service.url)
    monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)
    told = {"status": KEY, "message": KEY, "details": [{"errorType": KEY, "reason": KEY}]}
    service.fault = lambda text, _times: Fault(400, error=told) if text == ODD else None
    with serving(FaultyService()) as other:
        scorer = load_scorer("perspective")
        score_into(
            Run.start(tmp_path / "run", kind="measure", config={}, seed=0),
            scorer,
            generations(TEXTS),
        )
        load_scorer(f"perspective={other.url}", cache=False)(["you fool"])
        assert [header.get("x-goog-api-key") for *_, header in other.requests] == [None]
    service.fault = lambda _text, _times: Fault(403, error=told)
    with pytest.raises(ScorerError) as error:
        load_scorer("perspective", cache=False)(["you fool"])
    assert {header["x-goog-api-key"] for *_, header in service.requests} == {KEY}
    assert service.paths == {PERSPECTIVE}
    assert scorer.missing_reason(ODD) == "failed: status 400 (KEY)"
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 2
    shown = [caplog.text, *capfd.readouterr(), str(error.value), repr(error.value), repr(scorer)]
    shown += [repr(vars(error.value)), scorer.id]
    assert not [one for one in [*files, *(part.encode() for part in shown)] if KEY.encode() in one]
    assert "you fool" not in caplog.text


def test_moderations_take_the_key_as_a_bearer(
    service: FaultyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1/")
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    load_scorer("openai-moderation", cache=False)(["you fool"])
    ((_, _, headers),) = service.requests
    assert headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("name", "variable", "remedy"),
    [
        ("perspective", "PERSPECTIVE_API_KEY", "PERSPECTIVE_URL.*detoxlab serve"),
        ("openai-moderation", "OPENAI_API_KEY", "OPENAI_BASE_URL.*detoxlab serve"),
        ("perspective=https://commentanalyzer.googleapis.com", "PERSPECTIVE_API_KEY", "Set it"),
    ],
)
def test_the_public_service_without_a_key_is_an_error_before_anything_is_asked(
    name: str, variable: str, remedy: str
) -> None:
    with pytest.raises(ConfigError, match=f"{variable} holds no API key.*{remedy}") as error:
        check_scorer(name)
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match=variable):
        load_scorer(name)


def test_perspective_is_said_to_end_and_at_its_own_address_alone(
    service: FaultyService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scorer_at(service)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)
    scorer = load_remote("perspective")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ends on 31 December 2026" in line
    assert "rtp-neural" in line
    assert "detoxlab serve" in line
    assert scorer.id == "perspective@commentanalyzer.googleapis.com"
    assert scorer._pace._gap_seconds == 1.0


@pytest.mark.parametrize("key", ["two words", "sésame", "new\nline"])
def test_a_key_that_no_header_carries_is_refused_without_showing_it(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSPECTIVE_API_KEY", key)
    with pytest.raises(ConfigError, match="characters that no API key has") as error:
        load_remote("perspective")
    assert key not in str(error.value)


@pytest.mark.parametrize(
    "address", ["http://me:sesame@host", "http://host/?key=sesame", "sesame.example"]
)
def test_an_address_with_a_secret_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError):
        check_scorer(f"perspective={address}")
    monkeypatch.setenv("PERSPECTIVE_URL", address)
    with pytest.raises(ConfigError):
        check_scorer("perspective")


def test_the_id_has_the_host_and_what_changes_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSPECTIVE_URL", "http://host:8000/v1alpha1/comments:analyze")
    ids = [
        load_remote("perspective").id,
        load_remote("perspective#threat+insult", languages=["en"]).id,
        load_remote("openai-moderation=http://host/v1", model="other").id,
    ]
    assert ids == [
        "perspective@host:8000",
        "perspective@host:8000#threat+insult[en]",
        "openai-moderation@host[other]",
    ]
    names = [single_scorers(one) for one in ids]
    assert names == [{"perspective"}, {"perspective"}, {"openai-moderation"}]


@pytest.mark.parametrize(
    "name", ["perspective#", "perspective#a b", "openai-moderation#rude", "perspective=", "a=http"]
)
def test_names_of_another_form_are_refused(name: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError)):
        check_scorer(name)


def test_a_rate_that_is_no_rate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for rate in ("0", "-1", "many", "inf", "nan"):
        monkeypatch.setenv("PERSPECTIVE_REQUESTS_PER_SECOND", rate)
        with pytest.raises(ConfigError, match="PERSPECTIVE_REQUESTS_PER_SECOND"):
            check_scorer("perspective=http://host")


# --- the cache and the run ---


def test_what_was_scored_before_an_error_is_kept(service: FaultyService, tmp_path: Path) -> None:
    """The cache keeps every few texts, so that a run that goes on asks about the rest alone."""
    texts = [f"you fool {i}" for i in range(40)]
    late = {*texts[20:], HARMLESS}
    service.fault = lambda text, _times: Fault(403) if text in late else None
    with pytest.raises(ScorerError):
        cached(scorer_at(service, concurrency=2), tmp_path)(texts)
    assert service.answered == Counter(texts[:20])
    service.fault = lambda _text, _times: None
    scores_NA = cached(scorer_at(service, concurrency=2), tmp_path)(texts)
    np.testing.assert_array_equal(scores_NA[:, 0], toxicity_of(texts))
    cached(scorer_at(service), tmp_path)(texts)
    assert service.answered == Counter(texts)


def test_missing_scores_stand_in_the_run_with_their_reasons(
    service: FaultyService, tmp_path: Path
) -> None:
    faults = dict(zip(TEXTS, FAULTS.values(), strict=False))
    service.fault = lambda text, _times: faults.get(text)
    texts = [*TEXTS, *(f"a lovely day, number {i}" for i in range(30))]
    run = Run.start(tmp_path / "run", kind="measure", config={}, seed=0)
    scorer = scorer_at(service, "perspective#toxicity")
    score_into(run, scorer, generations(texts))
    (file,) = (run.path / "scores").iterdir()
    rows = [Score(**json.loads(line)) for line in file.read_text().splitlines()]
    assert [row.prompt_id for row in rows] == [f"p{i}" for i in range(len(texts))]
    for text, row in zip(texts, rows, strict=True):
        if text in faults:
            assert (row.error or "").startswith("failed: ")
        else:
            assert row.value == toxicity_of([text])[0]
