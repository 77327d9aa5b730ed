"""Hugging Face classifiers: labels, softmax or sigmoid, revision, length, memory, failures."""

import shutil
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from detoxlab.errors import ConfigError, ScorerError
from detoxlab.scorers.forward import logits_of
from detoxlab.scorers.huggingface import KNOWN_CLASSIFIERS, load_classifier
from detoxlab.scorers.loading import SHORT_NAMES, load_scorer
from tests.support.tiny_classifier import save_tiny_classifier

TEXTS = ["you fool", "what a lovely day it is", "is it", "old goat"]


@pytest.fixture(scope="module")
def two_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_classifier(tmp_path_factory.mktemp("two"), ["fine", "toxic"])


@pytest.fixture(scope="module")
def many_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    return save_tiny_classifier(
        folder, ["toxic", "obscene", "insult"], problem_type="multi_label_classification"
    )


def reference_logits(folder: Path, text: str) -> torch.Tensor:
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(**AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")).logits[0]


def test_two_labels_are_a_softmax_over_which_the_toxic_one_is_read(two_labels: Path) -> None:
    scorer = load_classifier(str(two_labels))
    expected = [reference_logits(two_labels, text).softmax(0)[1].item() for text in TEXTS]
    assert scorer.attributes == ("toxicity",)
    np.testing.assert_allclose(scorer(TEXTS)[:, 0], expected, atol=1e-5)


def test_multi_label_is_a_sigmoid_per_label(many_labels: Path) -> None:
    scorer = load_classifier(str(many_labels))
    expected = [reference_logits(many_labels, text).sigmoid().numpy() for text in TEXTS]
    assert scorer.attributes == ("toxicity", "obscene", "insult")
    np.testing.assert_allclose(scorer(TEXTS), expected, atol=1e-5)


def test_labels_and_activation_can_be_said(two_labels: Path) -> None:
    by_option = load_classifier(str(two_labels), labels=["fine"], activation="sigmoid")
    by_name = load_scorer(f"{two_labels}#fine", cache=False)
    renamed = load_classifier(str(two_labels), labels={"fine": "kindness"})
    expected = reference_logits(two_labels, "you fool")
    assert by_option(["you fool"])[0, 0] == pytest.approx(expected.sigmoid()[0].item(), abs=1e-5)
    assert by_name(["you fool"])[0, 0] == pytest.approx(expected.softmax(0)[0].item(), abs=1e-5)
    assert renamed.attributes == ("kindness",)


def test_a_label_that_is_not_there_lists_those_that_are(two_labels: Path) -> None:
    with pytest.raises(ScorerError, match=r"no label 'hate'\. Its labels: fine, toxic\."):
        load_classifier(str(two_labels), labels=["hate"])
    with pytest.raises(ScorerError, match="Its labels: fine, toxic"):
        load_scorer(f"{two_labels}#hate")


def test_labels_that_say_nothing_are_not_guessed(tmp_path: Path) -> None:
    save_tiny_classifier(tmp_path, ["LABEL_0", "LABEL_1"])
    with pytest.raises(ScorerError, match=r"which of its labels .*\(LABEL_0, LABEL_1\)"):
        load_classifier(str(tmp_path))
    assert load_classifier(str(tmp_path), labels=["LABEL_1"]).attributes == ("toxicity",)


def test_an_open_activation_is_asked_for(tmp_path: Path) -> None:
    save_tiny_classifier(tmp_path, ["toxic", "rude", "fine"])
    with pytest.raises(ConfigError, match="softmax or sigmoid"):
        load_classifier(str(tmp_path), labels=["toxic"])
    assert load_classifier(str(tmp_path), activation="softmax").attributes == ("toxicity",)


def test_half_precision_gives_nearly_the_same(two_labels: Path) -> None:
    full, half = (load_classifier(str(two_labels), dtype=d) for d in ("float32", "bfloat16"))
    np.testing.assert_allclose(half(TEXTS), full(TEXTS), atol=0.03)


def test_one_label_is_a_sigmoid(tmp_path: Path) -> None:
    save_tiny_classifier(tmp_path, ["toxic"])
    scorer = load_classifier(str(tmp_path))
    expected = reference_logits(tmp_path, "you fool").sigmoid().item()
    assert scorer(["you fool"])[0, 0] == pytest.approx(expected, abs=1e-5)


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ScorerError, match="no sequence classifier could be loaded"):
        load_scorer(str(tmp_path))


