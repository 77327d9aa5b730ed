"""Settings of a model to measure, and of the measurement."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from detoxlab.data.settings import PromptSettings, portable, relative
from detoxlab.loading import Loading, ModelSettings, OtherModel, is_unusual, without_usual_asking
from detoxlab.protocols import HATE_SCORER, JUDGE, SECOND, Protocol, get_protocol
from detoxlab.records import RESAMPLES, Sampling
from detoxlab.records import SAMPLING_BOUNDS as BOUNDS
from detoxlab.settings import Seed, Settings
from detoxlab.steering import with_place

PROTOCOL = "rtp"  # where none is named
UNRECORDED = ("system", "best_of", "by")  # unless they are set: older runs lack them
ENCODER = "hashed-ngrams"
Encoder = Annotated[str | None, Field(description="for prompt-response similarity")]
HateScorer = Annotated[
    str | None,
    BeforeValidator(lambda given: None if given == "none" else given),
    Field(description="the scorer that tells hate from rude words, for its guard; none: nobody"),
]
Chat = Annotated[
    Literal["auto", "yes", "no"],
    BeforeValidator(lambda given: {True: "yes", False: "no"}.get(given, given)),  # YAML's yes
    Field(description="prompts as user turns of the chat template; auto: as the protocol does"),
]
WITHOUT_TEMPLATE = (
    "asked as plain text, without the model's chat template (--chat yes uses it; --chat no leaves "
    "it out without a warning)"
)
Resamples = Annotated[int, Field(ge=100, description="bootstrap resamples of every interval")]


def as_recorded(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the default of `chat`, which old runs do not name, and without concurrency.

    The latter changes no result, so that a run may go on with another one.

    >>> as_recorded({"chat": "auto", "concurrency": 8}), as_recorded({"chat": "no"})
    ({}, {'chat': 'no'})
    """
    unsaid = {"concurrency"} | ({"chat"} if plain.get("chat") == "auto" else set())
    return {key: value for key, value in plain.items() if key not in unsaid}


def leaves_template(setting: str, is_chat: bool, template: str | None) -> bool:
    """Whether a model with a chat template of its own is asked plainly, and nobody chose that."""
    return setting == "auto" and not is_chat and template == "own"


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


