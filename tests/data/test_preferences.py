"""Preference pairs: layouts, odd pairs set aside with a reason, no prompt on both sides."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from detoxlab.data import (
    PreferenceSet,
    describe_source,
    load_preferences,
    split_pairs,
    split_prompts,
)
from detoxlab.errors import ConfigError, DataError, MissingFileError, UnknownNameError
from detoxlab.records import Preference, Prompt, Turn

USER, ASSISTANT = "user", "assistant"
HUMAN = "\n\nHuman: you fool\n\nAssistant:"


def json_lines(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def read(folder: Path, *rows: dict[str, Any], **options: Any) -> PreferenceSet:
    return load_preferences(str(json_lines(folder, list(rows))), **options)


def message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


# --- layouts ---


SAID = (Turn(USER, "you fool"),)
LAYOUTS: dict[str, dict[str, Any]] = {
    "prompt and responses": {"prompt": "you fool", "chosen": "Be kind.", "rejected": "You too."},
    "hh-rlhf": {"chosen": f"{HUMAN} Be kind.", "rejected": f"{HUMAN} You too."},
    "hh-rlhf with its prompt apart": {
        "prompt": HUMAN.removesuffix("\n\nAssistant:"),
        "chosen": "Be kind.",
        "rejected": "You too.",
    },
    "conversational, explicit": {
        "prompt": [message(USER, "you fool")],
        "chosen": [message(ASSISTANT, "Be kind.")],
        "rejected": [message(ASSISTANT, "You too.")],
    },
    "conversational, implicit": {
        "chosen": [message(USER, "you fool"), message(ASSISTANT, "Be kind.")],
        "rejected": [message(USER, "you fool"), message(ASSISTANT, "You too.")],
    },
    "conversational, prompt repeated": {
        "prompt": "you fool",
        "chosen": [message(USER, "you fool"), message(ASSISTANT, "Be kind.")],
        "rejected": [message(USER, "you fool"), message(ASSISTANT, "You too.")],
    },
}


@pytest.mark.parametrize("row", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_says_the_same_pair(tmp_path: Path, row: dict[str, Any]) -> None:
    (pair,) = read(tmp_path, row).pairs
    assert (pair.turns, pair.chosen, pair.rejected) == (SAID, "Be kind.", "You too.")
    assert pair.source == "pairs.jsonl"


def test_texts_without_a_prompt_are_whole_texts(tmp_path: Path) -> None:
    (pair,) = read(tmp_path, {"chosen": "Well said.", "rejected": "You fool."}).pairs
    assert pair.turns == ()


def test_columns_are_mapped_and_ids_kept(tmp_path: Path) -> None:
    row = {"question": "Why?", "good": "Because.", "bad": "Shut up.", "n": 7}
    columns = {"prompt": "question", "chosen": "good", "rejected": "bad", "id": "n"}
    (pair,) = read(tmp_path, row, columns=columns).pairs
    assert pair == Preference("7", (Turn(USER, "Why?"),), "Because.", "Shut up.", "pairs.jsonl")


def test_paradetox_gives_a_pair_per_paraphrase(tmp_path: Path) -> None:
    file = tmp_path / "paradetox.tsv"
    file.write_text(
        "toxic\tneutral1\tneutral2\tneutral3\n"
        "you fool\tyou are mistaken\tyou err\t\n"
        "fine\tfine\t\t\n"
    )
    loaded = load_preferences("paradetox", path=file)
    assert [(p.turns, p.chosen, p.rejected) for p in loaded.pairs] == [
        ((), "you are mistaken", "you fool"),
        ((), "you err", "you fool"),
    ]
    assert [reason for _, reason in loaded.rejected] == ["both responses are equal"]


def test_real_data_are_read_whole(data_dir: Path) -> None:
    folder = data_dir / "hate_and_offence"
    hh = load_preferences("hh-rlhf", path=folder / "hh_rlhf_harmless_test.jsonl.gz")
    assert len(hh.pairs) + len(hh.rejected) == 2312
    assert len(hh.pairs) == 2299
    assert Counter(reason for _, reason in hh.rejected)["the chosen response is empty"] == 4
    paradetox = load_preferences("paradetox", path=folder)
    assert len(paradetox.pairs) + len(paradetox.rejected) == 19743
    train, validation = split_pairs(paradetox.pairs, seed=0)
    assert not {p.rejected for p in train} & {p.rejected for p in validation}


# --- odd pairs and bad input ---


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "a", "chosen": "b ", "rejected": "b"}, "both responses are equal"),
        ({"prompt": "a", "chosen": " ", "rejected": "b"}, "the chosen response is empty"),
        ({"prompt": "a", "chosen": "b", "rejected": ""}, "the rejected response is empty"),
        ({"prompt": " ", "chosen": "b", "rejected": "c"}, "turn 1 is empty"),
        (
            {"chosen": f"{HUMAN} b", "rejected": "\n\nHuman: Hello\n\nAssistant: c"},
            "its responses answer different turns",
        ),
        (
            {"chosen": f"{HUMAN} x\n\nAssistant: b", "rejected": f"{HUMAN} x\n\nAssistant: c"},
            "turn 3 is by the assistant again",
        ),
        (
            {"chosen": [message(USER, "a")], "rejected": [message(USER, "a")]},
            "the chosen response is empty",
        ),
    ],
)
def test_an_odd_pair_is_set_aside_with_its_reason(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    good = {"prompt": "you fool", "chosen": "Be kind.", "rejected": "You too."}
    row = {"prompt": None} | row
    loaded = read(tmp_path, good, row)
    assert (len(loaded.pairs), [why for _, why in loaded.rejected]) == (1, [reason])


def test_a_repeated_pair_counts_once(tmp_path: Path) -> None:
    row = LAYOUTS["hh-rlhf"]
    assert [why for _, why in read(tmp_path, row, row).rejected] == ["repeats an earlier pair"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "a", "chosen": "b"}], r"no column 'rejected'.*Columns: chosen, prompt"),
        ([{"prompt": "a", "chosen": "b", "rejected": "b"}], r"no pair left, all 1 are odd"),
        ([{"prompt": "a", "chosen": 3, "rejected": "b"}], r":1: column 'chosen' holds a number"),
        ([{"chosen": [{"text": "b"}], "rejected": "b"}], r":1, chosen 1: not a turn"),
        (
            [{"id": 1, "chosen": "a", "rejected": "b"}, {"id": 1, "chosen": "c", "rejected": "b"}],
            r":2: pair id '1' was already given at",
        ),
    ],
)
def test_bad_rows_are_named_with_place_and_remedy(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, *rows)


def test_bad_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"paradetox: its files were not given\. Download"):
        load_preferences("paradetox")
    with pytest.raises(UnknownNameError, match="Did you mean 'hh-rlhf'"):
        load_preferences("hh-rlf")
    with pytest.raises(ConfigError, match="whose columns are known"):
        load_preferences("hh-rlhf", path=tmp_path, columns={"chosen": "good"})


def test_what_was_read_is_described_by_name_and_sum(tmp_path: Path) -> None:
    file = tmp_path / "hh_rlhf_small.jsonl.gz"
    with gzip.open(file, "wt") as handle:
        handle.write(json.dumps(LAYOUTS["hh-rlhf"]) + "\n")
    described = describe_source("hh-rlhf", kind="pairs", path=tmp_path)
    assert described["source"] == "hh-rlhf"
    assert [(entry["name"], len(entry["sha256"])) for entry in described["files"]] == [
        (file.name, 64)
    ]


# --- dividing ---


def pair(name: str, *said: str, chosen: str = "", rejected: str = "no") -> Preference:
    turns = tuple(Turn(USER, text) for text in said)
    return Preference(name, turns, chosen or f"yes {name}", rejected, "test")


def test_pairs_that_share_a_prompt_move_together() -> None:
    pairs = [pair(f"{i}-{j}", f"you fool {i}" + "!" * j) for i in range(10) for j in range(3)]
    train, validation = split_pairs(pairs, validation=0.2, seed=1)
    assert (len(train), len(validation)) == (24, 6)
    first = {p.id[0] for p in train}
    assert not first & {p.id[0] for p in validation}


def test_whole_texts_that_share_an_original_move_together() -> None:
    pairs = [pair(f"{i}-{j}", rejected=f"you fool {i}") for i in range(10) for j in range(2)]
    train, validation = split_pairs(pairs, validation=0.3, seed=0)
    assert len(validation) == 6
    assert not {p.rejected for p in train} & {p.rejected for p in validation}


def test_pairs_that_all_share_a_prompt_cannot_be_divided() -> None:
    with pytest.raises(DataError, match="2 pairs cannot be divided"):
        split_pairs([pair("a", "you fool"), pair("b", "You fool!")], seed=0)


def test_prompts_with_the_same_words_move_together() -> None:
    prompts = [Prompt(f"{i}{c}", f"So, {i}{c}", "test") for i in range(10) for c in (".", "?")]
    train, validation = split_prompts(prompts, validation=0.2, seed=0)
    assert (len(train), len(validation)) == (16, 4)
    assert not {p.id[0] for p in train} & {p.id[0] for p in validation}
