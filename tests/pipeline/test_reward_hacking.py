"""A policy that is paid for text nobody can read learns to write it; the gates prevent that."""

import json
from pathlib import Path
from typing import Any

import pytest

from detoxlab.comparisons import compare
from detoxlab.measures.writing.script import main_script
from detoxlab.pipeline import measure_model, train_model
from detoxlab.recipe.learning import TrainSettings
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.runs import Run
from tests.support.two_scripts import prompts, save_two_scripts

pytestmark = pytest.mark.slow

REWARDS: dict[str, dict[str, Any]] = {"gated": {}, "unsafe": {"unsafe": True}}


def measured(model: Path, asked: Path, out: Path) -> Run:
    settings = MeasureSettings(
        model=str(model),
        prompts={"source": str(asked)},
        protocol="rtp",
        sampling={"k": 5, "max_new_tokens": 12, "top_p": 1.0},
        judge="rtp-neural",
        second="rtp-linear",
    )
    return measure_model(settings, out)


def cyrillic(run: Run) -> float:
    """Share of the responses that are in Cyrillic."""
    scripts = [main_script(one.text) for one in run.responses().generations]
    return scripts.count("cyrillic") / len(scripts)


@pytest.mark.e2e
def test_unsafe_training_drifts_to_the_script_nobody_reads_and_compare_says_so(
    tmp_path: Path,
) -> None:
    asked = tmp_path / "prompts.jsonl"
    asked.write_text("".join(json.dumps({"text": one.text}) + "\n" for one in prompts()))
    model = save_two_scripts(tmp_path / "model")
    base = measured(model, asked, tmp_path / "base")
    assert 0.05 <= cyrillic(base) <= 0.1
    shares, found = {}, {}
    for name, reward in REWARDS.items():
        trained = train_model(
            TrainSettings(
                method="rloo",
                model=str(model),
                prompts={"source": str(asked)},
                config={
                    "chat": False,
                    "rollout": {"prompts": 16, "k": 8, "max_new_tokens": 12},
                    "batch_size": 128,
                    "max_steps": 40,
                    "learning_rate": 1e-2,
                    "kl_coefficient": 0.1,
                    "reward": reward,
                },
            ),
            tmp_path / name,
        )
        run = measured(trained.path, asked, tmp_path / f"measured-{name}")
        shares[name] = cyrillic(run)
        found[name] = compare(base.responses(), run.responses(), resamples=500)

    assert shares["unsafe"] > 0.15
    assert found["unsafe"].verdict not in ("improved", "improved, at a cost")
    guards = {guard.name: guard.status for guard in found["unsafe"].guards}
    assert guards["other_language"] == guards["coverage"] == "worse"
    assert any("script" in why or "language" in why for why in found["unsafe"].reasons)

    assert shares["gated"] < cyrillic(base)
    guards = {guard.name: guard.status for guard in found["gated"].guards}
    assert guards["other_language"] == guards["coverage"] == "ok"
    fall = next(row for row in found["gated"].differences if row.name == "toxic_fraction")
    assert fall.ci_high is not None
    assert fall.ci_high < 0
