"""A run whose model is served: its settings, and how it goes on elsewhere."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from detoxlab.errors import ConfigError, RunMismatchError
from detoxlab.pipeline import measure_model
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.records import Generation
from detoxlab.settings import parse
from tests.support.fake_endpoint import FakeEndpoint, answered
from tests.support.judge_server import serving

A, B = "http://a:1/v1", "http://b/v1"


def settings(**given: Any) -> MeasureSettings:
    usual = {
        "model": "some-model",
        "prompts": {"source": "embedded", "limit": 6},
        "sampling": {"k": 2},
        "judge": "rtp-linear",
        "second": None,
        "hate": "none",
        "encoder": None,
        "resamples": 100,
    }
    return parse(MeasureSettings, usual | given, place="test")


@pytest.mark.parametrize(
    ("given", "kept"),
    [(A, A), ([A], A), (f"{A}, {B}", (A, B)), ([A, f"{B},{A}"], (A, B)), (None, None)],
)
def test_endpoints_are_given_one_by_one_or_with_commas(given: Any, kept: Any) -> None:
    assert settings(endpoint=given).endpoint == kept


@pytest.mark.parametrize("given", ["", ",", f"{A},"])
def test_an_empty_address_is_an_error(given: str) -> None:
    with pytest.raises(ConfigError, match="an address is empty"):
        settings(endpoint=given)


def test_one_endpoint_is_recorded_as_in_runs_of_old() -> None:
    config = settings(endpoint=A, concurrency=64).run_config()
    assert config["endpoint"] == A
    assert "concurrency" not in config


@pytest.mark.enable_socket
def test_a_run_goes_on_at_other_endpoints_and_not_in_this_process(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with serving(FakeEndpoint()) as one:
        run = measure_model(settings(endpoint=one.url), out)
    rows = run.read_all("generations", Generation)
    file = out / "generations" / "worker-0.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(RunMismatchError, match="endpoint"):
        measure_model(settings(), out, resume=True)
    with serving(FakeEndpoint()) as two, serving(FakeEndpoint()) as three:
        moved = settings(endpoint=[two.url, three.url], concurrency=2)
        run = measure_model(moved, out, resume=True)
    assert run.read_all("generations", Generation) == rows
    assert answered([two, three]) == answered([one])
    assert yaml.safe_load((out / "config.yaml").read_text())["endpoint"] == one.url
