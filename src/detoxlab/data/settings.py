"""Settings that say where data are, and how their paths are written into a run."""

import os
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from detoxlab.data.hub import with_config
from detoxlab.settings import Settings


class DataSettings(Settings):
    """Where data are, and how much of them."""

    source: str = Field(description="a known name, a local file, or a hub id")
    path: str | None = Field(None, description="where the named source lies on this machine")
    columns: dict[str, str] = Field({}, description="our field: column of the file")
    limit: int | None = Field(None, ge=1, description="a seeded sample of that many")
    revision: str | None = Field(None, description="revision of a hub data set")

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


def relative(path: str) -> str:
    """An absolute path relative to the working folder; anything else as it is."""
    return os.path.relpath(path) if os.path.isabs(path) else path  # noqa: PTH117


def portable(source: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a data source, or of several as `parts`, with their paths made relative."""
    made: dict[str, Any] = {
        key: relative(source[key]) for key in ("source", "path") if source.get(key)
    }
    if "parts" in source:
        made["parts"] = {name: portable(part) for name, part in source["parts"].items()}
    if source.get("exclude"):
        made["exclude"] = portable(source["exclude"])
    return {**source, **made}
