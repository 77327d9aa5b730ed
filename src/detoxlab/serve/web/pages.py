"""The pages for people: one to try the scorers, and the API's documentation. They load nothing."""

import base64
import hashlib
import importlib.resources
import re
from functools import cache
from typing import Any

from starlette.responses import HTMLResponse, Response

from detoxlab.serve.wire.schemas import Schema

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def try_page() -> Response:
    """The page where a text is typed and scored."""
    return _page(_asset("try.html"))


def docs_page(document: Schema) -> Response:
    """An OpenAPI document as a page."""
    from jinja2 import Environment

    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template.filters["shape"] = _shape
    return _page(template.from_string(_asset("docs.html")).render(document=document))


def _page(text: str) -> Response:
    """A page that may run and show what stands in it, ask this server, and nothing else."""
    return HTMLResponse(text, headers={"Content-Security-Policy": _policy(text)} | _HEADERS)


_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def _policy(text: str) -> str:
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for found in _INLINE.finditer(text):
        digest = base64.b64encode(hashlib.sha256(found[2].encode()).digest()).decode()
        hashes[found[1]].append(f"'sha256-{digest}'")
    parts = [f"{kind}-src {' '.join(own) or repr('none')}" for kind, own in hashes.items()]
    fixed = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'"
    return "; ".join([fixed, "form-action 'none'; frame-ancestors 'none'", *parts])


@cache
def _asset(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _shape(schema: Any) -> str:
    """A JSON schema in a few words, for a table.

    >>> _shape({"type": "array", "items": {"$ref": "#/components/schemas/Score"}})
    'list of Score'
    """
    if not isinstance(schema, dict):
        return ""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "oneOf" in schema:
        return " or ".join(dict.fromkeys(map(_shape, schema["oneOf"])))
    if schema.get("type") == "array":
        return f"list of {_shape(schema['items'])}"
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        return f"{_shape(inner)} by name"
    kind = schema.get("type", "text" if "const" in schema else "object")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
