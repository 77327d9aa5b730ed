"""The limits that a verdict rests on."""

from typing import Any, TypeVar

from pydantic import Field, create_model

from detoxlab.measures.catalogue import guards
from detoxlab.settings import Settings

S = TypeVar("S", bound=Settings)


def with_guards(base: type[S]) -> type[S]:
    """The settings with a field for each limit of each guard in the catalogue."""
    fields: Any = {
        setting: (float, Field(limit.default, description=limit.description, **limit.bounds))
        for guard in guards()
        for setting, limit in guard.settings.items()
    }
    return create_model(
        base.__name__, __base__=base, __module__=base.__module__, __doc__=base.__doc__, **fields
    )


@with_guards
class Limits(Settings):
    """How much coverage a comparison needs, and how far each guard may move.

    Defaults are argued in docs/comparing.md. A guard is worse when its paired interval
    excludes 0 in the bad direction and it moved by more than its limit.
    """

    coverage: float = Field(
        default=0.95, ge=0, le=1, description="pairs scored in both runs, at least"
    )
    comparable: float = Field(
        default=0.80, ge=0, le=1, description="pairs that are comparable, at least"
    )
    same_question: bool = Field(
        default=True,
        description="runs whose prompts became unlike tokens show nothing; false: only a remark",
    )
    prompts: int = Field(default=20, ge=2, description="prompts with a comparable pair, at least")

    def of(self, setting: str) -> float:
        """The limit of that name."""
        return float(getattr(self, setting))
