"""`comments:analyze`: the scores of a text by attribute, of the whole and of its sentences."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from detoxlab.scorers.base import is_empty
from detoxlab.scorers.texts.sentences import Piece
from detoxlab.serve.answers.attributes import Source
from detoxlab.serve.answers.service import Service
from detoxlab.serve.pool.messages import Scored
from detoxlab.serve.wire.checking import checked
from detoxlab.serve.wire.refusals import (
    Refusal,
    comment_empty,
    comment_too_long,
    internal,
    language_not_supported,
    language_unknown,
    no_attributes,
    score_type,
    two_contexts,
    unknown_attribute,
)
from detoxlab.serve.wire.texts import in_utf16, spans_of, text_of_html

UNKNOWN = "unknown"
UNDETERMINED = "und"


class Asked(NamedTuple):
    """A checked request: the text and its pieces, the attributes and their thresholds."""

    text: str
    pieces: list[Piece]
    sources: list[Source]
    thresholds: dict[str, float]
    languages: list[str]
    drops: bool
    token: str | None

    @property
    def texts(self) -> list[str]:
        """The text, and after it each of its pieces."""
        return [self.text, *(self.text[start:end] for start, end in self.pieces)]


class Found(NamedTuple):
    """The rows of a text and of its pieces by one scorer."""

    whole: Scored
    pieces: list[Scored]


async def analyze(service: Service, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request's JSON. Raises `Refusal`; a text without a score is one, never 0.

    Whether the queue takes another request is the caller's to ask.
    """
    asked = read_request(service, body)
    (found,) = await rows_of(service, [asked])
    return answer_of(asked, found)


async def rows_of(service: Service, requests: Sequence[Asked]) -> list[dict[int, Found]]:
    """The rows of each request by scorer. All texts for one scorer are scored by one call."""
    found: list[dict[int, Found]] = [{} for _ in requests]
    for scorer in range(len(service.offers)):
        texts: list[str] = []
        detect, own = [], []
        for at, asked in enumerate(requests):
            if any(source.scorer == scorer for source in asked.sources):
                own.append(at)
                detect += [] if asked.languages else [len(texts)]
                texts += asked.texts
        if texts:
            rows = iter(await service.scores(scorer, texts, detect))
            for at in own:
                found[at][scorer] = Found(next(rows), list(islice(rows, len(requests[at].pieces))))
    return found


def read_request(service: Service, body: dict[str, Any]) -> Asked:
    """A request from its JSON. Raises `Refusal` where it asks for something that is not there."""
    request = checked(body, "AnalyzeCommentRequest")
    text = comment_text(request, service.settings.max_text)
    if {"entries", "articleAndParentComment"} <= set(request.get("context", {})):
        raise two_contexts()
    wanted = request.get("requestedAttributes", {})
    if not wanted:
        raise no_attributes()
    languages, drops = request.get("languages", []), request.get("dropUnsupportedAttributes", False)
    sources = []
    for name, parameters in wanted.items():
        source = service.attributes.get(name)
        if source is None and not drops:
            raise unknown_attribute(name[:100])
        if source and (lacking := source.lacks(languages)):
            if not drops:
                raise language_not_supported(name, lacking, requested=languages, detected=())
            source = None
        if source:
            _check_score_type(name, parameters)
            sources.append(source)
    thresholds = {
        name: parameters["scoreThreshold"]
        for name, parameters in wanted.items()
        if "scoreThreshold" in parameters
    }
    return Asked(
        text,
        spans_of(text) if request.get("spanAnnotations") else [],
        sources,
        thresholds,
        languages,
        drops,
        request.get("clientToken"),
    )


def comment_text(request: dict[str, Any], most: int) -> str:
    """The text of a request's comment, out of its HTML. Raises `Refusal` when empty or too long."""
    comment = request.get("comment", {})
    text: str = comment.get("text", "")
    size = len(text) if text.isascii() else len(text.encode())
    if size > most:
        raise comment_too_long(size, most)
    if comment.get("type") == "HTML":
        text = text_of_html(text)
    if is_empty(text):
        raise comment_empty()
    return text


def _check_score_type(name: str, parameters: dict[str, Any]) -> None:
    kind = parameters.get("scoreType", "PROBABILITY")
    if kind not in ("PROBABILITY", "SCORE_TYPE_UNSPECIFIED"):
        raise score_type(kind, name)


def answer_of(asked: Asked, found: dict[int, Found]) -> dict[str, Any]:
    """The answer's JSON from the rows of each scorer. Raises `Refusal` for a text without score."""
    detected = _detected(found)
    places = in_utf16(asked.text, asked.pieces or [Piece(0, len(asked.text))])
    scores: dict[str, Any] = {}
    for source in asked.sources:
        whole = found[source.scorer].whole
        value = _value(whole, source)
        if value is None:
            if not asked.drops:
                raise _unread(source, whole, asked.languages, detected)
        elif value >= asked.thresholds.get(source.name, 0.0):
            rows = found[source.scorer].pieces if asked.pieces else [whole]
            scores[source.name] = _attribute(value, source, places, rows)
    answer: dict[str, Any] = {"attributeScores": scores}
    answer["languages"] = asked.languages or _read_in(asked.sources, detected)
    if detected:
        answer["detectedLanguages"] = detected
    if asked.token is not None:
        answer["clientToken"] = asked.token
    return answer


def _attribute(
    value: float, source: Source, places: Sequence[Piece], rows: Sequence[Scored]
) -> dict[str, Any]:
    """The scores of one attribute; a sentence without a score is left out."""
    spans = [
        {"begin": begin, "end": end, "score": _score(part)}
        for (begin, end), row in zip(places, rows, strict=True)
        if (part := _value(row, source)) is not None
    ]
    return {"spanScores": spans, "summaryScore": _score(value)}


def _score(value: float) -> dict[str, Any]:
    return {"value": value, "type": "PROBABILITY"}


def _value(row: Scored, source: Source) -> float | None:
    return row.values[source.column] if row.values else None


def _unread(
    source: Source, row: Scored, requested: Sequence[str], detected: Sequence[str]
) -> Refusal:
    """Why an attribute has no score, as Google says it."""
    if row.reason == "empty":
        return comment_empty()
    if not row.reason.startswith("unsupported"):
        return internal()
    if not detected and not requested:
        return language_unknown()
    languages = list(detected) or [UNDETERMINED]
    return language_not_supported(source.name, languages, requested=requested, detected=detected)


def _detected(found: dict[int, Found]) -> list[str]:
    told = [one.whole.language for one in found.values()]
    return [language for language in told[:1] if language not in ("", UNKNOWN)]


def _read_in(sources: Sequence[Source], detected: Sequence[str]) -> list[str]:
    """The language that a text was read in: the one detected, else the scorers' only one."""
    if detected and not any(source.lacks(detected) for source in sources):
        return list(detected)
    known = {source.offer.languages for source in sources}
    only = known.pop() if len(known) == 1 else ()
    return list(only) if len(only) == 1 else [UNDETERMINED]
