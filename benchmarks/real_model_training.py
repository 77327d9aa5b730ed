"""The trainings of `real_model.py`: ours, plain loops on the same batches, TRL by default."""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from plain_loops import Batch, Steps, plain_dpo, plain_ppo, plain_sft
from real_model_sides import rtp_prompts, same
from transformers import TrainerCallback
from trl import DPOConfig as TrlDPOConfig
from trl import DPOTrainer, SFTTrainer
from trl import SFTConfig as TrlSFTConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference

from detoxlab.data import load_dialogues
from detoxlab.data.split import DialogueSplit, PairSplit
from detoxlab.internals.trl import DataCollatorForLanguageModeling, OwnRows, WithoutTelemetry
from detoxlab.methods.feedback.reward import Reward
from detoxlab.methods.imitation import train as imitation
from detoxlab.methods.imitation.sft import SFTConfig, fit_sft
from detoxlab.methods.loop import run as loop
from detoxlab.methods.loop.adapters import lora_config
from detoxlab.methods.loop.borrowed import borrowed_model, quiet_libraries
from detoxlab.methods.loop.samples import SampleLog
from detoxlab.methods.loop.trainer import FlowCallback
from detoxlab.methods.ppo import train as ppo_training
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.methods.preference import train as preference
from detoxlab.methods.preference.dpo import DPOConfig, fit_dpo
from detoxlab.methods.rows.dialogue import row_columns
from detoxlab.models import LanguageModel
from detoxlab.records import Dialogue, Preference, Prompt
from detoxlab.runs import Run

NEW_TOKENS = 20


# --- data and parts ---


