"""Dialogues: four layouts, what makes one odd, and the split that leaks nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from detoxlab.data import LeftOutWarning, load_dialogues, split_dialogues
from detoxlab.errors import ConfigError, DataError
from detoxlab.records import Dialogue, Turn

REMARK, ANSWER = "You fool.", "I see it differently."


def file_of(folder: Path, name: str, *rows: Any) -> str:
    path = folder / name
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def said(*turns: str) -> list[dict[str, str]]:
    """Turns written like `user: text`."""
    pairs = (turn.split(": ") if ": " in turn else (turn.rstrip(":"), "") for turn in turns)
    return [{"role": role, "text": text} for role, text in pairs]


def test_turns_messages_pairs_and_long_rows_give_the_same_dialogue(tmp_path: Path) -> None:
    turns = said(f"user: {REMARK}", f"assistant: {ANSWER}")
    messages = [{"role": turn["role"], "content": turn["text"]} for turn in turns]
    shares = [{"from": "human", "value": REMARK}, {"from": "gpt", "value": ANSWER}]
    sources = [
        file_of(tmp_path, "a.jsonl", {"id": "1", "turns": turns, "target": "hats"}),
        file_of(tmp_path, "b.jsonl", {"id": "1", "messages": messages, "target": "hats"}),
        file_of(tmp_path, "c.jsonl", {"id": "1", "conversations": shares, "target": "hats"}),
        file_of(tmp_path, "d.csv", "id,prompt,response,target", f"1,{REMARK},{ANSWER},hats"),
        file_of(
            tmp_path,
            "e.csv",
            "dialogue,turn,role,text,target",
            f"1,1,CN,{ANSWER},hats",
            f"1,0,HS,{REMARK},hats",
        ),
    ]
    for source in sources:
        (dialogue,) = load_dialogues(source).dialogues
        assert dialogue.turns == (Turn("user", REMARK), Turn("assistant", ANSWER))
        assert (dialogue.id, dialogue.target, dialogue.source) == ("1", "hats", Path(source).name)


def test_a_turn_of_the_system_comes_first(tmp_path: Path) -> None:
    turns = said("system: Be kind.", f"user: {REMARK}", f"assistant: {ANSWER}")
    (dialogue,) = load_dialogues(file_of(tmp_path, "a.jsonl", {"turns": turns})).dialogues
    assert dialogue.turns[0] == Turn("system", "Be kind.")


def test_rows_without_a_text_are_left_out_on_demand(tmp_path: Path) -> None:
    rows = [{"prompt": REMARK, "response": ANSWER}, {"prompt": "Well?", "response": None}]
    source = file_of(tmp_path, "a.jsonl", *rows)
    with pytest.raises(DataError, match=r":2: column 'response' is null.*--skip-nulls"):
        load_dialogues(source)
    with pytest.warns(LeftOutWarning, match=r"1 of 2 rows have no text .*'prompt' or 'response'"):
        assert len(load_dialogues(source, skip_nulls=True).dialogues) == 1


def test_columns_are_mapped(tmp_path: Path) -> None:
    pairs = file_of(tmp_path, "a.csv", "hs,cn", f"{REMARK},{ANSWER}")
    columns = {"prompt": "hs", "response": "cn"}
    assert len(load_dialogues(pairs, columns=columns).dialogues) == 1
    talk = file_of(tmp_path, "b.jsonl", {"talk": said(f"user: {REMARK}", f"assistant: {ANSWER}")})
    assert len(load_dialogues(talk, columns={"turns": "talk"}).dialogues) == 1


ODD = {
    "does not end with the assistant": said("user: a", "assistant: b", "user: c"),
    "begins with the assistant": said("assistant: b", "user: a"),
    "turn 2 is by the user again": said("user: a", "user: b", "assistant: c"),
    "turn 3 is by the assistant again": said("user: a", "assistant: b", "assistant: c"),
    "turn 2 is empty": said("user: a", "assistant:"),
    "turn 1 is empty": said("user:", "assistant: b"),
    "has 1 turns, needs 2": said("user: a"),
    "has 0 turns, needs 2": [],
    "repeats an earlier dialogue": said("user: good", "assistant: day"),
    "has 2 turns, needs 3": said("system: a", "user: b"),
    "turn 2 is by the system, which speaks first or not at all": said(
        "user: a", "system: b", "assistant: c"
    ),
}


@pytest.mark.parametrize("reason", ODD)
def test_an_odd_dialogue_is_set_aside_with_its_reason(tmp_path: Path, reason: str) -> None:
    good = {"id": "good", "turns": said("user: good", "assistant: day")}
    name = "good" if reason.startswith("repeats") else "odd"
    loaded = load_dialogues(file_of(tmp_path, "a.jsonl", good, {"id": name, "turns": ODD[reason]}))
    assert [dialogue.id for dialogue in loaded.dialogues] == ["good"]
    assert loaded.rejected == [(name, reason)]


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [((0, 0, 1, 2), "turn id 0 is given twice"), ((0, 1, 3, 4), "turn id 2 is missing")],
)
def test_turn_numbers_are_checked(tmp_path: Path, numbers: tuple[int, ...], reason: str) -> None:
    rows = [f"odd,{n},{role},x" for n, role in zip(numbers, ["HS", "CN"] * 2, strict=True)]
    source = file_of(
        tmp_path, "a.csv", "dialogue,turn,role,text", "good,0,HS,a", *rows, "good,1,CN,b"
    )
    loaded = load_dialogues(source)
    assert [dialogue.id for dialogue in loaded.dialogues] == ["good"]
    assert loaded.rejected == [("odd", reason)]


GOOD = {"id": "1", "turns": said("user: a", "assistant: b")}
WRONG: dict[str, tuple[tuple[Any, ...], str]] = {
    "role": (
        ({"turns": said("pirate: a", "assistant: b")},),
        r":1, turns 1: the role 'pirate' is not known\. Roles: user, human",
    ),
    "no text": (({"turns": [{"role": "user"}]},), r":1, turns 1: not a turn"),
    "no role": (({"turns": [{"text": "you fool"}]},), "not a turn. It needs a role"),
    "no list": ((GOOD, {"turns": "you fool"}), r":2: column 'turns' holds no list"),
    "number": (({"turns": [{"role": "user", "text": 5}]},), "'text' holds a number, not text"),
    "all odd": (({"id": "1", "turns": said("user: a")},), "all 1 are odd; the first: has 1 turns"),
    "two with one id": (
        (GOOD, {"id": "1", "turns": said("user: c", "assistant: d")}),
        r"a\.jsonl:2: dialogue id '1' was already given at .*a\.jsonl:1",
    ),
    "other columns": (({"prompt": "a", "answer": "b"},), "no dialogues in columns answer, prompt"),
    "columns to name": (
        ({"Asked (raw)": "Hello there", "id": "a", "reply": "Good day to you"},),
        r"Type --column prompt='Asked \(raw\)' --column response=reply\. Columns are named",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_read_is_an_error_with_its_place(tmp_path: Path, case: str) -> None:
    rows, says = WRONG[case]
    with pytest.raises(DataError, match=says) as caught:
        load_dialogues(file_of(tmp_path, "a.jsonl", *rows))
    assert "\n" not in str(caught.value)
    assert "you fool" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"prompt": "hs", "response": "cnn"}, r"no column 'cnn'\. Did you mean 'cn'"),
        (
            {"dialogue": "hs", "turn": "cn", "role": "hs", "text": "hs"},
            "'cn' holds no whole number",
        ),
    ],
)
def test_wrong_columns_are_named(tmp_path: Path, columns: dict[str, str], says: str) -> None:
    with pytest.raises(DataError, match=says):
        load_dialogues(file_of(tmp_path, "a.csv", "hs,cn", f"{REMARK},{ANSWER}"), columns=columns)


def test_a_limit_draws_by_seed() -> None:
    whole = load_dialogues("embedded").dialogues
    some = load_dialogues("embedded", limit=20, seed=3).dialogues
    assert len(some) == 20
    assert some == [dialogue for dialogue in whole if dialogue in some]
    with pytest.raises(ConfigError, match="limit is 0"):
        load_dialogues("embedded", limit=0)


def dialogue(name: str, *users: str) -> Dialogue:
    turns = [turn for text in users for turn in (Turn("user", text), Turn("assistant", ANSWER))]
    return Dialogue(name, tuple(turns), "test")


def test_the_split_takes_whole_dialogues_by_seed() -> None:
    dialogues = [dialogue(str(n), f"remark {n}") for n in range(100)]
    train, held_out = split_dialogues(dialogues, validation=0.2, seed=1)
    assert (len(train), len(held_out)) == (80, 20)
    assert sorted([*train, *held_out], key=lambda d: int(d.id)) == dialogues
    assert split_dialogues(dialogues, validation=0.2, seed=1) == (train, held_out)
    assert split_dialogues(dialogues, validation=0.2, seed=2)[1] != held_out


def test_no_user_turn_is_on_both_sides() -> None:
    """Chains too: 1 shares a turn with 2, 2 another with 3, so 1 and 3 stay together."""
    chain = [
        dialogue("1", "You fool!", "and a hat"),
        dialogue("2", "Well", "you  FOOL"),
        dialogue("3", "well."),
    ]
    others = [dialogue(f"o{n}", f"remark {n}") for n in range(7)]
    for seed in range(20):
        sides = split_dialogues([*chain, *others], validation=0.4, seed=seed)
        assert {sum(d in side for d in chain) for side in sides} == {0, 3}


def test_the_smallest_share_holds_one() -> None:
    dialogues = [dialogue(str(n), f"remark {n}") for n in range(5)]
    assert len(split_dialogues(dialogues, validation=0.01, seed=0)[1]) == 1


@pytest.mark.parametrize("validation", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_must_be_a_share(validation: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and below 1"):
        split_dialogues([dialogue("1", "a")], validation=validation, seed=0)


def test_dialogues_that_all_hang_together_cannot_be_split() -> None:
    with pytest.raises(DataError, match="2 dialogues cannot be divided"):
        split_dialogues([dialogue("1", "a"), dialogue("2", "A!")], seed=0)


def test_real_dialogues_are_split_without_a_leak(data_dir: Path) -> None:
    for name in ("dialoconan", "multitarget-conan"):
        dialogues = load_dialogues(name, path=data_dir / "conan").dialogues
        train, held_out = split_dialogues(dialogues, validation=0.1, seed=0)
        assert len(held_out) == pytest.approx(len(dialogues) / 10, rel=0.02)
        texts = [
            {t.text for d in side for t in d.turns if t.role == "user"}
            for side in (train, held_out)
        ]
        assert not texts[0] & texts[1]
