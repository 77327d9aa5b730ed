"""The messages of Perspective's API `v1alpha1`, in the form of Google's discovery documents.

They are written once: the discovery document and the OpenAPI page show them, and `checking` holds
requests against them.
"""

from typing import Any

Schema = dict[str, Any]

PACKAGE = "google.commentanalyzer.v1alpha1"
SCORE_TYPES = ["SCORE_TYPE_UNSPECIFIED", "PROBABILITY", "STD_DEV_SCORE", "PERCENTILE", "RAW"]
TEXT_TYPES = ["TEXT_TYPE_UNSPECIFIED", "PLAIN_TEXT", "HTML"]


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _ref(name: str) -> Schema:
    return {"$ref": name}


def _map(name: str, description: str) -> Schema:
    return {"type": "object", "additionalProperties": _ref(name), "description": description}


def _message(name: str, description: str, properties: dict[str, Schema]) -> Schema:
    return {"id": name, "type": "object", "description": description, "properties": properties}


_TOKEN = _text("Any text; the answer has it too.")
_LANGUAGES = _list(
    {"type": "string"},
    "Languages of the comment (ISO 639-1 or BCP-47). Without any, they are detected. All must be "
    "among those of the attribute's scorer.",
)
_COMMUNITY = _text("Accepted, and of no effect.")
_FLOAT = {"type": "number", "format": "float"}

MESSAGES: dict[str, Schema] = {
    message["id"]: message
    for message in (
        _message(
            "AnalyzeCommentRequest",
            "A text to score.",
            {
                "comment": _ref("TextEntry"),
                "context": _ref("Context"),
                "requestedAttributes": _map(
                    "AttributeParameters", "The attributes to score, by name."
                ),
                "languages": _LANGUAGES,
                "spanAnnotations": {
                    "type": "boolean",
                    "description": "Score each sentence too; else one span covers the text.",
                },
                "dropUnsupportedAttributes": {
                    "type": "boolean",
                    "description": "Leave out attributes that are unknown, or whose scorer does "
                    "not read the text, instead of answering with an error.",
                },
                "doNotStore": {
                    "type": "boolean",
                    "description": "Accepted; texts are never stored by this method.",
                },
                "clientToken": _TOKEN,
                "sessionId": _COMMUNITY,
                "communityId": _COMMUNITY,
            },
        ),
        _message(
            "AnalyzeCommentResponse",
            "The scores of a text.",
            {
                "attributeScores": _map("AttributeScores", "Scores by attribute."),
                "languages": _list({"type": "string"}, "Languages that the text was read in."),
                "detectedLanguages": _list(
                    {"type": "string"}, "The language detected, where there is a clear one."
                ),
                "clientToken": _text("The token of the request."),
            },
        ),
        _message(
            "SuggestCommentScoreRequest",
            "Scores that a text should have.",
            {
                "comment": _ref("TextEntry"),
                "context": _ref("Context"),
                "attributeScores": _map("AttributeScores", "The suggested scores, by attribute."),
                "languages": _LANGUAGES,
                "communityId": _COMMUNITY,
                "sessionId": _COMMUNITY,
                "clientToken": _TOKEN,
            },
        ),
        _message(
            "SuggestCommentScoreResponse",
            "What was suggested is kept.",
            {
                "clientToken": _text("The token of the request."),
                "detectedLanguages": _list({"type": "string"}, "Not filled here."),
                "requestedLanguages": _list({"type": "string"}, "Not filled here."),
            },
        ),
        _message(
            "TextEntry",
            "A text.",
            {
                "text": _text("At most 20,480 bytes in UTF-8, unless the server says otherwise."),
                "type": {
                    "type": "string",
                    "enum": TEXT_TYPES,
                    "description": "HTML is reduced to its text, which spans then refer to.",
                },
            },
        ),
        _message(
            "Context",
            "What the comment answers to. It is accepted, and of no effect.",
            {
                "entries": _list(_ref("TextEntry"), "Earlier messages."),
                "articleAndParentComment": _ref("ArticleAndParentComment"),
            },
        ),
        _message(
            "ArticleAndParentComment",
            "An article, and the comment that is answered to.",
            {"article": _ref("TextEntry"), "parentComment": _ref("TextEntry")},
        ),
        _message(
            "AttributeParameters",
            "How to score an attribute.",
            {
                "scoreType": {
                    "type": "string",
                    "enum": SCORE_TYPES,
                    "description": "PROBABILITY is the only one that is served.",
                },
                "scoreThreshold": _FLOAT | {"description": "Leave out scores below it."},
            },
        ),
        _message(
            "AttributeScores",
            "The scores of one attribute.",
            {
                "summaryScore": _ref("Score"),
                "spanScores": _list(_ref("SpanScore"), "Scores of parts of the text."),
            },
        ),
        _message(
            "Score",
            "A score and its type.",
            {
                "value": _FLOAT | {"description": "The probability, in [0, 1]; higher is worse."},
                "type": {"type": "string", "enum": SCORE_TYPES, "description": "PROBABILITY"},
            },
        ),
        _message(
            "SpanScore",
            "The score of a part of the text, from `begin` up to, not including, `end`.",
            {
                "begin": {
                    "type": "integer",
                    "format": "int32",
                    "description": "In UTF-16 code units, as Google's service counts.",
                },
                "end": {"type": "integer", "format": "int32", "description": "As `begin`."},
                "score": _ref("Score"),
            },
        ),
    )
}
