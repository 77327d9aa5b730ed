"""Batches on the wire: `multipart/mixed`, each part a whole HTTP request or response."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

from detoxlab.serve.wire.refusals import Refusal

LONGEST_ID = 1 << 17  # bytes; HELM writes the whole text into it, percent-encoded
_BOUNDARY = re.compile(
    r"""^\s*multipart/mixed\s*;(?:.*;)?\s*boundary=(?:"([^"\r\n]{1,200})"|([^\s;"]{1,200}))""",
    re.IGNORECASE,
)
_LINE = re.compile(rb"\r?\n")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_REQUEST = re.compile(r"([A-Z]{1,16}) (\S+)(?: HTTP/\d(?:\.\d)?)?\s*")


class Part(NamedTuple):
    """A request in a batch; without an `error`, it can be answered."""

    content_id: bytes | None
    method: str = ""
    target: str = ""
    headers: dict[str, str] = {}  # noqa: RUF012 (never changed)
    body: bytes = b""
    error: Refusal | None = None


class Answer(NamedTuple):
    """A response in a batch; `body` is JSON."""

    content_id: bytes | None
    code: int
    body: bytes
    headers: dict[str, str] = {}  # noqa: RUF012 (never changed)


def boundary_of(content_type: str) -> bytes:
    """The boundary in a Content-Type. Raises `Refusal` where it is no `multipart/mixed`.

    >>> boundary_of('multipart/mixed; boundary="=====1=="')
    b'=====1=='
    """
    found = _BOUNDARY.match(content_type)
    if not found:
        raise Refusal(400, "Expected Content-Type multipart/mixed with a boundary.")
    return (found[1] or found[2]).encode("latin-1", errors="replace")


def parse_batch(body: bytes, boundary: bytes, most: int) -> list[Part]:
    """The requests of a batch in order. Raises `Refusal` where it is none, or has over `most`.

    A part that is wrong has an `error` and does not take the others with it.
    """
    pieces = re.split(rb"(?:^|\r?\n)--" + re.escape(boundary), body)
    if len(pieces) < 2:
        raise Refusal(400, "Failed to parse batch request: the boundary does not occur.")
    closed = pieces[-1].startswith(b"--")
    if not closed:
        raise Refusal(400, "Failed to parse batch request: the closing boundary is missing.")
    inner = pieces[1:-1]
    if not inner:
        raise Refusal(400, "Failed to parse batch request: there is no part in it.")
    if len(inner) > most:
        raise Refusal(400, f"The batch request has {len(inner)} parts; at most {most} are allowed.")
    return [_part(piece) for piece in inner]


def _part(piece: bytes) -> Part:
    # After the boundary, only blanks may stand on its line.
    line, newline, rest = piece.partition(b"\n")
    if line.strip() or not newline:
        return Part(None, error=Refusal(400, "Failed to parse a part: no line after its boundary."))
    head, body = _split_head(rest)
    headers = _headers(head)
    content_id = headers.get(b"content-id")
    if content_id is not None and not _is_plain_id(content_id):
        return Part(None, error=Refusal(400, "Content-ID is not valid."))
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind != b"application/http":
        error = Refusal(400, "Expected Content-Type application/http in each part of the batch.")
        return Part(content_id, error=error)
    return _request(content_id, body.lstrip(b"\r\n"))


def _request(content_id: bytes | None, text: bytes) -> Part:
    head, body = _split_head(text)
    first, *_ = _LINE.split(head, maxsplit=1)
    found = _REQUEST.fullmatch(first.decode("latin-1"))
    if not found:
        return Part(content_id, error=Refusal(400, "A part of the batch is no HTTP request."))
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in _headers(head[len(first) :].lstrip(b"\r\n")).items()
    }
    return Part(content_id, found[1], found[2], headers, body)


def _split_head(text: bytes) -> tuple[bytes, bytes]:
    """Headers and body, parted by an empty line; there may be no body."""
    if text.startswith((b"\n", b"\r\n")):
        return b"", text.lstrip(b"\r\n")
    head, *body = _END_OF_HEAD.split(text, maxsplit=1)
    return head, body[0] if body else b""


def _headers(head: bytes) -> dict[bytes, bytes]:
    """Headers by their names in lower case; a folded one is made one line again."""
    found = {}
    for line in _LINE.split(_FOLD.sub(b"", head)):
        name, colon, value = line.partition(b":")
        if colon:
            found[name.strip().lower()] = value.strip()
    return found


def _is_plain_id(value: bytes) -> bool:
    """Whether an id can be repeated in an answer: one line of printable text."""
    return len(value) <= LONGEST_ID and not _CONTROL.search(value)


def render_batch(answers: Iterable[Answer], boundary: bytes) -> bytes:
    """The body of a batch's answer, with a part for each request, in their order.

    The id of a part is that of its request after `response-`.

    >>> body = render_batch([Answer(b"<a + 1>", 200, b"{}")], b"b")
    >>> print(body.decode().replace("\\r\\n", "|"))
    --b|Content-Type: application/http|Content-ID: <response-a +
    1>||HTTP/1.1 200 OK|Content-Type: application/json; charset=UTF-8|Content-Length: 2||{}|--b--|
    """
    parts = []
    for answer in answers:
        parts += [b"--", boundary, b"\r\nContent-Type: application/http\r\n"]
        if answer.content_id is not None:
            parts += [b"Content-ID: ", response_id(answer.content_id), b"\r\n"]
        parts += [b"\r\n", _status_line(answer.code)]
        parts += [
            f"{name}: {value}\r\n".encode("latin-1") for name, value in answer.headers.items()
        ]
        parts += [b"Content-Type: application/json; charset=UTF-8\r\n"]
        parts += [f"Content-Length: {len(answer.body)}\r\n\r\n".encode(), answer.body, b"\r\n"]
    return b"".join([*parts, b"--", boundary, b"--\r\n"])


def response_id(content_id: bytes) -> bytes:
    """The Content-ID of the answer to a request with that id.

    >>> response_id(b"<a + 1>"), response_id(b"1")
    (b'<response-a + 1>', b'response-1')
    """
    if content_id.startswith(b"<"):
        return b"<response-" + content_id[1:]
    return b"response-" + content_id


def _status_line(code: int) -> bytes:
    return f"HTTP/1.1 {code} {HTTPStatus(code).phrase}\r\n".encode()
