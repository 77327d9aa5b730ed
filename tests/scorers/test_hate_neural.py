"""`hate-neural` on texts that it never learnt from: hate, counter-speech, groups, its size."""

from pathlib import Path

import pytest
from yaml import safe_load

from detoxlab import audit
from detoxlab.audits.card import Audit
from detoxlab.reports.audited import read_audits
from detoxlab.scorers import load_scorer
from detoxlab.scorers.loading import ASSETS
from detoxlab.scorers.trained import read_adapter

ADAPTER = ASSETS / "hate-neural" / "adapter.safetensors"
RECIPE = Path(__file__).parents[2] / "recipes" / "scorers" / "hate-neural.yaml"
SECTIONS = ("hatecheck", "toxigen", "dghs")


def held_out_groups() -> tuple[str, ...]:
    """ToxiGen's groups whose statements the recipe never trains on."""
    never = safe_load(RECIPE.read_text(encoding="utf-8"))["never"].values()
    return tuple(one["where"]["groups"] for one in never if one["source"] == "toxigen-annotated")


@pytest.fixture(scope="module")
def card(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    folder = tmp_path_factory.mktemp("audit")
    out = folder / "hate"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DETOXLAB_CACHE", str(folder / "cache"))  # no score of an earlier adapter
        audit(
            ["hate-neural"],
            data=str(data_dir),
            out=out,
            sections=SECTIONS,
            held_out=held_out_groups(),
            resamples=100,
        )
    (found,) = read_audits(out)
    return found


def value(card: Audit, section: str, name: str, **place: str) -> float:
    figure = card.figure(section, name, **place)
    assert figure is not None
    assert figure.value is not None
    return figure.value


@pytest.mark.slow
def test_it_hears_hate_in_functional_cases_and_not_groups_alone(card: Audit) -> None:
    assert value(card, "hatecheck", "roc_auc") >= 0.88
    assert value(card, "hatecheck", "denouncements_marked") <= 0.25
    assert value(card, "hatecheck", "neutral_marked") <= 0.05


@pytest.mark.slow
def test_it_ranks_statements_about_groups_that_it_never_saw_as_people_do(card: Audit) -> None:
    together = ", ".join(held_out_groups())
    assert value(card, "toxigen", "roc_auc", subset="held out", group=together) >= 0.80


@pytest.mark.slow
def test_it_hears_hate_that_was_written_to_deceive(card: Audit) -> None:
    assert value(card, "dghs", "roc_auc") >= 0.82


def test_it_is_small_enough_to_ship_and_says_what_it_learnt_from() -> None:
    assert ADAPTER.stat().st_size <= 10e6
    _, description = read_adapter(ADAPTER)
    assert description.encoder.source == "minilm"
    assert set(safe_load(RECIPE.read_text(encoding="utf-8"))["never"]) == set(description.never)
    assert not {"hatecheck", "unintended-bias"} & set(description.data)


def test_rude_words_are_no_hate_to_it() -> None:
    scorer = load_scorer("hate-neural", cache=False)
    rude, calm = scorer(["This damn printer is a piece of crap.", "My neighbours are Muslims."])
    assert max(rude[0], calm[0]) < scorer.thresholds["hate"]
