"""Laws of SFT: the base stays as it is, losses repeat, a run that was cut off goes on the same."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from detoxlab.data.split import DialogueSplit
from detoxlab.errors import RunMismatchError, TrainingError
from detoxlab.methods.loop.log import TrainLog
from detoxlab.methods.rows.dialogue import IGNORED, row_builder
from detoxlab.models import LanguageModel, load_model, token_log_probs
from detoxlab.runs import Run
from tests.support.fine_tuned import DATA, trained
from tests.support.tiny import dialogue, dialogues, save_tiny, tiny_lm
from tests.support.training_runs import interrupting

pytestmark = pytest.mark.slow


def losses(run: Run, key: str = "loss") -> dict[int, float]:
    found = [(row["step"], row[key]) for row in TrainLog(run.path).rows() if key in row]
    assert len(dict(found)) == len(found), "a step is logged twice"
    return dict(found)


def adapter_bytes(run: Run) -> bytes:
    return (run.path / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs, twelve steps, never disturbed."""
    return trained(tmp_path_factory.mktemp("sft") / "whole", epochs=2)


# --- what it leaves ---


def test_it_learns_and_its_record_is_complete(whole: Run) -> None:
    rows = losses(whole)
    assert list(rows) == list(range(1, 13))
    assert rows[12] < rows[1] - 0.5
    info = whole.info
    assert (info["steps"], info["planned_steps"], info["stopped_early"]) == (12, 12, False)
    assert (info["base_model"], info["base_model_id"]) == ("tiny", "tiny@00000000")
    assert (info["train_dialogues"], info["validation_dialogues"]) == (24, 6)
    validation = losses(whole, "eval_loss")
    assert list(validation) == [0, 4, 8, 12]
    assert info["best_eval_loss"] == min(validation.values()) == validation[info["best_step"]]
    assert not (whole.path / "checkpoints").exists()
    files = sorted(path.name for path in (whole.path / "adapter").iterdir())
    assert files == ["adapter_config.json", "adapter_model.safetensors"]


def test_the_log_counts_tokens_and_time(whole: Run) -> None:
    rows = TrainLog(whole.path).rows()
    lm = tiny_lm()
    builder = row_builder(lm, chat=True, targets="last", max_length=256)
    per_epoch = sum(len(builder.build(d).input_ids) for d in DATA.train)
    assert rows[-1]["tokens"] == 2 * per_epoch
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)
    assert rows[1].keys() >= {"learning_rate", "grad_norm", "tokens_per_second", "entropy"}


def test_the_model_is_given_back_as_it_was(tmp_path: Path) -> None:
    lm = tiny_lm()
    lm.tokenizer.bos_token = "<|user|>"  # the trainer would write it into the model's config
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    attributes, config = set(vars(lm.model)), lm.model.config.to_json_string()
    generation = lm.model.generation_config.to_json_string()
    ids = torch.tensor([lm.prompt_ids("you fool", chat=True)])
    logits = lm.model(ids).logits
    random_state = torch.random.get_rng_state()
    trained(tmp_path / "run", lm, max_steps=2, gradient_checkpointing=True)
    after = lm.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert set(vars(lm.model)) == attributes
    assert lm.model.config.to_json_string() == config
    assert lm.model.generation_config.to_json_string() == generation
    assert all(p.requires_grad and p.grad is None for p in lm.model.parameters())
    assert not any(module.training for module in lm.model.modules())
    assert torch.equal(lm.model(ids).logits, logits)
    assert torch.equal(torch.random.get_rng_state(), random_state)


