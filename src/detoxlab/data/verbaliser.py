"""Classification as text: a question after a text, and an answer in words for each label."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from detoxlab.data.where import same_meaning
from detoxlab.errors import DataError
from detoxlab.records import Prompt
from detoxlab.settings import Settings


class Verbaliser(Settings):
    """The question about a text, and the words of each label.

    Source: Schick and Schütze 2021, "Exploiting Cloze Questions for Few Shot Text
    Classification" (pattern and verbaliser).
    """

    question: str = Field(min_length=1, description="stands right after the text, as it is")
    attribute: str = Field(default="label", description="the meta attribute that holds the label")
    words: dict[str, str] = Field(
        min_length=2, description="label: the words that answer, with the blank before them"
    )

    def answer(self, prompt: Prompt) -> str:
        """The words of the prompt's label; `DataError` where it has none, or one without words.

        >>> verbaliser = Verbaliser(question=" Rude?", words={"toxic": " yes", "harmless": " no"})
        >>> verbaliser.answer(Prompt("1", "you fool", "s", {"label": "toxic"}))
        ' yes'
        """
        label = self.label(prompt)
        if label is None:
            given = "has none" if self._given(prompt) is None else "has one without words"
            raise DataError(
                f"{prompt.source}, text {prompt.id}: of the labels "
                f"{', '.join(map(repr, self.words))} in {self.attribute!r} it {given}",
                remedy="Choose the labelled texts with `where`, or give words for every label.",
            )
        return self.words[label]

    def label(self, prompt: Prompt) -> str | None:
        """The label in `words` that means the same as the prompt's own; None where there is none.

        A file may hold a label as a number or a boolean; the keys of `words` are texts.

        >>> rude = Verbaliser(question=" Rude?", words={"1": " yes", "0": " no"})
        >>> rude.label(Prompt("1", "you fool", "s", {"label": True}))
        '1'
        """
        given = self._given(prompt)
        if isinstance(given, str) and given in self.words:
            return given
        return next((name for name in self.words if same_meaning(given, name)), None)

    def _given(self, prompt: Prompt) -> Any:
        return prompt.meta.get(self.attribute)

    @field_validator("words", mode="before")
    @classmethod
    def _texts_of_labels(cls, given: Any) -> Any:
        """A recipe's `1:` and `yes:` are a number and a boolean to YAML."""
        if not isinstance(given, Mapping):
            return given
        return {label_text(label): words for label, words in given.items()}


def label_text(label: Any) -> Any:
    """A label that YAML took for a number or a boolean as a text; anything else as it is.

    >>> label_text(1), label_text(True), label_text("hate")
    ('1', 'true', 'hate')
    """
    if isinstance(label, bool):
        return str(label).lower()
    return str(label) if isinstance(label, int | float) else label
