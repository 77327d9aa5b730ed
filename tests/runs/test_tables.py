"""Large runs in Parquet: the same rows, read back whole, and nothing lost by a kill."""

from pathlib import Path

import numpy as np
import pytest

from detoxlab.errors import DataError
from detoxlab.records import Choice, Generation, Score, Streamed, to_line
from detoxlab.runs import Run, append_rows, tables
from detoxlab.runs.tables import Stored, count_rows, files_of, pack, unpack, write_table

FILE = "generations/worker-0.jsonl"
ROWS = [
    Generation(
        f"p{row // 2}",
        row % 2,
        f"a mild text, {'Куда?' * (row % 3)}\n",
        tuple(range(row)),
        "eos",
        "withheld" if row == 3 else None,
        Choice(1, (0.25, None), 9) if row == 4 else None,
    )
    for row in range(10)
]
SCORES = [
    Score("p0", -1, "judge@1", "toxicity", 0.125, cut=True),
    Score("p0", 0, "judge@1", "toxicity", 0.1, readings={"alone": 0.1, "with prompt": 0.3}),
    Score("p0", 1, "judge@1", "toxicity", None, "failed: no reason"),
]


@pytest.fixture
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables from 6 rows on, in groups of 3."""
    monkeypatch.setattr(tables, "LARGE", 6)
    monkeypatch.setattr(tables, "GROUP", 3)


@pytest.mark.usefixtures("_small_groups")
@pytest.mark.parametrize(("rows", "kind"), [(ROWS, Generation), (SCORES, Score)])
def test_lines_become_a_table_and_the_same_lines_again(
    tmp_path: Path, rows: list[object], kind: type[object]
) -> None:
    lines = tmp_path / "rows.jsonl"
    append_rows(lines, rows)
    before = lines.read_bytes()
    pack(lines, kind)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]
    assert list(Stored(files_of(tmp_path), kind)) == rows
    unpack(lines, kind)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]
    assert lines.read_bytes() == before


@pytest.mark.usefixtures("_small_groups")
def test_a_table_is_a_sequence(tmp_path: Path) -> None:
    append_rows(tmp_path / "b.jsonl", ROWS[6:])
    write_table(tmp_path / "a.parquet", ROWS[:6], Generation)
    rows = Stored(files_of(tmp_path), Generation)
    assert isinstance(rows, Streamed)
    assert len(rows) == 10
    assert [rows[at] for at in (0, 3, 5, 6, -1)] == [ROWS[at] for at in (0, 3, 5, 6, -1)]
    assert rows[2:8] == ROWS[2:8]
    assert rows[8:100] == ROWS[8:]
    with pytest.raises(IndexError):
        rows[10]
    assert rows.of([("p2", 1), ("p4", 0), ("p9", 0)]) == [ROWS[5], ROWS[8]]
    batches = list(rows.batches("sample", "error"))
    assert np.concatenate([one["sample"] for one in batches]).tolist() == [0, 1] * 5
    errors = [one["error"] for one in batches]
    told = [None if c < 0 else one.values[c] for one in errors for c in one.codes.tolist()]
    assert told == [row.error for row in ROWS]


@pytest.mark.usefixtures("_small_groups")
def test_a_table_knows_whether_prompts_stand_together(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", ROWS, Generation)
    write_table(tmp_path / "b.parquet", [*ROWS[::2], *ROWS[1::2]], Generation)
    together = [Stored([tmp_path / f"{name}.parquet"], Generation).is_together for name in "ab"]
    assert together == [True, False]


def grown(run: Run, stop: int | None = None) -> None:
    """Append the rows in batches of two; ends as by a kill before batch `stop`."""
    batches = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]

    def compute(batch: list[int]) -> list[Generation]:
        if stop is not None and batch == batches[stop]:
            raise KeyboardInterrupt
        return [ROWS[at] for at in batch]

    run.append_missing(FILE, batches, rows_in=len, compute=compute)


@pytest.mark.usefixtures("_small_groups")
def test_a_large_file_becomes_a_table_when_it_is_finished(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        grown(run, stop=4)
    assert count_rows(run.path / FILE) == 8  # as lines, although they are many
    grown(run)
    (path,) = files_of(run.path / "generations")
    assert path.suffix == ".parquet"
    assert list(run.read_all("generations", Generation)) == ROWS
    grown(run, stop=0)  # computes nothing
    assert count_rows(path) == 10


@pytest.mark.usefixtures("_small_groups")
def test_a_kill_between_table_and_lines_loses_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    grown(run)
    (run.path / FILE).write_text("".join(map(to_line, ROWS[:4])) + '{"prompt_id": "p')
    assert list(run.read_all("generations", Generation)) == ROWS
    grown(run, stop=0)
    assert [path.name for path in (run.path / "generations").iterdir()] == ["worker-0.parquet"]


@pytest.mark.usefixtures("_small_groups")
def test_a_table_grows_again_as_lines(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    (run.path / "generations").mkdir(parents=True)
    write_table(run.path / "generations" / "worker-0.parquet", ROWS[:7], Generation)
    with pytest.raises(KeyboardInterrupt):
        grown(run, stop=4)
    assert (run.path / FILE).read_bytes() == "".join(map(to_line, ROWS[:8])).encode()


def test_small_files_and_other_folders_stay_lines(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    grown(run)
    assert (run.path / FILE).exists()
    assert not tables.is_large("evaluation", tables.LARGE)


def test_a_bad_line_or_table_is_named(tmp_path: Path) -> None:
    lines = tmp_path / "rows.jsonl"
    lines.write_text(to_line(ROWS[0]) + '{"prompt_id": 3}\n')
    with pytest.raises(DataError, match=r"rows.jsonl:2: "):
        pack(lines, Generation)
    assert lines.exists()
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match=r"bad\.parquet: not a Parquet file"):
        count_rows(tmp_path / "bad.parquet")
