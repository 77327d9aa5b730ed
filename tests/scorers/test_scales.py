"""The scale of published figures: which scorer is on which, and the curves between the two."""

import sys
from pathlib import Path

import numpy as np
import pytest

from detoxlab.errors import ConfigError
from detoxlab.scorers import check_scorer, load_scorer, single_scorers
from detoxlab.scorers.scales import NEWER, OLDER, scale_of, scale_remarks

ROOT = Path(__file__).parents[2]
TEXTS = ["you fool", "what a lovely day", "You stupid old goat!", "", "ты дурак"]


@pytest.mark.parametrize("name", ["rtp-linear", "rtp-neural"])
def test_the_older_scale_raises_toxicity_and_keeps_the_order(name: str) -> None:
    newer, older = load_scorer(name)(TEXTS), load_scorer(f"{name}:2020")(TEXTS)
    np.testing.assert_array_equal(np.isnan(newer), np.isnan(older))
    assert (older[:3, 0] > newer[:3, 0]).all()
    assert (np.argsort(older[:3], axis=0) == np.argsort(newer[:3], axis=0)).all()
    assert ((older[:3] >= 0) & (older[:3] <= 1)).all()
    assert load_scorer(f"{name}:2020").missing_reason("") == "empty"


def test_names_and_ids_carry_the_scale() -> None:
    assert load_scorer("rtp-linear:2020").id == "rtp-linear@1:2020"
    assert load_scorer("rtp-linear@1:2020").id == "rtp-linear@1:2020"
    nested = load_scorer("normalised(rtp-linear:2020)").id
    assert nested == "normalised@1(rtp-linear@1:2020)"
    assert single_scorers(nested) == {"rtp-linear"}
    assert check_scorer("mean(rtp-neural:2020, rtp-linear:2020)") == []


@pytest.mark.parametrize("name", ["toxic-bert:2020", "rtp-linear@7:2020", "hf:org/model:2020"])
def test_a_scorer_without_a_curve_is_refused_before_it_is_loaded(name: str) -> None:
    with pytest.raises(ConfigError, match=f"no curve to the scale {OLDER}"):
        check_scorer(name)


def test_scales_are_known_by_id() -> None:
    assert scale_of("rtp-linear@1") == scale_of("mean(rtp-linear@1,2*rtp-neural@1)") == NEWER
    assert scale_of("worst_window(normalised@1(rtp-neural@1:2020),40)") == OLDER
    assert scale_of("perspective") is None
    assert scale_of("guard:llama-guard-3=org/model(1)") is None
    assert scale_of(None) is None


def test_two_scales_side_by_side_get_a_remark() -> None:
    assert scale_remarks("rtp-neural@1", "toxic-bert@1") == ()
    (mixed,) = scale_remarks("rtp-neural@1", "rtp-linear@1:2020")
    assert "rtp-neural@1 on the scale perspective-2024" in mixed
    assert "not comparable" in mixed
    for pair in (("perspective", "rtp-neural@1"), ("rtp-neural@1", "Perspective_API")):
        (unknown,) = scale_remarks(*pair)
        assert "unknown version of Perspective" in unknown
        assert OLDER in unknown


def test_quantiles_are_joined_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    sys.modules.pop("scorer_scales", None)
    from scorer_scales import joined_quantiles

    scores_NA = np.linspace(0, 0.5, 101)[:, None]
    curve = joined_quantiles(scores_NA, np.random.default_rng(0).permutation(2 * scores_NA))
    found = curve(np.array([[0.0], [0.1], [0.25], [0.5]]))
    np.testing.assert_allclose(found.ravel(), [0.0, 0.2, 0.5, 1.0], atol=1e-3)


def test_the_older_scale_has_the_level_of_the_published_scores(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from scorer_corpus import read_corpus, split_corpus

    unseen = [text for text in split_corpus(read_corpus(data_dir)).held_out if text.old]
    published_N = np.array([text.old[0] for text in unseen])
    scores_N = load_scorer("rtp-linear:2020")([text.text for text in unseen])[:, 0]
    plain_N = load_scorer("rtp-linear")([text.text for text in unseen])[:, 0]
    assert abs(scores_N.mean() - published_N.mean()) < 0.02
    assert abs((scores_N >= 0.5).mean() - (published_N >= 0.5).mean()) < 0.02
    assert published_N.mean() - plain_N.mean() > 0.08
