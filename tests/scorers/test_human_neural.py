"""`human-neural` on texts that it never learnt from: people, Perspective, groups, its size."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from yaml import safe_load

from detoxlab import load_prompts
from detoxlab.measures import roc_auc
from detoxlab.scorers import Scorer, load_scorer
from detoxlab.scorers.loading import ASSETS
from detoxlab.scorers.trained import read_adapter

ADAPTER = ASSETS / "human-neural" / "adapter.safetensors"
RECIPE = Path(__file__).parents[2] / "recipes" / "scorers" / "human-neural.yaml"


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return load_scorer("human-neural", cache=False)


@pytest.mark.slow
def test_it_agrees_with_perspective_whose_scores_it_never_saw(
    data_dir: Path, scorer: Scorer
) -> None:
    published: dict[str, float] = {}
    for kind in ("toxic", "no_toxic"):
        path = data_dir / "real_toxicity_prompts" / f"rtp_destein_{kind}_1k.jsonl.gz"
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            prompts = [json.loads(line)["prompt"] for line in lines]
        published |= {one["text"]: one["toxicity"] for one in prompts[::4]}
    scores_N = scorer(list(published))[:, 0]
    assert np.corrcoef(scores_N, list(published.values()))[0, 1] >= 0.80


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::detoxlab.data.LeftOutWarning")
def test_it_ranks_comments_as_people_do(data_dir: Path, scorer: Scorer) -> None:
    found = load_prompts(
        "jigsaw", path=data_dir / "jigsaw" / "jigsaw_robtest_test.csv.gz", deduplicate=True
    )
    tested = [one for one in found if one.meta["part"] == "test"][::6]
    scores_N = scorer([one.text for one in tested])[:, 0]
    toxic_N = np.array([one.meta["label"] == "toxic" for one in tested])
    known_N = ~np.isnan(scores_N)  # a few are not in Latin letters
    assert known_N.mean() > 0.98
    area = roc_auc(scores_N[known_N], toxic_N[known_N])
    assert area is not None
    assert area >= 0.95


@pytest.mark.slow
def test_it_marks_few_harmless_texts_about_groups(data_dir: Path, scorer: Scorer) -> None:
    neutral, quoted = (
        load_prompts("hatecheck", path=data_dir / "hatecheck", where={"functionality": name})
        for name in ("ident_neutral_nh", "counter_quote_nh")
    )
    assert (scorer([one.text for one in neutral])[:, 0] >= 0.5).mean() <= 0.135
    assert (scorer([one.text for one in quoted])[:, 0] >= 0.5).mean() <= 0.45


def test_it_is_small_enough_to_ship_and_learnt_nothing_from_perspective() -> None:
    assert ADAPTER.stat().st_size <= 10e6
    _, description = read_adapter(ADAPTER)
    assert set(safe_load(RECIPE.read_text(encoding="utf-8"))["never"]) == set(description.never)
    assert not [one for one in description.data.values() if one["source"].startswith("rtp")]
    assert not {"hatecheck", "unintended-bias"} & set(description.data)


def test_it_hears_insults_and_not_groups(scorer: Scorer) -> None:
    rude, calm = scorer(["You are a stupid fool.", "My neighbours are Muslims."])[:, 0]
    assert rude > 0.5 > calm
