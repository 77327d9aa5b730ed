"""A recipe that explains its models: once, resumably, and as part of its report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from detoxlab.errors import ConfigError, ModelError, RunMismatchError, UnknownNameError
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.pipeline import run_recipe
from detoxlab.pipeline.experiment import Experiment, check, plan, recipe_config
from detoxlab.recipe.experiment import Recipe
from detoxlab.recipe.explaining import ExplainSettings
from detoxlab.recipe.load import load_recipe
from detoxlab.runs import Run
from detoxlab.settings import parse
from tests.support.layouts import save_layout
from tests.support.report_page import read_page
from tests.support.tiny import save_tiny

LINES = [f"a quiet day {at} in the park, and {'so ' * at}home" for at in range(8)]
EXPLAIN: dict[str, Any] = {"limit": 4, "steps": 3, "encoder": None, "faithfulness": {"prompts": 2}}


def small(folder: Path) -> dict[str, Any]:
    """A recipe on the tiny model, with one variant; it does not explain."""
    (folder / "texts.txt").write_text("\n".join(LINES))
    return {
        "name": "small",
        "model": str(save_tiny(folder / "tiny")),
        "prompts": {"source": "embedded", "where": {"kind": "neutral"}, "limit": 6},
        "sampling": {"k": 2, "max_new_tokens": 4},
        "judge": "rtp-linear",
        "second": None,
        "hate": None,
        "encoder": None,
        "resamples": 100,
        "variants": [
            {
                "name": "plain",
                "method": "sft",
                "texts": {"parts": {"park": {"source": str(folder / "texts.txt")}}},
                "config": {"max_steps": 2, "learning_rate": 1e-2},
            }
        ],
    }


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    return small(tmp_path)


def recipe_of(content: dict[str, Any], **more: Any) -> Recipe:
    return parse(Recipe, content | more, place="recipe")


def moments(folder: Path) -> dict[Path, int]:
    """When each file below a folder was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Twice:
    """An experiment that ended, and was resumed with a recipe that also explains."""

    plain: Experiment
    before: list[dict[Path, int]]
    recipe: Recipe
    made: Experiment

    @property
    def run(self) -> Run:
        assert self.made.explained is not None
        return self.made.explained

    def parts(self) -> list[dict[Path, int]]:
        folder = self.made.run.path
        return [moments(folder / name) for name in ("base", "plain", "trained")]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Twice:
    folder = tmp_path_factory.mktemp("twice")
    content, out = small(folder), folder / "out"
    plain = run_recipe(recipe_of(content), out)
    assert "explained-differences" not in read_page(plain.report.read_text()).tables
    before = [moments(out / name) for name in ("base", "plain", "trained")]
    recipe = recipe_of(content, explain=EXPLAIN)
    return Twice(plain, before, recipe, run_recipe(recipe, out, resume=True))


def test_a_finished_experiment_can_be_explained(twice: Twice) -> None:
    assert twice.plain.explained is None
    assert twice.parts() == twice.before
    run = twice.run
    assert run.path == twice.made.run.path / "explained" / "plain"
    assert run.info["explained"] == ["base", "plain"]
    rows = run.read("attributions.jsonl", Attribution)
    sides = [(a, b) for a in ("base", "plain") for b in ("base", "plain")]
    assert [(row.model, row.text) for row in rows] == [side for side in sides for _ in range(4)]
    assert {len(row.values) for row in rows} == {3}
    assert twice.made.run.config["explain"]["steps"] == 3


def test_its_report_has_the_section(twice: Twice) -> None:
    page = twice.made.report.read_text()
    assert "How much the model listens to its prompt" in page
    assert read_page(page).tables["explained-differences"][1][0] == "plain"


def test_what_is_finished_is_not_explained_again(twice: Twice) -> None:
    explained = moments(twice.run.path)
    again = run_recipe(twice.recipe, twice.made.run.path, resume=True)
    assert again.explained == twice.run
    assert moments(twice.run.path) == explained
    assert twice.parts() == twice.before


