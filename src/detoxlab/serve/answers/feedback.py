"""`comments:suggestscore`: suggestions are appended to a file, where the operator names one."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from detoxlab.serve.answers.analyze import comment_text
from detoxlab.serve.answers.service import Service
from detoxlab.serve.wire.checking import checked
from detoxlab.serve.wire.refusals import Refusal, analysis_error


async def suggest(service: Service, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a suggestion, which is kept before it is given. Raises `Refusal`."""
    file = service.settings.feedback
    if file is None:
        raise Refusal(403, "This server keeps no suggested scores.")
    request = checked(body, "SuggestCommentScoreRequest")
    comment_text(request, service.settings.max_text)
    _check_scores(request.get("attributeScores", {}))
    line = json.dumps({"time": round(time.time()), **request}, ensure_ascii=False)
    async with service.writing:
        await asyncio.to_thread(_append, file, line)
    return {"clientToken": request["clientToken"]} if "clientToken" in request else {}


def _check_scores(scores: dict[str, Any]) -> None:
    if not scores:
        raise analysis_error("INVALID_REQUEST", "attribute_scores must not be empty.")
    for name, one in scores.items():
        found = [one["summaryScore"]] if "summaryScore" in one else []
        spans = one.get("spanScores", [])
        found += [span.get("score", {}) for span in spans]
        if not found:
            raise analysis_error("INVALID_REQUEST", f"Scores of {name[:100]} must not be empty.")
        if any(not 0 <= score.get("value", -1) <= 1 for score in found):
            message = f"Each score of {name[:100]} needs a value from 0 to 1."
            raise analysis_error("INVALID_REQUEST", message)
        if any(not 0 <= span.get("begin", -1) < span.get("end", 0) for span in spans):
            raise analysis_error("INVALID_REQUEST", f"Spans of {name[:100]} need begin and end.")


def _append(file: Path, line: str) -> None:
    """Write a line to a file that only its owner reads: it holds what people wrote."""
    with os.fdopen(
        os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8"
    ) as out:
        out.write(line + "\n")
