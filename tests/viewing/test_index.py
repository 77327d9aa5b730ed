"""The index of a run: where each response stands, its scores, and what could not be read."""

import json
from pathlib import Path

import numpy as np
import pytest

from detoxlab.errors import MissingFileError
from detoxlab.measures.grid import grid_of
from detoxlab.runs import Run
from detoxlab.viewing.folders import Place, find_runs
from detoxlab.viewing.rows.index import RESPONSE, SCORE, build_index, of_arrays, to_arrays
from detoxlab.viewing.rows.lines import placed_lines
from detoxlab.viewing.rows.texts import Reader
from tests.support.report_study import JUDGE, SECOND, measured_run


def made(folder: Path, **options: object) -> Place:
    measured_run(folder / "run", level=0.3, **options)  # type: ignore[arg-type]
    return Place(folder.resolve(), "run")


def test_lines_stand_where_it_says_and_a_cut_off_one_is_none(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"a":1}\n{"b":"\xc3\xa9"}\n{"c":')
    assert list(placed_lines(file)) == [(1, 0, b'{"a":1}\n'), (2, 8, '{"b":"é"}\n'.encode())]


def test_every_response_is_read_back_at_its_place_with_its_scores(tmp_path: Path) -> None:
    place = made(tmp_path, prompts=10, k=3)
    responses = Run.open(place.path).responses()
    index = build_index(place)
    assert len(index) == 30
    assert index.scorers == ((JUDGE, "toxicity"), (SECOND, "toxicity"))
    assert (index.groups, index.skipped) == (("non-toxic", "toxic"), 0)
    with Reader(place, index) as reader:
        found = [reader.response(row) for row in range(30)]
        assert reader.prompt(3) == responses.prompts[3]
    assert tuple(found) == responses.generations
    grid = grid_of(responses)
    row_of = {prompt.id: at for at, prompt in enumerate(grid.prompts)}
    for row, (prompt, sample) in enumerate(index.rows_R2.tolist()):
        at = row_of[index.ids[prompt]], sample
        np.testing.assert_equal(index.scores_RS[row, 0], grid.of(JUDGE, "toxicity")[at])
        np.testing.assert_equal(index.scores_RS[row, 1], grid.of(SECOND, "toxicity")[at])


def test_lines_are_read_alike_with_and_without_the_short_cut(tmp_path: Path) -> None:
    place = made(tmp_path, prompts=6, k=2, texts={0: 'a "quoted" \\ text', 1: "é\n"})
    quick = build_index(place)
    for path in [*place.files("generations"), *place.files("scores")]:
        lines = path.read_text().splitlines()
        pattern = RESPONSE if path.parent.name == "generations" else SCORE
        assert all(pattern.fullmatch(f"{line}\n".encode()) for line in lines)
        path.write_text(
            "".join(
                f"{json.dumps(json.loads(line), indent=None, separators=(',', ':'))}\n"
                for line in lines
            )
        )
        assert not any(pattern.fullmatch(line) for *_, line in placed_lines(path))
    slow = build_index(place)
    assert np.array_equal(quick.rows_R2, slow.rows_R2)
    assert np.array_equal(quick.scores_RS, slow.scores_RS, equal_nan=True)


def test_it_is_the_same_from_a_file(tmp_path: Path) -> None:
    index = build_index(made(tmp_path, prompts=4, k=2))
    file = tmp_path / "index.npz"
    arrays = to_arrays(index)
    np.savez(file, **arrays)  # type: ignore[arg-type]
    with np.load(file, allow_pickle=False) as read:
        again = of_arrays(dict(read))
    assert again.ids == index.ids
    assert again.scorers == index.scorers
    assert all(
        np.array_equal(to_arrays(again)[name], arrays[name], equal_nan=name == "scores_RS")
        for name in arrays
    )


def test_bad_lines_are_left_out_and_named_without_their_text(tmp_path: Path) -> None:
    place = made(tmp_path, prompts=4, k=1, missing=0.0)
    (responses,) = place.files("generations")
    first = responses.read_text().splitlines()[0]
    with responses.open("a") as handle:
        handle.write('{"telltale\n')
        handle.write('{"prompt_id": "nowhere", "sample": 0, "text": ""}\n')
        handle.write(f"{first}\n[1]\n")
        handle.write('{"prompt_id": "p0", "sam')
    index = build_index(place)
    assert len(index) == 4
    assert index.skipped == 4
    assert [problem.split(": ", 1)[1] for problem in index.problems] == [
        "not valid JSON",
        "of a prompt that is not there",
        "a second response to one prompt and sample",
        "not a JSON object",
    ]
    assert index.problems[0].startswith("generations/worker-0.jsonl:5")
    assert not any("telltale" in problem for problem in index.problems)


def test_scores_of_a_file_that_is_no_number_or_stray_are_no_scores(tmp_path: Path) -> None:
    place = made(tmp_path, prompts=3, k=1, missing=0.0, attributes=("toxicity",))
    path = place.path / "scores" / f"{JUDGE}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["value"] = "high"
    rows[1]["sample"] = 7
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    index = build_index(place)
    assert np.isnan(index.judged).tolist() == [True, True, False]
    assert index.skipped == 1


def test_a_judge_that_has_scored_nothing_leaves_responses_to_read(tmp_path: Path) -> None:
    place = made(tmp_path, prompts=3, k=1)
    for path in place.files("scores"):
        path.unlink()
    index = build_index(place)
    assert index.judge is None
    assert np.isnan(index.judged).all()


# --- folders ---


def test_runs_are_found_below_each_other_and_links_lead_nowhere(tmp_path: Path) -> None:
    root, outside = tmp_path / "runs", tmp_path / "outside"
    for path in (root / "a", root / "recipe", root / "recipe" / "base", outside):
        path.mkdir(parents=True)
        (path / "run.json").write_text("{}")
    (root / ".a.1.tmp").mkdir()
    (root / ".a.1.tmp" / "run.json").write_text("{}")
    (root / "half" / "generations").mkdir(parents=True)
    (root / "linked").symlink_to(outside)
    (root / "a" / "measurements.json").symlink_to(outside / "run.json")
    found = {place.key: place for place in find_runs(root)}
    assert list(found) == ["a", "half", "recipe", "recipe/base"]
    with pytest.raises(MissingFileError):
        found["a"].file("measurements.json")
    with pytest.raises(MissingFileError):
        found["a"].file("../../outside/run.json")


def test_stamps_change_with_a_file_and_only_then(tmp_path: Path) -> None:
    place = made(tmp_path, prompts=2, k=1)
    before = place.stamps()
    assert place.stamps() == before
    with place.files("generations")[0].open("a") as handle:
        handle.write("{}\n")
    assert place.stamps() != before
