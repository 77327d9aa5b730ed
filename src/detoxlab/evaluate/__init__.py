"""Usefulness: what a model can still do. One file per kind of evaluation; `EVALUATIONS` has all.

perplexity        how well it predicts running text

Other packages add a kind by the entry point group `detoxlab.evaluations`: a class like
`Perplexity`, an `Evaluation` whose field `kind` has the registered name as its default.
"""

from collections.abc import Mapping
from typing import Any

from detoxlab.errors import ConfigError
from detoxlab.evaluate.base import Evaluation, Subject
from detoxlab.evaluate.into import Evaluated, evaluate_into, is_evaluated, read_evaluated
from detoxlab.evaluate.perplexity import Perplexity
from detoxlab.registry import look_up, with_entry_points
from detoxlab.settings import parse

EVALUATIONS: dict[str, type[Evaluation]] = with_entry_points(
    "detoxlab.evaluations", {"perplexity": Perplexity}
)

__all__ = [
    "EVALUATIONS",
    "Evaluated",
    "Evaluation",
    "Perplexity",
    "Subject",
    "evaluate_into",
    "is_evaluated",
    "load_evaluation",
    "read_evaluated",
]


def load_evaluation(settings: Mapping[str, Any], *, place: str = "evaluate") -> Evaluation:
    """The evaluation of the kind that `settings` name, with its other settings.

    Raises `ConfigError` where there is no kind or a setting is wrong, `UnknownNameError` for
    an unknown kind.

    >>> load_evaluation({"kind": "perplexity", "source": "texts.txt"}).kind
    'perplexity'
    """
    if "kind" not in settings:
        raise ConfigError(f"{place}: has no kind", remedy=f"Known: {', '.join(EVALUATIONS)}.")
    kind = look_up("kind of evaluation", str(settings["kind"]), EVALUATIONS)
    return parse(kind, settings, place=place)
