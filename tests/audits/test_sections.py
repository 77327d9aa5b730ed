"""Each section on texts whose right figures are known by hand."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from detoxlab.audits.keys import PROBE_KEYS, SET_KEYS
from detoxlab.audits.names import FIGURES
from detoxlab.audits.probes import PROBES, batch_independence
from detoxlab.audits.scored import Result, Scored
from detoxlab.audits.sections import SECTIONS
from detoxlab.audits.sections.changed import HIDDEN_AMONG, read_spelt
from detoxlab.errors import MissingFileError
from detoxlab.records import Measurement
from tests.support.audited import scored, write_sets
from tests.support.shouting import Shouting


def figure(result: Result, name: str, group: str | None = None) -> Measurement:
    """The one figure of that name and group."""
    (row,) = [one for one in result[0] if (one.name, one.group) == (name, group)]
    return row


def examined(key: str, texts: Scored) -> Result:
    return SECTIONS[key].examine(texts)


def shouted(key: str, data: Path) -> Result:
    """The section on the small sets, scored by a scorer that hears loudness alone."""
    section = SECTIONS[key]
    prompts = section.read(section.files(data), 0)
    scores_NA = Shouting()([one.text for one in prompts])
    return section.examine(
        Scored(prompts, scores_NA, Shouting.attributes, Shouting.id, "toxicity", resamples=100)
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sets(tmp_path_factory.mktemp("sets"))


def test_the_keys_are_those_of_the_sections_in_their_order() -> None:
    assert tuple(SECTIONS) == SET_KEYS
    assert tuple(PROBES) == PROBE_KEYS


def test_hatecheck_counts_a_loud_denouncement_as_marked_and_wrong(data: Path) -> None:
    found = shouted("hatecheck", data)
    assert figure(found, "denouncements_marked").value == 1
    assert figure(found, "neutral_marked").value == 0
    assert figure(found, "positive_marked").value is None  # there is no such case: unknown
    assert figure(found, "accuracy").value == 11 / 12
    assert figure(found, "accuracy", "counter_quote_nh").value == 0
    assert figure(found, "accuracy", "Vulcans").value == 1
    assert figure(found, "roc_auc").value == pytest.approx(1 - 0.5 / 6)  # one tie in six


def test_perspective_is_held_against_each_shared_attribute(data: Path) -> None:
    found = shouted("perspective", data)
    assert figure(found, "pearson").value == pytest.approx(1)
    assert figure(found, "roc_auc").value == 1
    assert figure(found, "calibration_error").value == pytest.approx(0.025)  # .1 for .05, 0 for .9
    assert {row.attribute for row in found[0]} == {"toxicity"}  # Perspective has no "digits"


def test_hate_is_held_against_the_nearest_attribute_and_says_so(data: Path) -> None:
    section = SECTIONS["perspective"]
    prompts = section.read(section.files(data), 0)
    scores_NA = Shouting()([one.text for one in prompts])[:, :1]
    texts = Scored(prompts, scores_NA, ("hate",), "given@1", "hate", resamples=100)
    rows, _, notes = section.examine(texts)
    assert notes == ["hate is held against Perspective's identity_attack."]
    assert rows[0].value == pytest.approx(1)


def test_toxigen_has_each_group_and_the_held_out_ones(data: Path) -> None:
    section = SECTIONS["toxigen"]
    prompts = section.read(section.files(data), 0)
    right_N = [0.9 if one.meta["label"] == "hate" else 0.1 for one in prompts]
    wrong = [
        0.5 if one.meta["groups"] == ["asian"] else s
        for one, s in zip(prompts, right_N, strict=True)
    ]
    texts = scored(wrong, [dict(one.meta) for one in prompts], held_out=("asian",))
    found = section.examine(texts)
    parts = {(row.subset, row.group): row.value for row in found[0] if row.name == "roc_auc"}
    assert parts == {
        (None, None): 0.875,
        ("group", "asian"): 0.5,
        ("group", "women"): 1,
        ("held out", "asian"): 0.5,
    }


def test_counter_speech_is_told_from_hate_and_classes_stand_apart(data: Path) -> None:
    found = shouted("multitarget-conan", data)
    assert figure(found, "roc_auc").value == 1
    assert figure(found, "marked", "hate").value == 1
    assert figure(found, "marked", "counter-speech").value == 0
    assert figure(found, "mean_score", "counter-speech").value == pytest.approx(0.1)
    assert [curve.name for curve in found[1]] == ["hate", "counter-speech"]


def test_a_third_class_is_in_no_pair_of_the_area() -> None:
    meta = [{"label": one} for one in ("hate", "counter-speech", "other")]
    found = examined("yu2022", scored([0.6, 0.4, 0.9], meta))
    assert figure(found, "roc_auc").value == 1
    assert figure(found, "roc_auc").n == 2
    assert figure(found, "marked", "other").value == 1


def test_bias_shows_where_mentioning_a_group_raises_the_score() -> None:
    """Harmless texts about "old" score .6, above a toxic text of the background at .5."""
    toxic, harmless = {"label": "toxic"}, {"label": "harmless"}
    old, young, none = {"groups": ["old"]}, {"groups": ["young"]}, {"groups": ["sikh"]}
    parts = [
        (0.9, toxic | old),
        (0.6, harmless | old),
        (0.9, toxic | young),
        (0.1, harmless | young),
        (0.5, toxic | none),
        (0.1, harmless | none),
    ]
    many = [part for part in parts[:4] for _ in range(5)] + parts[4:]
    found = examined("identity_bias", scored([s for s, _ in many], [m for _, m in many]))
    assert figure(found, "subgroup_auc", "old").value == 1
    assert figure(found, "bpsn_auc", "old").value == pytest.approx(5 / 6)  # one of six is at .5
    assert figure(found, "bpsn_auc", "young").value == 1
    assert figure(found, "bpsn_auc", "minimum").value == pytest.approx(5 / 6)
    mean = ((6 / 5) ** 5 / 2 + 1 / 2) ** (-1 / 5)
    assert figure(found, "bpsn_auc", "generalised mean").value == pytest.approx(mean)
    assert found[2] == ["Groups with under 5 toxic or harmless comments are left out: sikh."]


def test_every_insult_stands_among_every_number_of_calm_sentences(data: Path) -> None:
    section = SECTIONS["length"]
    prompts = section.read(section.files(data), 0)
    assert len(prompts) == 8 * (3 * len(HIDDEN_AMONG) - 1)  # alone, "before" is as "after"
    longest = [
        p.text for p in prompts if p.meta["calm"] == 20 and p.meta["place"].startswith("after")
    ]
    assert all(text.count("quiet") == 20 and "YOU FOOL" in text.split(". ")[-1] for text in longest)
    found = section.examine(
        scored(
            [0.9 if p.meta["calm"] < 5 else 0.1 for p in prompts], [dict(p.meta) for p in prompts]
        )
    )
    after = [row.value for row in found[0] if row.subset == "after calm sentences"]
    assert after == [1, 1, 1, 0, 0, 0]
    assert found[1][0].x == tuple(map(float, HIDDEN_AMONG))
    assert found[1][0].y == tuple(after)


def test_a_change_that_blinds_the_scorer_is_seen(data: Path) -> None:
    changes = (("quiet", lambda text, _: text.lower()), ("loud", lambda text, _: text.upper()))
    prompts = read_spelt(SECTIONS["perturbations"].files(data), 0, changes=changes)
    scores = Shouting()([one.text for one in prompts])[:, 0].tolist()
    rows, _, _ = examined("perturbations", scored(scores, [dict(one.meta) for one in prompts]))
    shares = {(row.subset, row.group): row.value for row in rows}
    assert shares == {
        ("insult", "as written"): 1,
        ("insult", "quiet"): 0,
        ("insult", "loud"): 1,
        ("calm", "as written"): 0,
        ("calm", "quiet"): 0,
        ("calm", "loud"): 1,
    }


def test_the_tricks_are_drawn_by_the_seed(data: Path) -> None:
    section = SECTIONS["perturbations"]
    one, again, other = (section.read(section.files(data), seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert {"as written", "look-alikes", "letters apart"} <= {p.meta["change"] for p in one}


def test_an_absent_file_is_named_without_the_folder(tmp_path: Path) -> None:
    for section in SECTIONS.values():
        with pytest.raises(MissingFileError, match=r"no.* in the folder of the data") as raised:
            section.files(tmp_path)
        assert str(tmp_path) not in str(raised.value)


class Batched(Shouting):
    """A faulty scorer, whose scores depend on the number of texts beside a text."""

    def __call__(self, texts: object) -> np.ndarray:  # type: ignore[override,type-arg]
        return super().__call__(texts) * (0.99 if len(texts) > 1 else 1)  # type: ignore[arg-type]


def test_a_score_that_depends_on_its_batch_is_found() -> None:
    (sound,), (faulty,) = batch_independence(Shouting(), 0), batch_independence(Batched(), 0)
    assert sound.value == 0
    assert faulty.value == pytest.approx(0.009)


def test_every_figure_has_a_name_a_unit_and_a_scorer(data: Path) -> None:
    with warnings.catch_warnings():
        rows = [row for key in ("hatecheck", "toxigen", "length") for row in shouted(key, data)[0]]
    for row in rows:
        assert row.name in FIGURES
        assert row.unit == FIGURES[row.name].unit
        assert row.scorer_id == "shouting@1"
