"""Settings of an explanation: the runs, the method, and how much of each response."""

from typing import Any

from pydantic import Field, model_validator

from detoxlab.data.settings import relative
from detoxlab.explanations.names import MethodName, TargetName
from detoxlab.recipe.measuring import Encoder, Intervals
from detoxlab.settings import Settings


class FaithfulnessSettings(Settings):
    """How the method is checked against random choices of tokens; see docs/explaining.md."""

    prompts: int = Field(10, ge=0, description="responses of each run that are checked; 0: none")
    draws: int = Field(20, ge=20, description="random choices to compare with")


class ToxicWordsSettings(Settings):
    """Which words of responses count as toxic; see docs/explaining.md."""

    scorer: str | None = Field(
        None, description="the scorer that judges each word; none: the judge of the first run"
    )
    attribute: str = Field("toxicity", description="which of its scores")
    least_pull: float = Field(
        0.1, gt=0, le=1, description="a toxic word's removal lowers the score by so much, at least"
    )
    threshold: float = Field(
        0.5, ge=0, le=1, description="of a response with this score the top word is toxic anyhow"
    )
    least_prompts: int = Field(
        3, ge=1, description="a word in the table of prompts' words stands in so many, at least"
    )


class Explaining(Settings):
    """How responses are explained; shared by `explain` and by recipes."""

    method: MethodName = Field("alti-logit", description="how scores are computed")
    target: TargetName = Field("logit", description="what is attributed at each step")
    limit: int | None = Field(100, ge=1, description="so many of the prompts; none: all")
    steps: int = Field(20, ge=1, description="explain so many tokens of each response, at most")
    samples: int = Field(1, ge=1, description="explain so many responses per prompt, at most")
    batch_size: int = Field(16, ge=1, description="responses per batch")
    faithfulness: FaithfulnessSettings = Field(
        FaithfulnessSettings(), description="the check of the method on a sample"
    )
    encoder: Encoder = "minilm"
    toxic_words: ToxicWordsSettings = Field(
        ToxicWordsSettings(), description="where the toxicity of the responses sits"
    )


class ExplainSettings(Explaining, Intervals):
    """One `explain` command."""

    runs: tuple[str, ...] = Field(
        min_length=1, description="measured runs; the first is the baseline of the others"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, …")

    @model_validator(mode="after")
    def _no_run_twice(self) -> "ExplainSettings":
        twice = [run for run in self.runs if self.runs.count(run) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is named twice")
        return self

    @property
    def protocol(self) -> str:
        """The name of what was done, in results."""
        return f"explain@1 (method={self.method}, target={self.target}, steps={self.steps})"

    def run_config(self) -> dict[str, Any]:
        """The content of the run's `config.yaml`, with relative paths."""
        return self.model_dump(mode="json") | {"runs": [relative(run) for run in self.runs]}
