"""Responses that another tool generated, perhaps with its scores, as our records."""

import dataclasses
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detoxlab.data.repeats import Repeats, Repetition, repetition
from detoxlab.data.source import LeftOutWarning
from detoxlab.data.tabular import TableRow, check_named, plain, read_rows, text_of, value_of
from detoxlab.data.where import same_meaning
from detoxlab.errors import DataError
from detoxlab.records import Generation, Prompt, Score, content_id

NOT_SCORED = "not scored in the file"
ATTRIBUTE = "toxicity"

Imported = tuple[list[Prompt], list[Generation], list[Score]]


class Read(NamedTuple):
    """The records of a file of responses, and how the rows that repeat a prompt were read.

    `columns` are the names of all its columns.
    """

    prompts: list[Prompt]
    generations: list[Generation]
    scores: list[Score]
    repetition: Repetition
    columns: tuple[str, ...]


def load_responses_file(
    path: Path | str,
    *,
    prompt_column: str,
    response_column: str,
    id_column: str | None = None,
    score_columns: Mapping[str, str] | None = None,
    missing_values: Sequence[str] = (),
    repeats: Repeats = "auto",
    skip_nulls: bool = False,
) -> Imported:
    """Prompts, generations and scores of a file of responses.

    Rows with the same prompt (the same id, where there is an id column) are samples 0, 1, … of
    it if every prompt has as many rows, and prompts of their own (`id#2`) otherwise; `repeats`
    decides it instead, see `repeats.repetition`. The items of a row whose response column holds
    a list (`generations`, or `generations.text` where the items are objects) are samples of its
    prompt, and then its score columns hold lists of that length. An empty response stays: the
    model gave it.

    `score_columns` maps a scorer's name to the column of its toxicity. An empty cell (or nan,
    null, none, na) becomes a score with an error, never 0; so does one of `missing_values`, held
    as a number or as a text. With `skip_nulls` rows without prompt or response are left out.

    Raises `DataError` with file and line for a missing column, an empty prompt, one id with two
    prompts, or a score that is no number in [0, 1].
    """
    read = read_responses(
        path,
        prompt_column=prompt_column,
        response_column=response_column,
        id_column=id_column,
        score_columns=score_columns,
        missing_values=missing_values,
        repeats=repeats,
        skip_nulls=skip_nulls,
    )
    return read.prompts, read.generations, read.scores


def read_responses(
    path: Path | str,
    *,
    prompt_column: str,
    response_column: str,
    id_column: str | None = None,
    score_columns: Mapping[str, str] | None = None,
    missing_values: Sequence[str] = (),
    repeats: Repeats = "auto",
    skip_nulls: bool = False,
) -> Read:
    """The records of `load_responses_file`, and how rows that repeat a prompt were read."""
    rows: Sequence[TableRow] = read_rows(Path(path))
    scored_by = dict(score_columns or {})
    check_named(
        rows,
        {"--prompt-column ": prompt_column} | ({"--id-column ": id_column} if id_column else {}),
    )
    columns = [response_column, *scored_by.values()]
    if skip_nulls:
        rows = _without_nulls(rows, (prompt_column, response_column), Path(path).name)
    samples = [list(_samples(row, columns)) for row in rows]
    if not any(samples):
        raise DataError(f"{path}: every list of responses is empty", remedy="Check the file.")
    typed = {f"--score-column {name}=": column for name, column in scored_by.items()}
    check_named(
        [one for some in samples for one in some],
        {"--response-column ": response_column, **typed},
    )
    asked = _prompts(rows, prompt_column, id_column, Path(path).name)
    repeated = repetition([prompt.id for prompt in asked], repeats)
    repeated.say(str(path))
    prompts: dict[str, Prompt] = {}
    generations, scores = [], []
    drawn: Counter[str] = Counter()
    for name, prompt, some in zip(repeated.names, asked, samples, strict=True):
        if name is None:
            continue
        prompts.setdefault(name, dataclasses.replace(prompt, id=name))
        for row in some:
            sample = drawn[name]
            drawn[name] += 1
            text = text_of(row, response_column, may_be_empty=True)
            generations.append(Generation(name, sample, text, (), "unknown"))
            scores += [
                _score(row, name, sample, *pair, missing_values) for pair in scored_by.items()
            ]
    names = dict.fromkeys(column for row in rows for column in row.values)
    return Read(list(prompts.values()), generations, scores, repeated, tuple(names))


