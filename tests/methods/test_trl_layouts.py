"""The layouts of TRL's data sets, read as TRL means them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from trl import unpair_preference_dataset

from detoxlab.data import hub, load_dialogues, load_preferences, load_prompts, split_pairs
from detoxlab.data.settings import DataSettings
from detoxlab.data.split import PairSplit
from detoxlab.errors import ConfigError, DataError, TrainingError
from detoxlab.methods.preference.train import response_columns
from detoxlab.methods.rows.pair import build_pairs, pair_builder
from detoxlab.records import Preference, Turn
from detoxlab.settings import parse
from tests.support.tiny import tiny_lm
from tests.support.training_runs import fitted, logged

USER, ASSISTANT = "user", "assistant"


def message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def file_of(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


# --- prompt and completion, for SFT ---

ASKED, SAID = "you fool", "Be kind."
COMPLETIONS: dict[str, dict[str, Any]] = {
    "standard": {"prompt": ASKED, "completion": SAID},
    "conversational": {
        "prompt": [message(USER, ASKED)],
        "completion": [message(ASSISTANT, SAID)],
    },
    "a conversation answered by a text": {"prompt": [message(USER, ASKED)], "completion": SAID},
    "a text answered by a conversation": {
        "prompt": ASKED,
        "completion": [message(ASSISTANT, SAID)],
    },
    "messages": {"messages": [message(USER, ASKED), message(ASSISTANT, SAID)]},
    "labelled, desirable": {"prompt": ASKED, "completion": SAID, "label": True},
    "prompt and response": {"prompt": ASKED, "response": SAID},
    "with a label of another kind": {"prompt": ASKED, "response": SAID, "label": False},
}


@pytest.mark.parametrize("layout", COMPLETIONS)
def test_every_layout_says_the_same_dialogue(tmp_path: Path, layout: str) -> None:
    loaded = load_dialogues(file_of(tmp_path, COMPLETIONS[layout]))
    (dialogue,) = loaded.dialogues
    assert dialogue.turns == (Turn(USER, ASKED), Turn(ASSISTANT, SAID))
    assert loaded.rejected == []


def test_earlier_turns_stay_before_the_completion(tmp_path: Path) -> None:
    prompt = [message(USER, "Hello"), message(ASSISTANT, "Good day"), message(USER, "Well?")]
    row = {"prompt": prompt, "completion": [message(ASSISTANT, "Well.")]}
    (dialogue,) = load_dialogues(file_of(tmp_path, row)).dialogues
    assert [turn.text for turn in dialogue.turns] == ["Hello", "Good day", "Well?", "Well."]


def test_the_columns_of_a_completion_can_be_mapped(tmp_path: Path) -> None:
    columns = {"prompt": "asked", "completion": "said"}
    source = file_of(tmp_path, {"asked": ASKED, "said": SAID})
    (dialogue,) = load_dialogues(source, columns=columns).dialogues
    assert [turn.text for turn in dialogue.turns] == [ASKED, SAID]


def test_an_undesirable_completion_is_not_imitated(tmp_path: Path) -> None:
    rows = [COMPLETIONS["labelled, desirable"], {**COMPLETIONS["standard"], "label": False}]
    rows[1] = {**rows[1], "completion": "You too."}
    loaded = load_dialogues(file_of(tmp_path, *rows))
    assert [one.turns[-1].text for one in loaded.dialogues] == [SAID]
    assert [reason for _, reason in loaded.rejected] == ["its completion is labelled undesirable"]


# --- prompts alone ---


@pytest.mark.parametrize("prompt", [ASKED, [message(USER, ASKED)]])
def test_a_prompt_may_be_a_conversation_of_one_turn(tmp_path: Path, prompt: Any) -> None:
    assert [one.text for one in load_prompts(file_of(tmp_path, {"prompt": prompt}))] == [ASKED]


def test_a_longer_conversation_is_no_prompt(tmp_path: Path) -> None:
    turns = [message(USER, ASKED), message(ASSISTANT, SAID), message(USER, "Well?")]
    with pytest.raises(DataError, match=r":1: column 'prompt' holds a conversation of 3 turns"):
        load_prompts(file_of(tmp_path, {"prompt": turns}))


# --- unpaired preferences, for KTO ---

UNPAIRED: dict[str, dict[str, Any]] = {
    "standard": {"prompt": ASKED, "completion": SAID},
    "conversational": COMPLETIONS["conversational"],
    "implicit": {"completion": [message(USER, ASKED), message(ASSISTANT, SAID)]},
    "hh-rlhf": {"completion": f"\n\nHuman: {ASKED}\n\nAssistant: {SAID}"},
}


@pytest.mark.parametrize("label", [True, False, 1, 0, "true", "no"])
@pytest.mark.parametrize("layout", UNPAIRED)
def test_every_unpaired_layout_says_the_same(tmp_path: Path, layout: str, label: Any) -> None:
    (pair,) = load_preferences(file_of(tmp_path, {**UNPAIRED[layout], "label": label})).pairs
    sides = (SAID, None) if label in (True, "true") else (None, SAID)
    assert (pair.turns, (pair.chosen, pair.rejected)) == ((Turn(USER, ASKED),), sides)


def test_a_single_response_is_checked_as_a_pair_is(tmp_path: Path) -> None:
    good = {"prompt": ASKED, "completion": SAID, "label": True}
    rows = [good, good, {**good, "completion": " "}, {**good, "prompt": ""}]
    loaded = load_preferences(file_of(tmp_path, *rows, {**good, "label": False}))
    assert [(one.chosen, one.rejected) for one in loaded.pairs] == [(SAID, None), (None, SAID)]
    assert [reason for _, reason in loaded.rejected] == [
        "repeats an earlier pair",
        "the chosen response is empty",
        "turn 1 is empty",
    ]


@pytest.mark.parametrize("label", [None, "good", 0.5, 2])
def test_a_label_that_is_no_yes_or_no_is_an_error(tmp_path: Path, label: Any) -> None:
    source = file_of(tmp_path, {"prompt": ASKED, "completion": SAID, "label": label})
    with pytest.raises(DataError, match=r":1: column 'label' is neither true nor false"):
        load_preferences(source)


def paired(count: int) -> list[dict[str, Any]]:
    return [
        {"prompt": f"you fool {i}", "chosen": f"say {i} kind words", "rejected": "You too." * i}
        for i in range(1, count + 1)
    ]


def test_unpaired_rows_are_learnt_as_the_pairs_that_trl_takes_apart(tmp_path: Path) -> None:
    given = paired(4)
    pairs = load_preferences(file_of(tmp_path, *given)).pairs
    apart = unpair_preference_dataset(Dataset.from_list(given))
    single = load_preferences(file_of(tmp_path, *map(dict, apart))).pairs
    lm = tiny_lm()

    def examples(found: list[Preference]) -> Counter[Any]:
        builder = pair_builder(lm, chat=True, max_length=256, takes_single=True)
        columns = response_columns(build_pairs(builder, found)[0], seed=0)
        rows = zip(columns["prompt_ids"], columns["completion_ids"], columns["label"], strict=True)
        return Counter((tuple(prompt), tuple(said), label) for prompt, said, label in rows)

    assert len(single) == 2 * len(pairs) == 8
    assert examples(single) == examples(pairs)


def singles(folder: Path) -> PairSplit:
    rows = [
        {"prompt": f"you fool {i}", "completion": f"say {i} words", "label": i % 3 == 0}
        for i in range(20)
    ]
    train, validation = split_pairs(load_preferences(file_of(folder, *rows)).pairs, seed=0)
    return PairSplit(train, validation)


def test_kto_learns_from_single_responses(tmp_path: Path) -> None:
    data = singles(tmp_path)
    run = fitted("kto", tmp_path / "kto", data, epochs=1, batch_size=4, gradient_accumulation=1)
    assert run.info["train_pairs"] == len(data.train) == 18
    # The adapter begins as nothing: each loss is 1 - σ(0).
    assert logged(run)[1] == pytest.approx(0.5, abs=1e-4)


def test_dpo_says_that_it_needs_two_responses(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no pair.*a single response, which kto learns from"):
        fitted("dpo", tmp_path / "dpo", singles(tmp_path))


# --- data sets with configurations ---


@pytest.fixture
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder in the hub's layout takes the place of the hub: `datasets` reads both alike."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "owner" / "name"
    folder.mkdir(parents=True)
    lines = ["---", "configs:"]
    for name in ("english", "2.0-de"):
        lines += [f"- config_name: {name}", "  data_files:"]
        for split in ("train", "test"):
            (folder / f"{name}-{split}.jsonl").write_text(json.dumps({"text": f"{name} {split}"}))
            lines += [f"  - split: {split}", f"    path: {name}-{split}.jsonl"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
    return "owner/name"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_configuration_is_named_in_the_id(data_set: str) -> None:
    (row,) = hub.read_rows(f"{data_set}/english", None)
    assert (row.values["text"], row.place) == ("english train", "owner/name/english:train, row 1")
    (row,) = hub.read_rows(f"{data_set}/2.0-de:test", None)
    assert row.values["text"] == "2.0-de test"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("owner/name", "owner/name: has several configurations"),
        ("owner/name/french", "owner/name: no configuration 'french'"),
    ],
)
def test_the_configurations_are_listed(data_set: str, named: str, says: str) -> None:
    assert data_set == "owner/name"
    with pytest.raises(DataError) as caught:
        hub.read_rows(named, None)
    rest = "Name one as owner/name/CONFIGURATION. Configurations: english, 2.0-de."
    assert str(caught.value) == f"{says}. {rest}"


def settings(**given: Any) -> DataSettings:
    return parse(DataSettings, given, place="recipe.yaml")


@pytest.mark.parametrize(
    ("source", "config", "expected"),
    [
        ("owner/name", "english", "owner/name/english"),
        ("owner/name:test", "english", "owner/name/english:test"),
        ("owner/name/english", "english", "owner/name/english"),
        ("owner/name", None, "owner/name"),
    ],
)
def test_a_recipe_names_the_configuration_apart(source: str, config: Any, expected: str) -> None:
    assert settings(source=source, config=config).source == expected


@pytest.mark.parametrize("source", ["prompts.jsonl", "rtp", "owner/name/french"])
def test_a_configuration_is_of_a_hub_data_set(source: str) -> None:
    with pytest.raises(ConfigError, match=r"config 'english' is given for .*owner/name"):
        settings(source=source, config="english")
