"""Settings of a contest, in which a third model judges which of two responses is better."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

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


# Settings that say how a server is asked and change no verdict; runs do not record them.
UNRECORDED = frozenset({"api_key_env", "concurrency", "timeout_seconds", "attempts"})


class WinRate(Settings):
    """The settings for comparing two runs' responses by a third model.

    A pair with an empty response is not judged, because an empty response has no number per token.
    It is counted as missing, never as a loss or a tie. A judge at a server is asked questions.
    """

    judge: OtherModel = Field(
        description="the model that judges: a hub id, a folder, 'embedded', a mapping of it, or "
        "http://HOST/v1#MODEL at a server that speaks OpenAI's protocol"
    )
    kind: Kind = Field(
        "likelihood",
        description="kind of question to the judge; a server is asked questions; see "
        "docs/evaluate.md",
    )
    samples: int | None = Field(None, ge=1, description="so many samples per prompt; None: all")
    instruction: str = Field(INSTRUCTION, description="of the question")
    examples: tuple[Example, ...] = Field(EXAMPLES, description="shown before the question")
    chat: bool = Field(
        True, description="a server: ask in its chat; false: by plain text, for models without one"
    )
    api_key_env: str | None = Field(
        None, description="environment variable with the server's key; None: DETOXLAB_GUARD_KEY"
    )
    concurrency: int = Field(8, ge=1, description="questions to a server at the same time")
    timeout_seconds: float = Field(120.0, gt=0, description="that a server may take for an answer")
    attempts: int = Field(6, ge=1, description="at a question, where the server fails for a while")

    @model_validator(mode="before")
    @classmethod
    def _servers_are_asked(cls, given: Any) -> Any:
        """The kind of a judge at a server, where none is named."""
        judge = given.get("judge") if isinstance(given, Mapping) else None
        named = judge.get("model") if isinstance(judge, Mapping) else judge
        is_url = isinstance(named, str) and "://" in named
        return {"kind": "question", **given} if is_url else given

    @model_validator(mode="after")
    def _server_can_judge(self) -> Self:
        if not self.served:
            return self
        from detoxlab.completions.names import ServedName

        ServedName.read(self.judge.model)
        if self.kind == "likelihood":
            raise ValueError("a judge at a server is asked: take kind: question")
        if isinstance(self.judge.recorded(), dict):
            raise ValueError("a judge at a server is loaded there: name it alone")
        return self

    @property
    def served(self) -> bool:
        """Whether the judge is at a server."""
        return "://" in self.judge.model

    @property
    def protocol(self) -> str:
        """Kind, version, and the number of examples.

        >>> judge = OtherModel(model="org/judge")
        >>> WinRate(judge=judge).protocol, WinRate(judge=judge, kind="question").protocol
        ('win-rate@1 (likelihood)', 'win-rate@1 (question, 4 examples)')
        >>> WinRate(judge="http://host/v1#m").protocol
        'win-rate@1 (question in chat, 4 examples)'
        """
        place = " in chat" if self.served and self.chat else ""
        shots = f"{place}, {len(self.examples)} examples" if self.kind == "question" else ""
        return f"win-rate@1 ({self.kind}{shots})"

    def recorded(self) -> dict[str, Any]:
        """The entries of a run's `config.yaml`."""
        kept = UNRECORDED if self.served else UNRECORDED | {"chat"}
        plain = self.model_dump(mode="json", include=set(WinRate.model_fields) - kept)
        return plain | {"judge": self.judge.recorded()}


class WinRates(WinRate):
    """Win rates in a recipe."""

    all_pairs: bool = Field(
        False, description="judge every model against every other one, and rank them"
    )
