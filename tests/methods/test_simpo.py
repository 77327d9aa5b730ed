"""Laws of SimPO: its loss by hand and by differentiation, and what a training does with it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from detoxlab.data.settings import PairSettings
from detoxlab.methods.loop.log import TrainLog
from detoxlab.methods.preference.simpo import simpo_losses, simpo_rewards
from detoxlab.models import LanguageModel, load_model
from detoxlab.pipeline import train_model
from detoxlab.recipe.learning import TrainSettings
from detoxlab.runs import Run
from tests.support.preferences import DATA, log_probs, rows_of, trained
from tests.support.tiny import save_tiny
from tests.support.training_runs import logged

# Two pairs: nats and tokens of the chosen responses, then of the rejected ones.
NATS = torch.tensor([-3.0, -10.0, -8.0, -2.0], dtype=torch.float64)
TOKENS = torch.tensor([3, 5, 4, 1])


def losses(nats: torch.Tensor, beta: float, target_margin: float) -> torch.Tensor:
    chosen, rejected = simpo_rewards(nats, TOKENS, beta).chunk(2)
    return simpo_losses(chosen, rejected, target_margin)


def test_the_loss_of_two_pairs_by_hand() -> None:
    assert simpo_rewards(NATS, TOKENS, 2.0).tolist() == [-2.0, -4.0, -4.0, -4.0]
    by_hand = [np.log(1 + np.exp(-1.5)), np.log(1 + np.exp(0.5))]  # leads of 2 and 0, less .5
    assert losses(NATS, 2.0, 0.5).tolist() == pytest.approx(by_hand, abs=1e-12)


def test_of_equal_lengths_without_margin_it_is_dpo_from_an_indifferent_reference() -> None:
    nats, length = torch.tensor([-7.0, -4.0], dtype=torch.float64), 4
    chosen, rejected = simpo_rewards(nats, torch.tensor([length, length]), 2.0)
    dpo = -logsigmoid(2.0 / length * (nats[0] - nats[1]))
    assert float(simpo_losses(chosen, rejected, 0.0)) == pytest.approx(float(dpo), abs=1e-12)


def test_the_gradient_raises_the_chosen_and_lowers_the_rejected_by_token() -> None:
    nats = NATS.clone().requires_grad_()
    losses(nats, 2.0, 0.5).sum().backward()
    doubt = [1 / (1 + np.exp(1.5)), 1 / (1 + np.exp(-0.5))]  # sigmoid(margin - lead)
    slopes = [-2 / 3 * doubt[0], -2 / 5 * doubt[1], 2 / 4 * doubt[0], 2 / 1 * doubt[1]]
    assert nats.grad is not None
    assert nats.grad.tolist() == pytest.approx(slopes, abs=1e-12)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[LanguageModel, Run]:
    """A run of eight steps on a model that lies on the disk, and what it made."""
    folder = tmp_path_factory.mktemp("simpo")
    base = save_tiny(folder / "base")
    settings = {"epochs": 2, "beta": 2.5, "target_margin": 0.7}
    run = trained("simpo", folder / "run", load_model(base), **settings)
    return load_model(run.path), run


def rewards(lm: LanguageModel, which: str) -> np.ndarray:
    """Of the validation pairs' responses, from the log-probabilities that measuring uses."""
    rows = rows_of(lm, DATA.validation)
    prompts, responses = [row.prompt_ids for row in rows], [getattr(row, which) for row in rows]
    return 2.5 * log_probs(lm, prompts, responses) / [len(ids) for ids in responses]


def test_a_run_logs_the_loss_and_the_rewards_of_equations_4_and_6(
    tuned: tuple[LanguageModel, Run],
) -> None:
    lm, run = tuned
    chosen, rejected = rewards(lm, "chosen_ids"), rewards(lm, "rejected_ids")
    lead = chosen - rejected
    step = run.info["best_step"]
    row = [row for row in TrainLog(run.path).rows() if row["step"] == step][-1]
    assert row["eval_loss"] == pytest.approx(np.log1p(np.exp(0.7 - lead)).mean(), abs=1e-4)
    assert row["chosen_reward"] == pytest.approx(chosen.mean(), abs=1e-3)
    assert row["rejected_reward"] == pytest.approx(rejected.mean(), abs=1e-3)
    assert row["margin"] == pytest.approx(lead.mean(), abs=1e-3)
    assert row["preference_accuracy"] == (lead > 0).mean()


def test_training_raises_the_margin_on_pairs_it_has_not_seen(
    tuned: tuple[LanguageModel, Run],
) -> None:
    lm, _ = tuned
    after = rewards(lm, "chosen_ids") - rewards(lm, "rejected_ids")
    with lm.as_base():
        before = rewards(lm, "chosen_ids") - rewards(lm, "rejected_ids")
    assert (after > before + 0.5).all()


def test_tokens_read_so_far_are_counted_without_padding(tuned: tuple[LanguageModel, Run]) -> None:
    lm, run = tuned
    rows = rows_of(lm)
    once = sum(2 * len(r.prompt_ids) + len(r.chosen_ids) + len(r.rejected_ids) for r in rows)
    assert max(logged(run, "tokens").values()) == 2 * once


def test_it_learns_from_a_file_of_pairs_and_asks_no_scorer(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"you fool {i}", "chosen": "kind", "rejected": "no"} for i in range(10)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = TrainSettings(
        method="simpo",
        model=str(save_tiny(tmp_path / "base")),
        pairs=PairSettings(source=str(file), validation=0.2),
        config={"max_steps": 1, "lora_r": 4},
    )
    info = train_model(settings, tmp_path / "run").info
    assert (info["method"], info["train_pairs"], info["train_scorers"]) == ("simpo", 8, [])
