"""JSON bodies: what Google takes is taken, and anything else is refused without repeating it."""

import pytest

from detoxlab.serve.wire.checking import checked
from detoxlab.serve.wire.payload import read_json
from detoxlab.serve.wire.refusals import Refusal
from tests.support.growth import takes_linear_time

SECRET = "topsecret"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", {}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{comment: {text: "it\'s"}, n: 1,}', {"comment": {"text": "it's"}, "n": 1}),
        (b"{a: 'say \"x\", it\\'s: fine\\n'}", {"a": 'say "x", it\'s: fine\n'}),
        (b'{"a": "b: c, }", d: [1, 2,]}', {"a": "b: c, }", "d": [1, 2]}),
    ],
)
def test_layouts_that_google_takes(body: bytes, found: dict[str, object]) -> None:
    assert read_json(body) == found


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "topsecret"',
        b'{"topsecret": 1, "topsecret": 2}',
        b'{"text": "topsecret", "x": NaN}',
        b'{"text": "topsecret", "x": Infinity}',
        b'{"text": "topsecret \\ud83d"}',
        b'{"text": "topsecret \\ude00\\ud83d"}',
        b'{"topsecret\\ud83d": 1}',
        b'{"text": "topsecret\x00"}',
        b'{"text": "topsecret \xff"}',
        b'["topsecret"]',
        b'"topsecret"',
        b"null",
        b'{"text": "topsecret"} {}',
        b"{'text': 'topsecret}",
        b'{"x": ' + b"1" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_anything_else_is_refused_in_silence(body: bytes) -> None:
    with pytest.raises(Refusal, match="Invalid JSON payload received") as refused:
        read_json(body)
    assert refused.value.code == 400
    assert SECRET not in str(refused.value.body())


@pytest.mark.parametrize("body", [b'\\"', b"'", b"a", b'"\\', b", ", b"a: ", b"{'a", b"a\\'"])
def test_hostile_bodies_take_linear_time(body: bytes) -> None:
    def refused(size: int) -> None:
        with pytest.raises(Refusal):
            read_json(body * size)

    assert takes_linear_time(refused, 125_000 // len(body))


def test_names_in_snake_case_are_taken_and_null_is_nothing() -> None:
    body = {"requested_attributes": {"TOXICITY": None}, "do_not_store": True, "context": None}
    assert checked(body, "AnalyzeCommentRequest") == {
        "requestedAttributes": {"TOXICITY": {}},
        "doNotStore": True,
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"foo": 1}, 'Invalid JSON payload received. Unknown name "foo": Cannot find field.'),
        (
            {"comment": {"body": 1}},
            "Invalid JSON payload received. Unknown name \"body\" at 'comment': Cannot find field.",
        ),
        (
            {"requestedAttributes": {"A": {}, "B": {"threshold": 1}}},
            'Invalid JSON payload received. Unknown name "threshold" at '
            "'requested_attributes[1].value': Cannot find field.",
        ),
        ({"comment": {"text": 12}}, "Invalid value at 'comment.text' (TYPE_STRING), 12"),
        ({"comment": {"text": ["x"]}}, "Invalid value at 'comment.text' (TYPE_STRING)"),
        (
            {"comment": {"type": "MARKDOWN"}},
            "Invalid value at 'comment.type' (type.googleapis.com/google.commentanalyzer.v1alpha1."
            "TextEntry.TextType)",
        ),
        ({"comment": "topsecret"}, "Invalid value at 'comment' (type.googleapis.com/"),
        ({"languages": "en"}, "Invalid value at 'languages' (TYPE_LIST)"),
        ({"languages": ["en", 2]}, "Invalid value at 'languages[1]' (TYPE_STRING), 2"),
        ({"spanAnnotations": "true"}, "Invalid value at 'span_annotations' (TYPE_BOOL)"),
        ({"requestedAttributes": ["TOXICITY"]}, "Invalid value at 'requested_attributes'"),
        (
            {"requestedAttributes": {"A": {"scoreThreshold": True}}},
            "Invalid value at 'requested_attributes[0].value.score_threshold' (TYPE_FLOAT), true",
        ),
        ({"doNotStore": True, "do_not_store": True}, "doNotStore is set twice"),
        ({"context": {"entries": [{}, {"txt": ""}]}}, "at 'context.entries[1]'"),
    ],
)
def test_what_is_wrong_is_said_as_google_says_it(body: dict[str, object], message: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked(body, "AnalyzeCommentRequest")
    assert message in refused.value.message
    assert SECRET not in refused.value.message
    assert refused.value.code == 400


def test_all_that_is_wrong_is_listed() -> None:
    with pytest.raises(Refusal) as refused:
        checked({"foo": 1, "comment": {"text": 2}}, "AnalyzeCommentRequest")
    violations = refused.value.body()["error"]["details"][0]["fieldViolations"]
    assert [one.get("field") for one in violations] == [None, "comment.text"]


@pytest.mark.parametrize("number", [1e400, -1e400, 10**400, float("nan")])
def test_a_number_that_is_none_is_refused(number: float) -> None:
    body = {"requestedAttributes": {"TOXICITY": {"scoreThreshold": number}}}
    with pytest.raises(Refusal):
        checked(body, "AnalyzeCommentRequest")
