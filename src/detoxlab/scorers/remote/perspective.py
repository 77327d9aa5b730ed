"""Requests and answers of Perspective's `comments:analyze`."""

from collections.abc import Mapping, Sequence
from typing import Any

from detoxlab.scorers.remote.reading import Reading, Scored, Unscored, at, probability, refused
from detoxlab.servers import Failed

# Errors of Google's service that are about the text, with the reasons that scorers give.
ABOUT_THE_TEXT = {
    "COMMENT_EMPTY": "empty",
    "COMMENT_TOO_LONG": "failed: too long for the service",
    "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE": "unsupported language",
    "LANGUAGE_DETECTION_FAILED": "unsupported language",
}


class Perspective:
    """The dialect of Perspective. Without `languages` the service tells the language itself."""

    name = "perspective"
    path = "/v1alpha1/comments:analyze"

    def __init__(self, attributes: Sequence[str], languages: Sequence[str] = ()) -> None:
        self.attributes, self.languages = tuple(attributes), tuple(languages)
        self._names = [one.upper() for one in self.attributes]

    def headers(self, key: str) -> dict[str, str]:
        return {"x-goog-api-key": key}

    def body(self, text: str) -> dict[str, Any]:
        """The request about a text, which the service is asked not to keep."""
        said = {
            "comment": {"text": text},
            "requestedAttributes": {name: {} for name in self._names},
            "doNotStore": True,
        }
        return said | ({"languages": list(self.languages)} if self.languages else {})

    def read(self, status: int, answer: Any, headers: Mapping[str, str]) -> Reading:  # noqa: ARG002
        """Scores of exactly the attributes that were asked for, or why there are none.

        >>> asked = Perspective(["toxicity"])
        >>> asked.read(200, {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 0.5}}}}, {})
        Scored(scores_A=(0.5,))
        >>> asked.read(200, {"attributeScores": {}}, {}).problem
        'an answer with 0 scores in place of 1'
        """
        if status != 200:
            return _refusal(status, answer)
        given = at(answer, "attributeScores")
        if not isinstance(given, dict):
            return Failed("an answer without scores", passing=False)
        if set(given) != set(self._names):
            problem = f"an answer with {len(given)} scores in place of {len(self._names)}"
            same = len(given) == len(self._names)
            return Failed("an answer about other attributes" if same else problem, passing=False)
        scores = [probability(at(given[name], "summaryScore", "value")) for name in self._names]
        known = tuple(one for one in scores if one is not None)
        if len(known) < len(scores):
            return Failed("a score that is no probability", passing=False)
        return Scored(known)


def _refusal(status: int, answer: Any) -> Unscored | Failed:
    error = at(answer, "error")
    details = at(error, "details")
    listed = details if isinstance(details, list) else []
    kinds = [at(one, "errorType") for one in listed]
    for kind in kinds:
        if isinstance(kind, str) and kind in ABOUT_THE_TEXT:
            return Unscored(ABOUT_THE_TEXT[kind])
    if "does not support request languages" in str(at(error, "message")):  # of older versions
        return Unscored(ABOUT_THE_TEXT["LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"])
    return refused(status, *kinds, *(at(one, "reason") for one in listed), at(error, "status"))
