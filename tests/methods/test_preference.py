"""Laws of preference: losses by hand, one copy of the base, what a training leaves and resumes."""

import gc
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from detoxlab.data.settings import DialogueSettings, PairSettings, PromptSettings
from detoxlab.data.split import PairSplit
from detoxlab.errors import ConfigError, RunMismatchError, TrainingError
from detoxlab.methods import load_method
from detoxlab.methods.loop.log import TrainLog
from detoxlab.methods.rows.pair import PairRow, RejectedPair, pair_builder
from detoxlab.models import LanguageModel, load_model
from detoxlab.pipeline import train_model
from detoxlab.pipeline.learning import training_scorers
from detoxlab.pipeline.training import plan
from detoxlab.recipe.learning import Learning, TrainSettings
from detoxlab.records import Preference
from detoxlab.runs import Run
from tests.support.preferences import DATA, log_probs, pair, rows_of, trained
from tests.support.tiny import save_tiny, tiny_lm
from tests.support.training_runs import fitted, interrupting, logged

pytestmark = pytest.mark.slow

METHODS = ("dpo", "kto", "simpo")


def log_ratios(lm: LanguageModel, rows: list[PairRow], which: str) -> NDArray[np.float64]:
    """How much likelier the adapter makes the responses, in nats."""
    prompts, responses = [row.prompt_ids for row in rows], [getattr(row, which) for row in rows]
    policy = log_probs(lm, prompts, responses)
    with lm.as_base():
        return policy - log_probs(lm, prompts, responses)


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


# --- what is read ---


def test_the_prompt_is_what_the_model_is_asked_when_measured() -> None:
    lm = tiny_lm()
    row = pair_builder(lm, chat=True, max_length=256).build(pair(1, "ab", "c"))
    assert row.prompt_ids == tuple(lm.prompt_ids("you fool 1", chat=True))
    end = lm.tokenizer.eos_token_id
    assert row.chosen_ids == (*lm.tokenizer("ab").input_ids, end)
    assert row.rejected_ids == (*lm.tokenizer("c").input_ids, end)


@pytest.mark.parametrize(("chosen", "rejected"), [("a" * 20, "b"), ("b", "a" * 20)])
def test_a_long_prompt_is_cut_alike_for_both_responses(chosen: str, rejected: str) -> None:
    lm, one = tiny_lm(), pair(1, chosen, rejected)
    whole = pair_builder(lm, chat=True, max_length=256).build(one)
    cut = pair_builder(lm, chat=True, max_length=30).build(one)
    assert cut.length == 30
    assert (cut.chosen_ids, cut.rejected_ids) == (whole.chosen_ids, whole.rejected_ids)
    assert cut.prompt_ids == whole.prompt_ids[-9:]


def test_whole_texts_begin_where_a_document_begins() -> None:
    lm = tiny_lm()
    row = pair_builder(lm, chat=False, max_length=64).build(Preference("w", (), "ab", "c", "t"))
    end = lm.tokenizer.eos_token_id
    assert row.prompt_ids == (end,)
    assert row.chosen_ids == (*lm.tokenizer("ab").input_ids, end)


@pytest.mark.parametrize(
    ("one", "chat", "reason"),
    [
        (Preference("w", (), "ab", "c", "t"), True, "set chat=false"),
        (Preference("w", (), "ab" * 50, "c", "t"), False, "does not fit max_length 64"),
        (pair(1, "a" * 70), True, "does not fit max_length 64"),
        (pair(1, "a", "a"), True, "the same tokens"),
    ],
)
def test_a_pair_that_makes_no_row_says_why(one: Preference, chat: bool, reason: str) -> None:
    with pytest.raises(RejectedPair, match=reason):
        pair_builder(tiny_lm(), chat=chat, max_length=64).build(one)


# --- what the loss is ---


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[LanguageModel, Run]:
    """A DPO run of eight steps on a model that lies on the disk, and what it made."""
    folder = tmp_path_factory.mktemp("dpo")
    base = save_tiny(folder / "base")
    run = trained("dpo", folder / "run", load_model(base), epochs=2, beta=0.5)
    return load_model(run.path), run


