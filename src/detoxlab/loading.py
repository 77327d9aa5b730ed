"""Settings that name a model and say how it is loaded, the same for every command."""

import datetime
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from detoxlab.data.settings import relative
from detoxlab.settings import Settings

ModelName = Annotated[
    str,
    Field(description="hub id, model folder, adapter folder, run of train, or 'embedded'"),
]
DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu|hpu|npu|meta)(:\d+)?")
DType = Literal["auto", "float32", "bfloat16", "float16"]


class QuantisationSettings(Settings):
    """Linear layers in 8 or 4 bits; see `detoxlab.models.Quantisation`. A kind alone is enough."""

    kind: Literal["none", "int8", "nf4", "fp4"] = Field(description="bits and their layout")
    double: bool = Field(True, description="4 bits: quantise the scales too; published: true")
    compute_dtype: DType = Field("auto", description="4 bits: the type that is multiplied in")

    @model_validator(mode="before")
    @classmethod
    def _bare_kind(cls, given: Any) -> Any:
        return {"kind": given} if isinstance(given, str) else given


class Asking(Settings):
    """How prompts and dialogues become a model's input; see `detoxlab.models.Rendering`."""

    template_options: dict[str, Any] = Field(
        {}, description="variables of the chat template, such as enable_thinking: false"
    )
    template_date: datetime.date | None = Field(
        None, description="the day that a chat template reads as today; None is the run's first"
    )
    control_tokens: Literal["text", "token"] = Field(
        "text", description="how a control token that a text spells out, as <|im_end|>, is read"
    )


class Loading(Asking):
    """How a model is loaded, and how prompts become its input."""

    dtype: DType = Field("auto", description="type of the weights; auto is that of the files")
    quantisation: QuantisationSettings | None = Field(
        None, description="int8, nf4, fp4, none, or a mapping; None is as an adapter was trained"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, …")
    revision: str | None = Field(None, description="revision of a hub model")
    trust_remote_code: bool = Field(False, description="run code that comes with the model")

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if not DEVICE.fullmatch(device):
            raise ValueError(f"{device!r} is no device: say auto, cpu, cuda, cuda:1 or mps")
        return device


class ModelSettings(Loading):
    """A model and how it is loaded."""

    model: ModelName
    base: str | None = Field(
        None, description="where the base of an adapter or trained run is now, if it has moved"
    )


class OtherModel(ModelSettings):
    """A model besides the measured one; a name alone is enough.

    >>> OtherModel.model_validate("org/judge").revision is None
    True
    """

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, given: Any) -> Any:
        return {"model": str(given)} if isinstance(given, str | Path) else given

    def recorded(self) -> str | dict[str, Any]:
        """The entry in a run's `config.yaml`: only the name where nothing else is given.

        >>> OtherModel(model="org/judge").recorded()
        'org/judge'
        """
        said = self.model_dump(mode="json", exclude_defaults=True, exclude={"base", "model"})
        named = relative(self.model)
        return {"model": named, **said} if said else named

    def with_device(self, device: str) -> Self:
        """These settings on that device, unless they name their own."""
        own = self.device != "auto"
        return self if own else self.model_copy(update={"device": device})


def without_usual_asking(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without default values of `Asking`, which old runs do not name.

    >>> without_usual_asking({"model": "m", "template_options": {}, "template_date": None})
    {'model': 'm'}
    """
    usual = Asking().model_dump(mode="json")
    return {key: value for key, value in plain.items() if usual.get(key, ...) != value}


def is_unusual(settings: Asking, name: str) -> bool:
    """Whether a setting of `Asking` differs from its default."""
    return bool(getattr(settings, name) != getattr(Asking(), name))
