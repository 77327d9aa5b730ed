"""Recipes: the settings of `measure` and of a whole experiment, checked before anything runs.

A recipe is a YAML file. Every key is a field of the models below; a key that is not is an
error that suggests the nearest one. `detoxlab run --schema` prints the JSON schema.
"""

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, field_validator, model_validator

from detoxlab.compare import Limits
from detoxlab.data.settings import DataSettings, portable, relative
from detoxlab.data.verbaliser import Verbaliser
from detoxlab.data.where import Conditions
from detoxlab.errors import ConfigError, DataError, MissingFileError
from detoxlab.evaluate import AnyEvaluation
from detoxlab.evaluate.win_rate import WinRate
from detoxlab.loading import (
    Loading,
    ModelSettings,
    OtherModel,
    is_unusual,
    without_usual_asking,
)
from detoxlab.measure.presets import get_protocol
from detoxlab.records import Sampling
from detoxlab.settings import Settings, parse

PROTOCOL = "rtp"  # where none is named
SOURCES = ("dialogues", "pairs", "prompts", "texts")  # fields of Learning
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


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


class SamplingSettings(Settings):
    """Departures from the protocol's sampling; each result says so."""

    k: int | None = Field(None, ge=1)
    max_new_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    stop: tuple[str, ...] | None = None


class SubjectSettings(ModelSettings):
    """A model that is measured or evaluated, and what changes its decoding."""

    steer: str | None = Field(None, description="a change of decoding, such as nado:RUN")
    strength: float = Field(1.0, ge=0, description="of the steering; 0 changes nothing")

    def run_config(self) -> dict[str, Any]:
        """What goes into the run's `config.yaml`: paths relative."""
        rest = self.model_dump(mode="json", exclude={"model", "base"})
        plain = without_usual_asking({"model": relative(self.model), **rest})
        if self.steer:
            kind, _, where = self.steer.partition(":")
            plain["steer"] = f"{kind}:{relative(where)}"
        return plain


# What a recipe may change when it goes on: variants have runs of their own, and limits only say
# how the finished runs are read.
MAY_CHANGE = ("variants", "limits")


class Measuring(Loading):
    """How responses are drawn and judged; shared by `measure` and by recipes."""

    prompts: PromptSettings = Field(
        default_factory=lambda: PromptSettings(source=get_protocol(PROTOCOL).source),
        description="which prompts to ask; without a source, the protocol's own",
    )
    protocol: str = Field(PROTOCOL, description="a preset of protocols: what is drawn and counted")
    sampling: SamplingSettings = SamplingSettings()
    judge: str = Field("rtp-neural", description="the scorer that judges")
    second: str | None = Field("rtp-linear", description="the scorer that cross-checks the judge")
    scorers: tuple[str, ...] = Field((), description="more scorers, reported beside")
    encoder: str | None = Field("hashed-ngrams", description="for prompt-response similarity")
    batch_size: int | None = Field(None, ge=1, description="prompts per batch; None is automatic")
    endpoint: str | None = Field(None, description="URL of an OpenAI-compatible server")
    api_key_env: str | None = Field(None, description="environment variable with the server's key")
    reference: OtherModel | None = Field(
        None, description="model for perplexity, or a mapping with `model`; None is the base"
    )
    resamples: int = Field(10_000, ge=100, description="bootstrap resamples")
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _own_prompts(cls, given: Any) -> Any:
        """The protocol's own prompts where no source is named; what else is said changes them."""
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
        """What goes into the run's `config.yaml`: paths relative, sampling resolved."""
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


class Learning(Settings):
    """A method, what it learns from (one of the sources, as the method needs), its settings."""

    method: str
    dialogues: DialogueSettings | None = Field(None, description="conversations to imitate")
    pairs: PairSettings | None = Field(None, description="a preferred and another response")
    prompts: PromptSettings | None = Field(None, description="prompts to draw own responses to")
    texts: TextSettings | None = Field(None, description="whole texts, mixed from domains")
    config: dict[str, Any] = Field({}, description="hyperparameters of the method")

    def sources(self) -> dict[str, DialogueSettings | PairSettings | PromptSettings | TextSettings]:
        """The sources that were given, by the kind of data."""
        return {kind: given for kind in SOURCES if (given := getattr(self, kind)) is not None}


