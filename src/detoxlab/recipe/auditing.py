"""Settings of an audit: the scorers, the data, and the attributes."""

from typing import Any

from pydantic import Field, field_validator

from detoxlab.audits.keys import PROBE_KEYS, SET_KEYS
from detoxlab.data.settings import relative
from detoxlab.data.toxigen import group_name
from detoxlab.errors import UnknownNameError
from detoxlab.recipe.measuring import Intervals

SECTIONS = (*SET_KEYS, *PROBE_KEYS)


class AuditSettings(Intervals):
    """One `audit` command."""

    scorers: tuple[str, ...] = Field(min_length=1, description="scorers to audit, side by side")
    data: str = Field(description="folder of the labelled sets; a set that is not there is absent")
    attributes: tuple[str, ...] = Field(
        (),
        description="attributes to audit; without any, toxicity and hate where a scorer has them, "
        "else its first",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="texts at or above it are marked; none: the scorer's own or .5",
    )
    limit: int | None = Field(None, ge=1, description="so many texts per set, drawn by the seed")
    sections: tuple[str, ...] = Field((), description=f"only these: {', '.join(SECTIONS)}")
    held_out: tuple[str, ...] = Field(
        (), description="ToxiGen's groups that no scorer was trained on, shown together as well"
    )

    @field_validator("sections")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in SECTIONS:
                raise UnknownNameError("section", name, SECTIONS)
        return names

    @field_validator("held_out")
    @classmethod
    def _standard(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(group_name(group) for group in groups)

    @property
    def is_whole(self) -> bool:
        """Whether every section runs on all texts at the scorer's own threshold.

        Only such an audit is stored as a card.
        """
        return not (self.limit or self.sections or self.threshold)

    def includes(self, key: str) -> bool:
        """Whether the section is asked for."""
        return not self.sections or key in self.sections

    def run_config(self) -> dict[str, Any]:
        """The content of the run's `config.yaml`, with a relative path."""
        return self.model_dump(mode="json") | {"data": relative(self.data)}
