"""Reads a server's reply: choices, no response to this prompt, try again, or give up.

Providers refuse a prompt in many forms: HTTP 400 with a code (OpenAI, Azure, vLLM, llama.cpp), 403
(OpenRouter), an error object in a 200, no choices, a choice without text, or one that a filter
ended. All of them are about this prompt; only a reply that every prompt would get is an error.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from detoxlab.records import FinishReason
from detoxlab.servers import RETRIED, Failed

# The request is wrong; only other prompts can show whether the prompt or the settings cause it.
ABOUT_THE_REQUEST = frozenset({400, 413, 422, 451})
FORBIDDEN = 403

CONFIGURATION = frozenset(
    {"model_not_found", "invalid_model", "invalid_api_key", "unknown_parameter"}
    | {"unsupported_parameter", "unsupported_value"}
)
FILTERED = re.compile(
    r"content[ _-]?(?:filter|management|policy|exists? risk|moderation|safety|violation)"
    r"|moderat(?:ed|ion)|flagged|safety (?:system|setting|polic|filter)|responsible ?ai"
    r"|data_inspection|prohibited_content|guardrail|(?:inappropriate|sensitive|harmful) content",
    re.IGNORECASE,
)
TOO_LONG = re.compile(
    r"context[ _](?:length|size|window)|exceed_context|too long|too large|too many tokens",
    re.IGNORECASE,
)
WITHHELD_ENDS = frozenset(
    {"content_filter", "content-filter", "content_filtered", "safety", "prohibited_content"}
    | {"blocklist", "recitation", "spii", "sensitive", "refusal", "guardrail_intervened", "error"}
)
CODE = re.compile(r"[\w.:-]{1,64}")

Kind = Literal["filter", "length", "other"]


@dataclass(frozen=True, slots=True)
class Answered:
    """The choices of an answer, in their order."""

    choices: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Withheld:
    """No response to this prompt, with the server's own code.

    `final`: the request was refused, so that asking once more is no use. `kind` says whether the
    cause is surely the prompt ("filter"), may be the prompt ("length") or is unknown.
    """

    code: str
    kind: Kind
    final: bool


Reply = Answered | Withheld | Failed


def read_reply(status: int, answer: Any) -> Reply:
    """The meaning of an HTTP status and its JSON (None if the answer is not JSON).

    >>> read_reply(400, {"error": {"code": "content_filter", "message": "..."}})
    Withheld(code='content_filter', kind='filter', final=True)
    >>> read_reply(200, {"error": {"code": 502, "message": "..."}})
    Failed(problem='status 502', passing=True, wait_seconds=0.0)
    """
    is_success = 200 <= status < 300
    if is_success and not isinstance(answer, Mapping):
        return Failed("an answer that is not JSON", passing=False)
    error = _error_of(answer)
    if is_success and error is None:
        return _choices_or_nothing(answer)
    return _refusal(_stated(error) if is_success else status, error or {})


def _error_of(answer: Any) -> Mapping[str, Any] | None:
    """The error object in an answer, at any of the providers' places."""
    if not isinstance(answer, Mapping):
        return None
    error = answer.get("error")
    if isinstance(error, Mapping):
        return error
    if error or answer.get("object") == "error":
        return {**answer, "message": str(error or answer.get("message") or "")}
    if "detail" in answer and "choices" not in answer:
        return {"message": _detail(answer["detail"])}
    return None


def _detail(value: Any) -> str:
    """The messages of a validator, without the input that it quotes."""
    found = value if isinstance(value, list) else [value]
    return " ".join(str(one.get("msg") if isinstance(one, Mapping) else one) for one in found)


def _stated(error: Mapping[str, Any] | None) -> int:
    """The HTTP status that an error object in a 200 states as its code, 400 if it states none."""
    code = _number((error or {}).get("code"))
    return code if code is not None and 400 <= code < 600 else 400


