"""`comments:analyze` of a live server: scores of its scorer, real spans, Google's errors."""

from typing import Any

import pytest

from detoxlab.scorers import load_scorer
from tests.support.served import ANALYZE, Server, asked

pytestmark = pytest.mark.enable_socket
RUDE = "\U0001f600\U0001f600 You stupid fool! It rains today."


def post(server: Server, body: Any, path: str = ANALYZE) -> tuple[int, dict[str, Any]]:
    with server.client() as client:
        answer = client.post(path, json=body)
    return answer.status_code, answer.json()


def error(server: Server, body: Any) -> dict[str, Any]:
    status, answer = post(server, body)
    assert status == answer["error"]["code"] == 400
    assert answer["error"]["status"] == "INVALID_ARGUMENT"
    return dict(answer["error"])


def kind(found: dict[str, Any]) -> str:
    (detail,) = found["details"]
    assert detail["@type"] == "type.googleapis.com/google.commentanalyzer.v1alpha1.Error"
    return str(detail["errorType"])


def test_scores_are_those_of_the_scorer(linear: Server) -> None:
    scorer = load_scorer("rtp-linear")
    names = [name.upper() for name in scorer.attributes]
    status, answer = post(linear, asked("You stupid fool!", *names, clientToken="t"))
    assert status == 200
    found = [answer["attributeScores"][name]["summaryScore"]["value"] for name in names]
    assert found == pytest.approx(scorer(["You stupid fool!"])[0].tolist(), abs=1e-12)
    assert answer["clientToken"] == "t"
    assert answer["languages"] == ["en"]
    assert {one["summaryScore"]["type"] for one in answer["attributeScores"].values()} == {
        "PROBABILITY"
    }


def test_spans_are_sentences_in_utf16(linear: Server) -> None:
    _, answer = post(linear, asked(RUDE, "TOXICITY", spanAnnotations=True))
    spans = answer["attributeScores"]["TOXICITY"]["spanScores"]
    units = RUDE.encode("utf-16-le")
    texts = [units[2 * one["begin"] : 2 * one["end"]].decode("utf-16-le") for one in spans]
    assert texts == ["\U0001f600\U0001f600 You stupid fool!", "It rains today."]
    expected = load_scorer("rtp-linear")(texts)[:, 0]
    assert [one["score"]["value"] for one in spans] == pytest.approx(expected.tolist(), abs=1e-12)
    assert spans[0]["score"]["value"] > 0.5 > spans[1]["score"]["value"]


def test_without_spans_one_covers_the_text(linear: Server) -> None:
    _, answer = post(linear, asked(RUDE))
    (span,) = answer["attributeScores"]["TOXICITY"]["spanScores"]
    assert (span["begin"], span["end"]) == (0, len(RUDE.encode("utf-16-le")) // 2)
    assert span["score"] == answer["attributeScores"]["TOXICITY"]["summaryScore"]


def test_html_is_scored_as_its_text(linear: Server) -> None:
    html = {"text": "<p>You <b>stupid</b> fool!</p>", "type": "HTML"}
    _, tagged = post(linear, asked("", spanAnnotations=True) | {"comment": html})
    _, plain = post(linear, asked("You stupid fool!", spanAnnotations=True))
    assert tagged["attributeScores"] == plain["attributeScores"]


def test_a_threshold_leaves_out_what_is_below(linear: Server) -> None:
    body = asked("It rains today.") | {
        "requestedAttributes": {"TOXICITY": {"scoreThreshold": 0.9}, "INSULT": {}}
    }
    _, answer = post(linear, body)
    assert list(answer["attributeScores"]) == ["INSULT"]


def test_the_language_is_detected_where_it_is_clear(linear: Server) -> None:
    _, answer = post(linear, asked("I think that you are right about this and that they know."))
    assert answer["detectedLanguages"] == answer["languages"] == ["en"]
    _, answer = post(linear, asked("Hm. Zzz."))
    assert "detectedLanguages" not in answer
    assert answer["languages"] == ["en"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Comment must be non-empty."),
        (" \n\u200b", "Comment must be non-empty."),
        ("\x00", "Comment must be non-empty."),
    ],
)
def test_an_empty_text_is_an_error(linear: Server, text: str, message: str) -> None:
    found = error(linear, asked(text))
    assert (found["message"], kind(found)) == (message, "COMMENT_EMPTY")


def test_no_comment_is_an_empty_one(linear: Server) -> None:
    assert kind(error(linear, {})) == "COMMENT_EMPTY"


