"""Which subject settings name: by what a run says it made, and by the steerings on top."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from detoxlab.auxiliary.head import AuxiliaryHead, HeadShape, save_head
from detoxlab.errors import ConfigError, ModelError
from detoxlab.models import load_model
from detoxlab.models.hidden import output_layer
from detoxlab.pipeline.evaluating import subject_of
from detoxlab.pipeline.preflight import check_model
from detoxlab.pipeline.subjects import load_subject, product_of
from detoxlab.recipe.measuring import SubjectSettings
from detoxlab.runs import Run
from detoxlab.settings import parse
from detoxlab.steering import STEERINGS
from detoxlab.steering.names import SteeringName
from tests.support.fine_tuned import trained
from tests.support.plugins.steer_bias import Bias
from tests.support.plugins.steer_vector import Vector
from tests.support.tiny import save_tiny


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "base")


@pytest.fixture(autouse=True)
def _kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEERINGS, "bias", Bias)
    monkeypatch.setitem(STEERINGS, "vector", vector_of_run)


def vector_of_run(where: str, strength: float) -> Vector:
    return Vector(str(Path(where) / "steering" / "vector.safetensors"), strength)


def run_of(base: Path, name: str, **fields: Any) -> Run:
    """A finished training of the base beside it."""
    run = Run.start(base.parent / name, kind="train", config={})
    with run.writing():
        run.update(base_model="../base", base_model_id=load_model(base).id, **fields)
    return run


def put_head(run: Run, base: Path) -> None:
    table_VD = output_layer(load_model(base)).weight_VD
    head = AuxiliaryHead(HeadShape(table_VD.shape[1], table_VD.shape[0]), table_VD)
    save_head(head, run.path / "auxiliary", {"conditions": [{"scorer": "rtp-linear"}]})


@pytest.mark.parametrize(
    "said", [{"makes": "head"}, {"method": "auxiliary"}], ids=["now", "runs of old"]
)
def test_a_run_that_made_a_head_is_its_base_with_nado(base: Path, said: dict[str, str]) -> None:
    run = run_of(base, "aux", **said)
    put_head(run, base)
    subject = load_subject(SubjectSettings(model=str(run.path), strength=0.5))
    assert subject.id.startswith(f"{load_model(base).id}+nado@")
    assert subject.id.endswith("*0.5")
    assert subject.training_scorers == ("rtp-linear",)
    assert check_model(SubjectSettings(model=str(run.path))) == []


def test_a_run_that_made_a_steering_is_its_base_with_that(base: Path) -> None:
    """Its own comes first, then those that are named."""
    run = run_of(base, "mean", makes="steering")
    (run.path / "steering").mkdir()
    (run.path / "steering" / "steering.json").write_text('{"kind": "vector"}')
    save_file({"vector": torch.ones(32)}, run.path / "steering" / "vector.safetensors")
    settings = SubjectSettings(model=str(run.path), steer=["bias:7", "bias:8@3"], strength=0.5)
    own, first, second = load_subject(settings).steerings
    assert own == vector_of_run(str(run.path), 0.5)
    assert (first, second) == (Bias("7", 0.5), Bias("8", 3.0))
    assert check_model(SubjectSettings(model=str(run.path))) == []


def test_a_run_that_made_a_scorer_is_no_model(base: Path) -> None:
    run = run_of(base, "judge", makes="scorer")
    for load in (load_subject, check_model):
        with pytest.raises(ModelError, match="made a scorer, not a model"):
            load(SubjectSettings(model=str(run.path)))


def test_every_training_says_what_it_makes(base: Path) -> None:
    run = trained(base.parent / "ft", load_model(base), max_steps=1)
    assert run.info["makes"] == product_of(run) == "adapter"
    run.update(makes=None)
    assert product_of(run) == "adapter"  # as runs of old, which do not say
    subject = load_subject(SubjectSettings(model=str(run.path), steer="bias:7@2"))
    assert subject.id == f"{load_model(run.path).id}+bias@7*2"
    with subject.base() as untouched:
        assert untouched.id == load_model(base).id


# --- how settings name them ---


def test_one_steering_is_recorded_as_ever_and_several_as_a_list() -> None:
    one, listed, two, none = (
        parse(SubjectSettings, {"model": "embedded", "steer": steer}, place="x").run_config()
        for steer in ("bias:7", ["bias:7"], ["bias:7@0.5", "bias:8"], [])
    )
    assert (one["steer"], listed["steer"], none["steer"]) == ("bias:7", "bias:7", None)
    assert two["steer"] == ["bias:7@0.5", "bias:8"]
    assert yaml.safe_load(yaml.safe_dump(one))["strength"] == 1.0


def test_a_measured_run_finds_its_steerings_from_anywhere(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are kept relative to where the run was made, strengths as they were said."""
    monkeypatch.chdir(base.parent)
    Path("a@b").mkdir()
    settings = SubjectSettings(model="base", steer=["bias:a@b", "bias:base@0.25"])
    run = Run.start(base.parent / "measured", kind="measure", config=settings.run_config())
    monkeypatch.chdir("/")
    first, second = (SteeringName.parse(name) for name in subject_of(run).steerings)
    assert (Path(first.where).resolve(), first.strength) == (base.parent / "a@b", None)
    assert (Path(second.where).resolve(), second.strength) == (base, 0.25)


def test_a_name_without_a_kind_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(ConfigError, match="KIND:WHAT"):
        SubjectSettings(model="embedded", steer="nado").run_config()
