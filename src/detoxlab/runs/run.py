"""One run folder: begun, locked, written to and read."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

import yaml

from detoxlab import processes, provenance
from detoxlab.errors import (
    MissingFileError,
    RunError,
    RunLockedError,
    RunMismatchError,
    UnknownNameError,
)
from detoxlab.locations import located, meant, stored
from detoxlab.records import (
    DECIDING,
    Asked,
    Generation,
    Measurement,
    Prompt,
    Responses,
    Sampling,
    Score,
    from_json,
    to_json,
    to_line,
)
from detoxlab.runs.changes import changes, listed
from detoxlab.runs.files import (
    append_rows,
    keep_lines,
    read_json,
    read_rows,
    read_text,
    write_atomically,
)
from detoxlab.runs.state import ended
from detoxlab.runs.tables import (
    KINDS,
    Stored,
    count_rows,
    files_of,
    is_large,
    pack,
    table_of,
    unpack,
)

if TYPE_CHECKING:
    from pandas import DataFrame

B = TypeVar("B")
R = TypeVar("R")
Table = Literal["responses", "measurements"]
Over: TypeAlias = Callable[[Callable[[B], Sequence[Any]], Sequence[B]], Iterable[Sequence[Any]]]


@dataclass(frozen=True)
class Run:
    """A run folder. Make one with `Run.start`, look at a finished one with `Run.open`."""

    path: Path

    @classmethod
    def start(
        cls,
        path: Path | str,
        *,
        kind: str,
        config: Mapping[str, Any],
        seed: int = 0,
        parent: str | None = None,
        resume: bool = False,
        may_differ: Collection[str] = (),
    ) -> "Run":
        """A new run at `path`, or with `resume` the present one, if its config is the same.

        Keys of the config that `may_differ` stay as they were until `write_config`. Raises
        `RunError` when something is there and `resume` is False, `RunMismatchError` when the
        present run has another config. Of several processes only the main one makes the folder.
        """
        run = cls(Path(path))
        if processes.is_main():
            run._begin(kind, config, seed, parent, resume, may_differ)
        processes.barrier()
        return run

    @classmethod
    def check_startable(
        cls,
        path: Path | str,
        *,
        kind: str,
        config: Mapping[str, Any] | None = None,
        resume: bool = False,
        may_differ: Collection[str] = (),
    ) -> None:
        """Raises the errors of `start` and writes nothing. Without `config` none is compared.

        Of several processes only the main one checks, because it may have begun before the others.
        """
        if not processes.is_main():
            return
        run = cls(Path(path))
        if (run.path / "run.json").exists():
            run._check_same(kind, config, resume, may_differ)
        elif run.path.exists() and (not run.path.is_dir() or any(run.path.iterdir())):
            raise RunError(
                f"{run.path}: exists and is not a run folder",
                remedy="Choose another --out, or remove it.",
            )

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """The run at `path`, for reading.

        Raises `MissingFileError` when there is none.
        """
        run = cls(Path(path))
        if not is_run(run.path):
            raise MissingFileError(
                f"{run.path}: not a run folder (it has no run.json)",
                remedy=f"{meant(path)}Give a folder that measure, score, train or run wrote.",
            )
        return run

    # --- what it is ---

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @property
    def info(self) -> dict[str, Any]:
        """The content of `run.json`."""
        return dict(read_json(self.path / "run.json"))

    @property
    def config(self) -> dict[str, Any]:
        """The content of `config.yaml`."""
        loaded = yaml.safe_load(read_text(self.path / "config.yaml"))
        return dict(loaded or {})

    @property
    def working_folder(self) -> Path | None:
        """The folder to which the paths in `config.yaml` are relative; None where it is unknown.

        It is named relative to the run, so that they are found when both have moved.
        """
        named = self.info.get("working_folder")
        return self.path / named if named else None

    def located(self, ref: str) -> str:
        """The path from here of `ref` in `config.yaml`; a name that is no path stays as it is."""
        folder = self.working_folder
        return located(ref, folder) if folder else ref

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write `config.yaml`, in one atomic step."""
        write_atomically(self.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))

    def update(self, **fields: Any) -> None:
        """Set fields of `run.json`, in one atomic step."""
        self._write_info(self.info | fields)

    def finish(self, status: str = "finished") -> None:
        """Record the end: "finished", "failed" or "interrupted"."""
        self.update(status=status, finished=provenance.now())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for writing; a second process gets `RunLockedError` at once.

        Of joined processes, the main one holds it for all.
        """
        if not processes.is_main():
            yield
            return
        with (self.path / "run.lock").open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunLockedError(
                    f"{self.path}: another process is writing to this run",
                    remedy="Wait for it to end, or choose another --out.",
                ) from None
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock, and record the end in `run.json`: finished, interrupted or failed."""
        with self.locked():
            try:
                yield
            except KeyboardInterrupt as stop:
                self.finish("interrupted")
                stop.add_note(f"{self.path}: {ended(self)}")
                raise
            except BaseException:
                with contextlib.suppress(OSError):
                    self.finish("failed")
                raise
            self.finish()

    # --- rows ---

    def append(self, file: str, rows: Sequence[Any]) -> None:
        """Add records to a JSON Lines file in one write, and flush them to the disk."""
        append_rows(self.path / file, rows)

    def read(self, file: str, kind: type[R]) -> list[R]:
        """All records of a JSON Lines file; an absent file is empty."""
        path = self.path / file
        return read_rows(path, kind) if path.exists() else []

    def read_all(self, folder: str, kind: type[R]) -> Sequence[R]:
        """All records of the files of a folder, in file-name order.

        They stay on disk where one of the files is a table (see `detoxlab.runs.tables`).
        """
        files = files_of(self.path / folder)
        if any(file.suffix == ".parquet" for file in files):
            return Stored(files, kind)
        return [row for file in files for row in read_rows(file, kind)]

    def append_missing(
        self,
        file: str,
        batches: Sequence[B],
        *,
        rows_in: Callable[[B], int],
        compute: Callable[[B], Sequence[Any]],
        over: Over[B] = map,
        done: Callable[[B], None] = lambda _batch: None,
    ) -> None:
        """Append the rows of each batch to `file`, except batches that are there already.

        `rows_in(batch)` is the number of rows that `compute(batch)` returns. If only a part of a
        batch reached the disk, the whole batch is computed again, so a resumed file equals an
        uninterrupted one byte for byte when `compute` depends on its batch alone. `over` gives the
        rows of several batches in order: by default it computes one after the other. A large file
        of generations or scores becomes a table when all of its batches are there.
        """
        path, table = self.path / file, table_of(self.path / file)
        if table.exists():
            path.unlink(missing_ok=True)
        there = table if table.exists() else path
        present = count_rows(there) if there.exists() else 0
        kept = finished = 0
        for batch in batches:
            if kept + rows_in(batch) > present:
                break
            kept, finished = kept + rows_in(batch), finished + 1
            done(batch)
        if table.exists() and (finished < len(batches) or kept < present):
            unpack(path, KINDS[path.parent.name])
        if path.exists():
            keep_lines(path, kept)
        left = batches[finished:]
        for batch, rows in zip(left, over(compute, left), strict=True):
            self.append(file, rows)
            kept += len(rows)
            done(batch)
        if path.exists() and is_large(path.parent.name, kept):
            pack(path, KINDS[path.parent.name])

    def kept(self, file: str, kind: type[R]) -> list[R]:
        """The records of a JSON Lines file that is to grow: a cut-off last line is cut away."""
        rows = self.read(file, kind)
        if (self.path / file).exists():
            keep_lines(self.path / file, len(rows))
        return rows

    def rewrite(self, file: str, rows: Sequence[Any]) -> None:
        """Replace a whole JSON Lines file, in one atomic step."""
        write_atomically(self.path / file, "".join(map(to_line, rows)))

    def write_once(self, file: str, rows: Sequence[Any]) -> None:
        """Write a whole JSON Lines file, or check that the present one holds these rows."""
        path, text = self.path / file, "".join(to_line(row) for row in rows)
        if not path.exists():
            write_atomically(path, text)
        elif read_text(path) != text:
            raise RunMismatchError(
                f"{path}: holds other rows than this command would write",
                remedy="The input changed since this run began: choose another --out.",
            )

    def write_json(self, file: str, content: Any) -> None:
        """Write a JSON file atomically."""
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(self.path / file, text + "\n")

    def write_measurements(self, rows: Iterable[Measurement]) -> None:
        """Replace `measurements.json`."""
        self.write_json("measurements.json", [to_json(row) for row in rows])

    def measurements(self) -> list[Measurement]:
        """The content of `measurements.json`; empty when nothing was measured yet."""
        path = self.path / "measurements.json"
        return [from_json(Measurement, row) for row in read_json(path)] if path.exists() else []

    def responses(self) -> Responses:
        """Prompts, generations and scores of a measured or imported run."""
        prompts = self.read("prompts.jsonl", Prompt)
        if not prompts:
            raise MissingFileError(
                f"{self.path}: holds no responses (no prompts.jsonl)",
                remedy="Give a run of `measure` or `score`.",
            )
        info, config = self.info, self.config
        sampling = config.get("sampling")
        judged = judged_as(self.measurements(), info.get("judge_id"))
        generations, scores = self._rows_of_both()
        return Responses(
            name=self.name,
            prompts=tuple(prompts),
            generations=generations,
            scores=scores,
            sampling=from_json(Sampling, sampling) if sampling else None,
            protocol=config.get("protocol"),
            judge_id=info.get("judge_id"),
            second_id=info.get("second_id"),
            base_likelihood_id=info.get("base_likelihood_id"),
            train_scorers=tuple(info.get("train_scorers") or ()),
            attribute=judged.attribute if judged else None,
            threshold=judged.threshold if judged else None,
            departures=tuple(info.get("departures") or ()),
            asked=from_json(Asked, asked) if (asked := info.get("asked")) else None,
        )

    def _rows_of_both(self) -> tuple[Sequence[Generation], Sequence[Score]]:
        """Generations and scores: in memory, or both on disk where one of the files is a table."""
        drawn, scored = (files_of(self.path / folder) for folder in KINDS)
        if any(file.suffix == ".parquet" for file in (*drawn, *scored)):
            return Stored(drawn, Generation), Stored(scored, Score)
        return (
            tuple(self.read_all("generations", Generation)),
            tuple(self.read_all("scores", Score)),
        )

    def to_pandas(self, table: Table = "responses") -> "DataFrame":
        """The run as a data frame: a row per response, or per measurement of its table.

        A response has its prompt, the prompt's `group` where it has one, and a column for each
        scorer's attribute, as `rtp-neural@1/toxicity`; NaN is an unknown score.

        Raises `MissingFileError` for a run that holds no responses, `ConfigError` for another
        table.
        """
        from detoxlab.runs.frames import measurements_frame, responses_frame

        if table == "responses":
            return responses_frame(self.responses())
        if table == "measurements":
            return measurements_frame(self.measurements())
        raise UnknownNameError("table", table, get_args(Table))

    def check_asked(self, asked: Mapping[str, Any] | None) -> None:
        """Check that the model's input now (an `Asked`) is the recorded one, where both are known.

        Raises `RunMismatchError` that names the differences.
        """
        begun = self.info.get("asked") or {}
        now = asked or {}
        known = [name for name, value in now.items() if None not in (value, begun.get(name))]
        unlike = [name for name in known if begun[name] != now[name]]
        if unlike:
            raise RunMismatchError(
                f"{self.path}: prompts are not read as they were when it began "
                f"({', '.join(unlike)} changed)",
                remedy="The tokenizer or its chat template is another one: choose another --out.",
            )

    # --- inside ---

    def _begin(
        self,
        kind: str,
        config: Mapping[str, Any],
        seed: int,
        parent: str | None,
        resume: bool,
        may_differ: Collection[str],
    ) -> None:
        self.check_startable(
            self.path, kind=kind, config=config, resume=resume, may_differ=may_differ
        )
        if (self.path / "run.json").exists():
            self.update(status="running", finished=None)
            return
        info = provenance.new_run(self.path.name, kind=kind, seed=seed, parent=parent)
        named = stored(str(Path.cwd()), self.path)
        info["working_folder"] = None if Path(named).is_absolute() else named
        self._create(info, config)

    def _create(self, info: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Make the folder with its first two files, whole or not at all."""
        draft = Run(self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp"))
        draft.write_json("run.json", info)
        draft.write_config(config)
        draft.path.replace(self.path)

    def _write_info(self, info: Mapping[str, Any]) -> None:
        self.write_json("run.json", dict(info))

    def _check_same(
        self,
        kind: str,
        config: Mapping[str, Any] | None,
        resume: bool,
        may_differ: Collection[str],
    ) -> None:
        if self.info["kind"] != kind:
            raise RunMismatchError(
                f"{self.path}: already holds a run of {self.info['kind']}",
                remedy=f"--resume makes no run of {kind} of it: choose another --out.",
            )
        if not resume:
            raise RunError(
                f"{self.path}: already holds a run{f', {end}' if (end := ended(self)) else ''}",
                remedy="Go on with it by --resume, or choose another --out.",
            )
        before = self.config if config is not None else {}
        theirs, ours = {"kind": self.info["kind"], **before}, {"kind": kind, **(config or {})}
        kept = {key: value for key, value in theirs.items() if key not in may_differ}
        wanted = {key: value for key, value in ours.items() if key not in may_differ}
        if found := changes(kept, wanted, self.working_folder):
            raise RunMismatchError(
                f"{self.path}: was made with other settings: {listed(found)}",
                remedy="Use the same settings to resume, or choose another --out.",
            )


def is_run(path: Path | str) -> bool:
    """Whether `path` is a run folder.

    >>> is_run("no-such-folder")
    False
    """
    return (Path(path) / "run.json").is_file()


def judged_as(rows: Iterable[Measurement], judge_id: str | None) -> Measurement | None:
    """The row of a measured table that has the attribute and threshold of the judge."""
    named = (row for row in rows if row.name == DECIDING)
    return next((row for row in named if row.scorer_id in (None, judge_id)), None)
