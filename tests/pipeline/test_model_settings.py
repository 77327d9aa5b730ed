"""Wherever a model is named it is read as said: measured, trained, referred to, judging."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from peft import AutoPeftModelForCausalLM, PeftConfig

from detoxlab.cli import main
from detoxlab.contest import WinRate
from detoxlab.errors import ConfigError
from detoxlab.loading import Loading, ModelSettings, OtherModel
from detoxlab.models import load_model
from detoxlab.recipe.experiment import Recipe
from detoxlab.recipe.learning import TrainSettings
from detoxlab.recipe.measuring import MeasureSettings, SubjectSettings
from detoxlab.runs import Run
from detoxlab.settings import parse
from tests.support.tiny import save_tiny

HUB_ID, JUDGE_ID = "someone/small", "someone/judge"
OLD, NEW = "a" * 40, "b" * 40
SETTINGS: dict[str, Any] = {
    "dtype": "float16",
    "quantisation": {"kind": "nf4"},
    "device": "cuda:1",
    "revision": "v1",
    "trust_remote_code": True,
}
RECIPE: dict[str, Any] = {
    "name": "r",
    "model": HUB_ID,
    "prompts": {"source": "embedded", "limit": 2},
    "variants": [{"name": "ft", "method": "sft", "dialogues": {"source": "embedded"}}],
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub with two revisions of one model; `main` is the newer one."""
    cache = tmp_path / "hub"
    repository = cache / "models--someone--small"
    for revision, seed in ((OLD, 0), (NEW, 1)):
        save_tiny(repository / "snapshots" / revision, seed)
    for name, revision in (("main", NEW), ("v1", OLD)):
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / name).write_text(revision)
    shutil.copytree(repository, cache / "models--someone--judge")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    return cache


def detoxlab(*arguments: object) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code == 0


# --- every class of settings ---


@pytest.mark.parametrize("kind", [MeasureSettings, SubjectSettings, TrainSettings, OtherModel])
def test_whoever_names_a_model_says_how_it_is_read(kind: type[ModelSettings]) -> None:
    assert issubclass(kind, ModelSettings)
    assert set(SETTINGS) < set(Loading.model_fields) < set(kind.model_fields)


def test_a_recipe_reads_its_model_alike_in_all_its_stages() -> None:
    recipe = parse(Recipe, RECIPE | SETTINGS, place="r")
    stages = [
        recipe.base_model,
        recipe.measure_settings("runs/ft"),
        recipe.measure_settings("runs/ft").subject(),
        recipe.train_settings(recipe.variants[0]),
    ]
    said = [{name: getattr(stage, name) for name in SETTINGS} for stage in stages]
    assert said == [{name: getattr(recipe, name) for name in SETTINGS}] * 4


@pytest.mark.parametrize("place", ["reference", "judge"])
def test_a_model_beside_has_settings_of_its_own_or_a_bare_name(place: str) -> None:
    def read(given: Any) -> OtherModel:
        if place == "judge":
            return parse(WinRate, {"judge": given}, place="w").judge
        settings = parse(Recipe, RECIPE | {"reference": given}, place="r").reference
        assert settings is not None
        return settings

    assert read(HUB_ID) == OtherModel(model=HUB_ID)
    assert read({"model": HUB_ID, "revision": "v1"}).revision == "v1"
    assert read(HUB_ID).recorded() == HUB_ID
    assert read({"model": HUB_ID, "revision": "v1"}).recorded() == {
        "model": HUB_ID,
        "revision": "v1",
    }
    with pytest.raises(ConfigError, match=r"unknown key '.*revison'. Did you mean 'revision'"):
        read({"model": HUB_ID, "revison": "v1"})


# --- a revision is the same from end to end ---


@pytest.mark.usefixtures("cache")
def test_a_recipe_measures_trains_and_measures_one_revision(tmp_path: Path) -> None:
    training = {"max_steps": 1, "batch_size": 2}
    content = RECIPE | {
        "revision": "v1",
        "sampling": {"k": 1, "max_new_tokens": 2},
        "judge": "rtp-linear",
        "second": None,
        "resamples": 100,
        "win_rate": {"judge": {"model": JUDGE_ID, "revision": "v1"}},
        "reference": {"model": HUB_ID, "revision": NEW},
        "variants": [RECIPE["variants"][0] | {"config": training}],
    }
    content["variants"][0]["dialogues"] = {"source": "embedded", "limit": 8}
    (tmp_path / "r.yaml").write_text(json.dumps(content))
    detoxlab("run", "r.yaml", "--out", "r")
    for name in ("base", "trained/ft", "ft"):
        assert Run.open(tmp_path / "r" / name).info["model"]["revision"] == OLD, name
    base = Run.open(tmp_path / "r" / "base").info
    assert base["base_likelihood_id"] == f"likelihood:{HUB_ID}@{NEW[:8]}"
    judged = Run.open(tmp_path / "r" / "win-rates" / "ft-against-base").info
    assert judged["judge_id"] == f"{JUDGE_ID}@{OLD[:8]}"


def trained(*more: str) -> Run:
    detoxlab(
        *("train", "sft", HUB_ID, "--out", "ft", "--dialogues", "embedded", "--limit", 8),
        *("--set", "max_steps=1", "--set", "batch_size=2", *more),
    )
    return Run.open("ft")


@pytest.mark.usefixtures("cache")
def test_the_adapter_of_a_revision_is_read_on_that_revision(tmp_path: Path) -> None:
    run = trained("--revision", "v1")
    assert run.info["base_model_id"] == f"{HUB_ID}@{OLD[:8]}"
    assert load_model(run.path).facts["base_id"] == f"{HUB_ID}@{OLD[:8]}"
    detoxlab("export", "ft", "--adapter", "--output", "given")
    for folder in (run.path / "adapter", tmp_path / "given"):
        config = PeftConfig.from_pretrained(folder)
        assert (config.base_model_name_or_path, config.revision) == (HUB_ID, OLD)
    assert load_model(tmp_path / "given").facts["base_id"] == f"{HUB_ID}@{OLD[:8]}"
    plain = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "given")
    assert (plain.get_input_embeddings().weight == base_weights(OLD)).all()


def base_weights(revision: str) -> Any:
    return load_model(HUB_ID, revision=revision).model.get_input_embeddings().weight


@pytest.mark.usefixtures("cache")
def test_other_revisions_of_a_base_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    trained("--revision", "v1")
    shutil.copytree("ft", "copy")
    with pytest.raises(SystemExit):
        main(["measure", "copy", "--revision", "main", "--out", "m", "--limit", "2"])
    assert (
        f"was trained on {HUB_ID}@{OLD[:8]}, not on {HUB_ID}@{NEW[:8]}" in capsys.readouterr().err
    )


# --- one seed ---

SEEDS: dict[str, Callable[[], object]] = {
    "train": lambda: parse(
        TrainSettings,
        {"method": "sft", "model": "embedded", "seed": 1, "config": {"seed": 2}},
        place="train",
    ),
    "recipe": lambda: parse(
        Recipe,
        RECIPE | {"seed": 1, "variants": [RECIPE["variants"][0] | {"config": {"seed": 2}}]},
        place="r",
    ),
}


@pytest.mark.parametrize("where", SEEDS)
def test_a_run_has_one_seed(where: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.seed is 2 and seed is 1: a run has one seed"):
        SEEDS[where]()


def test_the_same_seed_said_twice_is_one() -> None:
    given = {"method": "sft", "model": "embedded", "seed": 3, "config": {"seed": 3}}
    assert parse(TrainSettings, given, place="train").seed == 3
