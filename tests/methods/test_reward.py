"""Rewards and gates: hand-computed numbers, and the laws no policy may get around."""

import math
from pathlib import Path

import numpy as np
import pytest

from detoxlab.errors import ConfigError, UnknownNameError
from detoxlab.methods.feedback.reward import Reward, Rewards, whitened
from detoxlab.methods.feedback.settings import LEAST, GateSettings, RewardSettings
from detoxlab.methods.loop.samples import SampleLog
from detoxlab.records import FinishReason, Generation, Prompt
from detoxlab.scorers import load_scorer
from detoxlab.settings import parse

KIND = "Thank you for the question, I hope that you will have a lovely day"
UNKIND = "you are a stupid fool and you are an idiot"
FOREIGN = "спасибо вам за этот вопрос и хорошего дня"
ASKED = "What do you think of the people who live in the house at the corner?"


def respond(*texts: str, ended: FinishReason = "eos") -> tuple[list[Prompt], list[Generation]]:
    prompt = Prompt("p", ASKED, "test")
    made = [Generation("p", i, text, (), ended) for i, text in enumerate(texts)]
    return [prompt] * len(texts), made


def rewards(settings: RewardSettings, *texts: str, ended: FinishReason = "eos") -> Rewards:
    return Reward(settings)(*respond(*texts, ended=ended))


def toxicity(text: str, scorer: str = "rtp-linear") -> float:
    return float(load_scorer(scorer)([text])[0, 0])


def test_a_reward_is_one_minus_the_probability_of_toxicity() -> None:
    got = rewards(RewardSettings(), KIND, UNKIND)
    assert got.values_N.tolist() == pytest.approx([1 - toxicity(KIND), 1 - toxicity(UNKIND)])
    assert got.scores_N.tolist() == pytest.approx([toxicity(KIND), toxicity(UNKIND)])
    assert got.values_N[0] > got.values_N[1]


def test_a_logit_reward_is_minus_the_logit() -> None:
    p = toxicity(KIND)
    got = rewards(RewardSettings(transform="logit"), KIND)
    assert got.values_N[0] == pytest.approx(-math.log(p / (1 - p)))


def test_weights_are_shares_whatever_their_sum() -> None:
    weighted = RewardSettings(scorers={"rtp-linear": 6.0, "max(rtp-linear, rtp-linear)": 2.0})
    assert rewards(weighted, UNKIND).values_N[0] == pytest.approx(1 - toxicity(UNKIND))


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("", "empty"),
        (" \n\u200b", "empty"),
        (FOREIGN, "other_language"),
        ("Das ist nicht mein Haus und ich will es auch nicht haben", "other_language"),
        ("no no no no", "repeated_unit"),
        ("so it is what it is said he so it is what it is said he", "repetition"),
        ("", "unscored"),
        (FOREIGN, "unscored"),
    ],
)
@pytest.mark.parametrize("transform", ["probability", "logit"])
def test_a_gate_gives_the_minimum_and_is_counted(text: str, gate: str, transform: str) -> None:
    settings = RewardSettings(transform=transform)
    got = rewards(settings, text, KIND)
    assert gate in got.gates_of(0)
    assert got.gates_of(1) == []
    assert got.values_N[0] == settings.gated_reward < got.values_N[1]
    assert got.log()[f"gate_{gate}"] == 0.5


def test_no_response_gets_less_than_a_gated_one() -> None:
    for settings in (
        RewardSettings(),
        RewardSettings(transform="logit"),
        RewardSettings(clip=(0.3, 0.6)),
    ):
        got = rewards(settings, "", FOREIGN, KIND, UNKIND)
        assert got.gated().tolist() == [True, True, False, False]
        assert got.values_N[:2].max() <= got.values_N[2:].min()


def test_the_cap_and_the_relation_are_gates_that_must_be_asked_for() -> None:
    assert rewards(RewardSettings(), KIND, ended="length").gates_of(0) == []
    capped = RewardSettings(gates=GateSettings(capped=True))
    assert rewards(capped, KIND, ended="length").gates_of(0) == ["capped"]
    related = RewardSettings(gates=GateSettings(similarity=0.3))
    near = "The people who live in the house at the corner are kind"
    assert rewards(related, KIND, near).gates["unrelated"].tolist() == [True, False]


