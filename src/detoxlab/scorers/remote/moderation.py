"""Requests and answers of OpenAI's `/moderations`.

The service has categories and no toxicity. The attribute `toxicity` here is the highest score among
harassment, hate and their threatening forms, which come nearest to "rude, disrespectful, or
unreasonable". A category that a server leaves out is unknown, not zero.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from detoxlab.scorers.remote.names import CATEGORIES, HARASSMENT
from detoxlab.scorers.remote.perspective import ABOUT_THE_TEXT
from detoxlab.scorers.remote.reading import Reading, Scored, Unscored, at, probability, refused
from detoxlab.servers import Failed

MODEL = "omni-moderation-latest"
# A header of `detoxlab serve`: categories that it does not judge and fills for other clients.
FILLED = "X-Detoxlab-Filled-Categories"
NAN = float("nan")


class Moderation:
    """The dialect of OpenAI's moderations."""

    name = "openai-moderation"
    path = "/moderations"

    def __init__(self, attributes: Sequence[str], model: str = MODEL) -> None:
        self.attributes, self.model = tuple(attributes), model

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def body(self, text: str) -> dict[str, Any]:
        """The request about a text alone, so that no other's answer can be taken for its own."""
        return {"model": self.model, "input": text}

    def read(self, status: int, answer: Any, headers: Mapping[str, str]) -> Reading:
        """Scores of the categories, NaN for those that the server leaves out or only fills.

        >>> Moderation(["toxicity", "hate", "violence"]).read(
        ...     200, {"results": [{"category_scores": {"harassment": 0.5, "hate": 0.25}}]}, {}
        ... )
        Scored(scores_A=(0.5, 0.25, nan))
        """
        if status != 200:
            code = at(answer, "error", "code")
            if isinstance(code, str) and code.upper() in ABOUT_THE_TEXT:
                return Unscored(ABOUT_THE_TEXT[code.upper()])
            return refused(status, code, at(answer, "error", "type"))
        results = at(answer, "results")
        if not isinstance(results, list) or len(results) != 1:
            count = len(results) if isinstance(results, list) else 0
            return Failed(f"an answer with {count} results in place of 1", passing=False)
        given = at(results[0], "category_scores")
        if not isinstance(given, dict):
            return Failed("an answer without scores", passing=False)
        filled = {name.strip() for name in headers.get(FILLED, "").split(",")}
        return self._scored({name: value for name, value in given.items() if name not in filled})

    def _scored(self, given: dict[str, Any]) -> Reading:
        present = {name: given[name] for name in CATEGORIES if given.get(name) is not None}
        known = {name: probability(value) for name, value in present.items()}
        if None in known.values():
            return Failed("a score that is no probability", passing=False)
        scores = {name: value for name, value in known.items() if value is not None}
        related = [scores[name] for name in HARASSMENT if name in scores]
        if related:
            scores["toxicity"] = max(related)
        if not scores.keys() & set(self.attributes):
            return Failed("an answer without any of the scores asked for", passing=False)
        return Scored(tuple(scores.get(name, NAN) for name in self.attributes))
