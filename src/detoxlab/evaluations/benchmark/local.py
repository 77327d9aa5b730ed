"""Benchmarks from files on this machine: rows as the harness's own data sets have them.

A folder holds one file per task, `TASK*.jsonl` or `.jsonl.gz`, with log-likelihood requests: of
each line `doc` and `doc_id` are read (and of `request` the answer, for LAMBADA); the prompt is
always the harness's own. MMLU is `mmlu*.tar.gz` with dev/SUBJECT_dev.csv and test/SUBJECT_test.csv.
WikiText is the text as it was published, `wikitext2_test*.txt` or `.txt.gz`.
"""

import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from detoxlab.data.documents import load_documents
from detoxlab.data.files import find_below, lines_of, read_bytes, read_text
from detoxlab.errors import ConfigError, DataError
from detoxlab.evaluations.benchmark.suites import MMLU, SUITES

Row = dict[str, Any]
UNCONDITIONAL = 1_000_000
"""Requests without the question carry a `doc_id` from here on; the harness makes its own."""
LETTERS = "ABCDEFGH"


@dataclass(frozen=True)
class LocalTask:
    """A task from local rows: the harness's folder of it, its file, and how its rows are read.

    `settings` replace those of the harness's task, whose prompt and metrics stay.
    """

    folder: str
    pattern: str
    rows: Callable[[Path], list[Row]]
    settings: Mapping[str, Any] = field(default_factory=dict)


def _boolq(line: Row) -> Row:
    doc = line["doc"]
    passage, _, question = doc["query"].rpartition("\nQuestion: ")
    said = doc["choices"][doc["gold"]].strip()
    asked = question.removesuffix("\nAnswer:").removesuffix("?")
    return {"passage": passage, "question": asked, "label": int(said == "yes")}


def _piqa(line: Row) -> Row:
    return {name: line["doc"][name] for name in ("goal", "sol1", "sol2", "label")}


def _hellaswag(line: Row) -> Row:
    doc = line["doc"]
    return {"query": doc["query"], "choices": doc["choices"], "label": str(doc["gold"])}


def _winogrande(line: Row) -> Row:
    return {name: line["doc"][name] for name in ("sentence", "option1", "option2", "answer")}


def _science(line: Row) -> Row:
    doc = line["doc"]
    asked = doc["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
    letters = list(LETTERS[: len(doc["choices"])])
    choices = {"text": doc["choices"], "label": letters}
    return {
        "question": asked,
        "question_stem": asked,
        "choices": choices,
        "answerKey": letters[doc["gold"]],
    }


def _lambada(line: Row) -> Row:
    return {"text": line["request"]["context"] + line["request"]["continuation"]}


def _requests(row: Callable[[Row], Row]) -> Callable[[Path], list[Row]]:
    """A reader of a file of requests, of whose lines `row` makes the rows of the task."""
    return partial(_request_rows, row=row)


def _request_rows(file: Path, row: Callable[[Row], Row]) -> list[Row]:
    found: dict[int, Row] = {}
    for number, line in enumerate(lines_of(read_text(file)), start=1):
        if not line.strip():
            continue
        try:
            read = json.loads(line)
            at = int(read["doc_id"])
            if at < UNCONDITIONAL and at not in found:
                found[at] = row(read)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise DataError(f"{file}:{number}: is no log-likelihood request of this task") from None
    return [found[at] for at in sorted(found)]


def _articles(file: Path) -> list[Row]:
    return [{"page": one.text} for one in load_documents(str(file), division="articles")]


LOCAL: dict[str, LocalTask] = {
    "boolq": LocalTask("super_glue/boolq", "boolq*.jsonl*", _requests(_boolq)),
    "piqa": LocalTask("piqa", "piqa*.jsonl*", _requests(_piqa)),
    "hellaswag": LocalTask(
        "hellaswag", "hellaswag*.jsonl*", _requests(_hellaswag), {"process_docs": None}
    ),
    "winogrande": LocalTask("winogrande", "winogrande*.jsonl*", _requests(_winogrande)),
    "arc_easy": LocalTask("arc", "arc_easy*.jsonl*", _requests(_science)),
    "arc_challenge": LocalTask("arc", "arc_challenge*.jsonl*", _requests(_science)),
    "openbookqa": LocalTask("openbookqa", "openbookqa*.jsonl*", _requests(_science)),
    "lambada_openai": LocalTask("lambada", "lambada*.jsonl*", _requests(_lambada)),
    "wikitext": LocalTask("wikitext", "wikitext2_test*.txt*", _articles),
}
MMLU_FOLDER, MMLU_PATTERN = "mmlu/default", "mmlu*.tar.gz"


def check_local(name: str) -> None:
    """Raise `ConfigError` for a task that is not read from local files."""
    if name not in LOCAL and name not in SUITES["mmlu"].tasks:
        known = ", ".join([*SUITES, *LOCAL])
        raise ConfigError(
            f"task {name!r} is not among those that are read from local files",
            remedy=f"Leave out `data` to read it from the hub, or take one of: {known}.",
        )


def harness_folder(name: str) -> str:
    """The folder of a task below the harness's tasks."""
    return LOCAL[name].folder if name in LOCAL else MMLU_FOLDER


def local_file(name: str, folder: Path) -> Path:
    """The file of a task in the user's folder. Raises `MissingFileError`."""
    pattern = LOCAL[name].pattern if name in LOCAL else MMLU_PATTERN
    return find_below(folder, pattern, what=name)


def described(names: tuple[str, ...], folder: Path) -> list[dict[str, str]]:
    """The files of the tasks by name and hash."""
    files = dict.fromkeys(local_file(name, folder) for name in names)
    return [
        {"name": one.name, "sha256": hashlib.sha256(one.read_bytes()).hexdigest()} for one in files
    ]


def rows_of(name: str, folder: Path) -> dict[str, list[Row]]:
    """The rows of a task by split. Raises `DataError` for a file of another layout."""
    file = local_file(name, folder)
    if name not in LOCAL:
        subject = name.removeprefix(MMLU)
        return {split: _mmlu_rows(file, subject, split) for split in ("dev", "test")}
    return {"validation": LOCAL[name].rows(file)}


def settings_of(name: str) -> dict[str, Any]:
    """The settings that replace the harness's own: the splits are those of the file."""
    if name not in LOCAL:
        return {}
    splits = {"training_split": None, "validation_split": "validation", "test_split": None}
    return {**splits, **LOCAL[name].settings}


# --- inside ---


@lru_cache(maxsize=1)
def _members(file: Path, _changed: int) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(read_bytes(file))) as packed:
        return {
            Path(member.name).name: content.read()
            for member in packed.getmembers()
            if (content := packed.extractfile(member)) is not None
        }


def _mmlu_rows(file: Path, subject: str, split: str) -> list[Row]:
    wanted = f"{subject}_{split}.csv"
    members = _members(file, file.stat().st_mtime_ns)
    if wanted not in members:
        raise DataError(f"{file}: has no {split}/{wanted}")
    read = csv.DictReader(io.StringIO(members[wanted].decode()))
    try:
        return [
            {
                "question": row["question"],
                "choices": [row[f"choice{at}"] for at in range(4)],
                "answer": int(row["answer"]),
            }
            for row in read
        ]
    except (KeyError, ValueError, TypeError):
        raise DataError(
            f"{file}: {wanted}: its columns are not question, choice0 to choice3, answer"
        ) from None
