"""Filtering: toxic and unscorable responses are left out and counted; the rest is SFT."""

import json
from pathlib import Path

import pytest

from detoxlab.data.split import DialogueSplit, TextSplit
from detoxlab.errors import ConfigError, TrainingError
from detoxlab.methods import method_of
from detoxlab.methods.imitation.filter import FilterConfig, filtered
from detoxlab.methods.imitation.sft import SFTConfig
from detoxlab.methods.loop.log import TrainLog
from detoxlab.records import Text
from detoxlab.runs import Run
from detoxlab.scorers import load_scorer
from tests.support.tiny import dialogue, dialogues, tiny_lm

UNKIND = "you are a stupid idiot, shut up"
KIND = "thank you, that is a good question"
DATA = [
    dialogue("hello", KIND, name="kind"),
    dialogue("hello", UNKIND, name="unkind"),
    dialogue(UNKIND, KIND, name="provoked"),
    dialogue("hello", UNKIND, "well", KIND, name="unkind before"),
    dialogue("hello", "Привет", name="unread"),
]


def test_the_stand_ins_are_on_either_side_of_the_threshold() -> None:
    scorer = load_scorer("rtp-linear")
    column = scorer.attributes.index("toxicity")
    kind, unkind = scorer([KIND, UNKIND])[:, column]
    assert kind < 0.5 < unkind


def test_whole_texts_are_filtered_alike() -> None:
    texts = [Text(name, text, "s", "d") for name, text in (("kind", KIND), ("unkind", UNKIND))]
    split = filtered(FilterConfig(), TextSplit(texts, texts[1:]))
    assert [text.id for text in split.train] == ["kind"]
    assert not split.validation
    assert [name for name, _ in split.rejected] == ["unkind", "unkind"]


@pytest.mark.parametrize(
    ("targets", "kept"),
    [("last", ["kind", "provoked", "unkind before"]), ("all", ["kind", "provoked"])],
)
def test_only_learnt_responses_are_filtered(targets: str, kept: list[str]) -> None:
    config = FilterConfig.model_validate({"targets": targets})
    split = filtered(config, DialogueSplit(DATA, DATA[:2], [("row 9", "odd")]))
    assert [one.id for one in split.train] == kept
    assert [one.id for one in split.validation] == ["kind"]
    reasons = dict(split.rejected)
    assert reasons["row 9"] == "odd"
    assert reasons["unread"] == "rtp-linear cannot score its response"
    assert reasons["unkind"] == "its response is toxic (rtp-linear: 0.5 or above)"


def test_the_rest_is_trained_exactly_as_by_sft(tmp_path: Path) -> None:
    settings = {"max_steps": 3, "batch_size": 4, "lora_r": 4}
    harmless = DialogueSplit(dialogues(8), dialogues(2, start=100))
    assert not filtered(FilterConfig(), harmless).rejected
    mixed = DialogueSplit([*harmless.train[:4], DATA[1], *harmless.train[4:]], harmless.validation)
    runs = {}
    for name, method, data in [
        ("filter", method_of(FilterConfig.model_validate(settings)), mixed),
        ("sft", method_of(SFTConfig.model_validate(settings)), harmless),
    ]:
        run = runs[name] = Run.start(tmp_path / name, kind="train", config={})
        with run.writing():
            method.fit(tiny_lm(), data, run)
    losses = [[row.get("loss") for row in TrainLog(run.path).rows()] for run in runs.values()]
    assert losses[0] == losses[1]
    info = runs["filter"].info
    assert (info["method"], info["train_dialogues"], info["rejected_dialogues"]) == ("filter", 8, 1)
    listed = (tmp_path / "filter" / "rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in listed] == ["unkind"]
    assert "stupid" not in listed[0]


def test_the_filtering_scorer_counts_as_trained_on() -> None:
    assert FilterConfig(scorer="rtp-neural").training_scorers == ("rtp-neural",)


def test_nothing_left_and_a_missing_attribute_are_errors(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "run", kind="train", config={})
    with pytest.raises(TrainingError, match=r"1 were left out \(its response is toxic"):
        method_of(FilterConfig()).fit(tiny_lm(), DialogueSplit(DATA[1:2]), run)
    with pytest.raises(ConfigError, match="has no attribute 'kindness'"):
        filtered(FilterConfig(attribute="kindness"), DialogueSplit(DATA))