def test_the_dpo_loss_is_that_of_equation_7(tuned: tuple[LanguageModel, Run]) -> None:
    lm, run = tuned
    rows = rows_of(lm, DATA.validation)
    chosen, rejected = (log_ratios(lm, rows, which) for which in ("chosen_ids", "rejected_ids"))
    margins = 0.5 * (chosen - rejected)
    step = run.info["best_step"]
    assert logged(run, "eval_loss")[step] == pytest.approx(
        -np.log(sigmoid(margins)).mean(), abs=1e-4
    )
    last = [row for row in TrainLog(run.path).rows() if row["step"] == step][-1]
    assert last["margin"] == pytest.approx(margins.mean(), abs=1e-3)
    assert last["preference_accuracy"] == (margins > 0).mean()
    assert last["chosen_reward"] == pytest.approx(0.5 * chosen.mean(), abs=1e-3)


def test_an_untouched_policy_has_no_preference(tuned: tuple[LanguageModel, Run]) -> None:
    _, run = tuned
    assert logged(run)[1] == pytest.approx(np.log(2), abs=1e-6)
    assert logged(run, "eval_loss")[0] == pytest.approx(np.log(2), abs=1e-6)


def test_the_chosen_response_becomes_likelier_and_the_other_less(
    tuned: tuple[LanguageModel, Run],
) -> None:
    lm, _ = tuned
    for pairs in (DATA.train, DATA.validation):
        assert (log_ratios(lm, rows_of(lm, pairs), "chosen_ids") > 0.5).all()
        assert (log_ratios(lm, rows_of(lm, pairs), "rejected_ids") < -0.5).all()


