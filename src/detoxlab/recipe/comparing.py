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


class ReportSettings(Intervals):
    """The limits and intervals behind the verdicts of a report."""

    limits: WithinLimits


class CompareSettings(Reading, ReportSettings):
    """One `compare` command."""
