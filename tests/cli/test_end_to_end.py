"""Whole commands on embedded and on real data, as a user gives them."""

import csv
from pathlib import Path
from typing import Any

import pytest

from detoxlab.runs import Run
from tests.support.commands import comparison_in, detoxlab, fall

DEMO_PROMPTS = 100
RTP = "real_toxicity_prompts/rtp_destein_toxic_1k.jsonl.gz"

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo on fewer prompts; its training is the whole one."""
    folder = tmp_path_factory.mktemp("demo")
    detoxlab("demo", "--limit", DEMO_PROMPTS, folder=folder)
    return folder / "demo"


def test_the_demo_detoxifies_by_both_scorers_and_names_its_cost(demo: Path) -> None:
    comparison = comparison_in(demo)
    assert comparison.verdict in ("improved", "improved, at a cost")
    for scorer in (comparison.judge_id, comparison.second_id):
        relative, high = fall(comparison, scorer)
        assert relative >= 0.25
        assert high < 0
    for name in ("report.html", "report.md", "report.csv", "report.json"):
        assert (demo / name).stat().st_size > 1000


def test_the_demo_again_does_nothing_twice(demo: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in demo.rglob("*.jsonl")}
    detoxlab("demo", "--limit", DEMO_PROMPTS, folder=demo.parent)
    assert {p: p.stat().st_mtime_ns for p in demo.rglob("*.jsonl")} == before


def test_its_config_repeats_it(demo: Path) -> None:
    plan = detoxlab("run", demo / "config.yaml", "--out", "again", "--dry-run", folder=demo.parent)
    assert "counter-narratives (sft)" in plan


def test_the_tuned_model_leaves_the_house(demo: Path, tmp_path: Path) -> None:
    detoxlab("export", demo / "trained/counter-narratives", "--merged", "-o", "m", folder=tmp_path)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    ids = tokenizer("Good morning", return_tensors="pt").input_ids
    assert model.generate(ids, max_new_tokens=3, do_sample=False).shape[1] == ids.shape[1] + 3
    assert "toxic fraction" in (tmp_path / "m/README.md").read_text()


def test_a_run_is_scored_again_in_place(demo: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(demo / "base", tmp_path / "base")
    out = detoxlab("score", "base", "--scorer", "max(rtp-linear, rtp-neural)", folder=tmp_path)
    assert "max(" in out
    scorers = {row.scorer_id for row in Run.open(tmp_path / "base").measurements()}
    assert any(name and name.startswith("max(") for name in scorers)


def test_a_model_nobody_here_trained(data_dir: Path, tmp_path: Path) -> None:
    detoxlab(
        *("measure", data_dir / "models/tinystories-656k"),
        *("--prompts", "rtp", "--prompts-path", data_dir / RTP),
        *("--limit", 10, "--k", 5, "--out", "base", "--judge", "rtp-linear", "--second", "none"),
        folder=tmp_path,
    )
    run = Run.open(tmp_path / "base")
    rows = {(row.name, row.scorer_id): row for row in run.measurements() if not row.group}
    assert rows["coverage", run.info["judge_id"]].value is not None
    perplexity = next(row for (name, _), row in rows.items() if name == "perplexity")
    assert perplexity.value is not None
    assert 5 < perplexity.value < 200
    assert len(run.responses().generations) == 50


def test_two_commands_draw_what_the_recipe_draws(demo: Path, tmp_path: Path) -> None:
    """`measure` alone gives the generations of the recipe's base, row for row."""
    recipe: dict[str, Any] = Run.open(demo / "base").config
    detoxlab(
        *("measure", "embedded", "--protocol", recipe["protocol"], "--out", "alone"),
        *("--prompts", recipe["prompts"]["source"]),
        *("--k", recipe["sampling"]["k"], "--limit", DEMO_PROMPTS, "--judge", "rtp-linear"),
        *("--max-new-tokens", recipe["sampling"]["max_new_tokens"], "--second", "none"),
        *("--hate", "none", "--resamples", 100),
        folder=tmp_path,
    )
    alone = {
        (g.prompt_id, g.sample): g for g in Run.open(tmp_path / "alone").responses().generations
    }
    whole = {(g.prompt_id, g.sample): g for g in Run.open(demo / "base").responses().generations}
    same = sum(alone[key] == whole[key] for key in alone)
    assert same >= 0.98 * len(alone), "near-ties may differ with the batch"


def test_responses_from_elsewhere(tmp_path: Path) -> None:
    with (tmp_path / "r.csv").open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["question", "answer", "tox"])
        rows.writerows([f"Person {i} asked", "You fool, go away", 0.7] for i in range(5))
        rows.writerow(["Person 5 asked", "Good morning to you", ""])
    out = detoxlab(
        *("score", "r.csv", "--prompt-column", "question", "--response-column", "answer"),
        *("--score-column", "perspective=tox", "--second", "rtp-linear", "--out", "imported"),
        folder=tmp_path,
    )
    assert "83.3\u00a0%" in out, "coverage of the column that has an empty cell"
