"""A preset's prompts are the default, and every departure stands in its label."""

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from detoxlab.cli import app
from detoxlab.data.reading import described, read_prompts
from detoxlab.errors import ConfigError, MissingFileError
from detoxlab.pipeline import measure_model
from detoxlab.pipeline.measuring import protocol_label
from detoxlab.protocols import PROTOCOLS, get_protocol
from detoxlab.recipe.experiment import Recipe
from detoxlab.recipe.load import load_recipe
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.settings import parse
from tests.support.paired import BASE_PK, LOWER_PK, held, run

OWN = [name for name, protocol in PROTOCOLS.items() if protocol.source]


def settings(protocol: str | None = None, **given: Any) -> MeasureSettings:
    named = {"protocol": protocol} if protocol else {}
    return parse(MeasureSettings, {"model": "m", **named, **given}, place="t")


def label(protocol: str, count: int = 0, **prompts: Any) -> str:
    """The label of a preset at its own sampling, after reading so many prompts from the hub."""
    asked = settings(protocol, prompts=prompts).prompts.model_dump()
    preset = get_protocol(protocol)
    found = preset.departures(asked, {"hub": "x"}, count or preset.n_prompts or 0)
    return preset.overridden(preset.sampling, found)


@pytest.mark.parametrize("name", OWN)
def test_without_prompts_a_preset_asks_its_own(name: str) -> None:
    preset, asked = get_protocol(name), settings(name).prompts
    assert asked.source == preset.source
    assert (asked.where, asked.limit) == (dict(preset.where), preset.limit)
    assert asked.join_continuation is bool(preset.source_options.get("join_continuation"))
    assert label(name) == preset.id


def test_what_is_said_of_the_prompts_changes_the_presets() -> None:
    """By hand: the rest of the preset stays."""
    asked = settings("dexperts", prompts={"path": "p", "limit": 7}).prompts
    assert (asked.source, asked.path, asked.limit) == ("rtp", "p", 7)
    assert asked.where == {"group": "non-toxic"}
    other = settings("dexperts", prompts={"source": "embedded"}).prompts
    assert (other.source, other.where, other.limit) == ("embedded", {}, None)
    assert settings(prompts={}).prompts.source == "rtp"
    with pytest.raises(ConfigError, match="'imported' has no prompts of its own"):
        settings("imported")


LABELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "its own": ("dexperts", {}, "dexperts@1"),
    "fewer": ("dexperts", {"limit": 250}, "dexperts@1 (limit=250)"),
    "all": ("dexperts", {"limit": None}, "dexperts@1 (limit=none)"),
    "others": (
        "dexperts",
        {"source": "embedded", "limit": 250},
        "dexperts@1 (source=embedded, limit=250)",
    ),
    "others, chosen": (
        "let-the-models-respond",
        {"source": "embedded", "where": {"kind": "hostile"}},
        "let-the-models-respond@1 (source=embedded, where.kind=hostile)",
    ),
    "a file": ("rtp", {"source": "some/folder/mine.jsonl"}, "rtp@1 (source=mine.jsonl)"),
    "toxic alone": (
        "let-the-models-respond",
        {"where": {"toxicity": [0.5, 1]}},
        "let-the-models-respond@1 (where.continuation_toxicity=any)",
    ),
    "a range": (
        "toxigen",
        {"where": {"toxicity_score": [4.5, None]}, "opening": 5, "deduplicate": True},
        "toxigen@1 (where.toxicity_score=4.5:, deduplicate=true, opening=5)",
    ),
    "not joined": (
        "let-the-models-respond",
        {"join_continuation": False},
        "let-the-models-respond@1 (join_continuation=false)",
    ),
    "without some": (
        "bold",
        {"exclude": {"source": "dir/held.txt"}},
        "bold@1 (exclude=held.txt)",
    ),
}


@pytest.mark.parametrize(("protocol", "prompts", "expected"), LABELS.values(), ids=LABELS)
def test_a_departure_stands_in_the_label(
    protocol: str, prompts: dict[str, Any], expected: str
) -> None:
    assert label(protocol, count=100_000 if prompts else 0, **prompts) == expected


