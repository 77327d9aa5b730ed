"""Settings of comparisons and reports: the reading of runs, and the limits."""

from typing import Annotated

from pydantic import Field

from detoxlab.comparisons import Limits
from detoxlab.recipe.measuring import Intervals
from detoxlab.recipe.reading import Reading

WithinLimits = Annotated[
    Limits,
    Field(default_factory=Limits, description="how far each guard may move; see docs/comparing.md"),
]


UsefulBy = Annotated[
    str | None,
    Field(
        description="the evaluation on the horizontal axis of the trade-off, by its name in the "
        "runs, or responses for the perplexity of the responses; none: the first there is of "
        "commonsense, mmlu, perplexity of running text, responses"
    ),
]


class Deciding(Intervals):
    """The limits and intervals behind a verdict."""

    limits: WithinLimits


class ReportSettings(Deciding):
    """The limits and intervals behind the verdicts of a report, and the axis of its trade-off."""

    useful_by: UsefulBy = None


class CompareSettings(Reading, Deciding):
    """One `compare` command."""