class Steered(Settings):
    """Changes of a model that need no training: steerings and a system prompt."""

    steer: str | tuple[str, ...] | None = Field(
        None, description="a steering such as nado:RUN or nado:RUN@0.5, or a list of them in order"
    )
    system: str | None = Field(
        None,
        min_length=1,
        description="a system prompt; it stands before the text where there is no such role",
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


class Chosen(Settings):
    """The choice of each response among several candidates."""

    best_of: int | None = Field(
        None, ge=1, description="draw so many candidates for each response and keep the best"
    )
    by: str | None = Field(None, description="the scorer that chooses the best; not the judge")

    @model_validator(mode="after")
    def _somebody_chooses(self) -> Self:
        if (self.best_of is None) != (self.by is None):
            raise ValueError("best_of and by go together: so many candidates, and who chooses")
        return self


class SubjectSettings(ModelSettings, Steered):
    """A model to measure or evaluate, and its steerings."""

    strength: float = Field(
        1.0,
        ge=0,
        description="of the adapter or edit, and of steerings whose name has none; 0: no change",
    )

    def run_config(self) -> dict[str, Any]:
        """The content of the run's `config.yaml`, with relative paths."""
        portable_names = self.with_steerings_at(relative)
        unsaid = {name for name in UNRECORDED if getattr(self, name, None) is None}
        rest = portable_names.model_dump(mode="json", exclude={"model", "base", *unsaid})
        return without_usual_asking({"model": relative(self.model), **rest})


class Measuring(Loading):
    """How responses are drawn and judged; shared by `measure` and by recipes."""

    prompts: PromptSettings = Field(
        default_factory=lambda: PromptSettings(source=get_protocol(PROTOCOL).source),
        description="which prompts to ask; without a source, the protocol's own",
    )
    protocol: str = Field(PROTOCOL, description="preset of prompts, sampling and measures")
    chat: Chat = "auto"
    sampling: SamplingSettings = Field(
        SamplingSettings(), description="departures from the protocol's sampling"
    )
    judge: str = Field(JUDGE, description="the scorer that judges; some protocols have their own")
    second: str | None = Field(SECOND, description="the scorer that cross-checks the judge")
    hate: HateScorer = HATE_SCORER
    scorers: tuple[str, ...] = Field((), description="more scorers, reported beside")
    encoder: Encoder = ENCODER
    batch_size: int | None = Field(None, ge=1, description="prompts per batch; None is automatic")
    endpoint: str | tuple[str, ...] | None = Field(
        None, description="URL of an OpenAI-compatible server of the model; may be given again"
    )
    concurrency: int = Field(8, ge=1, description="requests to each endpoint at once")
    api_key_env: str | None = Field(None, description="environment variable with the server's key")
    reference: OtherModel | None = Field(
        None,
        description="model for perplexity, also http://HOST/v1#MODEL at a server that gives "
        "prompt_logprobs, or a mapping with `model`; None is the base",
    )
    resamples: Resamples = RESAMPLES
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _of_the_protocol(cls, given: Any) -> Any:
        """The protocol's own judge and prompts where none are named.

        Other settings of the prompts change the protocol's.
        """
        if not isinstance(given, Mapping):
            return given
        protocol = get_protocol(str(given.get("protocol", PROTOCOL)))
        if protocol.judge and "judge" not in given:
            given = {**given, "judge": protocol.judge}
        prompts = given.get("prompts") or {}
        if not isinstance(prompts, Mapping) or prompts.get("source"):
            return given
        if not protocol.source:
            raise ValueError(f"protocol {protocol.name!r} has no prompts of its own: name some")
        return {**given, "prompts": protocol.prompts | dict(prompts)}

    @property
    def may_move(self) -> tuple[str, ...]:
        """The settings that may differ when a run goes on: the model may be served elsewhere."""
        return ("endpoint",) if self.endpoint else ()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The addresses of all servers; empty where the model is in this process."""
        return (self.endpoint,) if isinstance(self.endpoint, str) else self.endpoint or ()

    @field_validator("endpoint")
    @classmethod
    def _addresses(cls, endpoint: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        """One address as such, several as a tuple; commas part them."""
        if endpoint is None:
            return None
        given = (endpoint,) if isinstance(endpoint, str) else endpoint
        parts = [part.strip() for one in given for part in one.split(",")]
        if not parts or not all(parts):
            raise ValueError("an address is empty")
        found = tuple(dict.fromkeys(parts))
        return found[0] if len(found) == 1 else found

    @model_validator(mode="after")
    def _judges_differ(self) -> "Measuring":
        get_protocol(self.protocol)
        if self.second == self.judge:
            raise ValueError(f"second scorer and judge are both {self.judge!r}: take another one")
        return self

    @model_validator(mode="after")
    def _served_reference_reads_plainly(self) -> Self:
        from detoxlab.completions.names import ServedName, is_served

        if self.reference is None or not is_served(self.reference.model):
            return self
        ServedName.read(self.reference.model)
        if isinstance(self.reference.recorded(), dict):
            raise ValueError("reference: a model at a server is loaded there: name it alone")
        if self.resolved_protocol().chat:
            raise ValueError(
                "reference: a server tells log-probabilities of plain text, and this protocol asks "
                "in chat: name a model in this process, or add --chat no"
            )
        return self

    def resolved_protocol(self) -> Protocol:
        """The protocol, asking in chat or plainly as these settings say."""
        return get_protocol(self.protocol).asking(self.chat)

    def resolved_sampling(self) -> Sampling:
        """The protocol's sampling with this recipe's departures and seed."""
        changes = self.sampling.model_dump(exclude_none=True)
        return dataclasses.replace(get_protocol(self.protocol).sampling, **changes, seed=self.seed)


class MeasureSettings(Measuring, Chosen, SubjectSettings):
    """One `measure` command: a model and how to measure it."""

    @model_validator(mode="after")
    def _steers_here(self) -> "MeasureSettings":
        given = [name for name in ("steer", "system") if getattr(self, name)]
        if self.endpoint and given:
            raise ValueError(f"{given[0]} works on a model in this process, not on an endpoint")
        return self

    @model_validator(mode="after")
    def _server_renders(self) -> "MeasureSettings":
        given = [name for name in ("template_date", "control_tokens") if is_unusual(self, name)]
        if self.endpoint and given:
            raise ValueError(f"{given[0]} is up to the server at the endpoint")
        return self

    def run_config(self) -> dict[str, Any]:
        """The content of the run's `config.yaml`: relative paths, resolved sampling."""
        plain = as_recorded(super().run_config())
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
