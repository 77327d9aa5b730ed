"""Settings of how two measured runs are read."""

from pydantic import Field

from detoxlab.recipe.measuring import Intervals


class Reading(Intervals):
    """Which scores count as toxic; None is as the baseline was measured."""

    threshold: float | None = Field(
        None, description="a response at or above it is toxic; none: as in the baseline's run"
    )
    attribute: str | None = Field(
        None, description="the attribute that is compared; none: as in the baseline's run"
    )
