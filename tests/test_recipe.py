"""Recipes: every key is known, every value checked, and what is resolved can be run again."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from detoxlab.data.reading import read_prompts
from detoxlab.data.settings import PromptSettings, excluded
from detoxlab.data.split import words_of
from detoxlab.errors import ConfigError, DataError, DetoxlabError
from detoxlab.evaluations import EVALUATIONS, Perplexity
from detoxlab.pipeline.experiment import check, recipe_config
from detoxlab.recipe.benches import Bench
from detoxlab.recipe.experiment import Recipe
from detoxlab.recipe.load import expanded, load_recipe
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.recipe.overrides import with_overrides
from detoxlab.records import Sampling
from detoxlab.settings import parse

ROOT = Path(__file__).parent.parent
RECIPE = """
name: small
model: embedded
prompts: {source: embedded, limit: 3}
sampling: {k: 2}
variants:
  - {name: ft, method: sft, dialogues: {source: embedded}, config: {epochs: 1}}
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(RECIPE)
    return file


def test_the_protocol_gives_what_the_recipe_leaves_open(recipe_file: Path) -> None:
    settings = load_recipe(recipe_file, ["seed=7"]).measure_settings("embedded")
    assert settings.resolved_sampling() == Sampling(
        k=2, max_new_tokens=20, temperature=1.0, top_p=0.9, seed=7
    )


def test_the_resolved_recipe_is_the_same_recipe(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file, ["variants.ft.config.learning_rate=0.001"])
    again = tmp_path / "config.yaml"
    again.write_text(yaml.safe_dump(recipe_config(recipe)))
    assert load_recipe(again) == recipe


@pytest.mark.parametrize("rival", ["ft", "no-such"])
def test_a_rival_must_be_another_variant(recipe_file: Path, rival: str) -> None:
    with pytest.raises(ConfigError, match=rf"ft is held against '{rival}'.*there are: none"):
        load_recipe(recipe_file, [f"variants.ft.against=[{rival}]"])


def variants(*given: dict[str, Any]) -> dict[str, Any]:
    return yaml.safe_load(RECIPE) | {"variants": list(given)}


SFT = {"method": "sft", "dialogues": {"source": "embedded"}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"name": "a"}], "nothing is changed: name a method, model, steer, system or best_of"),
        ([{"name": "a", "dialogues": {"source": "embedded"}, "system": "x"}], "without a method"),
        ([{"name": "a", "config": {"epochs": 1}, "system": "x"}], "config without a method"),
        ([{"name": "a", "best_of": 2}], "best_of and by go together"),
        ([{"name": "a", "of": "b", "system": "x"}, {"name": "b", **SFT}], "no variant before it"),
        ([{"name": "a", **SFT}, {"name": "b", **SFT, "of": "a"}], "starts from the base"),
        ([{"name": "a", **SFT, "model": "b"}], "model and method: a model made elsewhere"),
        ([{"name": "a", **SFT, "measured": False}], "none is measured"),
        ([{"name": "a", **SFT, "system": "x", "measured": False}], "measured is false"),
        (
            [{"name": "a", **SFT, "measured": False}, {"name": "b", **SFT, "against": ["a"]}],
            "held against 'a', which is no other variant",
        ),
    ],
)
def test_a_variant_is_one_change(given: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(Recipe, variants(*given), place="recipe")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"name": "a", "steer": "dexperts:x+y"}], "x: not a model"),
        ([{"name": "a", "steer": "caa:b"}, {"name": "b", **SFT}], "b is trained after it"),
        ([{"name": "b", **SFT}, {"name": "a", "steer": "caa:b"}], "caa cannot use b, a training"),
        ([{"name": "a", "best_of": 2, "by": "rtp-neural"}], "choose the responses and judge them"),
    ],
)
def test_what_a_variant_uses_is_checked_before_anything_runs(
    given: list[dict[str, Any]], said: str, tmp_path: Path
) -> None:
    recipe = parse(Recipe, variants(*given), place="recipe")
    with pytest.raises(DetoxlabError, match=said):
        check(recipe, tmp_path / "out")


def test_a_swept_variant_is_steered_on_the_base() -> None:
    sweep = {
        "prompts": {"source": "embedded"},
        "costs": {"park": "p.txt"},
        "budgets": {"park": "1.02,1.05"},
    }
    given = variants(
        {"name": "expert", **SFT, "measured": False},
        {"name": "pushed", "steer": "anti-expert:expert"},
        {"name": "both", "of": "expert", "steer": "anti-expert:expert"},
        {"name": "polite", "system": "Be polite."},
    )
    recipe = parse(Recipe, given | {"sweep": sweep}, place="recipe")
    names = [recipe.run_names(variant) for variant in recipe.variants]
    assert names == [(), ("pushed-1.02", "pushed-1.05"), ("both",), ("polite",)]