def test_pickled_weights_are_refused_unless_said(tmp_path: Path) -> None:
    folder = save_tiny_classifier(tmp_path, ["fine", "toxic"])
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ScorerError, match="safetensors"):
        load_classifier(str(folder))
    assert load_classifier(str(folder), any_weights=True)(["you fool"]).shape == (1, 1)


def test_the_id_tells_weights_labels_activation_and_length(two_labels: Path) -> None:
    scorer = load_classifier(str(two_labels))
    name, _, rest = scorer.id.partition("@")
    assert name == f"hf:{two_labels.name}"
    assert rest.endswith("[softmax, toxic, 32 tokens]")
    assert str(two_labels.parent) not in scorer.id
    others = [
        load_classifier(str(two_labels), labels=["fine"]).id,
        load_classifier(str(two_labels), activation="sigmoid").id,
        load_classifier(str(two_labels), max_tokens=8).id,
        load_classifier(str(two_labels), any_script=True).id,
        load_classifier(str(two_labels), dtype="bfloat16").id,
    ]
    assert len({scorer.id, *others}) == len(others) + 1


def test_other_weights_give_another_id(two_labels: Path, tmp_path: Path) -> None:
    folder = save_tiny_classifier(tmp_path, ["fine", "toxic"], layers=2)
    ids = {load_classifier(str(path)).id.partition("@")[2] for path in (two_labels, folder)}
    assert len(ids) == 2


def test_a_classifier_of_the_hub_is_named_by_its_commit(
    two_labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--org--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    shutil.copytree(two_labels, cached / "snapshots" / commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for named in ("hf:org/tiny", f"hf:org/tiny@{commit}"):
        assert load_scorer(named, cache=False).id.startswith("hf:org/tiny@0123456789ab")


def test_another_script_is_scored_only_where_said(two_labels: Path) -> None:
    assert np.isnan(load_classifier(str(two_labels))(["ты дурак"])).all()
    assert np.isfinite(load_classifier(str(two_labels), any_script=True)(["ты дурак"])).all()


def test_a_model_that_returns_nan_gives_missing_scores(two_labels: Path) -> None:
    scorer = load_classifier(str(two_labels))
    with torch.no_grad():
        scorer._model.classifier.bias.fill_(float("nan"))
    assert np.isnan(scorer(["you fool"])).all()
    assert scorer.missing_reason("you fool") == "failed: the model's output is not a number"


def test_batches_are_halved_until_they_fit_into_memory() -> None:
    sizes = []

    def forward(ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        sizes.append(len(ids_BT))
        if len(ids_BT) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return (ids_BT * mask_BT).sum(1, keepdim=True).float()

    ids = [[1], [2, 2], [3], [4, 4, 4], [5]]
    logits_NA = logits_of(forward, ids, pad_id=9, max_tokens=8, device=torch.device("cpu"))
    assert logits_NA.ravel().tolist() == [1, 4, 3, 12, 5]
    assert sizes[0] == 5
    assert max(sizes[1:]) <= 3


def test_another_error_is_not_mistaken_for_memory() -> None:
    def forward(*_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        logits_of(forward, [[1], [2]], pad_id=0, max_tokens=8, device=torch.device("cpu"))


def test_short_names_stand_for_classifiers_whose_labels_are_known() -> None:
    assert set(SHORT_NAMES.values()) == set(KNOWN_CLASSIFIERS)
