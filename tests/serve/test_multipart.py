"""Batches on the wire: folded ids, parts that are wrong alone, no id that becomes a header."""

from email.parser import BytesParser

import pytest

from detoxlab.serve.wire.multipart import (
    Answer,
    boundary_of,
    parse_batch,
    render_batch,
    response_id,
)
from detoxlab.serve.wire.refusals import Refusal

INNER = "POST /v1alpha1/comments:analyze?alt=json HTTP/1.1\nContent-Type: application/json\n\n{}"


def batch(*parts: str, newline: str = "\n", end: str = "--b--") -> bytes:
    text = "".join(f"--b\n{part}\n" for part in parts) + end
    return text.replace("\n", newline).encode()


def part(content_id: str = "<u + 1>", inner: str = INNER) -> str:
    return f"Content-Type: application/http\nContent-ID: {content_id}\n\n{inner}"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_requests_are_read_in_order(newline: str) -> None:
    found = parse_batch(batch(part("<u + 1>"), part("<u + 2>"), newline=newline), b"b", 9)
    assert [one.content_id for one in found] == [b"<u + 1>", b"<u + 2>"]
    assert {(one.method, one.target, one.body.strip()) for one in found} == {
        ("POST", "/v1alpha1/comments:analyze?alt=json", b"{}")
    }
    assert not any(one.error for one in found)


def test_a_folded_id_is_one_line_again() -> None:
    (found,) = parse_batch(batch(part("<u\n + a%20long%20text>")), b"b", 9)
    assert found.content_id == b"<u + a%20long%20text>"


def test_a_text_that_looks_like_a_boundary_stays_a_text() -> None:
    inner = INNER.replace("{}", '{"a": "x --b y"}')
    (found,) = parse_batch(batch(part(inner=inner)), b"b", 9)
    assert found.body.strip() == b'{"a": "x --b y"}'


@pytest.mark.parametrize(
    "wrong",
    [
        "Content-Type: text/plain\n\nx",
        "Content-Type: application/http\n\nnot a request",
        "Content-Type: application/http\n\n",
        "Content-Type: multipart/mixed; boundary=c\n\n--c\n",
        "",
        "Content-ID: <a\x00b>\nContent-Type: application/http\n\n" + INNER,
        "Content-ID: <a\rSet-Cookie: x>\nContent-Type: application/http\n\n" + INNER,
        f"Content-ID: <{'a' * (1 << 18)}>\nContent-Type: application/http\n\n{INNER}",
    ],
)
def test_a_wrong_part_is_refused_alone(wrong: str) -> None:
    bad, good = parse_batch(batch(wrong, part()), b"b", 9)
    assert bad.error
    assert bad.error.code == 400
    assert not good.error


@pytest.mark.parametrize(
    "body", [b"", b"nothing", batch(), batch(part(), end=""), b"--b", b"--b--", b"--b\r\n"]
)
def test_what_is_no_batch_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="Failed to parse batch request"):
        parse_batch(body, b"b", 9)


def test_more_parts_than_allowed_are_refused() -> None:
    assert len(parse_batch(batch(*[part()] * 9), b"b", 9)) == 9
    with pytest.raises(Refusal, match="10 parts; at most 9"):
        parse_batch(batch(*[part()] * 10), b"b", 9)


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/mixed", "multipart/form-data; boundary=b"]
)
def test_another_content_type_is_refused(kind: str) -> None:
    with pytest.raises(Refusal, match="multipart/mixed"):
        boundary_of(kind)


@pytest.mark.parametrize(
    "kind",
    ["multipart/mixed; boundary=b", 'Multipart/Mixed; charset=x; boundary="b"; start=<a>'],
)
def test_the_boundary_is_found(kind: str) -> None:
    assert boundary_of(kind) == b"b"


def test_an_answer_is_read_back_by_a_parser_of_mail() -> None:
    ids = [b"<u + 1>", b"<u + %E2%82%AC>", None]
    body = render_batch([Answer(one, 200, b'{"a":1}') for one in ids], b"x")
    head = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    parts = BytesParser().parsebytes(head + body).get_payload()
    assert [one["Content-ID"] for one in parts] == [
        "<response-u + 1>",
        "<response-u + %E2%82%AC>",
        None,
    ]
    assert {one.get_payload().splitlines()[0] for one in parts} == {"HTTP/1.1 200 OK"}
    assert {one.get_payload().split("\r\n\r\n")[1] for one in parts} == {'{"a":1}'}


def test_an_id_keeps_its_own_bytes() -> None:
    assert response_id("<u + é>".encode()) == "<response-u + é>".encode()
