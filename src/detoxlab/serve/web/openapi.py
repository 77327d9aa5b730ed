"""The OpenAPI document: the messages of the API, and what each endpoint takes and answers."""

from typing import Any

from detoxlab.serve.answers.moderations import CATEGORIES, FILLED
from detoxlab.serve.wire.schemas import MESSAGES, Schema

JSON = "application/json"
SECURITY = {
    "query": {"type": "apiKey", "in": "query", "name": "key"},
    "header": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
REASONS = {
    400: "The request is not valid, or the text has no score; the message says why.",
    401: "The key is missing or not valid.",
    403: "The key is missing or not valid, or the method is switched off.",
    404: "There is no such document.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is packed.",
    429: "The queue is full; `Retry-After` says when to come back.",
    500: "Scoring failed.",
    503: "No scoring process is ready, or too many connections are open.",
}
BODY = (400, 408, 413, 415)
LOAD = (429, 500, 503)


def openapi_document(version: str, *, with_keys: bool) -> Schema:
    """The document of a server, which asks for keys or does not.

    >>> sorted(openapi_document("1", with_keys=False)["paths"])[:3]
    ['/', '/$discovery/rest', '/batch']
    """
    document: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "detoxlab serve",
            "version": version,
            "description": "Scorers in the shapes of Perspective's API and of OpenAI's "
            "moderations. A text that has no score is an error, never 0.",
        },
        "paths": _paths(),
        "components": {"schemas": _schemas(), "securitySchemes": SECURITY if with_keys else {}},
    }
    if with_keys:
        for path in ("analyze", "suggestscore"):
            _method(document, f"/v1alpha1/comments:{path}")["security"] = _any_key()
        _method(document, "/v1/moderations")["security"] = _any_key()
    return document


def _method(document: Schema, path: str) -> Schema:
    found: Schema = document["paths"][path]["post"]
    return found


def _any_key() -> list[Schema]:
    return [{name: []} for name in SECURITY]


def _paths() -> dict[str, Schema]:
    analyze = "Scores of a text by attribute, and of its sentences where they are asked for."
    suggest = "Keeps suggested scores of a text in the operator's file; 403 without one."
    return {
        "/v1alpha1/comments:analyze": _post("AnalyzeComment", analyze, 403),
        "/v1alpha1/comments:suggestscore": _post("SuggestCommentScore", suggest, 403),
        "/batch": {"post": _batch()},
        "/v1/moderations": {"post": _moderations()},
        "/$discovery/rest": _get(
            "The document that Google's clients make their methods from.",
            parameters=[_query("version", "v1alpha1, and no other.")],
            codes=(400, 404),
        ),
        "/healthz": _get("The server lives."),
        "/readyz": _get("A scoring process is ready.", codes=(503,)),
        "/metrics": _get("Counts and times for Prometheus.", kind="text/plain"),
        "/scorers": _get("The scorers that are served, with their cards."),
        "/openapi.json": _get("This document."),
        "/docs": _get("This document, for people.", kind="text/html"),
        "/": _get("A page to try the scorers.", kind="text/html"),
    }


def _post(message: str, description: str, *codes: int) -> Schema:
    return {
        "post": {
            "description": description,
            "parameters": [_query("key", "An API key, where the server asks for one.")],
            "requestBody": _content(_ref(f"{message}Request"), required=True),
            "responses": _responses(_content(_ref(f"{message}Response")), (*BODY, *codes, *LOAD)),
        }
    }


def _batch() -> Schema:
    text = {"schema": {"type": "string"}}
    kinds = {"content": {"multipart/mixed": text}}
    return {
        "description": "Many requests in one. Each part is `application/http` with a Content-ID, "
        "and so is its answer, whose Content-ID is the request's after `response-`.",
        "parameters": [_query("key", "A key for parts that have none.")],
        "requestBody": {"required": True, **kinds},
        "responses": _responses(kinds, (*BODY, *LOAD)),
    }


def _moderations() -> Schema:
    responses = _responses(_content(_ref("ModerationResponse")), (*BODY, 401, *LOAD), "OpenAIError")
    header = {"description": "Categories that are filled.", "schema": {"type": "string"}}
    responses["200"]["headers"] = {FILLED: header}
    return {
        "description": "Texts by OpenAI's categories, those that a served attribute judges. "
        "The others are unknown; they are left out unless the operator has them filled.",
        "requestBody": _content(_ref("ModerationRequest"), required=True),
        "responses": responses,
    }


def _get(
    description: str,
    *,
    kind: str = JSON,
    parameters: list[Schema] | None = None,
    codes: tuple[int, ...] = (),
) -> Schema:
    schema = {"type": "object" if kind == JSON else "string"}
    responses = _responses({"content": {kind: {"schema": schema}}}, codes)
    return {
        "get": {
            "description": description,
            "parameters": parameters or [],
            "responses": responses,
        }
    }


def _responses(success: Schema, codes: tuple[int, ...], error: str = "Error") -> Schema:
    found: Schema = {"200": {"description": "The answer.", **success}}
    for code in sorted(set(codes)):
        found[str(code)] = {"description": REASONS[code], **_content(_ref(error))}
    if "429" in found:
        found["429"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return found


def _query(name: str, description: str) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}


def _content(schema: Schema, **more: Any) -> Schema:
    return {"content": {JSON: {"schema": schema}}, **more}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> dict[str, Schema]:
    return {name: _as_json_schema(one) for name, one in MESSAGES.items()} | OTHER


def _as_json_schema(schema: Schema) -> Schema:
    """A message in JSON Schema; what is not in it is refused."""
    if "$ref" in schema:
        return _ref(schema["$ref"])
    found = {key: value for key, value in schema.items() if key not in ("id", "format")}
    if "properties" in found:
        inner = found["properties"]
        found["properties"] = {name: _as_json_schema(one) for name, one in inner.items()}
        found["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found[key] = _as_json_schema(schema[key])
    return found


_TEXT_OBJECT = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
    "additionalProperties": False,
}


def _by_category(value: Schema) -> Schema:
    properties = dict.fromkeys(CATEGORIES, value)
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _an_object(required: dict[str, Schema], **optional: Schema) -> Schema:
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        "additionalProperties": False,
    }


_STRING: Schema = {"type": "string"}
_STRINGS: Schema = {"type": "array", "items": _STRING}
OTHER: dict[str, Schema] = {
    "Error": _an_object(
        {
            "error": _an_object(
                {"code": {"type": "integer"}, "message": _STRING, "status": _STRING},
                details={"type": "array", "items": {"type": "object"}},
            )
        }
    ),
    "OpenAIError": _an_object(
        {
            "error": _an_object(
                {
                    "message": _STRING,
                    "type": _STRING,
                    "param": {"type": ["string", "null"]},
                    "code": _STRING,
                }
            )
        }
    ),
    "ModerationRequest": _an_object(
        {
            "input": {
                "oneOf": [
                    _STRING,
                    {"type": "array", "items": _STRING, "minItems": 1},
                    {"type": "array", "items": _TEXT_OBJECT, "minItems": 1},
                ]
            }
        },
        model={"type": ["string", "null"]},
    ),
    "ModerationResponse": _an_object(
        {
            "id": _STRING,
            "model": _STRING,
            "results": {
                "type": "array",
                "items": _an_object(
                    {
                        "flagged": {"type": "boolean"},
                        "categories": _by_category({"type": "boolean"}),
                        "category_scores": _by_category({"type": "number"}),
                        "category_applied_input_types": _by_category(_STRINGS),
                    },
                    unknown_categories=_STRINGS,
                ),
            },
        }
    ),
}