@pytest.mark.parametrize(
    ("protocol", "count", "prompts", "expected"),
    [
        ("rtp", 1_000, {}, "rtp@1 (prompts=1000)"),
        ("rtp", 99_442, {}, "rtp@1"),
        ("dexperts", 812, {}, "dexperts@1 (prompts=812)"),
        ("toxigen", 6_514, {}, "toxigen@1"),
        ("rtp", 100, {"limit": 250}, "rtp@1 (limit=250, prompts=100)"),
        ("rtp", 250, {"limit": 250}, "rtp@1 (limit=250)"),
        ("rtp", 3, {"source": "mine.csv"}, "rtp@1 (source=mine.csv)"),
    ],
)
def test_so_does_a_number_of_prompts_that_is_not_the_presets(
    protocol: str, count: int, prompts: dict[str, Any], expected: str
) -> None:
    assert label(protocol, count, **prompts) == expected


@pytest.mark.parametrize(
    ("file", "shown"),
    [("prompts.jsonl", ""), ("prompts.jsonl.gz", ""), ("rtp_some.jsonl", "file=rtp_some.jsonl, ")],
)
def test_so_does_a_file_that_holds_something_else(tmp_path: Path, file: str, shown: str) -> None:
    rows = [{"prompt": {"text": f"Well {at}", "toxicity": 0.1}} for at in range(3)]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / file).write_bytes(gzip.compress(content) if file.endswith("gz") else content)
    asked = settings("dexperts", prompts={"path": str(tmp_path / file)})
    read = read_prompts(asked.prompts, 0)
    assert len(read) == 3
    assert described(asked.prompts)["files"][0]["name"] == file
    assert protocol_label(asked, len(read)) == f"dexperts@1 ({shown}prompts=3)"


def test_a_source_whose_files_are_not_given_says_what_to_do() -> None:
    with pytest.raises(MissingFileError, match="toxigen-annotated: its files were not given") as e:
        read_prompts(settings("toxigen").prompts, 0)
    assert "path" in e.value.remedy


def test_a_recipe_without_prompts_asks_the_presets_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    content = {
        "name": "r",
        "model": "embedded",
        "protocol": "dexperts",
        "variants": [{"name": "v", "method": "sft", "dialogues": {"source": "embedded"}}],
    }
    file.write_text(yaml.safe_dump(content))
    recipe = load_recipe(file, ["prompts.limit=9"])
    assert recipe.prompts.model_dump(exclude_defaults=True) == {
        "source": "rtp",
        "where": {"group": "non-toxic"},
        "limit": 9,
    }
    assert recipe.measure_settings("m").prompts == recipe.prompts
    assert "prompts" not in Recipe.model_json_schema()["required"]


def test_the_command_takes_the_embedded_prompts_only_where_no_protocol_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def planned(*options: str) -> str:
        done = CliRunner().invoke(app, ["measure", "embedded", "--out", "r", "--dry-run", *options])
        return " ".join((done.output + str(done.exception or "")).split())

    assert "protocol rtp@1 (source=embedded)" in planned()
    found = planned("--protocol", "helm", "--prompts", "embedded", "--where", "kind=hostile")
    assert "protocol helm@1 (source=embedded, where.kind=hostile)" in found
    assert "toxigen-annotated: its files were not given" in planned("--protocol", "toxigen")


def test_every_row_of_a_run_names_what_was_asked(tmp_path: Path) -> None:
    given = {
        "model": "embedded",
        "prompts": {"source": "embedded", "limit": 4},
        "sampling": {"k": 2, "max_new_tokens": 4},
        "judge": "rtp-linear",
        "second": None,
        "encoder": None,
        "resamples": 100,
    }
    made = measure_model(parse(MeasureSettings, given, place="t"), tmp_path / "r")
    expected = "rtp@1 (source=embedded, limit=4, k=2, max_new_tokens=4)"
    assert {row.protocol for row in made.measurements()} == {expected}
    assert made.responses().departures == ("source=embedded", "limit=4")


def test_a_run_of_old_is_compared_with_a_new_one() -> None:
    """Whose departures were not recorded: what they asked is compared, not the label."""
    old = dataclasses.replace(run("a", BASE_PK), protocol="rtp")
    new = dataclasses.replace(run("b", LOWER_PK), protocol="rtp", departures=("source=embedded",))
    assert held(old, new).verdict == "improved"
