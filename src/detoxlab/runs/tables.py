"""Files of rows in Parquet: the form of large runs' generations and scores.

A file grows as JSON Lines, so a kill loses no finished batch. When its stage is finished and it
has `LARGE` rows or more, it becomes a Parquet file of the same name, in one atomic step; until
that step is over the lines stay. Rows keep their order and all their fields, so lines and table
turn into each other without loss. A table is read in groups of rows, and only those fields
that are asked for.

`choice` and `readings`, which few rows have, stand in a table as JSON.
"""

import bisect
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from detoxlab import processes
from detoxlab.errors import DataError
from detoxlab.records import Coded, Generation, Score, from_json, to_json, to_line
from detoxlab.runs.files import lines_of, read_rows

R = TypeVar("R")

LARGE = 1_000_000
GROUP = 250_000
NESTED = {"choice", "readings"}
TOGETHER = b"detoxlab.prompts_together"
FIELDS: Mapping[type[Any], tuple[str, ...]] = {
    Generation: ("prompt_id", "sample", "text", "token_ids", "finish_reason", "error", "choice"),
    Score: ("prompt_id", "sample", "scorer_id", "attribute", "value", "error", "cut", "readings"),
}
KINDS: Mapping[str, type[Any]] = {"generations": Generation, "scores": Score}
"""The folders of a run whose files may be tables, and their records."""


def table_of(lines: Path) -> Path:
    """The Parquet file that takes the place of a file of JSON Lines.

    >>> table_of(Path("generations/worker-0.jsonl")).name
    'worker-0.parquet'
    """
    return lines.with_suffix(".parquet")


def is_large(folder: str, rows: int) -> bool:
    """Whether a file with so many rows, in this folder of a run, is to be a table.

    >>> is_large("scores", 999_999), is_large("scores", 1_000_000), is_large("evaluation", 10**7)
    (False, True, False)
    """
    return folder in KINDS and rows >= LARGE


def files_of(folder: Path) -> list[Path]:
    """The files of rows in a folder of a run, in the order of their names; a table comes first.

    Lines beside a table of the same name are what a kill left behind, and do not count.
    """
    tables = {path.stem: path for path in folder.glob("*.parquet")}
    lines = {path.stem: path for path in folder.glob("*.jsonl")}
    found = lines | tables
    return [found[name] for name in sorted(found, key=lambda name: f"{name}.jsonl")]


def count_rows(path: Path) -> int:
    """The number of whole rows in a file of either form."""
    if path.suffix == ".parquet":
        return int(_opened(path).metadata.num_rows)
    return sum(1 for _ in lines_of(path))


def pack(lines: Path, kind: type[Any]) -> None:
    """Turn a finished file of JSON Lines into a table, in one atomic step.

    Raises `DataError` with file and line for a line that is not a record of that kind.
    """
    if not processes.is_main():
        return
    draft = lines.with_name(f".{lines.name}.tmp")
    write_table(draft, _records_in(lines, kind), kind)
    draft.replace(table_of(lines))
    lines.unlink()


def unpack(lines: Path, kind: type[Any]) -> None:
    """Turn a table back into JSON Lines, so that the file can grow; byte for byte the same."""
    table = table_of(lines)
    if not processes.is_main() or not table.exists():
        return
    draft = lines.with_name(f".{lines.name}.tmp")
    with draft.open("w", encoding="utf-8") as handle:
        handle.writelines(map(to_line, Stored([table], kind)))
    draft.replace(lines)
    table.unlink()


def schema_of(kind: type[Any]) -> Any:
    """The columns of a table of these records, as a `pyarrow.Schema`."""
    import pyarrow as pa

    types = {
        "sample": pa.int32(),
        "token_ids": pa.list_(pa.int32()),
        "value": pa.float64(),
        "cut": pa.bool_(),
    }
    return pa.schema([(name, types.get(name, pa.string())) for name in FIELDS[kind]])


