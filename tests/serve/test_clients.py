"""Public clients of Perspective and of OpenAI's moderations, each with its URL changed."""

import json
import subprocess
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from detoxlab.scorers import load_scorer
from tests.support.served import ANALYZE, Server, asked

pytestmark = pytest.mark.enable_socket
TEXTS = ["You stupid fool!", "It rains today.", "What a nice day \U0001f600 it is."]


@pytest.fixture(scope="module")
def expected() -> list[float]:
    return load_scorer("rtp-linear")(TEXTS)[:, 0].tolist()


@pytest.fixture(scope="module")
def google(linear: Server) -> Iterator[Any]:
    """The official client, made from our discovery document."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from googleapiclient import discovery

        client = discovery.build(
            "commentanalyzer",
            "v1alpha1",
            developerKey="any",
            discoveryServiceUrl=f"{linear.url}/$discovery/rest?version=v1alpha1",
            static_discovery=False,
        )
    yield client
    client.close()


def value(answer: dict[str, Any]) -> float:
    return float(answer["attributeScores"]["TOXICITY"]["summaryScore"]["value"])


def test_googles_client_scores_a_text(google: Any, expected: list[float]) -> None:
    answer = google.comments().analyze(body=asked(TEXTS[0])).execute()
    assert value(answer) == pytest.approx(expected[0], abs=1e-12)


def test_googles_client_sees_our_errors_as_googles(google: Any) -> None:
    from googleapiclient.errors import HttpError

    with pytest.raises(HttpError, match="Comment must be non-empty") as failed:
        google.comments().analyze(body=asked("")).execute()
    assert failed.value.status_code == 400
    assert failed.value.error_details[0]["errorType"] == "COMMENT_EMPTY"
    with pytest.raises(HttpError) as failed:
        google.comments().suggestscore(body={}).execute()
    assert failed.value.status_code == 403


def test_googles_client_scores_a_batch(google: Any, expected: list[float]) -> None:
    found, failed = {}, {}

    def take(request_id: str, answer: Any, error: Any) -> None:
        (failed if error else found)[request_id] = error or value(answer)

    batch = google.new_batch_http_request(callback=take)
    for at, text in enumerate([*TEXTS, ""]):
        batch.add(google.comments().analyze(body=asked(text)), request_id=str(at))
    batch.execute()
    assert [found[str(at)] for at in range(3)] == pytest.approx(expected, abs=1e-12)
    assert list(failed) == ["3"]
    assert "Comment must be non-empty" in str(failed["3"])


def test_helms_way_the_text_is_the_id_of_its_request(google: Any, expected: list[float]) -> None:
    """HELM asks in batches with each text as the id of its request, which the client encodes."""
    texts = [*TEXTS, "long " * 200, "100 % + 5\r\nSet-Cookie: a=b", "naïve ‘quotes’ <b>"]
    found: dict[str, Any] = {}

    def take(request_id: str, answer: Any, error: Any) -> None:
        assert error is None
        found[request_id] = answer

    batch = google.new_batch_http_request()
    for text in texts:
        body = asked(text, "TOXICITY", "THREAT", languages=["en"], spanAnnotations=True)
        batch.add(google.comments().analyze(body=body), request_id=text, callback=take)
    batch.execute()
    assert list(found) == texts
    assert [value(found[text]) for text in TEXTS] == pytest.approx(expected, abs=1e-12)
    for text in texts:
        spans = found[text]["attributeScores"]["THREAT"]["spanScores"]
        assert spans[-1]["end"] <= len(text.encode("utf-16-le")) // 2


def test_perspective_from_pypi(linear: Server, expected: list[float]) -> None:
    from perspective import PerspectiveAPI

    client = PerspectiveAPI("any")
    client.api_client.url = f"{linear.url}/v1alpha1/{{endpoint}}"
    assert client.score(TEXTS[0])["TOXICITY"] == pytest.approx(expected[0], abs=1e-12)
    answer = client.analyze_comment(
        TEXTS[1],
        comment_type="PLAIN_TEXT",
        context=[{"text": "before", "type": "PLAIN_TEXT"}],
        requested_attributes={"TOXICITY": {"scoreType": "PROBABILITY", "scoreThreshold": 0.0}},
        span_annotations=True,
        languages=["en"],
        do_not_store=True,
        client_token="t",
        session_id="s",
        community_id="c",
    )
    assert value(answer) == pytest.approx(expected[1], abs=1e-12)


def test_curl_in_the_layout_of_googles_documentation(linear: Server) -> None:
    body = """{comment: {text: "what kind of idiot name is foo?"},
       languages: ["en"],
       requestedAttributes: {TOXICITY:{}} }"""
    command = ["curl", "-sS", "-H", "Content-Type: application/json", "--data", body]
    done = subprocess.run(
        [*command, "--noproxy", "*", f"{linear.url}{ANALYZE}?key=YOUR_KEY_HERE"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert value(json.loads(done.stdout)) > 0.5


def test_openais_client_moderates(linear: Server) -> None:
    import openai

    with openai.OpenAI(base_url=f"{linear.url}/v1", api_key="any", max_retries=0) as client:
        found = client.moderations.create(input=TEXTS[:2], model="omni-moderation-latest")
        typed = client.moderations.create(input=[{"type": "text", "text": TEXTS[0]}])
        with pytest.raises(openai.BadRequestError, match="language or script"):
            client.moderations.create(input=[TEXTS[0], "한국어"])
    assert [one.flagged for one in found.results] == [True, False]
    insult, identity = load_scorer("rtp-linear")(TEXTS[:1])[0][[3, 2]].tolist()
    assert found.results[0].category_scores.harassment == pytest.approx(insult, abs=1e-12)
    assert found.results[0].category_scores.hate == pytest.approx(identity, abs=1e-12)
    assert typed.results[0].category_scores == found.results[0].category_scores
    assert found.model == "omni-moderation-latest"


def test_categories_that_nobody_judges_are_left_out(linear: Server) -> None:
    with linear.client() as client:
        answer = client.post("/v1/moderations", json={"input": TEXTS[0]})
    (result,) = answer.json()["results"]
    judged = {"harassment", "harassment/threatening", "hate", "sexual"}
    assert set(result["categories"]) == set(result["category_scores"]) == judged
    assert len(result["unknown_categories"]) == 13 - 4
    assert not judged & set(result["unknown_categories"])
    assert "X-Detoxlab-Filled-Categories" not in answer.headers


def test_ids_of_a_batch_are_not_mixed_up(linear: Server) -> None:
    """Also for a client that sends ids of its own, and one id twice."""
    ids = ["a", "<b>", "a", quote("ö")]
    parts = "".join(
        f"--x\r\nContent-Type: application/http\r\nContent-ID: {one}\r\n\r\n"
        f"POST {ANALYZE} HTTP/1.1\r\nContent-Type: application/json\r\n\r\n"
        f"{json.dumps(asked('fool ' * (at + 1), clientToken=str(at)))}\r\n"
        for at, one in enumerate(ids)
    )
    with linear.client() as client:
        answer = client.post(
            "/batch",
            content=f"{parts}--x--\r\n",
            headers={"Content-Type": "multipart/mixed; boundary=x"},
        )
    assert answer.status_code == 200
    order = [line[12:] for line in answer.text.splitlines() if line.startswith("Content-ID: ")]
    assert order == ["response-a", "<response-b>", "response-a", "response-%C3%B6"]
    tokens = [
        json.loads(line)["clientToken"] for line in answer.text.splitlines() if line.startswith("{")
    ]
    assert tokens == ["0", "1", "2", "3"]
