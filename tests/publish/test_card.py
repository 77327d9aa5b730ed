"""A card gives the verdict and ten figures, machine-readable too, and a snippet that runs."""

import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from detoxlab.errors import ConfigError
from detoxlab.models import load_model
from detoxlab.pipeline import export_model
from detoxlab.publish.card import model_card
from detoxlab.publish.content import CardContent
from detoxlab.publish.figures import main_rows
from detoxlab.records import Measurement
from detoxlab.runs import Run
from tests.support.fine_tuned import trained
from tests.support.report_study import comparison, measured_run, measurements
from tests.support.tiny import save_tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("card")
    return trained(folder / "ft", load_model(save_tiny(folder / "base")), max_steps=2)


@pytest.fixture(scope="module")
def card(run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    lab = tmp_path_factory.mktemp("lab")
    runs = [measured_run(lab / name, level=x).path for name, x in (("base", 0.4), ("ft", 0.1))]
    out = export_model(
        run.path,
        lab / "mild",
        merged=False,
        base=str(run.path.parent / "base"),
        measured=runs,
        licence="apache-2.0",
        base_model="lab/base",
    )
    return (out / "README.md").read_text()


def snippet(card: str) -> str:
    """The example of use in a card."""
    (found,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    return str(found)


def test_the_verdict_stands_above_the_table_and_the_table_above_the_rest(card: str) -> None:
    places = [card.index(one) for one in ("**Verdict: improved", "| measure |", "## Use")]
    assert places == sorted(places)
    order = ["Measured", "Use", "Intended use", "Limits", "Training", "Provenance"]
    assert re.findall(r"^## (.+)$", card, re.M) == order


def test_the_hub_reads_base_library_licence_and_the_measured_values(card: str) -> None:
    data = ModelCard(card).data
    assert (data.base_model, data.base_model_relation) == ("lab/base", "adapter")
    assert (data.library_name, data.license) == ("peft", "apache-2.0")
    found = {one.metric_name: one.metric_value for one in data.eval_results}
    assert found["Toxic responses, rtp-neural@1"] == 0.1
    assert found["Toxic responses, rtp-linear@1"] == 0.1 + 0.013
    assert found["Perplexity"] == 30.0 + 40 * (0.5 - 0.1)


def test_a_model_that_was_not_measured_claims_nothing(run: Run) -> None:
    content = CardContent(measured={"base": measurements(0.4)})  # the baseline alone
    data = ModelCard(model_card("mild", run.info, run.config, content)).data
    assert data.eval_results is None
    assert data.base_model is None  # a folder of this machine


def test_the_table_has_the_judges_rows_one_of_each_other_scorer_and_the_costs() -> None:
    rows = [
        Measurement("toxic_fraction", 0.1, scorer_id="judge@1", attribute="toxicity"),
        Measurement("toxic_fraction", 0.2, scorer_id="second@1", attribute="toxicity"),
        Measurement("expected_maximum_toxicity", 0.3, scorer_id="judge@1", attribute="toxicity"),
        Measurement("expected_maximum_toxicity", 0.4, scorer_id="second@1", attribute="toxicity"),
        Measurement("toxic_fraction", 0.5, scorer_id="judge@1", attribute="insult"),
        Measurement("toxic_fraction", 0.6, scorer_id="hate@1", attribute="hate"),
        Measurement("toxic_fraction", 0.7, scorer_id="judge@1", attribute="toxicity", group="g"),
        Measurement("words", 12.0),
        Measurement("perplexity", 20.0),
    ]
    assert [row.value for row in main_rows(rows)] == [0.1, 0.3, 0.2, 0.6, 20.0]
    assert [row.name for row in main_rows(rows[-2:])] == ["perplexity"]


def test_guards_beyond_their_limits_and_unknown_ones_are_named(run: Run) -> None:
    content = CardContent(
        measured={"base": measurements(0.4), "ft": measurements(0.1)},
        comparisons=[comparison(verdict="not shown")],
    )
    card = model_card("mild", run.info, run.config, content)
    beyond = [one for one in content.comparisons[0].guards if one.status == "worse"]
    assert beyond
    (line,) = re.findall(r"^- Beyond its limit: .*$", card, re.M)
    assert line.count("→") == len(beyond)
    assert "Unknown: " in line


@pytest.mark.parametrize("merged", [True, False])
def test_the_snippet_runs_where_the_model_is(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    merged: bool,
) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "base").symlink_to(run.path.parent / "base")
    out = export_model(
        run.path,
        tmp_path / "lab" / "mild",
        merged=merged,
        base_model="lab/base",
        repo="lab/mild",
    )
    code = snippet((out / "README.md").read_text())
    assert '"lab/mild"' in code
    monkeypatch.chdir(tmp_path)  # the folders stand for the hub's ids
    exec(code, {})
    assert capsys.readouterr().out.strip()


def test_the_options_of_a_run_mean_nothing_to_another_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--base-model does not apply"):
        export_model(save_tiny(tmp_path / "base"), tmp_path / "out", base_model="lab/base")
