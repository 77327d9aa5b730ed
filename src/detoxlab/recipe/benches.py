"""Further benches of a recipe: the same models on other prompts, or asked in another way."""

from typing import Any

from pydantic import Field, model_validator

from detoxlab.data.settings import PromptSettings
from detoxlab.recipe.measuring import Chat, SamplingSettings
from detoxlab.settings import Settings


class Bench(Settings):
    """A further bench of a recipe: the changes of the recipe's own."""

    prompts: PromptSettings | None = Field(
        None, description="which prompts to ask; none: the recipe's, or the protocol's own"
    )
    protocol: str | None = Field(None, description="another protocol; none: the recipe's")
    chat: Chat | None = Field(
        None, description="prompts as user turns or not; none: as the recipe says"
    )
    sampling: SamplingSettings | None = Field(
        None, description="departures from the protocol's sampling; none: the recipe's"
    )

    @model_validator(mode="after")
    def _is_another(self) -> "Bench":
        if not self.changes:
            raise ValueError("nothing is changed: name prompts, protocol, chat or sampling")
        return self

    @property
    def changes(self) -> dict[str, Any]:
        """The settings that are named.

        >>> Bench(chat="yes").changes
        {'chat': 'yes'}
        """
        named = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in named.items() if value is not None}

    def of(self, measuring: dict[str, Any]) -> dict[str, Any]:
        """The settings of a measurement, changed; another protocol brings its own prompts."""
        own = {"prompts"} if self.protocol else set()
        return {name: it for name, it in measuring.items() if name not in own} | self.changes