def test_cut_off_while_it_explains_it_goes_on_to_the_same_bytes(twice: Twice) -> None:
    run = twice.run
    files = ("attributions.jsonl", "toxic_words.jsonl", "measurements.json", "sentences.json")
    whole = [(run.path / file).read_bytes() for file in files]
    (run.path / files[0]).write_bytes(b"".join(whole[0].splitlines(keepends=True)[:4]))
    for file in files[1:]:
        (run.path / file).unlink()
    run.update(status="interrupted")
    run_recipe(twice.recipe, twice.made.run.path, resume=True)
    assert [(run.path / file).read_bytes() for file in files] == whole
    assert run.info["status"] == "finished"


def test_changed_settings_are_refused_at_once_and_other_variants_have_another_run(
    content: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    begun = recipe_of(content, explain=EXPLAIN)
    Run.start(out, kind="experiment", config=recipe_config(begun), seed=0)
    paths = [str(out / name) for name in ("base", "plain")]
    config = ExplainSettings(runs=tuple(paths), resamples=100, **EXPLAIN).run_config()
    Run.start(out / "explained" / "plain", kind="explain", config=config)
    assert check(begun, out, resume=True) == []
    changed = recipe_of(content, explain=EXPLAIN | {"steps": 2})
    with pytest.raises(RunMismatchError, match="steps: 3 then, 2 now"):
        check(changed, out, resume=True)
    (plain,) = content["variants"]
    both = recipe_of(content, explain=EXPLAIN, variants=[plain, plain | {"name": "more"}])
    assert check(both, out, resume=True) == []


def test_the_plan_says_what_is_explained(content: dict[str, Any], tmp_path: Path) -> None:
    assert "explain" not in plan(recipe_of(content), tmp_path)
    told = plan(recipe_of(content, explain=EXPLAIN), tmp_path)
    assert "explain 4 prompts x 1 by alti-logit, at most 3 tokens each; into" in told
    more = EXPLAIN | {"limit": None, "samples": 9, "method": "saliency"}
    told = plan(recipe_of(content, explain=more), tmp_path)
    assert "explain 6 prompts x 2 by saliency" in told


def test_the_resolved_recipe_explains_likewise(content: dict[str, Any], tmp_path: Path) -> None:
    recipe = recipe_of(content, explain=EXPLAIN)
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(recipe_config(recipe)))
    assert load_recipe(file).explain == recipe.explain
    longer = load_recipe(file, ["explain.steps=5"])
    assert longer.explain is not None
    assert longer.explain.steps == 5


def test_explanations_share_the_intervals_and_the_device(content: dict[str, Any]) -> None:
    recipe = recipe_of(content, explain=EXPLAIN, seed=7, device="cpu")
    assert recipe.explain is not None
    made = recipe.explain_settings(recipe.explain, ["base", "plain"])
    assert made == ExplainSettings(
        runs=("base", "plain"), resamples=100, seed=7, device="cpu", **EXPLAIN
    )


# --- misuse ---


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"explain": {"metod": "alti-logit"}}, r"'explain\.metod'\. Did you mean 'method'"),
        ({"explain": {"method": "alti"}}, r"explain\.method"),
        ({"explain": {"seed": 1}}, r"unknown key 'explain\.seed'"),
        ({"explain": {}, "endpoint": "http://localhost:1"}, "explain works on a model in this"),
    ],
)
def test_wrong_settings_are_one_line(
    more: dict[str, Any], message: str, content: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe_of(content, **more)


@pytest.mark.parametrize(
    "wrong", [{"encoder": "no-such"}, {"encoder": None, "toxic_words": {"scorer": "no-such"}}]
)
def test_a_wrong_name_is_known_first(
    wrong: dict[str, Any], content: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match="no-such"):
        check(recipe_of(content, explain=wrong), tmp_path / "out")


def test_a_variant_may_not_be_called_as_the_folder(content: dict[str, Any], tmp_path: Path) -> None:
    (plain,) = content["variants"]
    with pytest.raises(ConfigError, match="'explained' is taken by a folder"):
        check(recipe_of(content, variants=[plain | {"name": "explained"}]), tmp_path / "out")


def test_a_method_that_does_not_fit_the_base_is_known_before_the_training(
    content: dict[str, Any], tmp_path: Path
) -> None:
    model = save_layout(tmp_path / "bloom", "bloom")
    recipe = recipe_of(content, model=str(model), explain=EXPLAIN)
    with pytest.raises(ModelError, match="does not know how bloom is built"):
        run_recipe(recipe, tmp_path / "out")
    assert not (tmp_path / "out" / "trained").exists()
    assert not (tmp_path / "out" / "explained").exists()
