"""The index of one run: where each response stands in the files, its scores, its prompt's groups.

The texts stay in the files. For 100,000 responses the index takes some 4 MB. Of a table (see
`detoxlab.runs.tables`) the first `MOST_SHOWN` responses are shown; the place of one is its number.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detoxlab.comparisons import THRESHOLD
from detoxlab.comparisons.pairs import group_keys
from detoxlab.errors import DataError, DetoxlabError
from detoxlab.measures.grid import LIKELIHOOD, SIMILARITY, attribute_among, prompt_groups
from detoxlab.measures.statistics import BoolArray, FloatArray
from detoxlab.records import Generation, Prompt, Score, from_json, to_json, to_line
from detoxlab.runs.tables import Stored
from detoxlab.viewing.facts import RunFacts, read_facts, read_settings
from detoxlab.viewing.folders import Place
from detoxlab.viewing.rows.lines import json_object, placed_lines

IntArray = NDArray[np.int64]
MOST_PROBLEMS = 5
MOST_SHOWN = 1_000_000
HEAD = 40  # lines of a file of scores that show which attributes it has
TICK = 2_000  # lines between two calls of `tell`

# Lines as `records.to_line` writes them, which are nearly all, are read without a JSON parser.
RESPONSE = re.compile(rb'\{"prompt_id": "([^"\\]+)", "sample": (\d{1,9}), "text": ".*\}\n')
SCORE = re.compile(
    rb'\{"prompt_id": "([^"\\]+)", "sample": (-?\d{1,9}), "scorer_id": "[^"\\]*", '
    rb'"attribute": "([^"\\]*)", "value": (null|\d[\d.e-]*), "error": .*\}\n'
)

Tell = Callable[[float], None]


@dataclass(frozen=True)
class Index:
    """R responses of P prompts, by S scorers: the judge first, then the second, if they are known.

    `places_R3` has file number, offset and length in bytes of each response's line, `rows_R2` its
    prompt's number and its sample; `prompts_P2` has the offset and length of each prompt's line.
    `texts_P` are hashes of the prompts' texts. `scorers` are (id, attribute); a score is NaN where
    there is none. `problems` say which lines could not be read; `skipped` is their number.
    """

    files: tuple[str, ...]
    places_R3: IntArray
    rows_R2: IntArray
    prompts_P2: IntArray
    ids: tuple[str, ...]
    texts_P: IntArray
    groups: tuple[str, ...]
    members_PG: BoolArray
    scorers: tuple[tuple[str, str], ...]
    scores_RS: FloatArray
    threshold: float = THRESHOLD
    stop: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.rows_R2)

    @property
    def judge(self) -> tuple[str, str] | None:
        """The judge and its attribute; None where it is not known or has scored nothing."""
        return self.scorers[0] if self.scorers else None

    @property
    def judged(self) -> FloatArray:
        """The judge's scores; all NaN without a judge."""
        return self.scores_RS[:, 0] if self.scorers else np.full(len(self), np.nan)


