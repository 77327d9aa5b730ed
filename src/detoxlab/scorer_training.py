"""Settings of the training of a scorer: encoder, labelled data, hyperparameters."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from detoxlab.data.settings import HELD_OUT, DataSettings, HeldOut, Where, portable, relative
from detoxlab.settings import Seed, Settings

Probability = Annotated[float, Field(ge=0, le=1)]
PREFIXES = {"e5": "query: "}  # that encoders want before each text
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Label(Settings):
    """The place of one attribute's label in a data set, and its meaning as a probability."""

    column: tuple[str, ...] = Field(
        (), description="the column, or several, the largest of which counts"
    )
    values: dict[bool | int | float | str, Probability] = Field(
        {}, description="the probability that each value means; without, values are numbers"
    )
    otherwise: Probability | None = Field(
        None, description="for a missing value, and one not in `values`; none: no label"
    )
    range: tuple[float, float] = Field(
        (0.0, 1.0), description="the numbers that mean 0 and 1; others lie between them"
    )
    constant: Probability | None = Field(None, description="one probability for all texts")

    @field_validator("column", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        """A text is the name of a column, a number a constant."""
        if isinstance(given, str):
            return {"column": given}
        return {"constant": given} if isinstance(given, int | float) else given

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.column) == (self.constant is not None):
            raise ValueError("a label is a column or a constant")
        if self.range[0] >= self.range[1]:
            raise ValueError("range: the number that means 0 is below the number that means 1")
        return self


class TextSet(DataSettings):
    """A set of texts."""

    where: Where = Field({})


class LabelledSet(TextSet):
    """A data set to learn from."""

    labels: dict[str, Label] = Field(
        min_length=1, description="attribute: a column, a constant, or the keys below"
    )
    weight: float = Field(1.0, gt=0, description="of its texts in the loss")
    repeat: int = Field(1, ge=1, description="so many times in each epoch")
    quoted: Probability = Field(
        0.0,
        description="share of its texts with a label of 0.5 or more that are learnt once more in "
        "a quotation: half condemned (every label 0), half endorsed (labels kept)",
    )
    document: str | None = Field(
        None, description="column of the document; its texts go to one side of the split"
    )
    use: Literal["both", "train", "validation"] = Field(
        "both", description="divided between train and validation, or all on one side"
    )


class Learnt(Settings):
    """The model that learns."""

    encoder: str = Field(description="`minilm`, `e5`, `mpnet` (offline), a folder, or a hub id")
    revision: str | None = Field(None, description="revision of an encoder on the hub")
    prefix: str = Field("", description="text before each text; for `e5` by default `query: `")
    max_tokens: int = Field(256, ge=8, description="tokens that are read of a text")
    any_script: bool = Field(False, description="score texts that are mostly not in Latin letters")
    languages: tuple[str, ...] = Field(
        ("en",),
        description="of the data (ISO 639-1); texts in others get no score",
    )

    @model_validator(mode="before")
    @classmethod
    def _prefix_of_encoder(cls, given: Any) -> Any:
        prefix = PREFIXES.get(given.get("encoder", "")) if isinstance(given, dict) else None
        return given if prefix is None else {"prefix": prefix, **given}

    @model_validator(mode="after")
    def _languages_are_said(self) -> Self:
        if self.any_script and "languages" not in self.model_fields_set:
            raise ValueError("any_script: say in `languages` which languages the data hold")
        return self


class Optimisation(Settings):
    """The hyperparameters."""

    adaptation: Literal["full", "lora"] = Field(
        "full", description="learn all weights, or LoRA on every linear layer and the whole head"
    )
    lora_r: int = Field(32, ge=1, description="rank of LoRA")
    lora_alpha: float = Field(32.0, gt=0, description="LoRA is scaled by alpha / r")
    epochs: int = Field(3, ge=1, description="passes through the data")
    learn_tokens: int | None = Field(
        None, ge=8, description="tokens of a text that steps learn from; by default `max_tokens`"
    )
    batch_size: int = Field(32, ge=1, description="texts per step")
    learning_rate: float = Field(
        5e-5, gt=0, description="at its peak; LoRA takes 1e-3 where full training takes 5e-5"
    )
    weight_decay: float = Field(0.01, ge=0, description="of AdamW, on matrices alone")
    warmup: float = Field(0.06, ge=0, lt=1, description="share of the steps with a rising rate")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    bf16: Literal["auto", "on", "off"] = Field(
        "auto", description="autocast to bfloat16; auto: where the hardware computes with it"
    )
    checkpoint_every: int = Field(500, ge=1, description="steps between two checkpoints")
    device: str = Field("auto", description="auto, cpu, cuda")

    @field_validator("bf16", mode="before")
    @classmethod
    def _as_yaml_reads_it(cls, given: Any) -> Any:
        """YAML reads the words on and off as true and false."""
        return {True: "on", False: "off"}.get(given, given) if isinstance(given, bool) else given


class ScorerTraining(Learnt, Optimisation):
    """One `train scorer` command, or a recipe in `recipes/scorers`."""

    name: Name = Field(description="of the scorer")
    version: Name = Field("1", description="of the scorer; scores carry name and version")
    description: str = Field("", description="for people: the meaning of its attributes")
    attributes: tuple[str, ...] = Field(
        (), description="the columns, in order; none: all that the data label"
    )
    attribute_weights: dict[str, float] = Field({}, description="attribute: weight in the loss")
    data: dict[Name, LabelledSet] = Field(
        min_length=1, description="the sets to learn from; a text in two of them is the first's"
    )
    never: dict[Name, TextSet] = Field(
        {}, description="sets whose texts are never trained on, whatever the data hold"
    )
    validation: HeldOut = HELD_OUT
    false_marks: Probability | None = Field(
        None,
        description="thresholds mark at most this share of the validation texts whose label is "
        "below 0.5; none: thresholds have the highest F1, or are 0.5 with a `prevalence`",
    )
    prevalence: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(
        {},
        description="attribute: share of such texts among those that will be scored; by default as "
        "many as among the validation texts, so that scores of texts with fewer are too high",
    )
    seed: Seed = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The attributes of the scorer, in order."""
        found = (name for one in self.data.values() for name in one.labels)
        return self.attributes or tuple(dict.fromkeys(found))

    @field_validator("attributes", mode="before")
    @classmethod
    def _between_commas(cls, given: Any) -> Any:
        """A text lists several attributes between commas."""
        listed = [given] if isinstance(given, str) else given
        if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
            return given
        return [part.strip() for one in listed for part in one.split(",")]

    @model_validator(mode="after")
    def _every_attribute_is_labelled(self) -> Self:
        labelled = {name for one in self.data.values() for name in one.labels}
        for name in (*self.attributes, *self.attribute_weights, *self.prevalence):
            if name not in labelled:
                raise ValueError(
                    f"no data set labels the attribute {name!r}; labelled: "
                    f"{', '.join(sorted(labelled))}"
                )
        return self

    def run_config(self) -> dict[str, Any]:
        """The content of the run's `config.yaml`, with relative paths."""
        plain = self.model_dump(mode="json", exclude_defaults=True)
        for group in ("data", "never"):
            plain[group] = {name: portable(one) for name, one in plain.get(group, {}).items()}
        return {**plain, "encoder": relative(self.encoder), "seed": self.seed}