def dialogues(data: Path, count: int) -> list[Dialogue]:
    """Short exchanges and long dialogues of both CONANs, in turn."""
    long = load_dialogues("dialoconan", path=data / "conan", limit=count // 2).dialogues
    short = load_dialogues("multitarget-conan", path=data / "conan", limit=count // 2).dialogues
    return [one for pair in zip(long, short, strict=True) for one in pair]


def pairs(data: Path, count: int) -> list[Preference]:
    """The counter-narrative against that of another dialogue."""
    given = dialogues(data, count)
    others = [*given[1:], given[0]]
    return [
        Preference(one.id, one.turns[:-1], one.turns[-1].text, other.turns[-1].text, one.source)
        for one, other in zip(given, others, strict=True)
    ]


def report(found: dict[str, list[Steps]], bars: Sequence[tuple[str, str, float]]) -> None:
    """Tokens per second of each way, and (ours, theirs, bar) as ratios: higher is better."""
    rates = {name: [one.tokens_per_second for one in rounds] for name, rounds in found.items()}
    for name, values in rates.items():
        print(f"  {name:42s} {statistics.median(values):8.1f} tokens/s")
    for ours, theirs, bar in bars:
        ratios = [a / b for a, b in zip(rates[ours], rates[theirs], strict=True)]
        listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"  {ours} / {theirs}: {statistics.median(ratios):.2f} x ({listed}; bar {bar} x)")
    sys.stdout.flush()


def fixed_data(
    lm: LanguageModel,
    options: argparse.Namespace,
    config: Any,
    data: Sequence[Any],
    ours: Callable[..., Steps],
    plain: Callable[..., Steps],
    trl: Callable[..., Steps],
) -> None:
    """A method that learns from rows: ours, ours grouped, plain on our batches, and TRL."""
    grouped = config.model_copy(update={"group_by_length": True})
    names = ("ours", "plain loop, same batches", "ours, rows of like length", "TRL, its defaults")
    found: dict[str, list[Steps]] = {name: [] for name in names}
    for number in range(options.rounds):
        found[names[0]].append(ours(lm, data, config))
        found[names[1]].append(plain(lm, found[names[0]][-1].batches, config))
        found[names[2]].append(ours(lm, data, grouped))
        if number == 0:
            first = [found[name][0].first_loss for name in names[:2]]
            same(*first, 1e-3, "first loss")
        if number < options.trl_rounds:
            found[names[3]].append(trl(lm, data, config, options.steps))
    found[names[3]] += found[names[3]][-1:] * (options.rounds - len(found[names[3]]))
    report(found, [(names[0], names[1], 1.0), (names[2], names[1], 1.0), (names[2], names[3], 1.5)])


def sft(lm: LanguageModel, options: argparse.Namespace) -> None:
    config = SFTConfig(max_steps=options.steps, batch_size=8, save_steps=1000)
    data = dialogues(options.data, 400)
    fixed_data(lm, options, config, data, our_sft, plain_sft, trl_sft)


def dpo(lm: LanguageModel, options: argparse.Namespace) -> None:
    config = DPOConfig(max_steps=options.steps, batch_size=4, save_steps=1000)
    data = pairs(options.data, 400)
    fixed_data(lm, options, config, data, our_dpo, plain_dpo, trl_dpo)


def ppo(lm: LanguageModel, options: argparse.Namespace) -> None:
    settings = {"prompts": 16, "k": 2, "max_new_tokens": NEW_TOKENS}
    config = PPOConfig.model_validate({"chat": False, "rollout": settings, "batch_size": 16})
    prompts = rtp_prompts(options.data, 64)
    found: dict[str, list[Steps]] = {"ours": [], "plain loop, same responses": []}
    for number in range(options.rounds):
        ours = our_ppo(lm, prompts, config, options.steps)
        plain = plain_ppo(lm, ours.batches, config)
        if number == 0:
            same(ours.first_loss, plain.first_loss, 1e-3, "nats per token under the reference")
        found["ours"].append(ours)
        found["plain loop, same responses"].append(plain)
    report(found, [("ours", "plain loop, same responses", 1.0)])


class StepClock(TrainerCallback):
    """Times the steps of a trainer of transformers, or of one that looks like it."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def on_step_begin(self, *_args: Any, **_kwargs: Any) -> None:
        self.began = time.process_time()

    def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
        self.steps.seconds.append(time.process_time() - self.began)


# --- ours ---


@contextlib.contextmanager
def watched(module: Any, trainer: str) -> Iterator[Steps]:
    """Times the steps of the trainings within, and keeps the batches of the trainer's class."""
    steps = Steps()

    class TimedFlow(FlowCallback):
        def on_step_begin(self, *_args: Any, **_kwargs: Any) -> None:
            self.began = time.process_time()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            steps.seconds.append(time.process_time() - self.began)
            super().on_step_end(*args, **kwargs)

    class Recording(getattr(module, trainer)):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Batch, *args: Any, **kwargs: Any) -> Any:
            steps.batches.append({key: value.clone() for key, value in inputs.items()})
            steps.tokens.append(int(inputs["attention_mask"].sum()))
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            steps.note_loss(loss.item())
            return loss

    before, flow = getattr(module, trainer), loop.FlowCallback
    setattr(module, trainer, Recording)
    loop.FlowCallback = TimedFlow  # type: ignore[misc]
    try:
        yield steps
    finally:
        setattr(module, trainer, before)
        loop.FlowCallback = flow  # type: ignore[misc]


@contextlib.contextmanager
def new_run() -> Iterator[Run]:
    """A run in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield Run.start(Path(folder) / "run", kind="train", config={})


def our_sft(lm: LanguageModel, dialogues: Sequence[Dialogue], config: SFTConfig) -> Steps:
    with watched(imitation, "Trainer") as steps, new_run() as run:
        fit_sft(config, lm, DialogueSplit(dialogues), run)
    return steps


def our_dpo(lm: LanguageModel, pairs: Sequence[Preference], config: DPOConfig) -> Steps:
    with watched(preference, "PairTrainer") as steps, new_run() as run:
        fit_dpo(config, lm, PairSplit(pairs), run)
    return steps


def our_ppo(lm: LanguageModel, prompts: Sequence[Prompt], config: PPOConfig, count: int) -> Steps:
    """Whole steps, drawing included; the batches are the responses and their rewards."""
    steps = Steps()
    gather = ppo_training.gather_experience

    def keep(policy: Any, responses: Any, rewards_N: Any, *args: Any) -> Any:
        experience = gather(policy, responses, rewards_N, *args)
        steps.batches.append({"responses": responses, "rewards_N": rewards_N})
        steps.note_loss(float(experience.reference_NT[experience.mask_NT].mean()))
        return experience

    ppo_training.gather_experience = keep
    try:
        with tempfile.TemporaryDirectory() as folder, quiet_libraries(), borrowed_model(lm):
            trainer = ppo_training.PPOTrainer(
                config, lm, prompts, Reward(config.reward, asked=prompts),
                steps=count, folder=Path(folder), samples=SampleLog(Path(folder)),
            )  # fmt: skip
            for _ in range(count):
                before = trainer.tokens
                with steps.step(0):
                    trainer.step()
                steps.tokens[-1] = trainer.tokens - before
    finally:
        ppo_training.gather_experience = gather
    return steps


# --- TRL with its defaults ---


class TrlSFT(WithoutTelemetry, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer."""


