"""`explain`: planted effects are found where they are, kills lose nothing, misuse is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from detoxlab import explain
from detoxlab.errors import ConfigError, ModelError, RunError
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.measured.table import OWN, ExplainedPair
from detoxlab.records import Difference, Generation, ItemResult, Measurement, from_json
from detoxlab.runs import Run, read_json
from tests.support.layouts import save_layout
from tests.support.measured_runs import measured
from tests.support.tiny import save_tiny, tiny_model, tiny_tokenizer

QUICK: dict[str, Any] = {"limit": 6, "steps": 3, "resamples": 200, "prompts": 2}

AFTER_FIRST = ("prompt_dependence", "prompt_dependence_per_token")
WARMER = {"max_new_tokens": 4, "temperature": 1.5}


def changed(folder: Path, change: Callable[[Any], None]) -> Path:
    """The tiny model after a change of its weights."""
    model = tiny_model()
    with torch.no_grad():
        change(model)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def deaf(model: Any) -> None:
    """No token hears another: the model knows the last token alone."""
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.zero_()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Runs of the tiny model, of the same at another temperature, and of one that is deaf."""
    folder = tmp_path_factory.mktemp("runs")
    tiny, silent = save_tiny(folder / "tiny"), changed(folder / "silent", deaf)
    return {
        "base": measured(tiny, folder / "base"),
        "again": measured(tiny, folder / "again", sampling=WARMER),
        "deaf": measured(silent, folder / "deaf"),
    }


