"""The strength that spends a budget: the search, and a whole sweep."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detoxlab.cli import main
from detoxlab.cli.common.answers import document
from detoxlab.cli.common.show import sweep_answer
from detoxlab.comparisons.sweeps import (
    Cost,
    SweepChoice,
    SweepPoint,
    choose,
    next_strength,
    read_sweep,
)
from detoxlab.errors import ConfigError
from detoxlab.models import load_model
from detoxlab.pipeline import measure_model
from detoxlab.pipeline.sweeping import sweep_model
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.recipe.sweeping import Sweeping, SweepSettings
from detoxlab.settings import parse
from detoxlab.steering import STEERINGS
from tests.support.documented import documented
from tests.support.plugins.steer_bias import Bias

STRENGTHS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


def searched(cost: Callable[[float], float], budget: float, tries: int = 20) -> SweepChoice:
    def point(strength: float) -> SweepPoint:
        return SweepPoint(strength, "", (Cost("text", cost(strength)),), None)

    points = [point(strength) for strength in STRENGTHS]
    for _ in range(tries):
        strength = next_strength(points, {"text": budget})
        if strength is None:
            break
        points.append(point(strength))
    return choose(points, {"text": budget})


def test_the_strength_spends_the_budget_and_never_overdraws_it() -> None:
    def cost(strength: float) -> float:
        return 1 + 0.2 * strength**2

    for budget in (1.0001, 1.01, 1.05, 1.19):
        found = searched(cost, budget)
        assert budget - 0.002 * budget <= cost(found.strength) <= budget
        assert found.spent


def test_a_fall_beyond_a_rise_is_not_trusted() -> None:
    """At 1 the cost is low again, but at .5 it is not: the way there overdraws the budget."""
    bump = dict(zip(STRENGTHS, (1.0, 1.01, 1.02, 1.3, 1.02, 1.0), strict=True))
    found = searched(lambda strength: bump.get(strength, 1.3), 1.05)
    assert found == SweepChoice({"text": 1.05}, 0.25, spent=True)


def test_a_budget_that_is_not_spent_is_said_so() -> None:
    assert searched(lambda _: 1.0, 1.05) == SweepChoice({"text": 1.05}, 1.0, spent=False)
    assert "does not spend it" in searched(lambda _: 1.0, 1.05).told
    dear = searched(lambda strength: 2.0 if strength else 1.0, 1.05, tries=3)
    assert dear == SweepChoice({"text": 1.05}, 0.0, spent=True)
    assert "overdraws it" in dear.told


def test_the_dearest_text_decides() -> None:
    costs = (Cost("wiki", 1.0), Cost("web", 1.2), Cost("free", 9.0))
    assert SweepPoint(1.0, "", costs, None).overrun({"wiki": 1.05, "web": 1.5}) == 1 / 1.05


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"budgets": {"web": 1.05}}, "budget 'web' has no text"),
        ({"budgets": {"wiki": []}}, "at least 1"),
        ({"budgets": {"wiki": 0.9}}, "greater than 1"),
        ({"strengths": "0,1"}, "greater than 0"),
        ({"strength": 0.5}, "a sweep finds it"),
    ],
)
def test_settings_that_make_no_sense(given: dict[str, Any], said: str) -> None:
    whole = {"model": "embedded", "costs": {"wiki": "w.txt"}, "budgets": {"wiki": 1.05}}
    with pytest.raises(ConfigError, match=said):
        parse(SweepSettings, whole | given, place="sweep")


def test_budgets_of_several_texts_go_together() -> None:
    texts = {"wiki": "w.txt", "web": "b.txt"}
    with pytest.raises(ConfigError, match="one value, or as many"):
        parse(
            Sweeping,
            {"costs": texts, "budgets": {"wiki": "1.1,1.2,1.3", "web": "1.1,1.2"}},
            place="sweep",
        )


ROWS = "generations/worker-0.jsonl"
BENCH = {"source": "embedded", "limit": 4}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepSettings:
    """The embedded model with a text's tokens made rarer: the more, the less likely the text."""
    monkeypatch.setitem(STEERINGS, "bias", Bias)
    said = "The children went to the park and played by the old tree."
    text = tmp_path / "park.txt"
    text.write_text(f"{said}\n" * 3)
    tokens = ",".join(map(str, sorted(set(load_model("embedded").piece_ids(said)))))
    given = {
        "model": "embedded",
        "steer": f"bias:{tokens}",
        "prompts": BENCH,
        "sampling": {"k": 1, "max_new_tokens": 4},
        "hate": None,
        "costs": {"park": str(text)},
        "budgets": {"park": "1.5,9e9"},
        "strengths": "0.5,4",
        "tries": 2,
        "resamples": 100,
    }
    return parse(SweepSettings, given, place="sweep")


@pytest.mark.slow
def test_a_sweep_measures_each_strength_and_goes_on(
    settings: SweepSettings, tmp_path: Path
) -> None:
    out = tmp_path / "sweep"
    run = sweep_model(settings, out)
    found = read_sweep(run)
    strengths = [point.strength for point in found.points]
    assert strengths == sorted(strengths)
    assert {0.0, 0.5, 4.0} < set(strengths)
    assert found.points[0].costs == (Cost("park", 1.0),)
    spent, free = found.choices
    assert spent.spent
    assert 0 < spent.strength < 4
    assert free == SweepChoice({"park": 9e9}, 4.0, spent=False)
    content = json.loads(document(sweep_answer(run).content))
    assert content.keys() == documented()["sweep"]
    assert [one["strength"] for one in content["points"]] == strengths

    plain = MeasureSettings(
        model="embedded", prompts=settings.prompts, sampling=settings.sampling, hate=None
    )
    base = measure_model(plain, tmp_path / "base")
    assert (out / "strength-0" / ROWS).read_bytes() == (base.path / ROWS).read_bytes()

    kept = (out / "sweep.json").read_bytes()
    (out / "sweep.json").unlink()
    times = {file: file.stat().st_mtime_ns for file in out.glob("*/measurements.json")}
    sweep_model(settings, out, resume=True)
    assert (out / "sweep.json").read_bytes() == kept
    assert {file: file.stat().st_mtime_ns for file in out.glob("*/measurements.json")} == times


def test_a_model_without_a_strength_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "park.txt"
    text.write_text("The park is green.\n")
    options = ["--cost", f"park={text}", "--budget", "park=1.05", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        main(["sweep", "embedded", *options])
    assert "embedded has no adapter, edit or steering" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
