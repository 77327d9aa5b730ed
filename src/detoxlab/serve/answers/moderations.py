"""`/v1/moderations` in OpenAI's shape, for tools that left Perspective that way.

Scorers judge a part of OpenAI's categories. The others are unknown, which is not zero: they are
left out and listed, unless the operator fills them for clients that need all.
"""

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from detoxlab.scorers.base import is_empty
from detoxlab.serve.answers.attributes import Source
from detoxlab.serve.answers.service import Service
from detoxlab.serve.pool.messages import Scored
from detoxlab.serve.wire.refusals import Refusal, comment_too_long

# The attributes that answer for a category, the best first.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "harassment": ("INSULT", "TOXICITY"),
    "harassment/threatening": ("THREAT",),
    "hate": ("HATE", "IDENTITY_ATTACK"),
    "hate/threatening": (),
    "illicit": (),
    "illicit/violent": (),
    "self-harm": (),
    "self-harm/intent": (),
    "self-harm/instructions": (),
    "sexual": ("SEXUALLY_EXPLICIT",),
    "sexual/minors": (),
    "violence": (),
    "violence/graphic": (),
}
FILLED = "X-Detoxlab-Filled-Categories"


class Moderated(NamedTuple):
    """An answer's JSON, and its headers."""

    content: dict[str, Any]
    headers: dict[str, str]


async def moderate(service: Service, body: dict[str, Any]) -> Moderated:
    """The answer to a request's JSON. Raises `Refusal`; a text that is not read is one."""
    model = _known_fields(body)
    texts = _texts(body.get("input"), service.settings.max_parts, service.settings.max_text)
    judged = judges(service.attributes)
    if not judged:
        raise Refusal(400, "No scorer of this server judges a category of moderations.")
    rows = {
        scorer: await _rows(service, scorer, texts)
        for scorer in dict.fromkeys(source.scorer for source in judged.values())
    }
    unknown = [name for name in CATEGORIES if name not in judged]
    fill = unknown if service.settings.fill_unknown else []
    results = [
        _result({name: _value(rows, source, at) for name, source in judged.items()}, judged, fill)
        | ({} if fill else {"unknown_categories": unknown})
        for at in range(len(texts))
    ]
    named = model or ",".join(offer.id for offer in service.offers)
    content = {"id": f"modr-{secrets.token_hex(12)}", "model": named, "results": results}
    return Moderated(content, {FILLED: ", ".join(fill)} if fill else {})


def judges(attributes: dict[str, Source]) -> dict[str, Source]:
    """The attribute that answers for each category that one can answer for."""
    return {
        category: next(attributes[name] for name in names if name in attributes)
        for category, names in CATEGORIES.items()
        if set(names) & set(attributes)
    }


def _known_fields(body: dict[str, Any]) -> str:
    if unknown := [name for name in body if name not in ("input", "model")]:
        raise Refusal(400, f"Unrecognized request argument supplied: {unknown[0][:100]}")
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise Refusal(400, "'model' must be a string.")
    return model or ""


def _texts(given: Any, most: int, longest: int) -> list[str]:
    entries = [given] if isinstance(given, str) else given
    if not isinstance(entries, list) or not entries:
        raise Refusal(400, "'input' must be a string, or a list of strings or of text objects.")
    if len(entries) > most:
        raise Refusal(400, f"'input' has {len(entries)} texts; at most {most} are allowed.")
    texts = [_text(entry, f"input[{at}]") for at, entry in enumerate(entries)]
    for text in texts:
        if (size := len(text.encode())) > longest:
            raise comment_too_long(size, longest)
    return texts


def _text(entry: Any, place: str) -> str:
    text = entry
    if isinstance(entry, dict):
        if entry.get("type") != "text" or set(entry) != {"type", "text"}:
            raise Refusal(
                400, f"'{place}' is not {{type: \"text\", text}}; only text is moderated."
            )
        text = entry["text"]
    if not isinstance(text, str):
        raise Refusal(400, f"'{place}' must be a string.")
    if is_empty(text):
        raise Refusal(400, f"'{place}' is empty.", reason="COMMENT_EMPTY")
    return text


async def _rows(service: Service, scorer: int, texts: list[str]) -> list[Scored]:
    rows = await service.scores(scorer, texts, [])
    for at, row in enumerate(rows):
        if row.reason.startswith("unsupported"):
            raise Refusal(
                400,
                f"'input[{at}]' is in a language or script that the scorer does not read.",
                reason="LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
            )
        if row.reason:
            raise Refusal(500, f"'input[{at}]' could not be scored.")
    return rows


def _value(rows: dict[int, list[Scored]], source: Source, at: int) -> float:
    value = rows[source.scorer][at].values[source.column]
    assert value is not None  # its row has no reason
    return value


def _result(
    scores: dict[str, float], judged: dict[str, Source], fill: Sequence[str]
) -> dict[str, Any]:
    marks = {name: scores[name] >= source.threshold for name, source in judged.items()}
    names = [name for name in CATEGORIES if name in scores or name in fill]
    return {
        "flagged": any(marks.values()),
        "categories": {name: marks.get(name, False) for name in names},
        "category_scores": {name: scores.get(name, 0.0) for name in names},
        "category_applied_input_types": {
            name: ["text"] if name in scores else [] for name in names
        },
    }


def openai_error(refusal: Refusal) -> dict[str, Any]:
    """A refusal in OpenAI's layout.

    >>> openai_error(Refusal(400, "'input[0]' is empty.", reason="COMMENT_EMPTY"))["error"]["code"]
    'comment_empty'
    """
    kinds = {401: "authentication_error", 403: "authentication_error", 429: "rate_limit_error"}
    usual = "invalid_request_error" if refusal.code < 500 else "server_error"
    return {
        "error": {
            "message": refusal.message,
            "type": kinds.get(refusal.code, usual),
            "param": None,
            "code": refusal.reason.lower(),
        }
    }