class _Problems:
    """Counts what cannot be read, and keeps the first few places."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.count = 0

    def add(self, place: str, cause: object) -> None:
        self.count += 1
        if len(self.kept) < MOST_PROBLEMS:
            self.kept.append(f"{place}: {cause}")


def build_index(place: Place, tell: Tell = lambda _share: None) -> Index:
    """The index of a run; bad lines are left out and named, never an error.

    `tell` is told the share that is done, in [0, 1]. Raises `DetoxlabError` or `OSError` where the
    run has no prompts at all.
    """
    problems, facts = _Problems(), read_facts(place)
    protocol, stop = _asked_by(place)
    asked, prompts_P2 = _prompts(place, problems)
    number_of = {prompt.id: at for at, prompt in enumerate(asked)}
    paths = place.files("generations")
    scored = _score_files(place, facts, problems)
    meter = _Meter([*paths, *(path for path, _ in scored)], tell)
    found = list(_responses(paths, number_of, problems, meter))
    rows_R2 = np.array([row[:2] for row in found], dtype=np.int64).reshape(-1, 2)
    row_of = {(prompt, sample): row for row, (prompt, sample) in enumerate(rows_R2.tolist())}
    scores_RS = np.full((len(found), len(scored)), np.nan)
    for column, (path, key) in enumerate(scored):
        _read_scores(path, key, number_of, row_of, scores_RS[:, column], problems, meter)
    members = prompt_groups(asked, group_keys(protocol))
    members_PG = np.zeros((len(asked), len(members)), dtype=np.bool_)
    for column, rows in enumerate(members.values()):
        members_PG[rows, column] = True
    return Index(
        files=tuple(path.name for path in paths),
        places_R3=np.array([row[2:] for row in found], dtype=np.int64).reshape(-1, 3),
        rows_R2=rows_R2,
        prompts_P2=prompts_P2,
        ids=tuple(prompt.id for prompt in asked),
        texts_P=np.array([_hash(prompt.text) for prompt in asked], dtype=np.int64),
        groups=tuple(members),
        members_PG=members_PG,
        scorers=tuple(key for _, key in scored),
        scores_RS=scores_RS,
        threshold=facts.threshold,
        stop=stop,
        problems=tuple(problems.kept),
        skipped=problems.count,
    )


def to_arrays(index: Index) -> dict[str, NDArray[Any]]:
    """The index as arrays without objects, for a file."""
    words = {name: getattr(index, name) for name in WORDS}
    text = json.dumps(words).encode()
    arrays = {name: getattr(index, name) for name in ARRAYS}
    return {**arrays, "words": np.frombuffer(text, dtype=np.uint8)}


def of_arrays(arrays: Mapping[str, NDArray[Any]]) -> Index:
    """The index that `to_arrays` wrote."""
    words = json.loads(arrays["words"].tobytes())
    words["scorers"] = tuple(map(tuple, words["scorers"]))
    for name in ("files", "ids", "groups", "stop", "problems"):
        words[name] = tuple(words[name])
    held: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
    return Index(**words, **held)


ARRAYS = ("places_R3", "rows_R2", "prompts_P2", "texts_P", "members_PG", "scores_RS")
WORDS = ("files", "ids", "groups", "scorers", "threshold", "stop", "problems", "skipped")


# --- inside ---


class _Meter:
    """Tells the share of some files' bytes that were read."""

    def __init__(self, paths: Sequence[Path], tell: Tell) -> None:
        self.all = max(1, sum(path.stat().st_size for path in paths))
        self.done, self.tell = 0, tell

    def lines(self, path: Path, kind: type[Any]) -> Iterator[tuple[int, int, bytes]]:
        """Number, place and content of each line; of a table's rows as lines, the first ones."""
        if path.suffix == ".parquet":
            yield from self._table(path, kind)
            return
        for number, offset, line in placed_lines(path):
            if number % TICK == 0:
                self.tell((self.done + offset) / self.all)
            yield number, offset, line
        self.done += path.stat().st_size

    def _table(self, path: Path, kind: type[Any]) -> Iterator[tuple[int, int, bytes]]:
        rows, size = Stored([path], kind), path.stat().st_size
        for at, row in enumerate(islice(rows, MOST_SHOWN)):
            if at % TICK == 0:
                self.tell((self.done + size * at / len(rows)) / self.all)
            yield at + 1, at, to_line(row).encode()
        self.done += size


def _asked_by(place: Place) -> tuple[str | None, tuple[str, ...]]:
    """The name of the protocol and the stop strings in the settings; neither without settings."""
    try:
        settings = read_settings(place)
    except DetoxlabError:
        return None, ()
    protocol, sampling = settings.get("protocol"), settings.get("sampling")
    stop = sampling.get("stop") if isinstance(sampling, dict) else None
    return (
        protocol if isinstance(protocol, str) else None,
        tuple(map(str, stop)) if isinstance(stop, list) else (),
    )


def _prompts(place: Place, problems: _Problems) -> tuple[list[Prompt], IntArray]:
    asked, places, seen = [], [], set[str]()
    for number, offset, line in placed_lines(place.file("prompts.jsonl")):
        try:
            prompt = from_json(Prompt, json_object(line))
            if prompt.id in seen:
                raise DataError(f"a second prompt of the id {prompt.id!r}")
        except DetoxlabError as error:
            problems.add(f"prompts.jsonl:{number}", error)
            continue
        seen.add(prompt.id)
        asked.append(prompt)
        places.append((offset, len(line)))
    return asked, np.array(places, dtype=np.int64).reshape(-1, 2)


def _responses(
    paths: Sequence[Path], number_of: Mapping[str, int], problems: _Problems, meter: _Meter
) -> Iterator[tuple[int, int, int, int, int]]:
    """Prompt, sample, file, offset and length of each response; the first of one pair counts."""
    seen = set[tuple[int, int]]()
    for file, path in enumerate(paths):
        for number, offset, line in meter.lines(path, Generation):
            try:
                prompt, sample = _pair(_response(line), number_of)
                if (prompt, sample) in seen:
                    raise DataError("a second response to one prompt and sample")
            except DetoxlabError as error:
                problems.add(f"generations/{path.name}:{number}", error)
                continue
            seen.add((prompt, sample))
            yield prompt, sample, file, offset, len(line)