def _without_nulls(
    rows: Sequence[TableRow], columns: Sequence[str], source: str
) -> Sequence[TableRow]:
    """The rows with a value in each of the columns; a list that lacks some counts as a value."""
    kept = [
        row
        for row in rows
        if all(value_of(row, one.partition(".")[0]) is not None for one in columns)
    ]
    if left := len(rows) - len(kept):
        warnings.warn(
            f"{source}: {left} of {len(rows)} rows have no {' or '.join(columns)} and were "
            "left out",
            LeftOutWarning,
            stacklevel=4,
        )
    return kept or rows


def _prompts(
    rows: Sequence[TableRow], column: str, id_column: str | None, source: str
) -> list[Prompt]:
    """The prompt of each row; one id means one text."""
    first: dict[str, tuple[TableRow, Prompt]] = {}
    prompts = []
    for row in rows:
        prompt = _prompt(row, column, id_column, source)
        first_row, earlier = first.setdefault(prompt.id, (row, prompt))
        if earlier.text != prompt.text:
            raise _two_prompts(row, first_row, prompt.id)
        prompts.append(prompt)
    return prompts


def _samples(row: TableRow, columns: Sequence[str]) -> Iterator[TableRow]:
    """The row itself, or a row per item when the first of the columns holds a list."""
    lists = {column: _list(row, column) for column in columns}
    responses = lists[columns[0]]
    if responses is None:
        yield row
        return
    for column, items in lists.items():
        if items is None or len(items) != len(responses):
            found = "no list" if items is None else f"{len(items)} items"
            raise DataError(
                f"{row.place}: column {column!r} holds {found} for {len(responses)} responses",
                remedy="Give one score per response, null where there is none.",
            )
    for number, items in enumerate(zip(*lists.values(), strict=True), start=1):
        cells = {**row.values, **dict(zip(columns, items, strict=True))}
        yield TableRow(f"{row.place}, response {number}", cells)


def _list(row: TableRow, column: str) -> list[Any] | None:
    outer, _, inner = column.partition(".")
    value = value_of(row, column)
    objects = value_of(row, outer)
    if value is None and inner and isinstance(objects, list):
        return [item.get(inner) if isinstance(item, Mapping) else None for item in objects]
    return value if isinstance(value, list) else None


def _prompt(row: TableRow, column: str, id_column: str | None, source: str) -> Prompt:
    text = text_of(row, column)
    if id_column is None:
        return Prompt(content_id(text), text, source)
    identifier = value_of(row, id_column)
    if identifier in (None, ""):
        raise DataError(
            f"{row.place}: column {id_column!r} is empty",
            remedy="Give every row an id, or leave out the id column.",
        )
    return Prompt(str(identifier), text, source)


def _score(
    row: TableRow, prompt_id: str, sample: int, scorer: str, column: str, missing: Sequence[str]
) -> Score:
    cell = value_of(row, column)
    value = plain(cell)
    if value is None or any(same_meaning(cell, one) for one in missing):
        return Score(prompt_id, sample, scorer, ATTRIBUTE, error=NOT_SCORED)
    return Score(prompt_id, sample, scorer, ATTRIBUTE, value=_probability(row, column, value))


def _probability(row: TableRow, column: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(
            f"{row.place}: column {column!r} holds no number",
            remedy="Scores are numbers from 0 to 1; an empty cell is none. If a word stands for "
            "none, name it with --missing-value.",
        )
    if not 0.0 <= value <= 1.0:
        raise DataError(
            f"{row.place}: the score {value} in column {column!r} is not between 0 and 1",
            remedy=_beyond(value),
        )
    return float(value)


def _beyond(value: float) -> str:
    """The remedy for a number that is no probability: it may be a percentage or mean no score."""
    stands_for_none = f"say --missing-value {value:g}"
    if 1 < value <= 100:
        return f"Divide percentages by 100; if {value:g} stands for no score, {stands_for_none}."
    return f"If {value:g} stands for no score, {stands_for_none}."


def _two_prompts(row: TableRow, first: TableRow, identifier: str) -> DataError:
    return DataError(
        f"{row.place}: id {identifier!r} was given to another prompt at {first.place}",
        remedy="One id means one prompt: repair the ids, or leave out the id column.",
    )
