"""Settings for reading two measured runs."""

from pydantic import Field

from detoxlab.recipe.measuring import Intervals


class Reading(Intervals):
    """The threshold and attribute of toxic scores; None takes those of the baseline."""

    threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="a response at or above it is toxic; none: as in the baseline's run",
    )
    attribute: str | None = Field(
        None, description="the attribute that is compared; none: as in the baseline's run"
    )
