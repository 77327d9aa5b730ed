"""Rows of a data set on the Hugging Face hub, by id, split and revision."""

import re
from typing import Any

from detoxlab.data.tabular import Row, cell_of
from detoxlab.errors import DataError

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(:[\w.-]+)?$")


def is_hub_id(source: str) -> bool:
    """Whether the text has the form of a hub id, `owner/name` or `owner/name:split`.

    >>> is_hub_id("allenai/real-toxicity-prompts"), is_hub_id("runs/x/prompts.jsonl:3/4")
    (True, False)
    """
    return HUB_ID.fullmatch(source) is not None


def read_rows(source: str, revision: str | None) -> list[Row]:
    """All rows of one split: the one named after `:`, else `train`, else the only one.

    Raises `DataError` when the id, the revision or the split is not there, or the network.
    """
    name, _, split = source.partition(":")
    splits = _load(name, revision)
    wanted = split or ("train" if "train" in splits else next(iter(splits)))
    if wanted not in splits or (not split and wanted != "train" and len(splits) > 1):
        raise DataError(
            f"{name}: no split {wanted!r}" if split else f"{name}: has several splits",
            remedy=f"Name one as {name}:SPLIT. Splits: {', '.join(splits)}.",
        )
    numbered = enumerate(splits[wanted], start=1)
    return [Row(f"{name}:{wanted}, row {number}", cell_of(dict(row))) for number, row in numbered]


def resolved_revision(source: str, revision: str | None) -> str | None:
    """The commit that a revision (None: the newest) stands for; as given when offline."""
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        return HfApi().dataset_info(source.partition(":")[0], revision=revision).sha
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, OSError):
        return revision


def _load(name: str, revision: str | None) -> Any:
    import datasets

    try:
        return datasets.load_dataset(name, revision=revision)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        at = f" at revision {revision!r}" if revision else ""
        raise DataError(
            f"{name}{at}: cannot be loaded from the hub ({cause[:120]})",
            remedy="Check id, revision and network, or name a local file.",
        ) from error
