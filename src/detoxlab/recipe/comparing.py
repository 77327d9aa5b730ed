"""Settings of a comparison: at which threshold, by which attribute, and within which limits."""

from pydantic import Field

from detoxlab.comparisons import Limits
from detoxlab.recipe.reading import Reading


class CompareSettings(Reading):
    """One `compare` command."""

    limits: Limits = Field(
        default_factory=Limits, description="how far each guard may move; see docs/comparing.md"
    )