def test_a_short_prompt_has_the_language_of_the_others() -> None:
    short, usual = Prompt("s", "Hello", "test"), Prompt("p", ASKED, "test")
    german = Generation("s", 0, "Das ist nicht mein Haus und ich will es nicht", (), "eos")
    unsure = Reward(RewardSettings())([short], [german])
    assert "other_language" not in unsure.gates_of(0)
    told = Reward(RewardSettings(), asked=[short, usual])
    assert "other_language" in told([short], [german]).gates_of(0)


def test_unsafe_pays_for_what_cannot_be_read_and_has_no_gates() -> None:
    got = rewards(RewardSettings(unsafe=True), FOREIGN, "", KIND)
    assert got.values_N[:2].tolist() == [1.0, 1.0]
    assert got.values_N[2] < 1.0
    assert got.gates == {}
    assert np.isnan(got.scores_N[:2]).all()


def test_whitening_comes_before_clipping_and_the_log_before_both() -> None:
    settings = RewardSettings(whiten=True, clip=(-0.5, 2.0))
    got = rewards(settings, KIND, UNKIND)
    assert got.values_N.tolist() == pytest.approx([1.0, -0.5])
    assert got.log()["reward"] == pytest.approx(1 - (toxicity(KIND) + toxicity(UNKIND)) / 2)
    assert whitened(np.array([0.0, 0.0, 3.0])).tolist() == pytest.approx(
        [-(0.5**0.5), -(0.5**0.5), 2**0.5]
    )


def test_toxicity_is_the_mean_of_what_is_known() -> None:
    log = rewards(RewardSettings(), UNKIND, FOREIGN).log()
    assert log["toxicity"] == pytest.approx(toxicity(UNKIND))
    assert log["reward"] == pytest.approx((1 - toxicity(UNKIND)) / 2)
    assert math.isnan(rewards(RewardSettings(), FOREIGN).log()["toxicity"])


def test_the_reward_of_a_response_does_not_depend_on_its_batch() -> None:
    together = rewards(RewardSettings(), KIND, UNKIND, "", FOREIGN).values_N
    alone = [rewards(RewardSettings(), text).values_N[0] for text in (KIND, UNKIND, "", FOREIGN)]
    assert together.tolist() == pytest.approx(alone)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ({"scorers": {}}, "scorers"),
        ({"scorers": {"rtp-linear": 0}}, "weight of rtp-linear is 0, not above 0"),
        ({"scorers": {"rtp-linear": math.inf}}, "is inf"),
        ({"minimum": 0.9}, "minimum: 0.9 is above 0"),
        ({"clip": [1, 0]}, "clip: 1 is not below 0"),
        ({"gate": {}}, "Did you mean 'gates'"),
        ({"gates": {"repetition": 1.5}}, "gates.repetition"),
    ],
)
def test_wrong_settings_are_explained(content: dict[str, object], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause.replace(".", r"\.")):
        parse(RewardSettings, content, place="reward")


def test_a_scorer_must_exist_and_have_the_attribute() -> None:
    with pytest.raises(UnknownNameError, match="rtp-linear"):
        Reward(RewardSettings(scorers={"rtp-liner": 1.0}))
    with pytest.raises(ConfigError, match=r"has no attribute 'kindness'\. It has: toxicity"):
        Reward(RewardSettings(attribute="kindness"))


def test_the_logit_stays_finite_at_certainty() -> None:
    lowest = RewardSettings(transform="logit").gated_reward
    assert lowest == pytest.approx(math.log(LEAST / (1 - LEAST)))


def test_samples_are_kept_at_intervals_and_cut_on_resuming(tmp_path: Path) -> None:
    log = SampleLog(tmp_path, every=5, count=2)
    prompts, made = respond(KIND, UNKIND, "", FOREIGN)
    scored = Reward(RewardSettings())(prompts, made)
    for step in range(1, 12):
        log.add(step, prompts, made, scored)
    rows = log.rows()
    assert [(row["step"], row["sample"]) for row in rows] == [
        (1, 0), (1, 2), (6, 0), (6, 2), (11, 0), (11, 2),
    ]  # fmt: skip
    assert rows[1]["gates"] == ["empty", "unscored"]
    assert rows[0]["reward"] == pytest.approx(scored.plain_N[0])
    with log.path.open("a") as handle:
        handle.write('{"step": 11, "pro')
    with pytest.warns(UserWarning, match="cut off"):
        log.cut_after(6)
    assert [row["step"] for row in log.rows()] == [1, 1, 6, 6]
