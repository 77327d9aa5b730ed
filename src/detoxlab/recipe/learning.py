"""Settings of a training: the method, its data, and its hyperparameters."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from detoxlab.data.kinds import KINDS
from detoxlab.data.settings import (
    DialogueSettings,
    PairSettings,
    PromptSettings,
    TextSettings,
    portable,
    relative,
)
from detoxlab.data.split import KindName
from detoxlab.loading import ModelSettings, without_usual_asking
from detoxlab.settings import Seed, Settings


def data_settings(kind: str, source: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a kind of data, from the name of its source and options.

    Texts become one part, or as many as `source` names (NAME=SOURCE,NAME=SOURCE); options are those
    of each part, but `validation` is one of the whole.

    >>> data_settings("dialogues", "embedded", {"limit": 5})
    {'source': 'embedded', 'limit': 5}
    >>> data_settings("texts", "a.txt", {"limit": 5, "validation": 0.2})
    {'parts': {'texts': {'source': 'a.txt', 'limit': 5}}, 'validation': 0.2}
    >>> data_settings("texts", "toxic=a.txt,other=b.txt", {})
    {'parts': {'toxic': {'source': 'a.txt'}, 'other': {'source': 'b.txt'}}}
    """
    if kind != "texts":
        return {"source": source, **options}
    of_all = {name: value for name, value in options.items() if name == "validation"}
    part = {name: value for name, value in options.items() if name != "validation"}
    parts = {name: {"source": one, **part} for name, one in _named_parts(source).items()}
    return {"parts": parts, **of_all}


def _named_parts(source: str) -> dict[str, str]:
    """The sources by the names of their parts; a source without a name is the part "texts"."""
    parts = [part.partition("=") for part in source.split(",")]
    if all(equals and re.fullmatch(r"[\w-]+", name) for name, equals, _ in parts):
        return {name: one for name, _, one in parts}
    return {"texts": source}


class Lesson(Settings):
    """The data of a method (one of the sources, as it needs) and its hyperparameters."""

    dialogues: DialogueSettings | None = Field(None, description="conversations to imitate")
    pairs: PairSettings | None = Field(None, description="a preferred and another response")
    prompts: PromptSettings | None = Field(None, description="prompts to draw own responses to")
    texts: TextSettings | None = Field(None, description="whole texts, mixed from domains")
    config: dict[str, Any] = Field({}, description="hyperparameters of the method")

    def sources(self) -> dict[KindName, Settings]:
        """The sources that were given, by the kind of data."""
        return {kind: given for kind in KINDS if (given := getattr(self, kind)) is not None}


class Learning(Lesson):
    """A method, its data and its hyperparameters."""

    method: str = Field(description="the method, such as sft")


class TrainSettings(ModelSettings, Learning):
    """One `train` command."""

    seed: Seed = 0

    @model_validator(mode="after")
    def _one_seed(self) -> "TrainSettings":
        check_seed(self.config, self.seed, "")
        return self

    def run_config(self, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
        """The content of the run's `config.yaml`: relative paths, resolved hyperparameters."""
        unused = {kind for kind in KINDS if getattr(self, kind) is None}
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
            "give it as seed (--seed) alone"
        )