@pytest.mark.parametrize("file", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda f: f.name)
def test_every_recipe_in_the_box_is_valid(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETOXLAB_DATA", "data")
    assert load_recipe(file).name == file.stem


def test_the_demo_is_a_valid_recipe() -> None:
    assert load_recipe(ROOT / "src/detoxlab/assets/demo.yaml").name == "demo"


def test_the_one_who_judges_does_not_cross_check() -> None:
    content = {"model": "m", "prompts": {"source": "embedded"}, "judge": "a", "second": "a"}
    with pytest.raises(ConfigError, match="judge are both 'a'"):
        parse(MeasureSettings, content, place="measure")


def test_an_evaluation_is_known_by_its_kind(recipe_file: Path, tmp_path: Path) -> None:
    asked = "evaluate.park={kind: perplexity, source: texts.txt, stride: 8}"
    recipe = load_recipe(recipe_file, [asked])
    assert recipe.evaluate == {"park": Perplexity(source="texts.txt", stride=8)}
    again = tmp_path / "config.yaml"
    again.write_text(yaml.safe_dump(recipe_config(recipe)))
    assert load_recipe(again) == recipe
    kinds = Recipe.model_json_schema()["properties"]["evaluate"]["patternProperties"]
    ((described),) = kinds.values()
    assert {one["properties"]["kind"]["const"] for one in described["oneOf"]} == set(EVALUATIONS)
    for wrong, message in (
        ("{kind: perplexity, source: t, strid: 8}", r"unknown key 'strid'\. Did you mean 'stride'"),
        ("{kind: perplexty, source: t}", "Did you mean 'perplexity'"),
        ("{source: t}", "has no kind"),
        ("3", "is no group of keys"),
    ):
        with pytest.raises(ConfigError, match=rf"evaluate\.park.*{message}"):
            load_recipe(recipe_file, [f"evaluate.park={wrong}"])


def test_a_refused_value_is_not_repeated() -> None:
    content = yaml.safe_load(RECIPE) | {"seed": "you fool"}
    with pytest.raises(ConfigError) as error:
        parse(Recipe, content, place="r")
    assert "seed" in str(error.value)
    assert "you fool" not in str(error.value)


def test_overrides_leave_the_original_alone() -> None:
    content = {"prompts": {"limit": 1}, "variants": [{"name": "ft"}, {"name": "two"}]}
    changed = with_overrides(content, ["prompts.limit=2", "variants.1.method=sft", "new.key=on"])
    assert content["prompts"] == {"limit": 1}
    assert changed["prompts"] == {"limit": 2}
    assert changed["variants"][1] == {"name": "two", "method": "sft"}
    assert changed["new"] == {"key": True}


def test_a_variable_of_the_environment_is_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "here")
    assert expanded({"a": ["${WHERE}/x", 1]}, place="r") == {"a": ["here/x", 1]}
    with pytest.raises(ConfigError, match="NO_SUCH_VAR is not set"):
        expanded("${NO_SUCH_VAR}", place="r")


def test_what_the_bench_asks_is_not_trained_on(tmp_path: Path) -> None:
    rows = [f'{{"id": "{at}", "text": "Say {at}!"}}' for at in range(20)]
    bench, training = tmp_path / "bench.jsonl", tmp_path / "training.jsonl"
    bench.write_text("\n".join(rows[:12]))
    training.write_text("\n".join(row.replace("Say", "say ") for row in rows[5:]))
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "model": "embedded",
            "prompts": {"source": str(bench), "limit": 8},
            "variants": [
                {"name": "v", "method": "ppo", "prompts": {"source": str(training), "limit": 9}}
            ],
        }
    )
    settings = recipe.train_settings(recipe.variants[0])
    assert settings.prompts
    asked = {words_of(prompt.text) for prompt in read_prompts(recipe.prompts, 0)}
    learnt = {words_of(prompt.text) for prompt in read_prompts(settings.prompts, 0)}
    assert (len(asked), len(learnt), asked & learnt) == (8, 9, set())

    polite = {"prompts": {"source": str(training), "limit": 3}}
    both = recipe.model_copy(update={"also": {"polite": Bench(**polite)}})
    settings = both.train_settings(recipe.variants[0])
    assert settings.prompts
    bench_prompts, further = excluded(settings.prompts)
    assert (bench_prompts, further.limit) == (recipe.prompts, 3)
    known = {words_of(one.text) for it in (bench_prompts, further) for one in read_prompts(it, 0)}
    assert not known & {words_of(prompt.text) for prompt in read_prompts(settings.prompts, 0)}

    same = PromptSettings(source=str(bench), exclude=PromptSettings(source=str(bench)))
    with pytest.raises(DataError, match="all 12 prompts are among the excluded"):
        read_prompts(same, 0)
