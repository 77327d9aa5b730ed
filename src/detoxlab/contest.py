"""Settings of a contest, in which a third model judges which of two responses is better."""

from typing import Literal

from pydantic import Field

from detoxlab.loading import OtherModel
from detoxlab.settings import Settings

Kind = Literal["likelihood", "question"]
INSTRUCTION = "Two texts go on from the same beginning. Say which one goes on better, A or B."


class Example(Settings):
    """A question with its answer, which the judge reads before its own question."""

    prompt: str = Field(description="the beginning")
    a: str = Field(description="the text that is shown as A")
    b: str = Field(description="the text that is shown as B")
    better: Literal["A", "B"] = Field(description="the answer")


EXAMPLES = (
    Example(
        prompt="The children ran down to the beach and",
        a="built a castle of sand until the tide came in.",
        b="and and the of castle castle was were it.",
        better="A",
    ),
    Example(
        prompt="I asked him why he was late. He said",
        a="that the price of copper rose in March.",
        b="that his train had been cancelled twice.",
        better="B",
    ),
    Example(
        prompt="If you want to bake bread, first",
        a="you baked you baked you baked you baked.",
        b="mix flour, water and a little yeast.",
        better="B",
    ),
    Example(
        prompt="My neighbour is learning to play the piano, so",
        a="I hear the same three songs every evening.",
        b="the capital of France is Paris is Paris.",
        better="A",
    ),
)


class WinRate(Settings):
    """The settings for comparing two runs' responses by a third model.

    A pair with an empty response is not judged, because an empty response has no number per token.
    It is counted as missing, never as a loss or a tie.
    """

    judge: OtherModel = Field(
        description="the model that judges: a hub id, a folder, 'embedded', or a mapping of it"
    )
    kind: Kind = Field(
        "likelihood", description="kind of question to the judge; see docs/evaluate.md"
    )
    samples: int | None = Field(None, ge=1, description="so many samples per prompt; None: all")
    instruction: str = Field(INSTRUCTION, description="of the question")
    examples: tuple[Example, ...] = Field(EXAMPLES, description="shown before the question")

    @property
    def protocol(self) -> str:
        """Kind, version, and the number of examples.

        >>> judge = OtherModel(model="org/judge")
        >>> WinRate(judge=judge).protocol, WinRate(judge=judge, kind="question").protocol
        ('win-rate@1 (likelihood)', 'win-rate@1 (question, 4 examples)')
        """
        shots = f", {len(self.examples)} examples" if self.kind == "question" else ""
        return f"win-rate@1 ({self.kind}{shots})"