def test_a_train_run_loads_as_a_model_and_its_base_is_untouched(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    files = {path.name: path.read_bytes() for path in base.iterdir()}
    run = trained(tmp_path / "run", load_model(base), max_steps=4)
    assert {path.name: path.read_bytes() for path in base.iterdir()} == files
    lm = load_model(run.path)
    prompt, answer = lm.prompt_ids("you fool 7", chat=True), lm.tokenizer("say").input_ids
    tuned = token_log_probs(lm, [prompt], [answer])[0]
    with lm.as_base():
        untuned = token_log_probs(lm, [prompt], [answer])[0]
    assert tuned.sum() > untuned.sum() + 1


# --- what the loss is ---


def mean_nll(lm: LanguageModel, data: list[Any]) -> float:
    """Nats per learnt token, from the log-probabilities that measuring uses."""
    builder = row_builder(lm, chat=True, targets="last", max_length=256)
    prompts, answers = [], []
    for item in data:
        row = builder.build(item)
        learnt = [label for label in row.labels if label != IGNORED]
        prompts.append(row.input_ids[: len(row.input_ids) - len(learnt)])
        answers.append(learnt)
    values = token_log_probs(lm, prompts, answers)
    return -sum(float(v.sum()) for v in values) / sum(len(v) for v in values)


def test_the_first_loss_is_the_models_nll_of_the_answers(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", max_steps=1, batch_size=24, lora_dropout=0.0)
    assert losses(run)[1] == pytest.approx(mean_nll(tiny_lm(), list(DATA.train)), abs=1e-5)


def test_the_validation_loss_weighs_tokens_not_batches(tmp_path: Path) -> None:
    expected = mean_nll(tiny_lm(), list(DATA.validation))
    for size in (1, 4, 6):
        run = trained(tmp_path / str(size), max_steps=1, batch_size=size)
        assert losses(run, "eval_loss")[0] == pytest.approx(expected, abs=1e-5)


def test_accumulated_batches_are_one_batch(tmp_path: Path) -> None:
    settings = {"max_steps": 3, "lora_dropout": 0.0}
    once = trained(tmp_path / "once", batch_size=8, **settings)
    twice = trained(tmp_path / "twice", batch_size=4, gradient_accumulation=2, **settings)
    assert losses(twice) == pytest.approx(losses(once), abs=1e-5)


def test_zero_steps_change_nothing(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    for name, settings in [("epochs", {"epochs": 0}), ("steps", {"max_steps": 0})]:
        run = trained(tmp_path / name, load_model(base), **settings)
        tuned, plain = load_model(run.path), load_model(base)
        ids = torch.tensor([plain.prompt_ids("you fool", chat=True)])
        assert torch.equal(tuned.model(ids).logits, plain.model(ids).logits)
        assert (run.info["steps"], losses(run)) == (0, {})


def test_the_same_seed_gives_the_same_losses_and_another_one_others(
    tmp_path: Path, whole: Run
) -> None:
    again = trained(tmp_path / "again", epochs=2)
    other = trained(tmp_path / "other", epochs=2, seed=1)
    assert losses(again) == losses(whole)
    assert adapter_bytes(again) == adapter_bytes(whole)
    assert losses(other) != losses(whole)


GOLDEN = [
    6.458,
    6.3377,
    5.5439,
    4.8702,
    4.3706,
    4.1474,
    3.7921,
    3.4339,
    3.2425,
    3.162,
    2.9977,
    2.986,
    2.7111,
    2.5158,
    3.0289,
    2.1771,
    2.2522,
    2.5969,
    2.5416,
    2.3789,
]


def test_twenty_losses_are_as_they_always_were(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", epochs=9, max_steps=20, save_steps=20)
    # Processors differ in the last bits, which twenty steps of Adam may widen.
    assert list(losses(run).values()) == pytest.approx(GOLDEN, abs=5e-3)


# --- stopping, resuming, failing ---


def interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch, step: int, **settings: Any) -> Run:
    with interrupting(monkeypatch, step):
        trained(folder, epochs=2, **settings)
    return Run.open(folder)


@pytest.mark.parametrize("step", [2, 4, 6, 7])
def test_an_interrupted_run_goes_on_as_if_never_interrupted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    whole: Run,
    step: int,
) -> None:
    run = interrupted(tmp_path / "run", monkeypatch, step)
    assert run.info["status"] == "interrupted"
    assert "the checkpoint is saved; go on with --resume" in capsys.readouterr().err
    assert max(losses(run)) in (step, step + 1)
    trained(run.path, epochs=2)
    assert losses(run) == losses(whole)
    assert losses(run, "eval_loss") == losses(whole, "eval_loss")
    assert adapter_bytes(run) == adapter_bytes(whole)
    tokens = [row["tokens"] for row in TrainLog(run.path).rows()]
    assert tokens == [row["tokens"] for row in TrainLog(whole.path).rows()]


def test_batches_of_like_length_are_the_same_when_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 8 is in the second pass, whose order is another one."""
    grouped = trained(tmp_path / "whole", epochs=2, group_by_length=True)
    run = interrupted(tmp_path / "run", monkeypatch, 8, group_by_length=True)
    trained(run.path, epochs=2, group_by_length=True)
    assert losses(run) == losses(grouped)
    assert adapter_bytes(run) == adapter_bytes(grouped)


@pytest.mark.parametrize("damage", ["no state", "half a state", "no optimizer"])
def test_a_half_written_checkpoint_is_not_resumed_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Run, damage: str
) -> None:
    run = interrupted(tmp_path / "run", monkeypatch, 6)
    newest = max((run.path / "checkpoints").iterdir(), key=lambda p: int(p.name.split("-")[1]))
    state = newest / "trainer_state.json"
    if damage == "half a state":
        state.write_text(state.read_text()[:100])
    else:
        (state if damage == "no state" else newest / "optimizer.pt").unlink()
    trained(run.path, epochs=2)
    assert losses(run) == losses(whole)
    assert adapter_bytes(run) == adapter_bytes(whole)


@pytest.mark.parametrize("part", ["weights", "optimizer"])
def test_a_full_disk_stops_with_a_remedy_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Run, part: str
) -> None:
    from detoxlab.methods.imitation.train import Trainer

    def full(self: Any, *_: Any, **__: Any) -> None:
        if self.state.global_step == 8:
            raise (SafetensorError if part == "weights" else RuntimeError)("No space left")

    name = "_save" if part == "weights" else "_save_optimizer_and_scheduler"
    save = getattr(Trainer, name)
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, name, lambda self, *a, **k: full(self) or save(self, *a, **k))
        with pytest.raises(TrainingError, match=r"step 8 cannot be written.*Make room"):
            trained(tmp_path / "run", epochs=2)
    run = trained(tmp_path / "run", epochs=2)
    assert losses(run) == losses(whole)


def test_a_finished_run_is_not_trained_again(whole: Run, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "copy")
    before = adapter_bytes(whole)
    run = trained(tmp_path / "copy", epochs=2)
    assert adapter_bytes(run) == before
    assert losses(run) == losses(whole)


def test_other_dialogues_can_not_resume_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = interrupted(tmp_path / "run", monkeypatch, 2)
    with pytest.raises(RunMismatchError, match="not those that this training began with"):
        trained(run.path, data=DialogueSplit(dialogues(23)), epochs=2)


def test_patience_stops_and_the_best_adapter_is_kept(tmp_path: Path) -> None:
    opposite = [dialogue(d.turns[0].text, "####", name=f"v{i}") for i, d in enumerate(DATA.train)]
    run = trained(
        tmp_path / "run",
        data=DialogueSplit(DATA.train, opposite[:6]),
        epochs=50,
        save_steps=1,
        patience=3,
    )
    info, validation = run.info, losses(run, "eval_loss")
    assert info["stopped_early"]
    assert info["steps"] < info["planned_steps"]
    assert info["steps"] - info["best_step"] == 3
    assert info["best_eval_loss"] == min(loss for step, loss in validation.items() if step)
    shorter = trained(
        tmp_path / "short",
        data=DialogueSplit(DATA.train, opposite[:6]),
        epochs=50,
        max_steps=None,
        save_steps=1,
        patience=2,
    )
    assert adapter_bytes(shorter) == adapter_bytes(run)


def test_without_validation_data_the_last_step_counts(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", data=DialogueSplit(DATA.train), max_steps=5)
    assert (run.info["best_step"], run.info["best_eval_loss"]) == (5, None)
    assert losses(run, "eval_loss") == {}


def test_a_loss_that_is_no_number_stops_and_the_last_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Run
) -> None:
    from detoxlab.methods.imitation.train import Trainer

    compute_loss = Trainer.compute_loss

    def nan_in_step_7(self: Any, *args: Any, **kwargs: Any) -> Any:
        return compute_loss(self, *args, **kwargs) * (
            math.nan if self.state.global_step == 6 else 1.0
        )

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "compute_loss", nan_in_step_7)
        with pytest.raises(TrainingError, match=r"loss is nan at step 7.*learning_rate below 0.01"):
            trained(tmp_path / "run", epochs=2)
    run = Run.open(tmp_path / "run")
    assert run.info["status"] == "failed"
    assert TrainLog(run.path).rows()[-1]["loss"] is None
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["checkpoint-4"]
    trained(run.path, epochs=2)
    assert losses(run) == losses(whole)


def test_a_learning_rate_far_too_high_is_noticed(tmp_path: Path) -> None:
    lm = tiny_lm()
    with pytest.raises(TrainingError, match=r"is (nan|inf) at step \d+.*below 1e\+30"):
        trained(tmp_path / "run", lm, learning_rate=1e30, warmup_ratio=0.0)
    assert all(torch.isfinite(p).all() for p in lm.model.parameters())


def test_bfloat16_learns_too_and_gives_the_model_back(tmp_path: Path) -> None:
    lm = tiny_lm()
    attributes = set(vars(lm.model))
    run = trained(tmp_path / "run", lm, bf16=True, epochs=2)
    assert losses(run)[12] < losses(run)[1] - 0.5
    assert set(vars(lm.model)) == attributes
    assert lm.dtype is torch.float32


# --- refusing ---


def test_rejected_dialogues_are_recorded_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [dialogue("hello", name="no-answer"), dialogue("hello", "x" * 300, name="too-long")]
    data = DialogueSplit([*DATA.train, *bad], DATA.validation, [("row 3", "odd roles")])
    run = trained(tmp_path / "run", data=data, max_steps=1)
    assert (run.info["rejected_dialogues"], run.info["train_dialogues"]) == (3, 24)
    lines = (run.path / "rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["row 3", "no-answer", "too-long"]
    assert "does not fit max_length 256" in lines[2]
    assert "xxx" not in lines[2]
    assert "3 dialogues left out" in capsys.readouterr().err


def test_no_dialogue_left_is_an_error_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"1 were left out \(it does not end"):
        trained(tmp_path / "run", data=DialogueSplit([dialogue("hello")]))


def test_a_model_that_carries_an_adapter_is_refused(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    run = trained(tmp_path / "run", load_model(base), max_steps=0)
    with pytest.raises(TrainingError, match="already carries an adapter"):
        trained(tmp_path / "again", load_model(run.path), max_steps=0)
