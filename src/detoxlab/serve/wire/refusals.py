"""Errors as answers, in Google's layout. Clients read the messages, so the wording is Google's."""

from collections.abc import Iterable, Sequence
from typing import Any

from detoxlab.serve.wire.schemas import PACKAGE

STATUS_OF = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
Violation = tuple[str, str]


class Refusal(Exception):  # noqa: N818 (an answer, not a failure)
    """An answer that is an error: HTTP status, message, details, and seconds to wait.

    `reason` is its errorType or status, in a word, as metrics count it.
    """

    def __init__(
        self,
        code: int,
        message: str,
        details: Sequence[dict[str, Any]] = (),
        *,
        reason: str = "",
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, tuple(details)
        self.reason = reason or STATUS_OF.get(code, "UNKNOWN")
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """The answer's JSON.

        >>> Refusal(404, "Not found.").body()
        {'error': {'code': 404, 'message': 'Not found.', 'status': 'NOT_FOUND'}}
        """
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "status": STATUS_OF.get(self.code, "UNKNOWN"),
        }
        if self.details:
            error["details"] = list(self.details)
        return {"error": error}

    def headers(self) -> dict[str, str]:
        """The answer's headers."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def analysis_error(kind: str, message: str, **details: Any) -> Refusal:
    """A refusal of a comment: `kind` is Google's errorType, `details` stand beside it."""
    detail = {"@type": f"type.googleapis.com/{PACKAGE}.Error", "errorType": kind, **details}
    return Refusal(400, message, [detail], reason=kind)


def comment_empty() -> Refusal:
    return analysis_error("COMMENT_EMPTY", "Comment must be non-empty.")


def comment_too_long(size: int, limit: int) -> Refusal:
    message = f"Comment text was too many bytes. Value ({size}) exceeded limit ({limit})."
    return analysis_error("COMMENT_TOO_LONG", message)


def no_attributes() -> Refusal:
    return analysis_error("NO_REQUESTED_ATTRIBUTES", "Missing requested_attributes")


def unknown_attribute(name: str) -> Refusal:
    return analysis_error("INVALID_REQUEST", f"Unknown requested attribute: {name}")


def score_type(kind: str, name: str) -> Refusal:
    message = f"Requested score type {kind} is not supported by attribute {name}"
    return analysis_error("INVALID_REQUEST", message)


def two_contexts() -> Refusal:
    return analysis_error(
        "INVALID_REQUEST",
        "Context can have either entries or article_and_parent_comment, but both fields were "
        "populated.",
    )


def language_unknown() -> Refusal:
    return analysis_error("LANGUAGE_DETECTION_FAILED", "Unable to detect language")


def language_not_supported(
    attribute: str, languages: Sequence[str], *, requested: Sequence[str], detected: Sequence[str]
) -> Refusal:
    """The attribute's scorer does not read the text; `languages` are those that it lacks."""
    inner: dict[str, Any] = {"attribute": attribute}
    inner |= {"detectedLanguages": list(detected)} if detected else {}
    inner |= {"requestedLanguages": list(requested)} if requested else {}
    return analysis_error(
        "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
        f"Attribute {attribute} does not support request languages: {', '.join(languages)}",
        languageNotSupportedByAttributeError=inner,
    )


def invalid(violations: Iterable[Violation]) -> Refusal:
    """A body that is no such message; each violation is a field and a sentence."""
    found = list(violations)
    detail = {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [
            {"field": field, "description": text} if field else {"description": text}
            for field, text in found
        ],
    }
    return Refusal(400, "\n".join(text for _, text in found), [detail], reason="INVALID_JSON")


def invalid_json(cause: str) -> Refusal:
    return invalid([("", f"Invalid JSON payload received. {cause}")])


def bad_value(field: str, kind: str, shown: str = "") -> Violation:
    """A value of another type; it is only `shown` where it is no text."""
    return field, f"Invalid value at '{field}' ({kind})" + (f", {shown}" if shown else "")


def exhausted(seconds: int) -> Refusal:
    return Refusal(
        429,
        f"Resource has been exhausted (e.g. check quota). Retry after {seconds} s.",
        retry_after=seconds,
    )


def forbidden_key(given: bool) -> Refusal:
    message = (
        "API key not valid. Please pass a valid API key."
        if given
        else "The request is missing a valid API key."
    )
    return Refusal(403, message)


def internal() -> Refusal:
    return Refusal(500, "Internal error encountered.")


def unavailable() -> Refusal:
    return Refusal(503, "The service is currently unavailable.", retry_after=1)


def not_found() -> Refusal:
    return Refusal(404, "Requested entity was not found.")


def too_large(limit: int) -> Refusal:
    return Refusal(413, f"Request payload size exceeds the limit: {limit} bytes.")


def too_slow() -> Refusal:
    return Refusal(408, "The request did not arrive in time.")
