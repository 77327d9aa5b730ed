"""`chat`: a model with a chat template is asked with it or without, and nobody is left to guess."""

from pathlib import Path
from typing import Any

import pytest

from detoxlab.cli.common.ending import ending_of
from detoxlab.records import Prompt
from detoxlab.runs import Run
from tests.support.measured_runs import measured
from tests.support.tiny import save_tiny

PLAIN: dict[str, Any] = {"protocol": "rtp", "sampling": {"max_new_tokens": 4, "k": 1}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


def label(run: Run) -> str:
    return str(next(row.protocol for row in run.measurements()))


def test_a_plain_protocol_warns_of_a_template_that_it_leaves_out(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = measured(model, tmp_path / "auto", **PLAIN)
    told = "asked as plain text, without the model's chat template"
    assert told in capsys.readouterr().err
    assert told in ending_of(run).warnings[0]
    assert "chat" not in run.config
    assert "chat=" not in label(run)


def test_no_is_the_same_without_a_warning(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    auto = measured(model, tmp_path / "auto", **PLAIN)
    capsys.readouterr()
    plain = measured(model, tmp_path / "no", chat="no", **PLAIN)
    assert "chat template" not in capsys.readouterr().err
    assert not any("template" in one for one in ending_of(plain).warnings)
    assert plain.responses().generations == auto.responses().generations


def test_yes_asks_a_user_turn_and_the_label_says_so(model: Path, tmp_path: Path) -> None:
    run = measured(model, tmp_path / "yes", chat="yes", **PLAIN)
    chat = measured(model, tmp_path / "chat", sampling={"max_new_tokens": 4, "top_p": 0.9})
    assert run.info["asked"] == chat.info["asked"]
    assert run.info["asked"]["chat"] is True
    assert label(run).startswith("rtp@1 (")
    assert "chat=True" in label(run)
    assert run.config["chat"] == "yes"
    assert not any("template" in one for one in ending_of(run).warnings)
    assert len(run.read("prompts.jsonl", Prompt)) == 20


def test_yaml_reads_yes_as_true() -> None:
    from detoxlab.recipe.measuring import MeasureSettings

    assert MeasureSettings(model="m", chat=True, protocol="xstest").chat == "yes"
    assert not MeasureSettings(model="m", chat=False, protocol="xstest").resolved_protocol().chat