def test_the_kto_loss_is_that_of_equations_7_and_8(tmp_path: Path) -> None:
    from detoxlab.methods.preference.train import response_columns

    base = save_tiny(tmp_path / "base")
    settings = {"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.5, "seed": 3}
    run = trained("kto", tmp_path / "run", load_model(base), batch_size=8, **settings)
    lm = load_model(run.path)
    columns = response_columns(rows_of(lm, DATA.validation), seed=3)
    prompts = [tuple(ids) for ids in columns["prompt_ids"]]

    def ratios(name: str) -> NDArray[np.float64]:
        responses = [tuple(ids) for ids in columns[name]]
        policy = log_probs(lm, prompts, responses)
        with lm.as_base():
            return policy - log_probs(lm, prompts, responses)

    z = max(ratios("KL_completion_ids").mean(), 0.0)
    values = 0.3 * (ratios("completion_ids") - z)
    is_chosen = np.array(columns["label"])
    losses = np.where(is_chosen, 1.5 * (1 - sigmoid(values)), 0.5 * (1 - sigmoid(-values)))
    step = run.info["best_step"]
    assert logged(run, "eval_loss")[step] == pytest.approx(losses.mean(), abs=1e-4)


def test_kto_joins_no_prompt_with_its_own_response_and_keeps_every_row() -> None:
    from detoxlab.methods.preference.train import response_columns

    rows = [PairRow(str(i), (i,), (10 + i,), (20 + i,)) for i in range(5)]
    columns = response_columns(rows, seed=0)
    examples = zip(*columns.values(), strict=True)
    for (prompt,), (response,), (joined,), is_chosen in examples:
        assert response == prompt + (10 if is_chosen else 20)
        assert joined != response
    assert sorted(columns["KL_completion_ids"]) == sorted(columns["completion_ids"])
    assert sum(columns["label"]) == 5


def test_likelihood_weight_adds_the_nats_per_token_of_the_chosen(tmp_path: Path) -> None:
    lm = tiny_lm()
    run = trained("dpo", tmp_path / "run", lm, batch_size=16, max_steps=1, likelihood_weight=0.5)
    rows = rows_of(lm)
    nats = -log_probs(lm, [row.prompt_ids for row in rows], [row.chosen_ids for row in rows])
    per_token = nats.sum() / sum(len(row.chosen_ids) for row in rows)
    assert logged(run)[1] == pytest.approx(np.log(2) + 0.5 * per_token, abs=1e-4)


# --- one copy of the base ---


@pytest.mark.parametrize("name", ["dpo", "kto"])
def test_the_reference_is_the_adapter_switched_off(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detoxlab.methods.preference import train as training

    kind = training.PairTrainer if name == "dpo" else training.ResponseTrainer
    lm, train, seen = tiny_lm(seed=7), kind.train, dict[str, Any]()  # no other test's weights

    def looked_at(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = train(self, *args, **kwargs)
        seen["reference"] = self.ref_model
        seen["policy"] = storages(self.model.parameters())
        embedding = lm.model.get_input_embeddings().weight
        alive = [one for one in gc.get_objects() if isinstance(one, torch.nn.Parameter)]
        copies = [p for p in alive if p.shape == embedding.shape and torch.equal(p, embedding)]
        seen["embeddings"] = storages(copies)
        return result

    base = storages(lm.model.parameters())
    monkeypatch.setattr(kind, "train", looked_at)
    trained(name, tmp_path / "run", lm, max_steps=2)
    assert seen["reference"] is None
    assert len(seen["embeddings"]) == 1
    assert seen["policy"] >= base
    assert len(seen["policy"] - base) == 2 * 2 * 7  # A and B of seven linear layers in two blocks


def storages(parameters: Iterable[torch.nn.Parameter]) -> set[int]:
    """Where the parameters lie in memory."""
    return {one.untyped_storage().data_ptr() for one in parameters}


@pytest.mark.parametrize("name", METHODS)
def test_the_model_is_given_back_with_its_dropout(name: str, tmp_path: Path) -> None:
    lm = tiny_lm()
    lm.model.model.dropout = torch.nn.Dropout(0.25)
    before, attributes = lm.model.config.to_json_string(), set(vars(lm.model))
    trained(name, tmp_path / "run", lm, max_steps=1)
    assert lm.model.model.dropout.p == 0.25
    assert (lm.model.config.to_json_string(), set(vars(lm.model))) == (before, attributes)


# --- stopping, resuming, failing ---


def interrupted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: int, name: str, **settings: Any
) -> Run:
    with interrupting(monkeypatch, step):
        trained(name, folder, **settings)
    return Run.open(folder)


@pytest.mark.parametrize("name", METHODS)
def test_an_interrupted_run_goes_on_as_if_never_interrupted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(name, tmp_path / "whole", epochs=2)
    run = interrupted(tmp_path / "run", monkeypatch, 3, name, epochs=2)
    trained(name, run.path, epochs=2)
    for key in ("loss", "eval_loss", "tokens", "margin", "kl_per_response"):
        assert logged(run, key) == logged(whole, key)
    adapters = [r.path / "adapter" / "adapter_model.safetensors" for r in (run, whole)]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()


def test_other_pairs_can_not_resume_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = interrupted(tmp_path / "run", monkeypatch, 2, "dpo", epochs=2)
    with pytest.raises(RunMismatchError, match="not those that this training began with"):
        fitted("dpo", run.path, PairSplit(DATA.train[1:]), epochs=2)


def test_left_out_pairs_are_counted_and_listed(tmp_path: Path) -> None:
    bad = [pair(90, "a", "a"), pair(91, "x" * 300)]
    data = PairSplit([*DATA.train, *bad], (), [("row 3", "odd roles")])
    info = fitted("dpo", tmp_path / "run", data, max_steps=1).info
    assert (info["train_pairs"], info["rejected_pairs"]) == (16, 3)
    lines = (tmp_path / "run" / "rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["row 3", "p90", "p91"]
    assert "xxx" not in lines[2]


def test_an_adapter_on_the_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"lm_head cannot have an adapter.*Leave it out"):
        trained("dpo", tmp_path / "run", target_modules=("q_proj", "lm_head"))


def test_no_pair_left_is_an_error_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no pair to learn from: 1 .*the same tokens"):
        fitted("dpo", tmp_path / "run", PairSplit([pair(1, "a", "a")]))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("dpo", {"draws": {"k": 1}}, r"draws\.k is 1: a pair needs at least 2"),
        ("dpo", {"lora_dropout": 0.1}, "lora_dropout"),
        ("dpo", {"loss": "exo"}, "loss: Input should be"),
        ("kto", {"batch_size": 1}, "batch_size: Input should be greater than or equal to 2"),
        ("kto", {"reward": {"scorer": "a"}}, "unknown key 'reward.scorer'. Did you mean 'scorers'"),
    ],
)
def test_a_wrong_setting_is_named(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_method(name, settings)


# --- what must not change unnoticed ---


GOLDEN = {
    "dpo": "0.6931 0.6931 0.3729 0.1070 0.0398 0.0242 0.0119 0.0137 0.0066 0.0049 "
    "0.0055 0.0046 0.0034 0.0026 0.0034 0.0026 0.0023 0.0024 0.0024 0.0020",
    "kto": "0.5000 0.5000 0.3966 0.2882 0.2021 0.2468 0.1153 0.0945 0.0783 0.0809 "
    "0.0555 0.0510 0.0469 0.1442 0.0435 0.0368 0.0366 0.0371 0.0345 0.0285",
    "simpo": "0.6332 0.8604 0.3394 0.0795 0.0178 0.0139 0.0049 0.0067 0.0032 0.0023 "
    "0.0023 0.0022 0.0013 0.0015 0.0018 0.0010 0.0009 0.0013 0.0011 0.0008",
}


@pytest.mark.parametrize("name", METHODS)
def test_twenty_losses_are_as_they_always_were(name: str, tmp_path: Path) -> None:
    run = trained(name, tmp_path / "run", epochs=9, max_steps=20, save_steps=20, learning_rate=3e-3)
    expected = [float(loss) for loss in GOLDEN[name].split()]
    # Processors differ in the last bits, which twenty steps of Adam may widen.
    assert list(logged(run).values()) == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("name", METHODS)
def test_zero_steps_change_nothing(name: str, tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    run = trained(name, tmp_path / "run", load_model(base), max_steps=0)
    tuned, plain = load_model(run.path), load_model(base)
    ids = torch.tensor([plain.prompt_ids("you fool", chat=True)])
    assert torch.equal(tuned.model(ids).logits, plain.model(ids).logits)
    assert (run.info["steps"], logged(run)) == (0, {})


# --- from the command line's settings ---


def test_given_pairs_train_on_no_scorer_and_are_described(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"you fool {i}", "chosen": "kind", "rejected": "no"} for i in range(10)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = TrainSettings(
        method="dpo",
        model=str(save_tiny(tmp_path / "base")),
        pairs=PairSettings(source=str(file), validation=0.2),
        config={"max_steps": 1, "lora_r": 4},
    )
    assert "8 pairs, 2 for validation, 0 left out" in plan(settings)
    info = train_model(settings, tmp_path / "run").info
    assert (info["train_pairs"], info["validation_pairs"], info["train_scorers"]) == (8, 2, [])
    assert info["pairs"]["files"][0]["name"] == "pairs.jsonl"


def test_who_ranks_own_responses_does_not_judge_and_pairs_need_no_one() -> None:
    dpo = load_method("dpo", {"reward": {"scorers": {"rtp-neural": 1}}})
    sampled = Learning(method="dpo", prompts=PromptSettings(source="embedded"))
    given = Learning(method="dpo", pairs=PairSettings(source="hh-rlhf"))
    assert training_scorers(sampled, dpo) == ("rtp-neural",)
    assert training_scorers(given, dpo) == ()
    with pytest.raises(ConfigError, match="dpo learns from prompts or pairs; given: dialogues"):
        training_scorers(Learning(method="dpo", dialogues=DialogueSettings(source="embedded")), dpo)
