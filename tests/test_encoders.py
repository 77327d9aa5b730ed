"""Encoders: unit rows, order, empty texts, known similarities, checked weights."""

from pathlib import Path

import numpy as np
import pytest

from detoxlab import encoders
from detoxlab.encoders import HashedNgrams, cosine_similarity, load_encoder
from detoxlab.errors import MissingFileError, ModelError, UnknownNameError

TEXTS = ["you fool", "", "The market opens at nine.", "Der Markt öffnet um neun.", " \n", "a", "🙂"]


@pytest.fixture(scope="module", params=["hashed-ngrams", "minilm"])
def encoder(request: pytest.FixtureRequest) -> encoders.Encoder:
    if request.param == "minilm":
        pytest.importorskip(encoders.MINILM_PACKAGE)
    return load_encoder(request.param)


def test_rows_are_unit_vectors_and_empty_texts_are_zero(encoder: encoders.Encoder) -> None:
    lengths = np.linalg.norm(encoder(TEXTS), axis=1)
    assert lengths == pytest.approx([1, 0, 1, 1, 0, 1, 1])


def test_order_and_batching_do_not_matter(encoder: encoders.Encoder) -> None:
    texts = [f"number {i} " + "and so on " * (i % 7) for i in range(70)]
    whole = encoder(texts)
    assert whole.dtype == np.float64
    np.testing.assert_allclose(encoder(texts[::-1])[::-1], whole, atol=1e-5)
    one_by_one = np.concatenate([encoder([text]) for text in texts[:9]])
    np.testing.assert_allclose(one_by_one, whole[:9], atol=1e-5)


def test_no_text_gives_no_row(encoder: encoders.Encoder) -> None:
    assert encoder([]).shape[0] == 0
    assert cosine_similarity(encoder, [], []).shape == (0,)


def test_likeness_is_ordered(encoder: encoders.Encoder) -> None:
    near, far = cosine_similarity(
        encoder,
        ["The new neighbours are loud."] * 2,
        ["Our new neighbours are very loud people.", "Bake the bread for forty minutes."],
    )
    assert near > far + 0.2


def test_an_empty_text_has_no_similarity(encoder: encoders.Encoder) -> None:
    similarity = cosine_similarity(encoder, ["a b", "", "a b"], ["a b", "a b", " "])
    assert similarity[0] == pytest.approx(1)
    assert np.isnan(similarity[1:]).all()


def test_minilm_finds_a_paraphrase_where_spelling_does_not() -> None:
    pytest.importorskip(encoders.MINILM_PACKAGE)
    pair = ["The physician cured the infant."], ["A doctor healed the baby."]
    spelling, meaning = (
        cosine_similarity(load_encoder(name), *pair)[0] for name in ("hashed-ngrams", "minilm")
    )
    assert meaning > 0.5 > spelling + 0.1


def test_hashed_ngrams_are_the_same_on_every_machine() -> None:
    row = HashedNgrams()(["you fool"])[0]
    assert np.flatnonzero(row).tolist() == GOLDEN_COLUMNS
    assert np.sign(row[row != 0]).tolist() == GOLDEN_SIGNS


def test_hashed_ngrams_by_hand() -> None:
    """' ab ' has the 3-grams ' ab' and 'ab ' and one 4-gram: three columns of equal weight."""
    row = HashedNgrams()(["AB"])[0]
    assert sorted(abs(row[row != 0])) == pytest.approx([3**-0.5] * 3)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("hashed-ngram", UnknownNameError, "Did you mean 'hashed-ngrams'"),
        ("./no/such/folder", MissingFileError, "no such folder"),
        ("nobody/nothing-here", ModelError, "without a network"),
    ],
)
def test_a_wrong_name_says_what_to_do(name: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        load_encoder(name)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        load_encoder(str(tmp_path))


def test_weights_that_were_replaced_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"something else")
    with pytest.raises(ModelError, match="not the published 53aa51172d14"):
        encoders.check_weights(weights, encoders.MINILM_SHA256)


def test_pairs_must_match(encoder: encoders.Encoder) -> None:
    with pytest.raises(ValueError, match="2 texts against 1"):
        cosine_similarity(encoder, ["a", "b"], ["a"])


GOLDEN_COLUMNS = [18, 22, 74, 78, 154, 357, 389, 426, 457, 477, 502, 594, 621, 652, 714]
GOLDEN_COLUMNS += [924, 926, 942, 945, 965, 966]
GOLDEN_SIGNS = [1, 1, 1, -1, 1, 1, -1, -1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, 1, 1, 1]