@pytest.fixture(scope="module")
def explained(runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("explained") / "run"
    return explain([runs["base"], runs["again"], runs["deaf"]], out=out, **QUICK)


def pairs_of(run: Run) -> dict[tuple[str, str], dict[tuple[str, str | None], Difference]]:
    pairs = [from_json(ExplainedPair, one) for one in read_json(run.path / "differences.json")]
    return {
        (pair.treated, pair.view): {(one.name, one.group): one for one in pair.differences}
        for pair in pairs
    }


def value(run: Run, name: str, subset: str) -> Measurement:
    (found,) = (
        one
        for one in run.measurements()
        if (one.name, one.subset, one.group) == (name, subset, None)
    )
    return found


def test_every_response_has_a_row_on_each_side(explained: Run) -> None:
    rows = explained.read("attributions.jsonl", Attribution)
    assert len(rows) == 7 * 6
    for row in rows:
        assert row.error is None
        assert len(row.values) == len(row.log_probs) == 3
        assert len(row.ids) == len(row.tokens) == len(row.classes) == len(row.words)
        assert row.classes.endswith("TGGG")
        assert "C" in row.classes
    assert explained.info["status"] == "finished"
    assert explained.info["explained"] == ["base", "again", "deaf"]


def test_a_row_has_the_ids_that_were_drawn(runs: dict[str, Run], explained: Run) -> None:
    drawn = {
        (one.prompt_id, one.sample): one for one in runs["base"].read_all("generations", Generation)
    }
    for row in explained.read("attributions.jsonl", Attribution):
        if row.text == "base":
            assert row.ids[-3:] == tuple(drawn[row.prompt_id, row.sample].token_ids[:3])


def test_the_scores_and_biases_sum_to_the_logit(explained: Run) -> None:
    """The tiny model has no biases."""
    for row in explained.read("attributions.jsonl", Attribution):
        for values, target in zip(row.values, row.targets, strict=True):
            assert sum(values) == pytest.approx(target, abs=1e-3)


def test_the_same_model_differs_on_its_own_texts_alone(explained: Run) -> None:
    pairs = pairs_of(explained)
    for view in ("text of base", "text of again"):
        found = pairs["again", view]
        unknown = {key for key, one in found.items() if one.difference is None}
        assert unknown == {(name, "step 1") for name in AFTER_FIRST}
        for key in found.keys() - unknown:
            assert found[key].difference == pytest.approx(0, abs=1e-9)
    own = pairs["again", OWN]
    assert any(abs(one.difference or 0) > 1e-3 for one in own.values())


def test_a_model_that_ignores_its_prompt_is_found_out(explained: Run) -> None:
    for text in ("deaf on its own text", "deaf on the text of base"):
        for name in ("prompt_dependence", "context_reliance"):
            assert value(explained, name, text).value == pytest.approx(0, abs=1e-4)
    assert (value(explained, "prompt_dependence", "base on its own text").value or 0) > 0.05
    assert (value(explained, "context_reliance", "base on its own text").value or 0) > 0.05
    change = pairs_of(explained)["deaf", "text of base"]["context_reliance", None]
    assert change.ci_high is not None
    assert change.ci_high < 0


def test_the_method_is_checked(explained: Run) -> None:
    results = explained.read("faithfulness.jsonl", ItemResult)
    assert [one.item.split("/")[0] for one in results] == [
        name for name in ("base", "again", "deaf") for _ in range(2)
    ]
    assert value(explained, "deletion_gain_20", "deaf on its own text").value == pytest.approx(
        0, abs=1e-4
    )


def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(
    runs: dict[str, Run], explained: Run, tmp_path: Path
) -> None:
    out = tmp_path / "victim"
    names = [runs["base"], runs["again"], runs["deaf"]]
    explain(names, out=out, **QUICK)
    for file, keep in (("attributions.jsonl", 0.6), ("faithfulness.jsonl", 0.4)):
        path = out / file
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    (out / "measurements.json").unlink()
    Run(out).update(status="interrupted")
    with pytest.warns(UserWarning, match="line"):
        explain(names, out=out, resume=True, **QUICK)
    for file in ("attributions.jsonl", "faithfulness.jsonl", "measurements.json"):
        assert (out / file).read_bytes() == (explained.path / file).read_bytes()


def test_a_finished_run_is_returned_as_it_is(runs: dict[str, Run], tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = explain([runs["base"]], out=out, **QUICK)
    written = first.info
    assert explain([runs["base"]], out=out, resume=True, **QUICK).info == written
    with pytest.raises(RunError, match="already holds a run"):
        explain([runs["base"]], out=out, **QUICK)


@pytest.mark.parametrize("method", ["input-x-gradient", "deletion", "alti-logit-plain"])
def test_other_methods_and_targets(method: str, runs: dict[str, Run], tmp_path: Path) -> None:
    run = explain([runs["base"]], out=tmp_path / "run", method=method, target="log_prob", **QUICK)
    for row in run.read("attributions.jsonl", Attribution):
        assert row.targets == pytest.approx(row.log_probs, abs=1e-4)
    protocol = f"explain@1 (method={method}, target=log_prob, steps=3)"
    assert {one.protocol for one in run.measurements()} == {protocol}


# --- misuse ---


def test_runs_in_other_tokens_are_refused(runs: dict[str, Run], tmp_path: Path) -> None:
    folder = tmp_path / "other"
    tiny_model(vocabulary=261).save_pretrained(folder)
    tiny_tokenizer(merges=[("a", "b")]).save_pretrained(folder)
    other = measured(folder, tmp_path / "other-run")
    with pytest.raises(ConfigError, match="vocabulary_sha256 differ"):
        explain([runs["base"], other], out=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_method_that_does_not_fit_says_so(tmp_path: Path) -> None:
    run = measured(save_layout(tmp_path / "bloom", "bloom"), tmp_path / "bloom-run")
    with pytest.raises(ModelError, match="does not know how bloom is built"):
        explain([run], out=tmp_path / "run", **QUICK)
    explain([run], out=tmp_path / "other", method="input-x-gradient", **QUICK)


def test_wrong_settings_are_one_line(runs: dict[str, Run], tmp_path: Path) -> None:
    base = runs["base"]
    for given, message in (
        ({"method": "alti"}, "method"),
        ({"limt": 3}, "limt"),
        ({"runs": [base, base]}, "named twice"),
    ):
        asked = {"runs": [base], "out": tmp_path / "run"} | QUICK | given
        with pytest.raises(ConfigError, match=message):
            explain(asked.pop("runs"), **asked)
