"""The named sources, by kind of record, and the way any source is found."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from detoxlab.data import (
    bold,
    conan,
    counterspeech,
    dghs,
    dialogues,
    embedded,
    files,
    hatecheck,
    hub,
    jigsaw,
    labelled,
    languages,
    mapped,
    preferences,
    rtp,
    toxigen,
    unintended_bias,
    xstest,
)
from detoxlab.data.source import (
    DialogueSet,
    DialogueSource,
    Located,
    PreferenceSet,
    PreferenceSource,
    PromptSource,
    Source,
)
from detoxlab.data.tabular import TableRow
from detoxlab.errors import ConfigError, UnknownNameError
from detoxlab.locations import meant
from detoxlab.records import Prompt
from detoxlab.registry import with_entry_points

Items = TypeVar("Items")

PROMPT_SOURCES: dict[str, PromptSource] = {
    "embedded": embedded.PROMPTS,
    "rtp": rtp.SOURCE,
    "toxigen": toxigen.SOURCE,
    "toxigen-annotated": toxigen.ANNOTATED,
    "bold": bold.SOURCE,
    "xstest": xstest.SOURCE,
    "jigsaw": jigsaw.SOURCE,
    "hatecheck": hatecheck.SOURCE,
    "unintended-bias": unintended_bias.SOURCE,
    "dghs": dghs.SOURCE,
    **counterspeech.SOURCES,
    **languages.SOURCES,
}

LABELLED_SOURCES: dict[str, PromptSource] = {
    **PROMPT_SOURCES,
    "rtp-texts": rtp.TEXTS,
    "rule-by-example": labelled.RULE_BY_EXAMPLE,
}

DIALOGUE_SOURCES: dict[str, DialogueSource] = {
    "embedded": embedded.DIALOGUES,
    "dialoconan": conan.DIALOCONAN,
    "multitarget-conan": conan.MULTITARGET,
}

PREFERENCE_SOURCES: dict[str, PreferenceSource] = {
    "hh-rlhf": preferences.HH_RLHF,
    "paradetox": preferences.PARADETOX,
}


@dataclass(frozen=True)
class Family(Generic[Items]):
    """The sources of one kind of record.

    `named` are those of this package, and other packages add theirs under the group
    `entry_points`. `read` makes records of the rows of any other source, by the given columns and
    with the label that they will carry; it may leave out rows without a text. `noun` is its name
    in errors.
    """

    noun: str
    named: Mapping[str, Source[Items]]
    entry_points: str
    read: Callable[[Sequence[TableRow], Mapping[str, str], str, bool], Items]

    def known(self) -> dict[str, Source[Items]]:
        """The named sources, including those of other packages."""
        return with_entry_points(self.entry_points, dict(self.named))

    def find(
        self, source: str, columns: Mapping[str, str] | None = None, *, skip_nulls: bool = False
    ) -> Source[Items]:
        """The source of that name; else a local file, or a data set on the hub.

        With `skip_nulls`, rows of the latter two without a text are left out.

        Raises `UnknownNameError` when it is none of them, `ConfigError` on columns for a source
        whose columns are known.
        """
        known = self.known()
        if source in known:
            _check_no_columns(source, columns)
            return known[source]
        label = label_of(source)
        return unnamed(
            self.noun, source, known, lambda rows: self.read(rows, columns or {}, label, skip_nulls)
        )


PROMPTS: Family[Iterable[Located[Prompt]]] = Family(
    "prompt source", PROMPT_SOURCES, "detoxlab.prompts", mapped.read
)
DIALOGUES: Family[DialogueSet] = Family(
    "dialogue source", DIALOGUE_SOURCES, "detoxlab.dialogues", dialogues.read
)
PAIRS: Family[PreferenceSet] = Family(
    "pair source", PREFERENCE_SOURCES, "detoxlab.pairs", preferences.read
)
LABELLED: Family[Iterable[Located[Prompt]]] = Family(
    "source of labelled texts", LABELLED_SOURCES, "detoxlab.labelled", labelled.read
)
FAMILIES: dict[str, Family[Any]] = {
    "prompts": PROMPTS,
    "dialogues": DIALOGUES,
    "pairs": PAIRS,
    "labelled": LABELLED,
}


def unnamed(
    noun: str,
    source: str,
    known: Mapping[str, Any],
    parse: Callable[[Sequence[TableRow]], Items],
) -> Source[Items]:
    """A source without a name: a local file, or a data set on the hub."""
    if "://" in source:
        raise ConfigError(
            f"{source}: is an address of the web",
            remedy="Download the file and name it; a data set of the hub is named owner/name.",
        )
    if files.is_local(source):
        return Source(parse, location=Path(source))
    if hub.is_hub_id(source):
        return Source(parse, hub=source)
    error = UnknownNameError(noun, source, [*known, "a file", "a hub id (owner/name)"])
    if "Did you mean" not in error.remedy:
        error.remedy = f"{meant(source)}{error.remedy}"
    raise error


def label_of(source: str) -> str:
    """The name of a source in records and run.json; that of a file has no folder."""
    return Path(source).name if files.is_local(source) else source


def _check_no_columns(source: str, columns: Mapping[str, str] | None) -> None:
    if columns:
        raise ConfigError(
            f"columns are given for {source!r}, whose columns are known",
            remedy="Leave them out, or give the file itself as the source.",
        )
