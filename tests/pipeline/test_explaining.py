"""`explain`: planted effects are found where they are, kills lose nothing, misuse is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from detoxlab import explain
from detoxlab.cli.common.answers import document
from detoxlab.cli.common.compared import explained_answer
from detoxlab.errors import ConfigError, ModelError, RunError
from detoxlab.explanations.measured.prompt_words import PromptWord
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.measured.sentences import sentences
from detoxlab.explanations.measured.table import OWN, ExplainedPair
from detoxlab.explanations.measured.toxic_words import ToxicWords
from detoxlab.records import (
    Difference,
    Generation,
    ItemResult,
    Measurement,
    Prompt,
    from_json,
    to_line,
)
from detoxlab.runs import Run, read_json, read_rows
from tests.support.documented import documented
from tests.support.layouts import save_layout
from tests.support.measured_runs import measured
from tests.support.tiny import save_tiny, tiny_model, tiny_tokenizer

RUNS = ("base", "again", "deaf")
QUICK: dict[str, Any] = {
    "limit": 6,
    "steps": 3,
    "resamples": 200,
    "prompts": 2,
    "encoder": "hashed-ngrams",
    "least_pull": 0.001,
    "least_prompts": 1,
}

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
    told = sentences(explained)
    assert any(one.startswith("deaf is no longer moved by its prompt") for one in told)
    assert any("is not shown to beat random choices of tokens on deaf" in one for one in told)
    similarity = value(explained, "prompt_response_similarity", "deaf on its own text")
    assert abs(similarity.value or 1) < 0.1


def parrot(run: Run, out: Path) -> Run:
    """The same run, as if its responses had been the words of their prompts."""
    shutil.copytree(run.path, out)
    texts = {one.id: one.text for one in run.read("prompts.jsonl", Prompt)}
    tokenizer = tiny_tokenizer()
    for file in sorted((out / "generations").glob("*.jsonl")):
        rows = []
        for row in read_rows(file, Generation):
            text = texts[row.prompt_id]
            ids = tuple(tokenizer.encode(text, add_special_tokens=False))
            rows.append(replace(row, text=text, token_ids=ids))
        file.write_text("".join(map(to_line, rows)))
    return Run.open(out)


def test_where_only_the_text_changed_the_own_view_alone_shows_it(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    copied = parrot(runs["base"], tmp_path / "parrot")
    run = explain([runs["base"], copied], out=tmp_path / "run", **QUICK | {"limit": 20})
    similar = ("prompt_response_similarity", None)
    pairs = pairs_of(run)
    for view in ("text of base", "text of parrot"):
        assert similar not in pairs["parrot", view]
        for one in pairs["parrot", view].values():
            assert (one.difference or 0) == pytest.approx(0, abs=1e-9)
    own = pairs["parrot", OWN][similar]
    assert own.treated == pytest.approx(1)
    assert own.ci_low is not None
    assert own.ci_low > 0.8
    told = sentences(run)
    resembling = "The responses of parrot resemble their prompts more than those of base: "
    assert any(one.startswith(resembling) for one in told)
    information = pairs["parrot", OWN]["prompt_information", None]
    assert information.ci_high is not None
    assert information.ci_high < 0
    assert not any(one.startswith("parrot ") for one in told)
    assert read_json(run.path / "sentences.json") == told


def test_toxic_words_are_placed_in_the_responses_and_prompts(
    runs: dict[str, Run], explained: Run
) -> None:
    rows = explained.read("toxic_words.jsonl", ToxicWords)
    assert [row.text for row in rows] == [name for name in RUNS for _ in range(6)]
    texts = {one.id: one.text for one in explained.read("prompts.jsonl", Prompt)}
    responses = {
        (name, one.prompt_id): one.text
        for name in RUNS
        for one in runs[name].read_all("generations", Generation)
    }
    shares = []
    for row in rows:
        for word in row.words:
            assert responses[row.text, row.prompt_id][word.start : word.end] == word.word
        if row.prompt_words:
            assert " ".join(row.prompt_words) == texts[row.prompt_id]
        shares += [(row.text, one) for one in row.shares]
    models = {text: {one.model for held, one in shares if held == text} for text in RUNS}
    assert models == {"base": set(RUNS), "again": {"base", "again"}, "deaf": {"base", "deaf"}}
    for _, one in shares:
        assert sum(one.shares) == pytest.approx(0 if one.model == "deaf" else 1, abs=1e-4)
    table = [from_json(PromptWord, one) for one in read_json(explained.path / "prompt_words.json")]
    assert {one.text for one in table} <= set(RUNS)
    assert table


def test_the_console_has_sentences_and_no_toxic_word(
    explained: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = explained_answer(explained, [])
    assert json.loads(document(answer.content)).keys() == documented()["explain"]
    answer.show()
    printed = " ".join(capsys.readouterr().out.split())
    for one in sentences(explained):
        assert one in printed
    toxic = {
        word.word
        for row in explained.read("toxic_words.jsonl", ToxicWords)
        for word in row.words
        if word.toxic and len(word.word) > 3
    }
    assert toxic
    assert not [word for word in toxic if word in printed]
    assert f"toxic words of responses: {explained.info['toxic_words']}" in printed


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
    cut = (
        ("attributions.jsonl", 0.6),
        ("faithfulness.jsonl", 0.4),
        ("toxic_words.jsonl", 0.7),
        ("similarity/again.jsonl", 0.5),
    )
    for file, keep in cut:
        path = out / file
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    (out / "measurements.json").unlink()
    Run(out).update(status="interrupted")
    with pytest.warns(UserWarning, match="line"):
        explain(names, out=out, resume=True, **QUICK)
    files = [*(file for file, _ in cut), "measurements.json", "prompt_words.json", "sentences.json"]
    for file in files:
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


def test_the_scorer_of_words_must_know_the_attribute(runs: dict[str, Run], tmp_path: Path) -> None:
    asked = QUICK | {"scorer": "hate-neural", "attribute": "toxicity"}
    with pytest.raises(ConfigError, match="gives no score for 'toxicity'"):
        explain([runs["base"]], out=tmp_path / "run", **asked)


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