class TrainSettings(ModelSettings, Learning):
    """One `train` command."""

    seed: int = 0

    @model_validator(mode="after")
    def _one_seed(self) -> "TrainSettings":
        check_seed(self.config, self.seed, "")
        return self

    def run_config(self, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
        """What goes into the run's `config.yaml`: paths relative, hyperparameters resolved."""
        unused = {kind for kind in SOURCES if getattr(self, kind) is None}
        unsaid = {name for name in ("revision", "trust_remote_code") if not getattr(self, name)}
        given = self.model_dump(mode="json", exclude={"seed", "base", *unused, *unsaid})
        plain = without_usual_asking(given)
        plain |= {kind: portable(plain[kind]) for kind in self.sources()}
        return plain | {"model": relative(self.model), "config": dict(hyperparameters)}


def check_seed(config: Mapping[str, Any], seed: int, where: str) -> None:
    """Raises `ValueError` when the hyperparameters at `where` name another seed than the run's."""
    if config.get("seed", seed) != seed:
        raise ValueError(
            f"{where}config.seed is {config['seed']} and seed is {seed}: a run has one seed, "
            "leave out config.seed"
        )


class Variant(Learning):
    """One treated model."""

    name: Name
    against: tuple[Name, ...] = Field(
        (), description="other variants that it is held against, besides the base"
    )


class Recipe(Measuring):
    """A whole experiment: a base model, the variants made from it, one bench, one report."""

    name: Name
    description: str = ""
    model: str
    variants: tuple[Variant, ...] = Field(min_length=1)
    evaluate: dict[Name, AnyEvaluation] = Field(
        {}, description="name: an evaluation of usefulness, for the base and every variant"
    )
    win_rate: WinRate | None = Field(
        None, description="a third model judges every variant against the base and its rivals"
    )
    limits: Limits = Field(default_factory=Limits)

    @model_validator(mode="after")
    def _one_seed(self) -> "Recipe":
        for variant in self.variants:
            check_seed(variant.config, self.seed, f"variants.{variant.name}.")
        return self

    @model_validator(mode="after")
    def _judge_is_a_third_model(self) -> "Recipe":
        if self.win_rate and self.win_rate.judge.model == self.model:
            raise ValueError(f"win_rate.judge is {self.model!r}, the base: take a third model")
        return self

    @model_validator(mode="after")
    def _evaluates_here(self) -> "Recipe":
        if self.evaluate and self.endpoint:
            raise ValueError("evaluate works on a model in this process, not on an endpoint")
        return self

    @field_validator("variants")
    @classmethod
    def _names_differ(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        names = [variant.name for variant in variants]
        twice = sorted({name for name in names if names.count(name) > 1 or name == "base"})
        if twice:
            raise ValueError(
                f"variant name {twice[0]!r} is taken: names must differ, also from base"
            )
        return variants

    @field_validator("variants")
    @classmethod
    def _rivals_are_known(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        for variant in variants:
            others = [other.name for other in variants if other is not variant]
            unknown = [name for name in variant.against if name not in others]
            if unknown:
                raise ValueError(
                    f"{variant.name} is held against {unknown[0]!r}, which is no other variant; "
                    f"there are: {', '.join(others) or 'none'}"
                )
        return variants

    @property
    def base_model(self) -> ModelSettings:
        """The base, and how it is read."""
        shared = {name: getattr(self, name) for name in Loading.model_fields}
        return ModelSettings(model=self.model, **shared)

    def measure_settings(self, model: str) -> MeasureSettings:
        """The measurement of `model` on this recipe's bench."""
        shared = {name: getattr(self, name) for name in Measuring.model_fields}
        return MeasureSettings(model=model, **shared)

    def train_settings(self, variant: Variant) -> TrainSettings:
        """The training of `variant` from this recipe's base model.

        What the bench asks is left out of the prompts and texts that are trained on.
        """
        shared = {name: getattr(self, name) for name in (*Loading.model_fields, "model", "seed")}
        own = {name: getattr(variant, name) for name in Learning.model_fields}
        for kind in ("prompts", "texts"):
            if own[kind] and own[kind].exclude is None:
                own[kind] = own[kind].model_copy(update={"exclude": self.prompts})
        return TrainSettings(**shared, **own)


def load_recipe(path: Path | str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe in a YAML file, with `key.sub=value` overrides applied.

    Raises `MissingFileError`, or `ConfigError` naming file, key, value's type and remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such recipe", remedy="Give a YAML file.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not valid YAML") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 (byte {error.start})") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: is no recipe: a mapping of keys is expected")
    settings = expanded(with_overrides(content, overrides), place=str(path))
    return parse(Recipe, settings, place=str(path))


def with_overrides(content: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of `content` with each `key.sub=value` set; values are read as YAML.

    A list is entered by index or by the `name` of its entry.

    >>> with_overrides({"a": {"b": 1}, "v": [{"name": "ft"}]}, ["a.b=2", "v.ft.c=[x]"])
    {'a': {'b': 2}, 'v': [{'name': 'ft', 'c': ['x']}]}
    """
    result: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(content)))
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {override}: not of the form key=value")
        *parents, last = key.split(".")
        node: Any = result
        for parent in parents:
            node = _enter(node, parent, override)
        if isinstance(node, list) or not isinstance(node, dict):
            raise ConfigError(f"--set {override}: {'.'.join(parents)} takes no keys")
        node[last] = yaml.safe_load(value)
    return result


def expanded(value: Any, *, place: str) -> Any:
    """`value` with every `${NAME}` in its texts replaced by the environment variable.

    Raises `ConfigError` when a variable is not set.
    """
    if isinstance(value, dict):
        return {key: expanded(item, place=place) for key, item in value.items()}
    if isinstance(value, list):
        return [expanded(item, place=place) for item in value]
    if not isinstance(value, str):
        return value
    names = re.findall(r"\$\{(\w+)\}", value)
    for name in names:
        if name not in os.environ:
            raise ConfigError(
                f"{place}: the environment variable {name} is not set",
                remedy="Set it, or replace the value with --set.",
            )
        value = value.replace(f"${{{name}}}", os.environ[name])
    return value


def _enter(node: Any, key: str, override: str) -> Any:
    if isinstance(node, list):
        for position, item in enumerate(node):
            if key == str(position) or (isinstance(item, dict) and item.get("name") == key):
                return item
        names = ", ".join(str(item.get("name")) for item in node if isinstance(item, dict))
        raise ConfigError(f"--set {override}: no entry {key!r}", remedy=f"Known: {names}.")
    if not isinstance(node, dict):
        raise ConfigError(f"--set {override}: {key!r} is no group of keys")
    if not isinstance(node.get(key), dict | list):
        node[key] = {}
    return node[key]
