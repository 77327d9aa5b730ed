"""A recipe of the repository on real data, as a user runs it."""

import json
from pathlib import Path

import pytest

from detoxlab.runs import Run
from tests.support.commands import comparison_in, detoxlab, fall

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.e2e


def test_let_the_models_respond_on_real_data(data_dir: Path, tmp_path: Path) -> None:
    """A small version of the recipe: fewer prompts and steps than the figures in the docs."""
    detoxlab(
        *("run", ROOT / "recipes/let-the-models-respond.yaml", "--out", "ltmr", "--limit", 150),
        *("--set", "variants.ft.config.max_steps=60", "--set", "variants.ft.config.max_length=96"),
        *("--set", "variants.ft.config.batch_size=8"),
        *("--set", "variants.ft.dialogues.validation=0.01", "--set", "resamples=2000"),
        folder=tmp_path,
        DETOXLAB_DATA=str(data_dir),
    )
    comparison = comparison_in(tmp_path / "ltmr")
    assert comparison.verdict in ("improved", "improved, at a cost")
    for scorer in (comparison.judge_id, comparison.second_id):
        relative, high = fall(comparison, scorer)
        assert relative >= 0.25
        assert high < 0
    rejected = Run.open(tmp_path / "ltmr/trained/ft").path / "rejected.jsonl"
    ids = " ".join(json.loads(line)["id"] for line in rejected.read_text().splitlines())
    assert all(number in ids for number in ("2503", "2580", "2956", "3030"))
