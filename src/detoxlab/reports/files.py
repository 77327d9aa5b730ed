"""The files of a report, one per format, next to each other."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detoxlab.errors import ConfigError, UnknownNameError
from detoxlab.locations import BENCHES

FORMATS = ("html", "md", "csv", "json")


def bench_path(bench: str) -> str:
    """The path of the report on a further bench, relative to the report."""
    return f"{BENCHES}/{bench}/report.html"


def check_formats(formats: Sequence[str]) -> None:
    """Raises `UnknownNameError` for a format that no report has."""
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("report format", name, FORMATS)


def page_at(out: Path | str) -> Path:
    """The HTML file that `out` names: `report.html` in it where it is a folder."""
    path = Path(out)
    return path / "report.html" if path.is_dir() or not path.suffix else path


def check_replaceable(page: Path, formats: Sequence[str]) -> None:
    """Raises `ConfigError` where a table's name is taken by a file that is of no report.

    The tables of an earlier report stand beside its page.
    """
    tables = [page.with_suffix(f".{name}") for name in formats if name != "html"]
    taken = [table for table in tables if table.exists()]
    if "html" in formats and taken and not page.exists():
        raise ConfigError(
            f"{taken[0]}: is there already, and a table of this report would replace it",
            remedy="Choose another --out, or remove it.",
        )


def write_formats(
    page: Path, writers: Mapping[str, Callable[[], str]], formats: Sequence[str]
) -> Path:
    """Write each format next to `page`; returns the path of the page, or of the first format."""
    paths = {name: page if name == "html" else page.with_suffix(f".{name}") for name in formats}
    for name, path in paths.items():
        replace(path, writers[name]())
    return paths["html"] if "html" in paths else next(iter(paths.values()))


def json_text(content: Mapping[str, Any]) -> str:
    """The text of a JSON file; its numbers are finite."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def replace(path: Path, text: str) -> None:
    """Write a file whole; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8", newline="\n")
    draft.replace(path)
