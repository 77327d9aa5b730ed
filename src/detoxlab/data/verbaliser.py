"""Classification put as language: a question after a text, and a word that answers it per label."""

from pydantic import Field

from detoxlab.errors import DataError
from detoxlab.records import Prompt
from detoxlab.settings import Settings


class Verbaliser(Settings):
    """What is asked about a text, and which words say which label.

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
        label = prompt.meta.get(self.attribute)
        if label not in self.words:
            given = "has none" if label is None else "has one without words"
            raise DataError(
                f"{prompt.source}, text {prompt.id}: of the labels "
                f"{', '.join(map(repr, self.words))} in {self.attribute!r} it {given}",
                remedy="Choose the labelled texts with `where`, or give words for every label.",
            )
        return self.words[str(label)]
