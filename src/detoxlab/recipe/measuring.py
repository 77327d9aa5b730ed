"""Settings of a model to measure, and of the measurement."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from detoxlab.data.settings import PromptSettings, portable, relative
from detoxlab.loading import Loading, ModelSettings, OtherModel, is_unusual, without_usual_asking
from detoxlab.protocols import get_protocol
from detoxlab.records import RESAMPLES, Sampling
from detoxlab.records import SAMPLING_BOUNDS as BOUNDS
from detoxlab.settings import Seed, Settings
from detoxlab.steering import with_place

PROTOCOL = "rtp"  # where none is named
ENCODER, HATE_SCORER = "hashed-ngrams", "hate-neural"
JUDGE, SECOND = "rtp-neural", "rtp-linear"
Encoder = Annotated[str | None, Field(description="for prompt-response similarity")]
HateScorer = Annotated[
    str | None,
    BeforeValidator(lambda given: None if given == "none" else given),
    Field(description="the scorer that tells hate from rude words, for its guard; none: nobody"),
]
Resamples = Annotated[int, Field(ge=100, description="bootstrap resamples of every interval")]


class Intervals(Settings):
    """The settings of all intervals: resamples and seed."""

    resamples: Resamples = RESAMPLES
    seed: Seed = 0


class SamplingSettings(Settings):
    """Departures from the protocol's sampling; each result says so."""

    k: int | None = Field(None, description="samples per prompt", **BOUNDS["k"])
    max_new_tokens: int | None = Field(
        None, description="tokens per response, at most", **BOUNDS["max_new_tokens"]
    )
    temperature: float | None = Field(
        None, description="0 is greedy decoding", **BOUNDS["temperature"]
    )
    top_p: float | None = Field(
        None, description="draw from the likeliest tokens of this mass", **BOUNDS["top_p"]
    )
    top_k: int | None = Field(
        None, description="draw from so many likeliest tokens; 0: all", **BOUNDS["top_k"]
    )
    stop: tuple[str, ...] | None = Field(None, description="cut responses at these texts")


class SubjectSettings(ModelSettings):
    """A model to measure or evaluate, and its steerings."""

    steer: str | tuple[str, ...] | None = Field(
        None, description="a steering such as nado:RUN or nado:RUN@0.5, or a list of them in order"
    )
    strength: float = Field(
        1.0, ge=0, description="of steerings whose name has none; 0 changes nothing"
    )

    @property
    def steerings(self) -> tuple[str, ...]:
        """The names of all steerings, in order."""
        return (self.steer,) if isinstance(self.steer, str) else self.steer or ()

    @field_validator("steer")
    @classmethod
    def _one_by_itself(cls, steer: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if steer is None or isinstance(steer, str):
            return steer
        return steer[0] if len(steer) == 1 else steer or None

    def with_steerings_at(self, place: Callable[[str], str]) -> Self:
        """These settings with other paths to the data of the steerings."""
        names = tuple(with_place(name, place) for name in self.steerings)
        return self.model_copy(update={"steer": self._one_by_itself(names)})

    def run_config(self) -> dict[str, Any]:
        """The content of the run's `config.yaml`, with relative paths."""
        portable_names = self.with_steerings_at(relative)
        rest = portable_names.model_dump(mode="json", exclude={"model", "base"})
        return without_usual_asking({"model": relative(self.model), **rest})


class Measuring(Loading):
    """How responses are drawn and judged; shared by `measure` and by recipes."""

    prompts: PromptSettings = Field(
        default_factory=lambda: PromptSettings(source=get_protocol(PROTOCOL).source),
        description="which prompts to ask; without a source, the protocol's own",
    )
    protocol: str = Field(PROTOCOL, description="preset of prompts, sampling and measures")
    sampling: SamplingSettings = Field(
        SamplingSettings(), description="departures from the protocol's sampling"
    )
    judge: str = Field(JUDGE, description="the scorer that judges")
    second: str | None = Field(SECOND, description="the scorer that cross-checks the judge")
    hate: HateScorer = HATE_SCORER
    scorers: tuple[str, ...] = Field((), description="more scorers, reported beside")
    encoder: Encoder = ENCODER
    batch_size: int | None = Field(None, ge=1, description="prompts per batch; None is automatic")
    endpoint: str | None = Field(None, description="URL of an OpenAI-compatible server")
    api_key_env: str | None = Field(None, description="environment variable with the server's key")
    reference: OtherModel | None = Field(
        None, description="model for perplexity, or a mapping with `model`; None is the base"
    )
    resamples: Resamples = RESAMPLES
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _own_prompts(cls, given: Any) -> Any:
        """The protocol's own prompts where no source is named, changed by the other settings."""
        prompts = given.get("prompts") or {} if isinstance(given, Mapping) else None
        if not isinstance(prompts, Mapping) or prompts.get("source"):
            return given
        protocol = get_protocol(str(given.get("protocol", PROTOCOL)))
        if not protocol.source:
            raise ValueError(f"protocol {protocol.name!r} has no prompts of its own: name some")
        return {**given, "prompts": protocol.prompts | dict(prompts)}

    @model_validator(mode="after")
    def _judges_differ(self) -> "Measuring":
        get_protocol(self.protocol)
        if self.second == self.judge:
            raise ValueError(f"second scorer and judge are both {self.judge!r}: take another one")
        return self

    def resolved_sampling(self) -> Sampling:
        """The protocol's sampling with this recipe's departures and seed."""
        changes = self.sampling.model_dump(exclude_none=True)
        return dataclasses.replace(get_protocol(self.protocol).sampling, **changes, seed=self.seed)


class MeasureSettings(Measuring, SubjectSettings):
    """One `measure` command: a model and how to measure it."""

    @model_validator(mode="after")
    def _steers_here(self) -> "MeasureSettings":
        if self.steer and self.endpoint:
            raise ValueError("steer works on a model in this process, not on an endpoint")
        return self

    @model_validator(mode="after")
    def _server_renders(self) -> "MeasureSettings":
        given = [name for name in ("template_date", "control_tokens") if is_unusual(self, name)]
        if self.endpoint and given:
            raise ValueError(f"{given[0]} is up to the server at the endpoint")
        return self

    def run_config(self) -> dict[str, Any]:
        """The content of the run's `config.yaml`: relative paths, resolved sampling."""
        plain = super().run_config()
        plain["prompts"] = portable(plain["prompts"])
        plain["reference"] = self.reference and self.reference.recorded()
        plain["sampling"] = {
            **dataclasses.asdict(self.resolved_sampling()),
            "stop": list(self.resolved_sampling().stop),
        }
        return plain

    def subject(self) -> SubjectSettings:
        """The model alone."""
        return SubjectSettings(
            **{name: getattr(self, name) for name in SubjectSettings.model_fields}
        )