def write_table(path: Path, rows: Iterable[Any], kind: type[Any]) -> None:
    """Write records as a Parquet file; no group of rows ends within the rows of a prompt.

    The file says whether all rows of each prompt stand together.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, seen, together = schema_of(kind), set[str](), True
    last = None
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(rows):
            for name, _ in itertools.groupby(row.prompt_id for row in group):
                together &= name == last or name not in seen
                seen.add(name)
                last = name
            columns = {name: [_cell(row, name) for row in group] for name in FIELDS[kind]}
            writer.write_table(pa.table(columns, schema=schema), row_group_size=len(group))
        writer.add_key_value_metadata({TOGETHER.decode(): str(together)})


class Stored(Sequence[R], Generic[R]):
    """The rows of some files, of which at least one is a table, as a sequence that stays on disk.

    Rows are made as they are asked for, a group at a time. `batches` gives some fields of all
    rows as arrays, without making rows.
    """

    def __init__(self, paths: Sequence[Path], kind: type[R]) -> None:
        self.paths, self.kind = tuple(paths), kind

    def __len__(self) -> int:
        return self._stops[-1] if self._stops else 0

    def __iter__(self) -> Iterator[R]:
        for place in range(len(self._sizes)):
            yield from self._rows(self._group(place))

    @overload
    def __getitem__(self, at: int) -> R: ...

    @overload
    def __getitem__(self, at: slice) -> list[R]: ...

    def __getitem__(self, at: int | slice) -> R | list[R]:
        """A row, or those of a range without steps."""
        if isinstance(at, int):
            row = range(len(self))[at]
            return self[row : row + 1][0]
        start, stop, _ = at.indices(len(self))
        found: list[R] = []
        while start < stop:
            place = bisect.bisect_right(self._stops, start)
            begin = self._stops[place] - self._sizes[place]
            size = min(stop - start, self._stops[place] - start)
            found += self._rows(self._group(place).slice(start - begin, size))
            start += size
        return found

    @property
    def parts(self) -> list["Stored[R]"]:
        """The rows of each file by themselves."""
        return [Stored([path], self.kind) for path in self.paths]

    @cached_property
    def is_together(self) -> bool:
        """Whether all rows of a prompt are in one batch."""
        if len(self.paths) != 1 or self.paths[0].suffix != ".parquet":
            return False
        metadata = _opened(self.paths[0]).metadata.metadata or {}
        return bool(metadata.get(TOGETHER) == b"True")

    def batches(self, *names: str) -> Iterator[dict[str, Any]]:
        """These fields of all rows in their order, a group of rows at a time.

        A text field is `Coded`; a number is an array of float64 with NaN for none, `sample` of
        int64.
        """
        for path in self.paths:
            for table in _tables(path, self.kind, names):
                yield {name: _array(table.column(name)) for name in names}

    def of(self, pairs: Collection[tuple[str, int]]) -> list[R]:
        """The rows of these prompts and samples."""
        import numpy as np

        found: list[R] = []
        wanted, numbers = set(pairs), {prompt for prompt, _ in pairs}
        place = -1
        for path in self.paths:
            for table in _tables(path, self.kind, ("prompt_id", "sample")):
                place += 1
                names, samples = _array(table.column("prompt_id")), _array(table.column("sample"))
                known = [code for code, name in enumerate(names.values) if name in numbers]
                rows = np.flatnonzero(np.isin(names.codes, known)).tolist()
                rows = [
                    at for at in rows if (names.values[names.codes[at]], int(samples[at])) in wanted
                ]
                if rows:
                    found += self._rows(self._group(place).take(rows))
        return found

    # --- inside ---

    @cached_property
    def _sizes(self) -> list[int]:
        return [size for path in self.paths for size in _group_sizes(path, self.kind)]

    @cached_property
    def _stops(self) -> list[int]:
        return list(itertools.accumulate(self._sizes))

    def _group(self, place: int) -> Any:
        """The table of a group of rows; the last one stays in memory."""
        kept = self.__dict__.get("_kept")
        if kept is None or kept[0] != place:
            number = place
            for path in self.paths:
                sizes = _group_sizes(path, self.kind)
                if number < len(sizes):
                    break
                number -= len(sizes)
            kept = place, _read_group(path, self.kind, number)
            self.__dict__["_kept"] = kept
        return kept[1]

    def _rows(self, table: Any) -> list[R]:
        columns = [_cells(name, table.column(name).to_pylist()) for name in FIELDS[self.kind]]
        return [self.kind(*cells) for cells in zip(*columns, strict=True)]


# --- inside ---


def _cell(row: Any, name: str) -> Any:
    value = getattr(row, name)
    if name in NESTED and value is not None:
        return json.dumps(value if name == "readings" else to_json(value), ensure_ascii=False)
    return value


def _cells(name: str, values: list[Any]) -> list[Any]:
    """The values of a field, from those of a column."""
    if name == "token_ids":
        return list(map(tuple, values))
    if name == "readings":
        return [None if value is None else json.loads(value) for value in values]
    if name == "choice":
        from detoxlab.records import Choice

        return [None if one is None else from_json(Choice, json.loads(one)) for one in values]
    return values


def _records_in(lines: Path, kind: type[R]) -> Iterator[R]:
    for number, line in enumerate(lines_of(lines), start=1):
        try:
            yield from_json(kind, json.loads(line))
        except (DataError, UnicodeDecodeError, json.JSONDecodeError) as error:
            cause = error.message if isinstance(error, DataError) else "not valid JSON"
            raise DataError(f"{lines}:{number}: {cause}") from None


def _groups(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """The rows in groups of about `GROUP`, each ending with the last row in turn of a prompt."""
    group: list[Any] = []
    for _, of_prompt in itertools.groupby(rows, key=lambda row: row.prompt_id):
        group += of_prompt
        if len(group) >= GROUP:
            yield group
            group = []
    if group:
        yield group


def _opened(path: Path, texts: Sequence[str] = ()) -> Any:
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        return pq.ParquetFile(path, read_dictionary=list(texts))
    except ArrowException:
        raise DataError(
            f"{path}: not a Parquet file", remedy="Restore it, or measure the run anew."
        ) from None


def _group_sizes(path: Path, kind: type[Any]) -> list[int]:
    if path.suffix != ".parquet":
        return [len(read_rows(path, kind))]
    metadata = _opened(path).metadata
    return [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)]


def _read_group(path: Path, kind: type[Any], number: int) -> Any:
    if path.suffix == ".parquet":
        return _opened(path).read_row_group(number)
    return _table_of_lines(path, kind)


def _tables(path: Path, kind: type[Any], names: Sequence[str]) -> Iterator[Any]:
    """Some fields of a file, a group of rows at a time; texts as dictionaries."""
    if path.suffix != ".parquet":
        yield _table_of_lines(path, kind).select(names)
        return
    texts = [one.name for one in schema_of(kind) if one.name in names and str(one.type) == "string"]
    opened = _opened(path, texts)
    for number in range(opened.metadata.num_row_groups):
        yield opened.read_row_group(number, columns=list(names))


def _table_of_lines(path: Path, kind: type[Any]) -> Any:
    import pyarrow as pa

    rows = read_rows(path, kind)
    columns = {name: [_cell(row, name) for row in rows] for name in FIELDS[kind]}
    return pa.table(columns, schema=schema_of(kind))


def _array(column: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_string(column.type):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        whole = pa.table({"one": column}).unify_dictionaries().column("one").combine_chunks()
        whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
        codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        return Coded(codes, whole.dictionary.to_pylist())
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.float64())
    dtype = np.float64 if pa.types.is_floating(column.type) else np.int64
    return np.asarray(column.to_numpy(), dtype=dtype)
