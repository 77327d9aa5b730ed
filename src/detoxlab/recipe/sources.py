"""Settings of what is asked and of what is learnt from."""

from pydantic import Field

from detoxlab.data.settings import DataSettings
from detoxlab.data.verbaliser import Verbaliser
from detoxlab.data.where import Conditions
from detoxlab.settings import Settings


class PromptSettings(DataSettings):
    """Which prompts to ask."""

    where: Conditions = Field({}, description="keep rows in these ranges")
    join_continuation: bool = Field(False, description="prompt and continuation as one prompt")
    deduplicate: bool = Field(False, description="leave out prompts that repeat a text")
    opening: int | None = Field(
        None, ge=1, description="only so many of a text's first words; shorter ones are left out"
    )
    exclude: "PromptSettings | None" = Field(
        None, description="leave out prompts with the text of one of these; before `limit`"
    )


class DialogueSettings(DataSettings):
    """Which dialogues to learn from."""

    validation: float = Field(0.1, gt=0, lt=1, description="share of dialogues held out")


class PairSettings(DataSettings):
    """Which preference pairs to learn from."""

    validation: float = Field(0.1, gt=0, lt=1, description="share of pairs held out")


class TextPart(DataSettings):
    """One part of a mixture of texts, read as prompts are; its name is its texts' domain."""

    where: Conditions = Field({}, description="keep rows in these ranges")
    proportion: float = Field(1.0, gt=0, description="its share, relative to the other parts")


class TextSettings(Settings):
    """Which texts to learn from: named parts in stated proportions."""

    parts: dict[str, TextPart] = Field(min_length=1, description="domain: where its texts are")
    limit: int | None = Field(None, ge=1, description="so many texts in all; none: what there is")
    validation: float = Field(0.1, gt=0, lt=1, description="share of texts held out")
    exclude: PromptSettings | None = Field(
        None, description="leave out texts that begin with one of these prompts; before `limit`"
    )
    verbaliser: Verbaliser | None = Field(
        None, description="a question after each text, answered by the words of its label"
    )
