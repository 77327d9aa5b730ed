"""The discovery document, from which Google's clients make their methods."""

from typing import Any

from detoxlab.serve.wire.schemas import MESSAGES

VERSION = "v1alpha1"


def discovery_document(root_url: str) -> dict[str, Any]:
    """The document of a server whose URL is `root_url`, which ends in a slash.

    >>> document = discovery_document("http://127.0.0.1:8080/")
    >>> document["rootUrl"] + document["batchPath"]
    'http://127.0.0.1:8080/batch'
    """
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": f"commentanalyzer:{VERSION}",
        "name": "commentanalyzer",
        "canonicalName": "Comment Analyzer",
        "version": VERSION,
        "version_module": True,
        "title": "Perspective Comment Analyzer API, served by detoxlab",
        "description": "Scores of how a text may be perceived, by scorers of detoxlab.",
        "ownerDomain": "google.com",
        "ownerName": "Google",
        "protocol": "rest",
        "rootUrl": root_url,
        "mtlsRootUrl": root_url,
        "baseUrl": root_url,
        "basePath": "",
        "servicePath": "",
        "batchPath": "batch",
        "fullyEncodeReservedExpansion": True,
        "icons": {},
        "parameters": _PARAMETERS,
        "schemas": MESSAGES,
        "resources": {
            "comments": {
                "methods": {
                    "analyze": _method("analyze", "Scores a text.", "AnalyzeComment"),
                    "suggestscore": _method(
                        "suggestscore", "Suggests scores of a text.", "SuggestCommentScore"
                    ),
                }
            }
        },
    }


def _method(name: str, description: str, message: str) -> dict[str, Any]:
    path = f"{VERSION}/comments:{name}"
    return {
        "id": f"commentanalyzer.comments.{name}",
        "description": description,
        "httpMethod": "POST",
        "path": path,
        "flatPath": path,
        "parameters": {},
        "parameterOrder": [],
        "request": {"$ref": f"{message}Request"},
        "response": {"$ref": f"{message}Response"},
    }


def _parameter(description: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"location": "query", "type": kind, "description": description, **more}


_PARAMETERS = {
    "key": _parameter("API key, where the server asks for one."),
    "alt": _parameter("Only json.", default="json", enum=["json"], enumDescriptions=["JSON"]),
    "fields": _parameter("Accepted, and of no effect."),
    "prettyPrint": _parameter("Accepted, and of no effect.", "boolean", default="true"),
    "quotaUser": _parameter("Accepted, and of no effect."),
    "access_token": _parameter("Accepted, and of no effect."),
    "oauth_token": _parameter("Accepted, and of no effect."),
    "callback": _parameter("Accepted, and of no effect."),
    "upload_protocol": _parameter("Accepted, and of no effect."),
    "uploadType": _parameter("Accepted, and of no effect."),
    "$.xgafv": _parameter("Accepted, and of no effect."),
}
