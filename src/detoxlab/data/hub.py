"""Rows of a data set on the Hugging Face hub, by id, configuration, split and revision."""

import re
from typing import Any, NamedTuple

from detoxlab.data.tabular import TableRow, cell_of
from detoxlab.errors import ConfigError, DataError

NAME = r"[\w-][\w.-]*"
HUB_ID = re.compile(rf"({NAME}/{NAME})(?:/({NAME}))?(?::([\w.-]+))?")

# How `datasets` lists the configurations when none, or an unknown one, was named.
CONFIGS = re.compile(r"(?:available configs|Available): \[(.*?)\]")
QUOTE = "'"


class HubId(NamedTuple):
    """The parts of a hub id; without configuration or split the data set's default or only one."""

    name: str
    config: str | None
    split: str | None


def is_hub_id(source: str) -> bool:
    """Whether the text has the form of a hub id: `owner/name`, with `/configuration`, `:split`.

    >>> is_hub_id("allenai/real-toxicity-prompts"), is_hub_id("runs/x/prompts.jsonl:3/4")
    (True, False)
    """
    return HUB_ID.fullmatch(source) is not None


def parsed(source: str) -> HubId:
    """The parts of a hub id; any other text is a name, perhaps with a split after it.

    >>> parsed("owner/name/english:test")
    HubId(name='owner/name', config='english', split='test')
    """
    found = HUB_ID.fullmatch(source)
    if found:
        return HubId(*found.groups())
    name, _, split = source.partition(":")
    return HubId(name, None, split or None)


def with_config(source: str, config: str) -> str:
    """The hub id with a configuration in it; `ConfigError` for a source that can have none.

    >>> with_config("owner/name:test", "english")
    'owner/name/english:test'
    """
    made = parsed(source)
    if not is_hub_id(source) or made.config not in (None, config):
        raise ConfigError(
            f"config {config!r} is given for {source!r}, which is no hub id without one",
            remedy="Name a data set of the hub as owner/name, or leave config out.",
        )
    return f"{made.name}/{config}" + (f":{made.split}" if made.split else "")


def read_rows(source: str, revision: str | None) -> list[TableRow]:
    """All rows of one split: the one named after `:`, else `train`, else the only one.

    Raises `DataError` when the id, the revision, the configuration or the split does not exist,
    or the network fails.
    """
    name, config, split = parsed(source)
    splits = _load(name, config, revision)
    wanted = split or ("train" if "train" in splits else next(iter(splits)))
    named = f"{name}/{config}" if config else name
    if wanted not in splits or (not split and wanted != "train" and len(splits) > 1):
        raise DataError(
            f"{named}: no split {wanted!r}" if split else f"{named}: has several splits",
            remedy=f"Name one as {named}:SPLIT. Splits: {', '.join(splits)}.",
        )
    numbered = enumerate(splits[wanted], start=1)
    return [
        TableRow(f"{named}:{wanted}, row {number}", cell_of(dict(row))) for number, row in numbered
    ]


def resolved_revision(source: str, revision: str | None) -> str | None:
    """The commit of a revision (None: the newest); the revision as given when offline."""
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        return HfApi().dataset_info(parsed(source).name, revision=revision).sha
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, OSError):
        return revision


def _load(name: str, config: str | None, revision: str | None) -> Any:
    import datasets

    try:
        return datasets.load_dataset(name, config, revision=revision)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        said = str(error).strip()
        if known := CONFIGS.search(said):
            raise _no_config(name, config, known.group(1)) from None
        cause = said.splitlines()[0] if said else type(error).__name__
        at = f" at revision {revision!r}" if revision else ""
        raise DataError(
            f"{name}{at}: cannot be loaded from the hub ({cause[:120]})",
            remedy="Check id, revision and network, or name a local file.",
        ) from error


def _no_config(name: str, config: str | None, listed: str) -> DataError:
    missing = f"no configuration {config!r}" if config else "has several configurations"
    return DataError(
        f"{name}: {missing}",
        remedy=f"Name one as {name}/CONFIGURATION. Configurations: {listed.replace(QUOTE, '')}.",
    )
