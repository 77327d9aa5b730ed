"""Prompts, dialogues and preference pairs from many sources; one file per source.

A source is the name of one below, a local file (JSON Lines, JSON, CSV, TSV, Parquet or text,
gzipped or not) or the id of a data set on the Hugging Face hub. Packages add sources under the
entry points `detoxlab.prompts`, `detoxlab.dialogues`, `detoxlab.pairs` and `detoxlab.labelled`;
each gives a `Source`.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detoxlab.data import hub, rtp
from detoxlab.data.imported import load_responses_file
from detoxlab.data.known import (
    DIALOGUE_SOURCES,
    DIALOGUES,
    FAMILIES,
    LABELLED,
    PAIRS,
    PREFERENCE_SOURCES,
    PROMPT_SOURCES,
    PROMPTS,
    label_of,
    unnamed,
)
from detoxlab.data.mixtures import Part, mix
from detoxlab.data.openings import not_beginning_with, with_openings
from detoxlab.data.source import (
    DialogueSet,
    LeftOutWarning,
    PreferenceSet,
    PromptSource,
    Source,
    check_ids,
    check_limit,
    sample,
    with_distinct_texts,
)
from detoxlab.data.split import split_dialogues, split_pairs, split_prompts, split_texts
from detoxlab.data.tabular import TableRow
from detoxlab.data.verbaliser import Verbaliser
from detoxlab.data.where import Condition, choose
from detoxlab.errors import ConfigError
from detoxlab.provenance import file_sha256
from detoxlab.records import Prompt

__all__ = [
    "DIALOGUE_SOURCES",
    "PREFERENCE_SOURCES",
    "PROMPT_SOURCES",
    "DialogueSet",
    "LeftOutWarning",
    "Part",
    "PreferenceSet",
    "Source",
    "Verbaliser",
    "check_source",
    "describe_source",
    "load_dialogues",
    "load_labelled",
    "load_preferences",
    "load_prompts",
    "load_responses_file",
    "mix",
    "not_beginning_with",
    "split_dialogues",
    "split_pairs",
    "split_prompts",
    "split_texts",
]


def load_prompts(
    source: str,
    *,
    path: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, Condition] | None = None,
    limit: int | None = None,
    seed: int = 0,
    revision: str | None = None,
    skip_nulls: bool = False,
    deduplicate: bool = False,
    join_continuation: bool = False,
    opening: int | None = None,
) -> list[Prompt]:
    """The prompts of a source, in its order, with distinct ids.

    `path` is the file of a named source, or the folder that holds it. `columns` maps `text`,
    `id` and meta names to the columns of a file or hub data set. `where` keeps the prompts
    whose meta attributes are in a range (both ends included), equal a text or boolean, or list
    it. `deduplicate` leaves out prompts whose text an earlier one has, `join_continuation` (for
    `rtp`) makes prompt and continuation one prompt, `opening` keeps so many of the first words
    of each longer text; then `limit` draws that many by the seed. `skip_nulls` leaves out rows of
    a file or hub data set without a text, which otherwise are errors.
    A `LeftOutWarning` counts the prompts that are left out without being asked for.

    Raises `UnknownNameError`, `MissingFileError` or `DataError`, with file and line.

    >>> prompts = load_prompts("embedded", where={"kind": "neutral"}, limit=3)
    >>> [prompt.meta["group"] for prompt in prompts]
    ['neutral', 'neutral', 'neutral']
    """
    check_limit(limit)
    found = _prompt_source(source, columns, join_continuation, skip_nulls)
    located = found.parse(_rows(found, source, path, revision))
    prompts = check_ids(located, may_repeat=deduplicate)
    prompts = choose(prompts, where or {})
    if deduplicate:
        prompts = _distinct(prompts)
    if opening is not None:
        prompts = with_openings(prompts, opening)
    return sample(prompts, limit, seed)


def load_dialogues(
    source: str,
    *,
    path: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    revision: str | None = None,
    skip_nulls: bool = False,
) -> DialogueSet:
    """The well-formed dialogues of a source, and the odd ones with their reasons.

    `columns` maps, for a file or hub data set, `turns`; or `prompt` and `response`; or
    `dialogue`, `turn`, `role` and `text`; and `id` and `target`. `skip_nulls` as in `load_prompts`.

    >>> load_dialogues("embedded", limit=2).rejected
    []
    """
    check_limit(limit)
    found = DIALOGUES.find(source, columns, skip_nulls=skip_nulls)
    loaded = found.parse(_rows(found, source, path, revision))
    return DialogueSet(sample(loaded.dialogues, limit, seed), loaded.rejected)


def load_preferences(
    source: str,
    *,
    path: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    revision: str | None = None,
    skip_nulls: bool = False,
) -> PreferenceSet:
    """The well-formed preference pairs of a source, and the odd ones with their reasons.

    `columns` maps, for a file or hub data set, `prompt`, `chosen`, `rejected` and `id`; see
    `preferences.read` for the layouts. `limit` draws that many pairs by the seed. `skip_nulls` as
    in `load_prompts`.

    Raises as `load_prompts` does.
    """
    check_limit(limit)
    found = PAIRS.find(source, columns, skip_nulls=skip_nulls)
    loaded = found.parse(_rows(found, source, path, revision))
    return PreferenceSet(sample(loaded.pairs, limit, seed), loaded.rejected)


def load_labelled(
    source: str,
    *,
    path: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, Condition] | None = None,
    revision: str | None = None,
) -> list[Prompt]:
    """The texts of a source with their labels in `meta`, in its order; texts may repeat.

    `columns` maps, for a file or hub data set, `text` and meta names. Raises as `load_prompts`.
    """
    found = LABELLED.find(source, columns)
    located = found.parse(_rows(found, source, path, revision))
    return choose([prompt for _, prompt in located], where or {})


def check_source(
    kind: str,
    source: str,
    *,
    path: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    join_continuation: bool = False,
) -> bool:
    """Whether the source is on the hub, which only loading can check; no row is read.

    `kind` is prompts, dialogues, pairs or labelled. Raises the errors of loading when the source
    is unknown or its files are not there.

    >>> check_source("prompts", "embedded"), check_source("pairs", "org/pairs")
    (False, True)
    """
    found = (
        _prompt_source(source, columns, join_continuation)
        if kind == "prompts"
        else FAMILIES[kind].find(source, columns)
    )
    return not found.files(source, None if path is None else Path(path))


def describe_source(
    source: str,
    *,
    kind: str | None = None,
    path: str | Path | None = None,
    revision: str | None = None,
) -> dict[str, Any]:
    """The provenance of a source: files by name and sha256, or hub id and commit. No paths.

    `kind` is prompts, dialogues, pairs or labelled; without it a name is that of prompts, or else
    of dialogues.

    >>> describe_source("embedded")["files"][0]["name"]
    'prompts.jsonl'
    >>> describe_source("embedded", kind="dialogues")["files"][0]["name"]
    'dialogues.jsonl'
    """
    if kind is not None:
        return _described(source, FAMILIES[kind].find(source), path, revision)
    known: dict[str, Source[Any]] = {**DIALOGUES.known(), **PROMPTS.known()}
    found = known.get(source) or unnamed("source", source, known, list)
    return _described(source, found, path, revision)


def _prompt_source(
    source: str,
    columns: Mapping[str, str] | None,
    join_continuation: bool,
    skip_nulls: bool = False,
) -> PromptSource:
    if join_continuation and source != "rtp":
        raise ConfigError(
            f"join_continuation is for the prompts of 'rtp', not {source!r}",
            remedy="Leave it out, or read the file as source rtp with a path.",
        )
    found = PROMPTS.find(source, columns, skip_nulls=skip_nulls)
    return rtp.JOINED if join_continuation else found


def _rows(
    found: Source[Any], source: str, path: str | Path | None, revision: str | None
) -> list[TableRow]:
    read = found.files(source, None if path is None else Path(path))
    if not read:
        return hub.read_rows(str(found.hub), revision)
    return [row for file in read for row in found.rows(file)]


def _described(
    source: str, found: Source[Any], path: str | Path | None, revision: str | None
) -> dict[str, Any]:
    read = found.files(source, None if path is None else Path(path))
    if not read:
        commit = hub.resolved_revision(str(found.hub), revision)
        return {"source": source, "hub": found.hub, "revision": commit}
    sums = [{"name": file.name, "sha256": file_sha256(file)} for file in read]
    return {"source": label_of(source), "files": sums}


def _distinct(prompts: list[Prompt]) -> list[Prompt]:
    distinct = with_distinct_texts(prompts)
    if len(distinct) < len(prompts):
        warnings.warn(
            f"{len(prompts) - len(distinct)} of {len(prompts)} prompts repeat the text of an "
            "earlier one and were left out",
            LeftOutWarning,
            stacklevel=3,
        )
    return distinct