def _response(line: bytes) -> Mapping[str, Any]:
    """Prompt id and sample of a line of a file of responses."""
    found = RESPONSE.fullmatch(line)
    if found is None:
        return json_object(line)
    return {"prompt_id": found[1].decode("utf-8", "replace"), "sample": int(found[2])}


def _score(line: bytes) -> Mapping[str, Any]:
    """Prompt id, sample, attribute and value of a line of a file of scores."""
    found = SCORE.fullmatch(line)
    if found is None:
        return json_object(line)
    name, sample, attribute, value = (one.decode("utf-8", "replace") for one in found.groups())
    score = None if value == "null" else float(value)
    return {"prompt_id": name, "sample": int(sample), "attribute": attribute, "value": score}


def _pair(row: Mapping[str, Any], number_of: Mapping[str, int]) -> tuple[int, int]:
    """The number of the prompt and the sample that a row names."""
    prompt, sample = row.get("prompt_id"), row.get("sample")
    if not isinstance(prompt, str) or not isinstance(sample, int) or abs(sample) > 2**31:
        raise DataError("names no prompt and sample")
    if prompt not in number_of:
        raise DataError("of a prompt that is not there")
    return number_of[prompt], sample


def _score_files(
    place: Place, facts: RunFacts, problems: _Problems
) -> list[tuple[Path, tuple[str, str]]]:
    """The file of the judge and that of the second scorer, with the attribute to read in each.

    Without a named judge, the scorer of the only file of scores.
    """
    heads = {}
    for path in place.files("scores"):
        try:
            scorer, attributes = _head(path)
        except DetoxlabError as error:
            problems.add(f"scores/{path.name}", error)
            continue
        if not scorer.startswith((LIKELIHOOD, SIMILARITY)):
            heads[scorer] = (path, attributes)
    only = next(iter(heads)) if len(heads) == 1 else None
    named = [facts.judge_id or only, facts.second_id]
    found = []
    for scorer in dict.fromkeys(name for name in named if name in heads):
        path, attributes = heads[scorer]
        read = attribute_among(attributes, facts.attribute)
        if read is not None:
            found.append((path, (scorer, read)))
    return found


def _head(path: Path) -> tuple[str, tuple[str, ...]]:
    """The scorer of a file, and the attributes in its first lines."""
    scorers, attributes = dict[str, None](), dict[str, None]()
    for number, row in enumerate(_first_rows(path), start=1):
        scorers[str(row.get("scorer_id"))] = None
        attributes[str(row.get("attribute"))] = None
        if number == HEAD:
            break
    if len(scorers) != 1:
        raise DataError("empty" if not scorers else "of several scorers")
    return next(iter(scorers)), tuple(attributes)


def _first_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.suffix == ".parquet":
        return iter([to_json(row) for row in Stored([path], Score)[:HEAD]])
    return (json_object(line) for _, _, line in placed_lines(path))


def _read_scores(
    path: Path,
    key: tuple[str, str],
    number_of: Mapping[str, int],
    row_of: Mapping[tuple[int, int], int],
    scores_R: FloatArray,
    problems: _Problems,
    meter: _Meter,
) -> None:
    if path.suffix == ".parquet":
        _read_table(path, key, number_of, row_of, scores_R)
        return
    quoted = json.dumps(key[1], ensure_ascii=False).encode()
    for number, _, line in meter.lines(path, Score):
        if quoted not in line:  # of another attribute
            continue
        try:
            row = _score(line)
            if row.get("attribute") != key[1]:
                continue
            prompt, sample = _pair(row, number_of)
            value = row.get("value")
            if value is not None and not isinstance(value, int | float):
                raise DataError("its value is no number")
        except (DetoxlabError, ValueError) as error:
            problems.add(f"scores/{path.name}:{number}", error)
            continue
        at = row_of.get((prompt, sample))
        if at is not None and value is not None:
            scores_R[at] = value


def _read_table(
    path: Path,
    key: tuple[str, str],
    number_of: Mapping[str, int],
    row_of: Mapping[tuple[int, int], int],
    scores_R: FloatArray,
) -> None:
    for batch in Stored([path], Score).batches("prompt_id", "sample", "attribute", "value"):
        names, attributes = batch["prompt_id"], batch["attribute"]
        if key[1] not in attributes.values:
            continue
        numbers = np.array([number_of.get(name, -1) for name in names.values])[names.codes]
        own = np.flatnonzero(attributes.codes == attributes.values.index(key[1]))
        pairs = zip(numbers[own].tolist(), batch["sample"][own].tolist(), strict=True)
        for pair, value in zip(pairs, batch["value"][own].tolist(), strict=True):
            if (at := row_of.get(pair)) is not None:
                scores_R[at] = value


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
