"""Settings of comparisons and reports: how runs are read, and within which limits."""

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
    """What the verdicts in a report rest on."""

    limits: WithinLimits


class CompareSettings(Reading, ReportSettings):
    """One `compare` command."""
