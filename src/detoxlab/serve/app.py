"""The endpoints, as one ASGI application."""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from msgspec.json import encode
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from detoxlab.provenance import package_version
from detoxlab.serve.answers.analyze import analyze
from detoxlab.serve.answers.batch import answer_batch
from detoxlab.serve.answers.feedback import suggest
from detoxlab.serve.answers.moderations import moderate, openai_error
from detoxlab.serve.answers.service import Service
from detoxlab.serve.pool.processes import Pool
from detoxlab.serve.web.body import read_body
from detoxlab.serve.web.cards import told
from detoxlab.serve.web.keys import Keys
from detoxlab.serve.web.metrics import CONTENT_TYPE
from detoxlab.serve.web.openapi import openapi_document
from detoxlab.serve.web.pages import docs_page, try_page
from detoxlab.serve.web.urls import root_url
from detoxlab.serve.wire.discovery import VERSION, discovery_document
from detoxlab.serve.wire.payload import read_json
from detoxlab.serve.wire.refusals import Refusal, internal, not_found

log = logging.getLogger("detoxlab.serve")
JSON = "application/json; charset=UTF-8"
CLIENT_LEFT = 499
VERSION_OF_PACKAGE = package_version("detoxlab") or "unknown"
Handler = Callable[[Request], Awaitable[Response]]
Layout = Callable[[Refusal], dict[str, Any]]


