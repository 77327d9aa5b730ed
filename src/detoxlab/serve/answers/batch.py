"""`/batch`: many requests in one, each answered by itself and in its place."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any
from urllib.parse import urlsplit

from msgspec.json import encode

from detoxlab.serve.answers.analyze import Asked, Found, answer_of, read_request, rows_of
from detoxlab.serve.answers.feedback import suggest
from detoxlab.serve.answers.service import Service
from detoxlab.serve.wire.multipart import Answer, Part, boundary_of, parse_batch, render_batch
from detoxlab.serve.wire.payload import read_json
from detoxlab.serve.wire.refusals import Refusal, not_found, too_large

ANALYZE, SUGGEST = "/v1alpha1/comments:analyze", "/v1alpha1/comments:suggestscore"
Allows = Callable[[dict[str, str], str], None]
# A request whose texts are to be scored, or its answer's JSON, or why it has none.
Read = Asked | dict[str, Any] | Refusal


async def answer_batch(
    service: Service, body: bytes, content_type: str, allows: Allows
) -> tuple[bytes, str]:
    """The body and Content-Type of a batch's answer. Raises `Refusal` where it is no batch.

    `allows(headers, query)` raises `Refusal` for a part without a valid key. The texts of parts are
    scored a batch or two of the queue at a time, so that a large one leaves room for others.
    """
    parts = parse_batch(body, boundary_of(content_type), service.settings.max_parts)
    at_once = 2 * service.settings.batch_size * service.settings.workers
    answers: list[Answer] = []
    read: list[Read] = []
    texts = 0
    for part in parts:
        read.append(await _read(service, part, allows))
        texts += 1 + len(read[-1].pieces) if isinstance(read[-1], Asked) else 0
        if texts >= at_once or len(answers) + len(read) == len(parts):
            own = parts[len(answers) : len(answers) + len(read)]
            contents = zip(own, await _contents(service, read), strict=True)
            answers += [_answer(service, part, content) for part, content in contents]
            read, texts = [], 0
    boundary = f"batch_{secrets.token_urlsafe(24)}"
    return render_batch(answers, boundary.encode()), f"multipart/mixed; boundary={boundary}"


async def _contents(service: Service, read: Sequence[Read]) -> list[dict[str, Any] | Refusal]:
    """The answer to each request in order, with the texts of all of them scored together."""
    asked = [one for one in read if isinstance(one, Asked)]
    found: Iterator[dict[int, Found] | Refusal]
    try:
        found = iter(await rows_of(service, asked))
    except Refusal as refusal:
        found = repeat(refusal)
    return [_content(one, next(found)) if isinstance(one, Asked) else one for one in read]


def _content(asked: Asked, found: dict[int, Found] | Refusal) -> dict[str, Any] | Refusal:
    if isinstance(found, Refusal):
        return found
    try:
        return answer_of(asked, found)
    except Refusal as refusal:
        return refusal


def _answer(service: Service, part: Part, content: dict[str, Any] | Refusal) -> Answer:
    if not isinstance(content, Refusal):
        return Answer(part.content_id, 200, encode(content))
    service.metrics.count_refusal("batch", content.reason)
    return Answer(part.content_id, content.code, encode(content.body()), content.headers())


async def _read(service: Service, part: Part, allows: Allows) -> Read:
    try:
        path = _checked_path(service, part, allows)
        body = read_json(part.body)
        return read_request(service, body) if path == ANALYZE else await suggest(service, body)
    except Refusal as refusal:
        return refusal


def _checked_path(service: Service, part: Part, allows: Allows) -> str:
    """The path of a request that may be answered; the other ones raise `Refusal`."""
    if part.error:
        raise part.error
    try:
        target = urlsplit(part.target)
    except ValueError:
        raise not_found() from None
    path = _local(target.path, service.settings.public_url)
    if path not in (ANALYZE, SUGGEST):
        raise not_found()
    if part.method != "POST":
        raise Refusal(405, "Method not allowed.")
    allows(part.headers, target.query)
    if len(part.body) > service.settings.max_body:
        raise too_large(service.settings.max_body)
    return path


def _local(path: str, public_url: str | None) -> str:
    """A path without that of the public URL, and with a colon however it was written."""
    prefix = urlsplit(public_url or "").path.rstrip("/")
    return path.removeprefix(prefix).replace("%3A", ":").replace("%3a", ":")
