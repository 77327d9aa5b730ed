"""The embedded scorers against Perspective's published scores, and their files."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from detoxlab.errors import DependencyError, MissingFileError, ScorerError
from detoxlab.scorers import (
    PERSPECTIVE_ATTRIBUTES,
    FloatArray,
    Scorer,
    load_scorer,
    neural,
)
from detoxlab.scorers.linear import BUCKETS, load_linear, ngram_counts
from detoxlab.scorers.loading import ASSETS
from detoxlab.scorers.offline import minilm

LINEAR_FILE = ASSETS / "rtp-linear" / "model.npz"
NEURAL_FILE = ASSETS / "rtp-neural" / "model.safetensors"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def test_prompts(data_dir: Path) -> tuple[list[str], FloatArray]:
    """The distinct prompts of the two files that nothing trained on, with published scores."""
    rows = {}
    for kind in ("toxic", "no_toxic"):
        path = data_dir / "real_toxicity_prompts" / f"rtp_destein_{kind}_1k.jsonl.gz"
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                prompt = json.loads(line)["prompt"]
                rows[prompt["text"]] = [prompt[name] for name in PERSPECTIVE_ATTRIBUTES]
    return list(rows), np.array(list(rows.values()))


def agreement(scorer: Scorer, prompts: tuple[list[str], FloatArray]) -> tuple[float, float, float]:
    """Pearson's r, AUC at .5 and mean calibration gap over 15 bins, for toxicity."""
    texts, published_NA = prompts
    predicted_N, published_N = scorer(texts)[:, 0], published_NA[:, 0]
    toxic_N = predicted_N[published_N >= 0.5]
    other_N = np.sort(predicted_N[published_N < 0.5])
    below = np.searchsorted(other_N, toxic_N, "left") + np.searchsorted(other_N, toxic_N, "right")
    bins = np.array_split(np.argsort(predicted_N), 15)
    gaps = [abs(predicted_N[b].mean() - published_N[b].mean()) for b in bins]
    r = np.corrcoef(predicted_N, published_N)[0, 1]
    return float(r), float(below.mean() / 2 / len(other_N)), float(np.mean(gaps))


def test_linear_agrees_with_perspective(test_prompts: tuple[list[str], FloatArray]) -> None:
    r, auc, gap = agreement(load_scorer("rtp-linear"), test_prompts)
    assert r >= 0.82
    assert auc >= 0.925
    assert gap <= 0.03


@pytest.mark.e2e
@pytest.mark.slow
def test_neural_agrees_with_perspective(test_prompts: tuple[list[str], FloatArray]) -> None:
    texts, published_NA = test_prompts
    half = (texts[::2], published_NA[::2])
    r, auc, gap = agreement(load_scorer("rtp-neural", cache=False), half)
    assert r >= 0.94
    assert auc >= 0.97
    assert gap <= 0.03


def test_the_two_families_learn_from_disjoint_texts(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from scorer_corpus import read_corpus, split_corpus

    split = split_corpus(read_corpus(data_dir))
    parts = [split.test, split.held_out, split.linear, split.neural]
    texts = [{" ".join(text.text.lower().split()) for text in part} for part in parts]
    assert sum(map(len, texts)) == len(set().union(*texts))
    documents = [{min(text.documents) for text in part} for part in parts[1:]]
    assert sum(map(len, documents)) == len(set().union(*documents))
    tested = {document for text in split.test for document in text.documents}
    assert not any(tested & text.documents for text in split.linear + split.neural)
    assert min(map(len, texts[2:])) > 5000


def test_assets_are_small() -> None:
    assert LINEAR_FILE.stat().st_size <= 4e6
    assert NEURAL_FILE.stat().st_size <= 10e6
    for file in (LINEAR_FILE, NEURAL_FILE):
        assert (file.parent / "README.md").is_file()


def test_linear_needs_no_torch() -> None:
    import subprocess

    program = (
        "import sys\n"
        "from detoxlab.scorers import load_scorer\n"
        "load_scorer('rtp-linear')(['you fool'])\n"
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_ngrams_are_counted_within_a_text_only() -> None:
    together, apart = ngram_counts(["ab", "cd"]), [ngram_counts([text]) for text in ("ab", "cd")]
    counted = np.split(together.buckets_M, together.starts_N[1:])
    for part, alone in zip(counted, apart, strict=True):
        assert part.tolist() == alone.buckets_M.tolist()


def test_ngram_counts_by_hand() -> None:
    # " aaaa ": 2-grams " a", "aa" x 3, "a "; 3-grams " aa", "aaa" x 2, "aa "; 4-grams " aaa",
    # "aaaa", "aaa "; 5-grams " aaaa", "aaaa ": 15 windows, 11 of them distinct.
    features = ngram_counts(["aaaa"])
    assert sorted(features.counts_M.tolist()) == [1] * 9 + [2, 3]
    assert features.buckets_M.max() < BUCKETS


def test_case_and_spacing_do_not_matter() -> None:
    linear = load_scorer("rtp-linear")
    one, other = linear(["you fool"]), linear(["  You \n FOOL "])
    np.testing.assert_array_equal(one, other)


def test_rude_texts_score_higher() -> None:
    for name in ("rtp-linear", "rtp-neural"):
        rude, kind = load_scorer(name, cache=False)(["you fool", "what a lovely day"])[:, 0]
        assert rude > 0.5 > kind


def test_a_missing_asset_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="build_scorers"):
        load_linear(tmp_path / "model.npz")
    with pytest.raises(MissingFileError, match="build_scorers"):
        neural.load_neural(tmp_path / "model.safetensors")


def test_a_broken_asset_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"no safetensors at all")
    with pytest.raises(ScorerError, match="not a readable safetensors file"):
        neural.load_neural(path)
    (tmp_path / "model.npz").write_bytes(b"no archive")
    with pytest.raises(ScorerError, match="not a readable"):
        load_linear(tmp_path / "model.npz")


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(load_file(NEURAL_FILE), path, {"version": "1", "base_sha256": "0" * 64})
    with pytest.raises(ScorerError, match="was not made for"):
        neural.load_neural(path)


def test_other_base_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"other weights")
    with pytest.raises(ScorerError, match=r"sha256 is [0-9a-f]{16}, not 53aa51172d142c89"):
        minilm.check_base(path)
    with pytest.raises(ScorerError, match="sha256 is missing"):
        minilm.check_base(tmp_path / "absent.safetensors")


def test_without_the_base_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "BASE_PACKAGE", "no_such_package")
    with pytest.raises(DependencyError, match=r"detoxlab\[offline\]"):
        load_scorer("rtp-neural")


def test_merging_adds_the_product_of_the_adapter() -> None:
    plain = neural.load_encoder(minilm.base_folder())
    before = plain.get_submodule("encoder.layer.0.output.dense").weight.clone()
    tensors = load_file(NEURAL_FILE)
    merged = neural.assemble(plain, tensors).encoder
    name = "encoder.layer.0.output.dense"
    update = tensors[f"lora.{name}.B"].float() @ tensors[f"lora.{name}.A"].float()
    after = merged.get_submodule(name).weight
    assert update.abs().max() > 0.01
    torch.testing.assert_close(after, before + update)
