"""Texts of several domains: mixed in stated proportions, split, read by recipes, learnt whole."""

import json
from pathlib import Path
from typing import Any

import pytest

from detoxlab.data import Part, load_prompts, mix, not_beginning_with, split_texts
from detoxlab.data.split import TextSplit
from detoxlab.errors import ConfigError, DataError
from detoxlab.methods.rows.text import build_text_rows, text_row
from detoxlab.pipeline.learning import describe_data, read_data, source_kind
from detoxlab.recipe.experiment import Recipe
from detoxlab.recipe.learning import TrainSettings
from detoxlab.records import Prompt, Text
from detoxlab.settings import parse
from tests.support.tiny import tiny_lm


def some(count: int, name: str = "s") -> list[Prompt]:
    return [Prompt(str(i), f"{name} text {i}", name) for i in range(count)]


def test_the_scarcest_part_sets_the_size() -> None:
    mixed = mix({"a": Part(some(6)), "b": Part(some(100), 2.0), "c": Part(some(100), 0.5)})
    domains = [text.domain for text in mixed]
    assert domains == ["a"] * 6 + ["b"] * 12 + ["c"] * 3
    assert len({text.id for text in mixed}) == 21
    assert mixed[0].id == "a/0"


def test_a_limit_keeps_the_proportions_and_the_seed_decides() -> None:
    parts = {"a": Part(some(50)), "b": Part(some(50), 3.0)}
    mixed = mix(parts, limit=20, seed=1)
    assert [sum(t.domain == name for t in mixed) for name in "ab"] == [5, 15]
    assert mixed == mix(parts, limit=20, seed=1) != mix(parts, limit=20, seed=2)


def test_a_part_that_would_give_nothing_is_an_error() -> None:
    with pytest.raises(DataError, match=r"part 'a' .* would give no text.*1 in all"):
        mix({"a": Part(some(5), 9.0), "b": Part(some(5), 1.0)}, limit=1)


def test_equal_words_stay_on_one_side() -> None:
    texts = [Text(str(i), f"text {i % 10}{'!' * (i // 10)}", "s", "d") for i in range(30)]
    train, held_out = split_texts(texts, validation=0.2, seed=0)
    sides = [{text.text.rstrip("!") for text in side} for side in (train, held_out)]
    assert not sides[0] & sides[1]
    assert len(held_out) == 6


def settings(folder: Path, **texts: Any) -> TrainSettings:
    for name, count in (("loud", 20), ("quiet", 60)):
        rows = "".join(json.dumps({"text": p.text}) + "\n" for p in some(count, name))
        (folder / f"{name}.jsonl").write_text(rows)
    parts = {
        "loud": {"source": str(folder / "loud.jsonl")},
        "quiet": {"source": str(folder / "quiet.jsonl"), "proportion": 2},
    }
    content = {"method": "sft", "model": "m", "texts": {"parts": parts, "validation": 0.1} | texts}
    return parse(TrainSettings, content, place="train")


def test_a_recipes_parts_become_tagged_texts(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    assert source_kind(chosen) == "texts"
    data = read_data(chosen, seed=0)
    assert isinstance(data, TextSplit)
    assert (len(data.train), len(data.validation)) == (54, 6)
    assert {text.domain for text in data.train} == {"loud", "quiet"}
    described = describe_data(chosen)["texts"]
    assert described["quiet"]["files"][0]["name"] == "quiet.jsonl"
    assert described["quiet"]["proportion"] == 2
    written = chosen.run_config({})["texts"]["parts"]["loud"]["source"]
    assert not Path(written).is_absolute()


def test_texts_that_begin_as_the_bench_asks_are_left_out(tmp_path: Path) -> None:
    bench = tmp_path / "bench.jsonl"
    bench.write_text("".join(f'{{"text": "LOUD text {i}, as asked"}}\n' for i in range(5)))
    asked: dict[str, Any] = {"source": str(bench), "opening": 3}
    chosen = settings(tmp_path, exclude=asked)
    data = read_data(chosen, seed=0)
    learnt = {text.text for text in (*data.train, *data.validation)}
    assert {text for text in learnt if "loud" in text} == {f"loud text {i}" for i in range(5, 20)}
    written = chosen.run_config({})["texts"]["exclude"]
    assert (Path(written["source"]).is_absolute(), written["opening"]) == (False, 3)
    everything = settings(tmp_path, exclude=asked | {"opening": 1, "source": asked["source"]})
    with pytest.raises(DataError, match="part 'loud': all 20 texts begin with an excluded"):
        read_data(everything, seed=0)


def test_a_recipes_bench_is_left_out_of_its_texts(tmp_path: Path) -> None:
    texts = settings(tmp_path).texts
    assert texts
    recipe = parse(
        Recipe,
        {
            "name": "r",
            "model": "embedded",
            "prompts": {"source": "embedded", "opening": 2},
            "variants": [{"name": "v", "method": "sft", "texts": texts.model_dump()}],
        },
        place="recipe",
    )
    trained = recipe.train_settings(recipe.variants[0]).texts
    assert trained
    assert trained.exclude == recipe.prompts


def test_openings_are_of_the_longer_texts_and_keep_their_rest_out(tmp_path: Path) -> None:
    source = tmp_path / "texts.jsonl"
    texts = ["one two three four", "  one\ttwo  three", "one two"]
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    cut = load_prompts(str(source), opening=2)
    assert [prompt.text for prompt in cut] == ["one two", "one\ttwo"]
    whole = load_prompts(str(source))
    assert not_beginning_with(whole, ["One; two!"]) == []
    assert not_beginning_with(whole, ["one two thr"]) == whole


def test_a_wrong_key_of_a_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"texts\.parts\.a\.sourc"):
        settings(tmp_path, parts={"a": {"sourc": "x"}})


def test_a_text_is_learnt_whole_with_its_end() -> None:
    lm = tiny_lm()
    row = text_row(lm, Text("t", "so what", "s", "d"), 100)
    assert row.input_ids == row.labels == (*lm.prompt_ids("so what", chat=False), 0)
    cut = text_row(lm, Text("t", "so what", "s", "d"), 4)
    assert (len(cut.input_ids), cut.cut, row.cut) == (4, True, False)
    rows, rejected = build_text_rows(lm, [Text("t", "so", "s", "d")], 1)
    assert (rows, rejected) == ([], [("t", "it has fewer than two tokens")])
