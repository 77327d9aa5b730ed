"""Anchors and schedules in trainings, held to what they converge to on a model of six tokens.

All responses can be listed, so shares and divergences are exact; only what a training draws is
random. The regulariser, its anchor and its heads are those that `Regularised.fit` makes.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from peft import PeftModel

from detoxlab.data.split import TextSplit
from detoxlab.methods.regularised import config as regularised_config
from detoxlab.models import LanguageModel
from detoxlab.records import Text
from detoxlab.runs import Run
from detoxlab.scorers import loading
from detoxlab.steering.nado import Nado
from detoxlab.subject import Subject
from tests.support.enumerated import (
    LENGTH,
    LETTERS,
    PROMPT,
    enumerated_lm,
    probabilities,
    responses,
)
from tests.support.training_runs import fitted

pytestmark = pytest.mark.slow

Probabilities = NDArray[np.float64]

LOUD = "b"
COMMON: dict[str, Any] = {
    "chat": False,
    "lora_r": 16,
    "lora_dropout": 0.0,
    "warmup_ratio": 0.0,
    "save_steps": 1000,
}
REGULARISED: dict[str, Any] = {
    "conditions": [{"scorer": "letters"}],
    "prompt_tokens": 1,
    "prompts": 1,
    "top_k": None,
    "head": {"steps": 200, "learning_rate": 2e-2, "weight_decay": 0.0, "tied": False},
}


def base_lm() -> LanguageModel:
    """One that writes `LOUD` in more than half of its responses."""
    return enumerated_lm(3)


class Letters:
    """Toxicity 0.9 for a text with the letter `LOUD`, 0.1 for any other one, an empty one too."""

    id = "letters@1"
    attributes = ("toxicity",)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([[0.9 if LOUD in text else 0.1] for text in texts]).reshape(-1, 1)

    def missing_reason(self, _text: str) -> str:
        return ""


@pytest.fixture(autouse=True)
def _letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loading.SCORERS, "letters", Letters)
    monkeypatch.setattr(loading, "UNCACHED", loading.UNCACHED | {"letters"})


def texts(bodies: Sequence[Sequence[str]]) -> TextSplit:
    """The prompt, and one of the bodies behind it."""
    made = [Text(f"t{i}", PROMPT.text + "".join(b), "test", "loud") for i, b in enumerate(bodies)]
    return TextSplit(made, [])


def kl(q: Probabilities, p: Probabilities) -> float:
    """KL(q || p) in nats."""
    return float((q * np.log(q / p)).sum())


def learnt(run: Run) -> Probabilities:
    """Of each of `responses()` under the policy that the run left."""
    lm = base_lm()
    return probabilities(
        replace(lm, model=PeftModel.from_pretrained(lm.model, run.path / "adapter"))
    )


def target(run: Run) -> Probabilities:
    """The base projected by the head that the run left."""
    lm = base_lm()
    context = lm.prompt_ids(PROMPT.text, chat=False)
    every = responses()
    subject = Subject(lm, (Nado.load(run.path),))
    log_probs = subject.token_log_probs([context] * len(every), every)
    return np.exp([one.astype(np.float64).sum() for one in log_probs])


def accepted_share(p: Probabilities) -> float:
    loud = LETTERS.index(LOUD) + 1
    return float(sum(x for x, r in zip(p, responses(), strict=True) if loud not in r))


BASE = probabilities(base_lm())


def trained(folder: Path, bodies: Sequence[Sequence[str]], method: str, **settings: Any) -> Run:
    return fitted(method, folder, texts(bodies), base_lm(), **(COMMON | settings))


# --- anchors ---


def on_the_regulariser_alone(folder: Path, anchor: str, steps: int) -> Run:
    """So large a weight leaves nothing to the data; one iteration does not refresh the head.

    The rate does not fall, so the shorter training is the beginning of the longer one.
    """
    settings = REGULARISED | {
        "domains": {"loud": {"weight": 1e6}},
        "draws": {"k": 512, "max_new_tokens": LENGTH},
        "sampled_rows": 8,
    }
    every = [*itertools.product(LETTERS, repeat=LENGTH - 1)]
    rates = {"learning_rate": 1e-2, "scheduler": "constant_with_warmup"}
    limits = {"anchor": anchor, "iterations": 1, "max_steps": steps, "epochs": 1e6}
    return trained(folder, every, "regularised", batch_size=25, **settings, **rates, **limits)


def test_a_snapshot_has_a_fixed_point(tmp_path: Path) -> None:
    """The base projected by the head, also after ten times the steps.

    What is left of the way, KL(q || policy), was .023 nats after 20 steps and .003 after 200,
    and KL to the base then .015 and .006 from its goal; `current` is nats away.
    """
    short, long = (on_the_regulariser_alone(tmp_path / str(n), "snapshot", n) for n in (20, 200))
    q = target(long)
    assert kl(q, BASE) > 0.5  # the head asks for something
    assert kl(learnt(short), BASE) == pytest.approx(kl(q, BASE), abs=0.05)
    assert kl(learnt(long), BASE) == pytest.approx(kl(q, BASE), abs=0.03)
    assert kl(q, learnt(long)) < 0.01


def test_the_policy_as_it_is_drifts_from_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the limit of steps of such an iteration, lifted here, is there for."""
    monkeypatch.setattr(regularised_config, "CURRENT_STEPS", 200)
    short, long = (on_the_regulariser_alone(tmp_path / str(n), "current", n) for n in (20, 200))
    moved, goal = [kl(learnt(run), BASE) for run in (short, long)], kl(target(long), BASE)
    assert moved[1] > moved[0] + 1 > goal + 2


# --- schedules ---

TEACHES = ["bb", "ab", "bc", "db", "be", "cb"]
STEPS = 40


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_sequential_and_parallel_end_near_each_other(tmp_path: Path, weight: float) -> None:
    """On loud data, after which SFT alone is accepted in 2 of 100 responses.

    Shares are exact. That of a run moves with what it draws: 30 to 60 of 1000 lay between the
    two at one seed.
    """
    common = {"batch_size": 6, "learning_rate": 1e-2, "max_steps": STEPS, "epochs": 1e6}
    settings = REGULARISED | {
        "domains": {"loud": {"weight": weight}},
        "draws": {"k": 512, "max_new_tokens": LENGTH},
        "iterations": 4,
    }
    plain = learnt(trained(tmp_path / "sft", TEACHES, "sft", **common))
    runs = [
        trained(tmp_path / s, TEACHES, "regularised", schedule=s, **settings, **common)
        for s in ("sequential", "parallel")
    ]
    one, two = map(learnt, runs)
    shares = [accepted_share(p) for p in (plain, one, two)]
    assert shares[1] == pytest.approx(shares[2], abs=0.1)
    assert min(shares[1:]) > shares[0] + 0.4
    apart = max(kl(one, two), kl(two, one))
    assert apart < min(kl(one, BASE), kl(two, BASE))
    assert apart < min(kl(one, plain), kl(two, plain)) / 5
    drawn = [[row["acceptance"] for row in records(run)] for run in runs]
    assert drawn[0][:2] == drawn[1][:2]  # the first iteration is sequential in both
    assert drawn[0][2] != drawn[1][2]  # the second is not: the schedules are not the same


def records(run: Run) -> list[dict[str, Any]]:
    """What each iteration of the run measured."""
    lines = (run.path / "iterations.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
