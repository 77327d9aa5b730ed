"""The provenance of each number: run.json and config.yaml of every run, side by side."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detoxlab.comparisons import Limits
from detoxlab.provenance import last_part
from detoxlab.records import Comparison
from detoxlab.reports.parts import Cell, Column, Section, Table, filled, text_cell
from detoxlab.reports.study import Study

LONGEST, FIRST_FACTS = 300, 6
DIGEST = re.compile(r"[0-9a-f]{40,}")
DIGITS = 12
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
    "code_commit",
    "command",
    "started",
    "finished",
)


def provenance(study: Study) -> Section:
    """The limits behind the verdicts, and the provenance of the numbers."""
    limits = filled([limits_table(study.comparisons)])
    return Section("provenance", "Provenance", (*limits, *provenance_tables(study)))


def limits_table(comparisons: Sequence[Comparison]) -> Table | None:
    """The limits behind the verdicts."""
    limits: dict[str, Any] = {}
    for comparison in comparisons:
        limits |= comparison.limits
    if not limits:
        return None
    fields = Limits.model_fields
    meaning = {name: field.description for name, field in fields.items()}
    rows = tuple(
        (Cell(name), _setting(value), text_cell(meaning.get(name)))
        for name, value in limits.items()
    )
    columns = (Column("Limit"), Column("Value", numeric=True), Column("Meaning"))
    return Table("limits", "Limits used", columns, rows)


def _setting(value: Any) -> Cell:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text_cell(None if value is None else _short(value))
    return Cell(f"{value:g}".replace("-", "−"), float(value), "number")


def provenance_tables(study: Study) -> list[Table]:
    """The facts and settings of each run: those that differ side by side, shared ones once."""
    measured = [(run.name, run.info, run.config) for run in study.measured]
    trained = [(run.name, run.info, run.config) for run in study.trained]
    tables = _tables("provenance-measured", "Measured runs", measured)
    return tables + (_tables("provenance-trained", "Trainings", trained) if trained else [])


Source = tuple[str, Mapping[str, Any], Mapping[str, Any]]


def _tables(key: str, title: str, runs: Sequence[Source]) -> list[Table]:
    flat = [dict(flattened({**config, **info})) for _, info, config in runs]
    keys = sorted(dict.fromkeys(key for facts in flat for key in facts), key=_rank)
    shared = [key for key in keys if len({facts.get(key) for facts in flat}) == 1]
    if len(runs) == 1:
        return [_table(key, title, [runs[0][0]], keys, flat)]
    apart = [key for key in keys if key not in shared]
    return [
        _table(key, f"{title}: where they differ", [name for name, _, _ in runs], apart, flat),
        _table(f"{key}-shared", f"{title}: alike in all", ["All runs"], shared, flat[:1]),
    ]


def _table(
    key: str,
    title: str,
    names: Sequence[str],
    keys: Sequence[str],
    flat: Sequence[Mapping[str, str]],
) -> Table:
    rows = tuple((Cell(key), *(text_cell(facts.get(key)) for facts in flat)) for key in keys)
    return Table(key, title, (Column("Fact"), *map(Column, names)), rows, first=FIRST_FACTS)


def _rank(key: str) -> tuple[int, bool, str]:
    top = key.split(".", 1)[0]
    rank = FIRST.index(top) if top in FIRST else len(FIRST)
    return (rank, key != f"{top}.id", key)


def flattened(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted keys and short texts, in their order.

    >>> list(flattened({"sampling": {"k": 5, "stop": []}, "files": [{"name": "a.jsonl"}]}))
    [('sampling.k', '5'), ('sampling.stop', ''), ('files.0.name', 'a.jsonl')]
    """
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        value = dict(enumerate(value))
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flattened(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, _short(value)


def _short(value: Any) -> str:
    """The value on one line; of a digest, the first letters tell it from others."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        value = " ".join(_short(item) for item in value)
    text = "" if value is None else last_part(str(value))
    if DIGEST.fullmatch(text):
        return f"{text[:DIGITS]}…"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