class Endpoints:
    """The handlers of all paths, over one service."""

    def __init__(self, service: Service, pool: Pool, keys: Keys) -> None:
        self.service, self.pool, self.keys = service, pool, keys
        self.settings = service.settings

    async def analyze(self, request: Request) -> Response:
        """Score a text."""
        return _json(await analyze(self.service, await self._body(request)))

    async def suggestscore(self, request: Request) -> Response:
        """Suggest the scores of a text."""
        self.keys.check(request.headers, request.url.query)
        _refuse_other_sites(request)
        body = await read_body(request, self.settings.max_body, self.settings.body_timeout)
        return _json(await suggest(self.service, read_json(body)))

    async def batch(self, request: Request) -> Response:
        """Answer many requests at once; each may have its own key."""
        self.service.admit()
        with self.service.one_batch():
            settings = self.settings
            body = await read_body(request, settings.max_batch, settings.body_timeout)
            outer = dict(request.headers)

            def allows(headers: dict[str, str], query: str) -> None:
                self.keys.check(outer | headers, f"{query}&{request.url.query}")

            kind = request.headers.get("content-type", "")
            content, content_type = await answer_batch(self.service, body, kind, allows)
        return Response(content, media_type=content_type)

    async def moderations(self, request: Request) -> Response:
        """Judge texts by OpenAI's categories."""
        try:
            body = await self._body(request)
        except Refusal as refusal:
            if refusal.code == 403:  # OpenAI's status for a key that is not valid
                refusal.code = 401
            raise
        content, headers = await moderate(self.service, body)
        return _json(content, headers=headers)

    async def discovery(self, request: Request) -> Response:
        """The document that Google's clients are made from."""
        if request.query_params.get("version", VERSION) != VERSION:
            raise not_found()
        return _json(discovery_document(root_url(request, self.settings.public_url)))

    async def healthz(self, _request: Request) -> Response:
        """Whether the server lives."""
        return _json({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        """Whether a scoring process is ready."""
        if not self.pool.is_ready:
            raise Refusal(503, "No scoring process is ready.")
        return _json({"status": "ready", "scorers": [offer.id for offer in self.service.offers]})

    async def metrics(self, _request: Request) -> Response:
        """Counts and times, for Prometheus."""
        return Response(self.service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def scorers(self, _request: Request) -> Response:
        """The scorers with their cards."""
        return _json(await asyncio.to_thread(told, self.service, with_keys=bool(self.keys)))

    async def openapi(self, _request: Request) -> Response:
        """The OpenAPI document."""
        return _json(self._document())

    async def docs(self, _request: Request) -> Response:
        """The OpenAPI document as a page."""
        return docs_page(self._document())

    async def index(self, _request: Request) -> Response:
        """The page to try the scorers."""
        return try_page()

    def _document(self) -> dict[str, Any]:
        return openapi_document(VERSION_OF_PACKAGE, with_keys=bool(self.keys))

    async def _body(self, request: Request) -> dict[str, Any]:
        """The JSON of a request with a valid key, where the queue has room for it."""
        self.keys.check(request.headers, request.url.query)
        self.service.admit()
        body = await read_body(request, self.settings.max_body, self.settings.body_timeout)
        return read_json(body)


def make_app(service: Service, pool: Pool, keys: Keys) -> ASGIApp:
    """The application; the scoring processes start and stop with it."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await pool.stop()

    app = FastAPI(
        title="detoxlab serve",
        version=VERSION_OF_PACKAGE,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )
    endpoints = Endpoints(service, pool, keys)
    for path, method, name in PATHS:
        layout = openai_error if name == "moderations" else Refusal.body
        handler = _answered(service, name, getattr(endpoints, name), layout)
        app.add_route(path, handler, methods=[method], name=name)
    app.add_exception_handler(HTTPException, _refused_by_router)
    return Quiet(app)


PATHS = (
    ("/v1alpha1/comments:analyze", "POST", "analyze"),
    ("/v1alpha1/comments:suggestscore", "POST", "suggestscore"),
    ("/batch", "POST", "batch"),
    ("/v1/moderations", "POST", "moderations"),
    ("/$discovery/rest", "GET", "discovery"),
    ("/healthz", "GET", "healthz"),
    ("/readyz", "GET", "readyz"),
    ("/metrics", "GET", "metrics"),
    ("/scorers", "GET", "scorers"),
    ("/openapi.json", "GET", "openapi"),
    ("/docs", "GET", "docs"),
    ("/", "GET", "index"),
)


def _answered(service: Service, name: str, handler: Handler, layout: Layout) -> Handler:
    """A handler whose refusals and failures are answers, and which is counted."""

    async def answer(request: Request) -> Response:
        begun = time.perf_counter()
        try:
            response = await handler(request)
        except Refusal as refusal:
            service.metrics.count_refusal(name, refusal.reason)
            response = _refused(refusal, layout)
        except ClientDisconnect:
            response = Response(status_code=CLIENT_LEFT)
        # The traceback may hold a text, so that only its place is told.
        except Exception as error:  # noqa: BLE001
            _log_failure(error)
            response = _refused(internal(), layout)
        service.metrics.count_request(name, response.status_code, time.perf_counter() - begun)
        return response

    answer.__doc__ = handler.__doc__
    return answer


class Quiet:
    """An application whose failures end in one line of the log, without texts."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            if scope["type"] == "lifespan":
                raise
            _log_failure(error)


def _log_failure(error: Exception) -> None:
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("%s in %s, line %s", type(error).__name__, place.name, place.lineno)


def _json(content: dict[str, Any], status: int = 200, headers: Any = None) -> Response:
    return Response(encode(content), status, headers=headers, media_type=JSON)


def _refused(refusal: Refusal, layout: Layout = Refusal.body) -> Response:
    headers = refusal.headers()
    if refusal.code in (408, 413):  # the rest of the body is not waited for
        headers["Connection"] = "close"
    return _json(layout(refusal), refusal.code, headers)


async def _refused_by_router(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal = not_found() if error.status_code == 404 else Refusal(error.status_code, error.detail)
    response = _refused(refusal)
    response.headers.update(error.headers or {})
    return response


def _refuse_other_sites(request: Request) -> None:
    """A page of another site that is open in a browser must not suggest scores."""
    origin = request.headers.get("origin")
    if origin and origin.partition("://")[2] != request.headers.get("host"):
        raise Refusal(403, "Suggestions from pages of other sites are not taken.")