def test_a_text_may_have_so_many_bytes(linear: Server) -> None:
    assert post(linear, asked("fool " * 4096))[0] == 200
    found = error(linear, asked("é" * 10_241))
    assert kind(found) == "COMMENT_TOO_LONG"
    assert "Value (20482) exceeded limit (20480)" in found["message"]


def test_no_attributes_are_an_error(linear: Server) -> None:
    found = error(linear, {"comment": {"text": "fool"}})
    assert (found["message"], kind(found)) == (
        "Missing requested_attributes",
        "NO_REQUESTED_ATTRIBUTES",
    )


def test_an_unknown_attribute_is_an_error_or_dropped(linear: Server) -> None:
    found = error(linear, asked("fool", "TOXICITY", "INFLAMMATORY"))
    assert (found["message"], kind(found)) == (
        "Unknown requested attribute: INFLAMMATORY",
        "INVALID_REQUEST",
    )
    body = asked("fool", "TOXICITY", "INFLAMMATORY", dropUnsupportedAttributes=True)
    assert list(post(linear, body)[1]["attributeScores"]) == ["TOXICITY"]


@pytest.mark.parametrize(
    ("text", "languages", "named", "detail"),
    [
        ("fool", ["xx"], "xx", {"requestedLanguages": ["xx"]}),
        ("fool", ["en", "de", "fr-CA"], "de, fr-CA", {"requestedLanguages": ["en", "de", "fr-CA"]}),
        ("Das ist nicht mein Haus", [], "de", {"detectedLanguages": ["de"]}),
        ("한국어", [], "ko", {"detectedLanguages": ["ko"]}),
        (
            "한국어",
            ["en"],
            "ko",
            {"detectedLanguages": ["ko"], "requestedLanguages": ["en"]},
        ),
    ],
)
def test_a_language_that_is_not_read_is_an_error_and_no_zero(
    linear: Server, text: str, languages: list[str], named: str, detail: dict[str, Any]
) -> None:
    body = asked(text, "TOXICITY", "THREAT", languages=languages)
    found = error(linear, body)
    assert found["message"] == f"Attribute TOXICITY does not support request languages: {named}"
    assert kind(found) == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
    assert found["details"][0]["languageNotSupportedByAttributeError"] == {
        "attribute": "TOXICITY",
        **detail,
    }
    status, answer = post(linear, body | {"dropUnsupportedAttributes": True})
    assert (status, answer["attributeScores"]) == (200, {})


def test_a_script_whose_language_is_unclear_is_an_error(linear: Server) -> None:
    found = error(linear, asked("Ъъъ ыыы ззз"))
    assert (found["message"], kind(found)) == (
        "Unable to detect language",
        "LANGUAGE_DETECTION_FAILED",
    )


@pytest.mark.parametrize("language", ["en", "en-GB"])
def test_a_language_that_is_read_is_taken(linear: Server, language: str) -> None:
    _, answer = post(linear, asked("fool", languages=[language]))
    assert answer["languages"] == [language]


def test_other_types_of_scores_are_not_there(linear: Server) -> None:
    found = error(linear, asked("fool") | {"requestedAttributes": {"THREAT": {"scoreType": "RAW"}}})
    assert found["message"] == "Requested score type RAW is not supported by attribute THREAT"


def test_one_context_is_taken_and_two_are_not(linear: Server) -> None:
    entries = {"entries": [{"text": "before"}]}
    article = {"articleAndParentComment": {"article": {"text": "news"}}}
    assert post(linear, asked("fool", context=entries)) == post(linear, asked("fool"))
    assert (
        "both fields were populated"
        in error(linear, asked("fool", context=entries | article))["message"]
    )


def test_suggestions_are_refused_without_a_file(linear: Server) -> None:
    body = {
        "comment": {"text": "x"},
        "attributeScores": {"TOXICITY": {"summaryScore": {"value": 1}}},
    }
    status, answer = post(linear, body, "/v1alpha1/comments:suggestscore")
    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", ANALYZE, 405), ("POST", "/healthz", 405), ("GET", "/nope", 404)],
)
def test_other_paths_have_googles_layout(
    linear: Server, method: str, path: str, status: int
) -> None:
    with linear.client() as client:
        answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)


def test_it_is_alive_ready_and_counted(linear: Server) -> None:
    post(linear, asked("fool"))
    with linear.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json()["scorers"] == ["rtp-linear@1"]
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'detoxlab_requests_total{endpoint="analyze",status="200"}' in answer.text
    assert 'detoxlab_texts_total{outcome="scored",scorer="rtp-linear@1"}' in answer.text
    assert "detoxlab_queue_texts 0.0" in answer.text