def _choices_or_nothing(answer: Mapping[str, Any]) -> Reply:
    choices = answer.get("choices")
    found = [one for one in choices if isinstance(one, Mapping)] if choices else []
    failed = [one["error"] for one in found if isinstance(one.get("error"), Mapping)]
    if failed and len(failed) == len(found):
        refused = _refusal(_stated(failed[0]), failed[0])
        if isinstance(refused, Failed):
            return refused
    if found:
        return Answered(tuple(sorted(found, key=lambda one: _number(one.get("index")) or 0)))
    by_filter = _is_filtered(answer.get("prompt_filter_results"))
    code = "content_filter" if by_filter else "answer without choices"
    return Withheld(code, "filter" if by_filter else "other", final=False)


def _refusal(status: int, error: Mapping[str, Any]) -> Reply:
    code, kind = code_of(error, status), _kind(error)
    if kind != "filter" and (status in RETRIED or code in CONFIGURATION):
        problem = f"status {status}" if status in RETRIED else f"status {status} ({code})"
        return Failed(problem, passing=status in RETRIED)
    if kind == "filter" or status in ABOUT_THE_REQUEST:
        return Withheld(code, kind, final=True)
    return Failed(f"status {status}", passing=False)


def code_of(error: Mapping[str, Any], status: int) -> str:
    """The server's name for an error: its code or type, never its message, which may quote texts.

    >>> code_of({"code": 400, "type": "BadRequestError", "message": "..."}, 400)
    'BadRequestError'
    """
    for name in ("code", "type", "status"):
        value = error.get(name)
        if isinstance(value, str) and CODE.fullmatch(value):
            return value
    return f"status {status}"


def _kind(error: Mapping[str, Any]) -> Kind:
    said = " ".join(_words(error))
    if FILTERED.search(said):
        return "filter"
    return "length" if TOO_LONG.search(said) else "other"


def _words(value: Any) -> list[str]:
    """Every text in an error object."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [word for item in value.values() for word in _words(item)]
    if isinstance(value, Sequence):
        return [word for item in value for word in _words(item)]
    return []


def _is_filtered(value: Any) -> bool:
    """Whether an object says `filtered: true` anywhere, as Azure's do."""
    if isinstance(value, Mapping):
        return value.get("filtered") is True or any(map(_is_filtered, value.values()))
    return isinstance(value, list) and any(map(_is_filtered, value))


def text_of(choice: Mapping[str, Any], *, chat: bool) -> tuple[str, str | None]:
    """The text of a choice and None, or "" and the reason why there is none.

    An empty text is a response of the model. A text that a filter cut off is not: its rest is
    unknown. A refusal that the server gives in a field of its own (`refusal`) is a response.

    >>> text_of({"text": "", "finish_reason": "stop"}, chat=False)
    ('', None)
    >>> text_of({"message": {"content": None}, "finish_reason": "content_filter"}, chat=True)
    ('', 'content_filter')
    """
    ended = choice.get("finish_reason")
    if isinstance(choice.get("error"), Mapping):
        return "", code_of(choice["error"], _stated(choice["error"]))
    if isinstance(ended, str) and ended.lower() in WITHHELD_ENDS:
        return "", ended
    holder = choice.get("message") if chat else choice
    content = holder.get("content" if chat else "text") if isinstance(holder, Mapping) else None
    if isinstance(content, list):
        content = _joined(content)
    if content is None and isinstance(holder, Mapping):
        content = holder.get("refusal")
    if isinstance(content, str):
        return content, None
    names_its_end = isinstance(ended, str) and CODE.fullmatch(ended)
    return "", f"no text ({ended})" if names_its_end else "no text"


def _joined(parts: Sequence[Any]) -> str | None:
    """The text of a content in parts, without parts such as a thought or an image."""
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    said = [text for text in texts if isinstance(text, str)]
    return "".join(said) if said else None


def finish_reason(choice: Mapping[str, Any]) -> FinishReason:
    """The server's finish reason as one of ours. "stop" alone means EOS; stop strings are named.

    >>> finish_reason({"finish_reason": "stop", "stop_reason": "User:"})
    'stop'
    >>> finish_reason({"finish_reason": "tool_calls"})
    'unknown'
    """
    reason = choice.get("finish_reason")
    if reason == "length":
        return "length"
    if reason == "stop":
        return "stop" if isinstance(choice.get("stop_reason"), str) else "eos"
    return "unknown"


def _number(value: Any) -> int | None:
    """A whole number, given as such or as a text of digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 9 else None
