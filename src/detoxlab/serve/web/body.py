"""Bodies of requests, with a bound on their size and on the time that they take to arrive."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from detoxlab.serve.wire.refusals import Refusal, too_large, too_slow


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """The body. Raises `Refusal` where it is too large, too slow or packed; `ClientDisconnect`."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(415, "A Content-Encoding is not supported.")
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > most:
        raise too_large(most)
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > most:
                    raise too_large(most)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        raise too_slow() from None
