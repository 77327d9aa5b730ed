"""Where each number comes from: run.json and config.yaml of every run, side by side."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detoxlab.provenance import last_part
from detoxlab.reports.study import Study
from detoxlab.reports.tables import Cell, Column, Table, text_cell

LONGEST = 300
FIRST = (
    "status",
    "model",
    "base_model",
    "judge_id",
    "second_id",
    "base_likelihood_id",
    "engine",
    "asked",
    "protocol",
    "prompts",
    "source",
    "sampling",
    "seed",
    "code_version",
    "command",
    "started",
    "finished",
)


def provenance_tables(study: Study) -> list[Table]:
    """What each run is and how it was made; rows that all runs share are not repeated."""
    measured = [(run.name, run.info, run.config) for run in study.measured]
    trained = [(run.name, run.info, run.config) for run in study.trained]
    tables = [_table("provenance-measured", "Measured runs", measured)]
    if trained:
        tables.append(_table("provenance-trained", "Trainings", trained))
    return tables


def unfinished(study: Study) -> list[tuple[str, str]]:
    """Names and states of the runs that did not finish: their numbers may be of a part only."""
    runs = [(run.name, run.info) for run in study.measured]
    runs += [(run.name, run.info) for run in study.trained]
    return [(name, str(info.get("status"))) for name, info in runs if not _is_finished(info)]


def _is_finished(info: Mapping[str, Any]) -> bool:
    return info.get("status") == "finished"


Source = tuple[str, Mapping[str, Any], Mapping[str, Any]]


def _table(key: str, title: str, runs: Sequence[Source]) -> Table:
    flat = [dict(flattened({**config, **info})) for _, info, config in runs]
    keys = sorted(dict.fromkeys(key for facts in flat for key in facts), key=_rank)
    rows = tuple((Cell(key), *(text_cell(facts.get(key)) for facts in flat)) for key in keys)
    columns = (Column("Fact"), *(Column(name) for name, _, _ in runs))
    return Table(key, title, columns, rows)


def _rank(key: str) -> tuple[int, bool, str]:
    top = key.split(".", 1)[0]
    rank = FIRST.index(top) if top in FIRST else len(FIRST)
    return (rank, key != f"{top}.id", key)


def flattened(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted keys and short texts, in their order.

    >>> list(flattened({"sampling": {"k": 5, "stop": []}, "chat": True}))
    [('sampling.k', '5'), ('sampling.stop', ''), ('chat', 'yes')]
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flattened(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, _short(value)


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        value = " ".join(_short(item) for item in value)
    text = "" if value is None else last_part(str(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
