"""Laws of the run folder: it only grows, resumes to the same bytes, refuses what is not its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from detoxlab.errors import DataError, MissingFileError, RunError, RunLockedError, RunMismatchError
from detoxlab.records import Generation, Prompt, Score, Turn, from_json, to_json, to_line
from detoxlab.runs import Run, TornLineWarning, read_rows

PROMPT = Prompt("p1", "Good morning", "test", {"toxicity": 0.1})


def turns(batch: list[str]) -> list[Turn]:
    return [Turn("user", text) for text in batch]


def start(path: Path, **changes: object) -> Run:
    return Run.start(path, kind="measure", config={"model": "m", "k": 2, **changes})


def test_records_survive_the_round_trip() -> None:
    row = Generation("p1", 0, "Guten Tag é\n", (1, 2), "eos")
    assert from_json(Generation, json.loads(to_line(row))) == row
    assert from_json(Prompt, to_json(PROMPT)) == PROMPT


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ({"role": "user"}, "field 'text' is missing"),
        ({"role": "user", "text": 3}, "field 'text' is int, not str"),
        ({"role": "user", "text": "x", "mood": 1}, "unknown field 'mood'"),
        ([1], "list instead of an object"),
    ],
)
def test_a_bad_row_is_named_by_its_field(row: object, cause: str) -> None:
    with pytest.raises(DataError, match=cause):
        from_json(Turn, row)  # type: ignore[arg-type]


def test_a_score_has_a_value_or_an_error() -> None:
    for value, error in [(None, None), (0.5, "late")]:
        with pytest.raises(DataError, match="a value or an error"):
            Score("p1", 0, "s", "toxicity", value, error)


def test_a_number_field_takes_no_boolean() -> None:
    with pytest.raises(DataError, match="field 'sample' is bool"):
        from_json(Generation, to_json(Generation("p", 0, "", (), "eos")) | {"sample": True})


def test_an_existing_run_needs_resume_and_the_same_config(tmp_path: Path) -> None:
    start(tmp_path / "r")
    with pytest.raises(RunError, match="already holds a run"):
        start(tmp_path / "r")
    with pytest.raises(RunMismatchError, match="k: 2 then, 3 now"):
        Run.start(tmp_path / "r", kind="measure", config={"model": "m", "k": 3}, resume=True)
    same = Run.start(tmp_path / "r", kind="measure", config={"model": "m", "k": 2}, resume=True)
    assert same.info["status"] == "running"


def test_a_run_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path / "r")
    assert not (tmp_path / "r").exists()
    (tmp_path / "r").mkdir()
    assert sorted(path.name for path in start(tmp_path / "r").path.iterdir()) == [
        "config.yaml",
        "run.json",
    ]


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not a run folder"):
        start(tmp_path)
    with pytest.raises(MissingFileError, match=r"no run\.json"):
        Run.open(tmp_path)


def test_a_cut_off_last_line_is_dropped_and_any_other_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "turns.jsonl"
    file.write_text(to_line(Turn("user", "one")) + '{"role": "us')
    with pytest.warns(TornLineWarning, match=r"turns\.jsonl:2"):
        assert read_rows(file, Turn) == [Turn("user", "one")]
    file.write_text('{"role": "us\n' + to_line(Turn("user", "one")))
    with pytest.raises(DataError, match=r"turns\.jsonl:1: not valid JSON"):
        read_rows(file, Turn)


@pytest.mark.parametrize("cut", [0, 1, 40, 75, 110, 150, 151, 9999])
def test_a_file_cut_anywhere_is_filled_to_the_same_bytes(tmp_path: Path, cut: int) -> None:
    batches = [["one", "two"], ["three"], ["four", "five"]]
    whole, torn = start(tmp_path / "whole"), start(tmp_path / "torn")
    whole.append_missing("t.jsonl", batches, rows_in=len, compute=turns)
    expected = (whole.path / "t.jsonl").read_bytes()
    (torn.path / "t.jsonl").write_bytes(expected[:cut])
    computed: list[list[str]] = []

    def compute(batch: list[str]) -> list[Turn]:
        computed.append(batch)
        return turns(batch)

    cuts_a_line = 0 < cut < len(expected) and expected[cut - 1 : cut] != b"\n"
    with pytest.warns(TornLineWarning) if cuts_a_line else _nothing():
        torn.append_missing("t.jsonl", batches, rows_in=len, compute=compute)
    assert (torn.path / "t.jsonl").read_bytes() == expected
    assert computed == batches[len(batches) - len(computed) :]
    assert bool(computed) == (cut < len(expected))


def _nothing():  # type: ignore[no-untyped-def]
    import contextlib

    return contextlib.nullcontext()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    run = start(tmp_path / "r")
    code = (
        "import sys; from detoxlab.runs import Run\n"
        "with Run.open(sys.argv[1]).locked(): print('in')"
    )
    with run.locked():
        other = subprocess.run(
            [sys.executable, "-c", code, str(run.path)], capture_output=True, text=True
        )
        assert "RunLockedError" in other.stderr
        with pytest.raises(RunLockedError, match="another process"), run.locked():
            pass
    with run.locked():
        pass


def test_how_a_run_ended_is_recorded(tmp_path: Path) -> None:
    run = start(tmp_path / "r")
    with pytest.raises(KeyboardInterrupt), run.writing():
        raise KeyboardInterrupt
    assert run.info["status"] == "interrupted"
    with run.writing():
        pass
    assert run.info["status"] == "finished"


def test_changed_input_is_noticed(tmp_path: Path) -> None:
    run = start(tmp_path / "r")
    run.write_once("prompts.jsonl", [PROMPT])
    run.write_once("prompts.jsonl", [PROMPT])
    with pytest.raises(RunMismatchError, match="other rows"):
        run.write_once("prompts.jsonl", [Prompt("p2", "Good evening", "test")])


def test_provenance_names_no_path(tmp_path: Path) -> None:
    info = start(tmp_path / "r").info
    assert str(tmp_path) not in json.dumps(info)
    assert info["packages"]["numpy"]


@pytest.mark.parametrize(
    ("begun", "now", "fits"),
    [
        ("p1", "p1", True),
        ("p1", "p2", False),
        (None, "p1", True),
        ("p1", None, True),
    ],
)
def test_what_was_asked_is_compared_where_both_know_it(
    begun: str | None, now: str | None, fits: bool, tmp_path: Path
) -> None:
    run = start(tmp_path / "r")
    run.update(asked={"chat": True, "prompts_sha256": begun})
    with _nothing() if fits else pytest.raises(RunMismatchError, match="prompts_sha256 changed"):
        run.check_asked({"chat": True, "prompts_sha256": now})
