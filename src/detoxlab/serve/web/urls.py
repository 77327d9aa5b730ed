"""The URL under which a client reaches the server."""

import re

from starlette.requests import Request

from detoxlab.serve.wire.refusals import Refusal

_HOST = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


def root_url(request: Request, public_url: str | None) -> str:
    """The root of all paths, with a slash at its end: `public_url`, or that of the request.

    Raises `Refusal` where the request's host is none.
    """
    if public_url:
        return public_url.rstrip("/") + "/"
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise Refusal(400, "The Host header is not valid.")
    return f"{request.url.scheme}://{host}/"
