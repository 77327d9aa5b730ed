"""Settings of each kind of data (its place, its amount), and paths as a run records them."""

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from detoxlab.data.documents import Division
from detoxlab.data.hub import with_config
from detoxlab.data.verbaliser import Verbaliser
from detoxlab.data.where import Conditions
from detoxlab.settings import Settings

HELD_OUT = 0.1
HeldOut = Annotated[float, Field(gt=0, lt=1, description="share held out to validate")]


_chosen = Field(description="keep rows with an attribute in a range or of a value")
Where = Annotated[Conditions, _chosen]
WhereIfAny = Annotated[Conditions | None, _chosen]


USUAL_NAMES = {
    "realtoxicityprompts": "rtp",
    **{name: name for name in ("rtp", "xstest", "hatecheck", "toxigen")},
}
"""Names that people type, in small letters and without "-", "_" and spaces."""


def usual_name(source: str) -> str:
    """The name by which a data set is known here; anything else as it is.

    >>> usual_name("real_toxicity_prompts"), usual_name("RTP"), usual_name("XSTest")
    ('rtp', 'rtp', 'xstest')
    >>> usual_name("my/RTP.jsonl")
    'my/RTP.jsonl'
    """
    return USUAL_NAMES.get(re.sub(r"[-_ ]", "", source.lower()), source)


class DataSettings(Settings):
    """The place and amount of data."""

    source: str = Field(description="a known name, a local file, or a hub id")
    path: str | None = Field(None, description="where the named source lies on this machine")
    columns: dict[str, str] = Field({}, description="our field: column of the file")
    limit: int | None = Field(None, ge=1, description="a seeded sample of that many")
    revision: str | None = Field(None, description="revision of a hub data set")

    @field_validator("source")
    @classmethod
    def _by_its_usual_name(cls, source: str) -> str:
        return usual_name(source)

    @model_validator(mode="before")
    @classmethod
    def _with_config(cls, given: Any) -> Any:
        """`config` names the configuration of a hub data set, and becomes a part of its id."""
        if not isinstance(given, Mapping) or "config" not in given:
            return given
        rest = {name: value for name, value in given.items() if name != "config"}
        if given["config"] is None:
            return rest
        return {**rest, "source": with_config(str(given.get("source")), str(given["config"]))}


class RowSettings(DataSettings):
    """Data of which rows without a text may be left out."""

    skip_nulls: bool = Field(
        False, description="leave out, and count, rows of a file without a text; else an error"
    )


class PromptSettings(RowSettings):
    """The prompts to ask."""

    where: Where = Field({})
    join_continuation: bool = Field(False, description="prompt and continuation as one prompt")
    deduplicate: bool = Field(False, description="leave out prompts that repeat a text")
    opening: int | None = Field(
        None, ge=1, description="only so many of a text's first words; shorter ones are left out"
    )
    exclude: "PromptSettings | tuple[PromptSettings, ...] | None" = Field(
        None,
        description="leave out prompts with the text of one of these (or a list of sources); "
        "before `limit`",
    )


class DialogueSettings(RowSettings):
    """The dialogues to learn from."""

    validation: HeldOut = HELD_OUT


class PairSettings(RowSettings):
    """The preference pairs to learn from."""

    validation: HeldOut = HELD_OUT


class TextPart(RowSettings):
    """One part of a mixture of texts, read like prompts; its name is the domain of its texts."""

    where: Where = Field({})
    proportion: float = Field(1.0, gt=0, description="its share, relative to the other parts")


class TextSettings(Settings):
    """The texts to learn from: named parts in stated proportions."""

    parts: dict[str, TextPart] = Field(min_length=1, description="domain: where its texts are")
    limit: int | None = Field(None, ge=1, description="so many texts in all; none: all there are")
    validation: HeldOut = HELD_OUT
    exclude: PromptSettings | tuple[PromptSettings, ...] | None = Field(
        None,
        description="leave out texts that begin with one of these prompts (or a list of "
        "sources); before `limit`",
    )
    verbaliser: Verbaliser | None = Field(
        None, description="a question after each text, answered by the words of its label"
    )


def excluded(settings: PromptSettings | TextSettings) -> tuple[PromptSettings, ...]:
    """The sources of the prompts that these settings leave out.

    >>> excluded(PromptSettings(source="rtp"))
    ()
    """
    given = settings.exclude
    return (given,) if isinstance(given, PromptSettings) else given or ()


class RunningText(DataSettings):
    """A text, its documents, and the window through which a model reads them."""

    where: WhereIfAny = None
    documents: Division = Field("rows", description="the unit of a document: rows, articles, file")
    max_length: int | None = Field(None, ge=2, description="tokens seen; None: all that fit")
    stride: int | None = Field(None, ge=1, description="tokens moved by; None: max_length / 2")

    @model_validator(mode="after")
    def _windows_overlap(self) -> Self:
        if self.stride and self.max_length and self.stride >= self.max_length:
            raise ValueError(f"stride is {self.stride}: it must be below max_length")
        return self


def relative(path: str) -> str:
    """An absolute path relative to the working folder; anything else as it is."""
    return os.path.relpath(path) if os.path.isabs(path) else path  # noqa: PTH117


def portable(source: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a data source, or of several as `parts`, with their paths made relative.

    `skip_nulls` stands there only where it is set, as old runs do not name it.
    """
    made: dict[str, Any] = {
        key: relative(source[key])
        for key in ("source", "path", "data")
        if isinstance(source.get(key), str) and source[key]
    }
    if "parts" in source:
        made["parts"] = {name: portable(part) for name, part in source["parts"].items()}
    if given := source.get("exclude"):
        made["exclude"] = (
            portable(given) if isinstance(given, Mapping) else [portable(one) for one in given]
        )
    unset = () if source.get("skip_nulls") else ("skip_nulls",)
    return {key: value for key, value in {**source, **made}.items() if key not in unset}