class TrlDPO(WithoutTelemetry, OwnRows, DPOTrainer):  # type: ignore[misc]
    """DPOTrainer on rows that are token ids already."""


def trl_arguments(kind: Callable[..., Any], folder: str, steps: int, **more: Any) -> Any:
    """TRL's defaults, and that nothing is saved or shown."""
    return kind(
        output_dir=folder, max_steps=steps, save_strategy="no", report_to="none",
        disable_tqdm=True, use_cpu=True, **more,
    )  # fmt: skip


def trl_sft(
    lm: LanguageModel, dialogues: Sequence[Dialogue], config: SFTConfig, count: int
) -> Steps:
    rows = imitation.dialogue_rows(config, lm, DialogueSplit(dialogues)).train
    steps = Steps()
    with tempfile.TemporaryDirectory() as folder, quiet_libraries(), borrowed_model(lm):
        prepared = {"skip_prepare_dataset": True}
        trainer = TrlSFT(
            model=lm.model,
            args=trl_arguments(TrlSFTConfig, folder, count, dataset_kwargs=prepared),
            processing_class=lm.tokenizer,
            data_collator=DataCollatorForLanguageModeling(pad_token_id=lm.pad_id),
            train_dataset=Dataset.from_dict(row_columns(rows)).remove_columns("number"),
            peft_config=lora_config(config, lm.model),
        )
        run_trl(trainer, steps)
    return steps


def trl_dpo(lm: LanguageModel, pairs: Sequence[Preference], config: DPOConfig, count: int) -> Steps:
    steps = Steps()
    with tempfile.TemporaryDirectory() as folder, quiet_libraries(), borrowed_model(lm):
        trainer = TrlDPO(
            model=lm.model,
            args=trl_arguments(TrlDPOConfig, folder, count),
            processing_class=lm.tokenizer,
            train_dataset=Dataset.from_dict(pair_columns(lm, pairs, config)),
            peft_config=lora_config(config, lm.model),
        )
        run_trl(trainer, steps)
    return steps


def run_trl(trainer: Any, steps: Steps) -> None:
    """Train, timing the steps and counting the tokens of each."""
    trainer.add_callback(StepClock(steps))
    compute_loss = trainer.compute_loss

    def counting(model: Any, inputs: Batch, *args: Any, **kwargs: Any) -> Any:
        steps.tokens.append(int(inputs["attention_mask"].sum()))
        loss = compute_loss(model, inputs, *args, **kwargs)
        steps.note_loss(loss.item())
        return loss

    trainer.compute_loss = counting
    trainer.train()


def batches(lm: LanguageModel, dialogues: Sequence[Dialogue]) -> list[Batch]:
    """One batch of the dialogues, as ours are collated."""
    rows = imitation.dialogue_rows(SFTConfig(), lm, DialogueSplit(dialogues)).train
    collate = DataCollatorForLanguageModeling(pad_token_id=lm.pad_id)
    return [collate([{"input_ids": list(r.input_ids), "labels": list(r.labels)} for r in rows])]


def pair_columns(
    lm: LanguageModel, pairs: Sequence[Preference], config: DPOConfig
) -> dict[str, list[Any]]:
    """Our rows of the pairs, as TRL's trainer reads them."""
    builder = preference.pair_builder(lm, chat=config.chat, max_length=config.max_length)
    return preference.pair_columns(preference.build_pairs(builder, pairs)[0])


def pair_batches(lm: LanguageModel, pairs: Sequence[Preference]) -> list[Batch]:
    """One batch of the pairs, as ours are collated."""
    columns = pair_columns(lm, pairs, DPOConfig())
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [DataCollatorForPreference(pad_token_id=lm.pad_id)(rows)]
