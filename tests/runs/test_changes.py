"""A run that is gone on with by other settings is told which ones, with both values."""

from pathlib import Path
from typing import Any

import pytest

from detoxlab.errors import RunMismatchError
from detoxlab.runs import Run
from detoxlab.runs.changes import SHOWN, changes, listed

LONG = "x" * 200


@pytest.mark.parametrize(
    ("then", "now", "found"),
    [
        ({"k": 5}, {"k": 5}, []),
        ({"s": {"k": 5, "p": 1}}, {"s": {"k": 4, "p": 1}}, ["s.k: 5 then, 4 now"]),
        ({"a": {"b": {"c": "x"}}}, {"a": {"b": {"c": "y"}}}, ['a.b.c: "x" then, "y" now']),
        ({"a": 1}, {"b": 2}, ["a: 1 then, unset now", "b: unset then, 2 now"]),
        ({"a": None}, {}, []),
        ({"stop": ["\n"]}, {"stop": []}, ['stop.0: "\\n" then, unset now']),
        ({"stop": ("a", "b")}, {"stop": ["a", "b"]}, []),
        ({"v": [{"n": 1}, {"n": 2}]}, {"v": [{"n": 1}, {"n": 3}]}, ["v.1.n: 2 then, 3 now"]),
        ({"judge": "m"}, {"judge": {"x": "m"}}, ['judge: "m" then, {"x": "m"} now']),
        ({"on": True}, {"on": 1}, ["on: true then, 1 now"]),
    ],
)  # fmt: skip
def test_what_differs_is_named_with_both_values(
    then: dict[str, Any], now: dict[str, Any], found: list[str]
) -> None:
    assert changes(then, now) == found


@pytest.mark.parametrize("at", [0, 100, 199])
def test_long_texts_are_shown_where_they_differ(at: int) -> None:
    other = LONG[:at] + "y" + LONG[at + 1 :]
    (found,) = changes({"a": LONG}, {"a": other})
    before, _, after = found.removeprefix("a: ").partition(" then, ")
    assert before != after.removesuffix(" now"), "two identical texts say nothing"
    assert "y" in after
    assert len(found) < 200


def test_many_changes_are_counted() -> None:
    found = changes({}, {f"key{number}": number for number in range(SHOWN + 3)})
    assert listed(found).endswith("; and 3 more")
    assert listed(found).count(" then, ") == SHOWN


def test_one_file_by_two_paths_is_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work" / "sub").mkdir(parents=True)
    for name in ("p.jsonl", "sub/p.jsonl"):
        (tmp_path / "work" / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "work"
    assert changes({"path": "p.jsonl"}, {"path": "work/p.jsonl"}, folder) == []
    assert changes({"path": "p.jsonl"}, {"path": "work/sub/p.jsonl"}, folder) == [
        'path: "p.jsonl" then, "work/sub/p.jsonl" now'
    ]
    assert changes({"path": "gone"}, {"path": "work/gone"}, folder) != []


def test_a_resume_names_them_all(tmp_path: Path) -> None:
    config = {"sampling": {"k": 5, "texts": [LONG]}, "judge": "a"}
    Run.start(tmp_path / "r", kind="measure", config=config)
    other = {"sampling": {"k": 4, "texts": [LONG]}, "judge": "b"}
    words = r'other settings: sampling\.k: 5 then, 4 now; judge: "a" then, "b" now\. Use the same'
    with pytest.raises(RunMismatchError, match=words):
        Run.start(tmp_path / "r", kind="measure", config=other, resume=True)
    words = r"holds a run of measure\. --resume makes no run of train"
    with pytest.raises(RunMismatchError, match=words):
        Run.start(tmp_path / "r", kind="train", config=config, resume=True)
