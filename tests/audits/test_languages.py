"""The sections by language: every language for itself, sets that are absent left out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from detoxlab.audits.examine import texts_of
from detoxlab.audits.scored import Result, Scored
from detoxlab.audits.sections import SECTIONS
from detoxlab.records import Measurement
from tests.support.audited import scored

CASES = "functionality,test_case,label_gold,target_ident,templ_id\n"


def figure(result: Result, name: str, group: str) -> Measurement:
    (row,) = [one for one in result[0] if (one.name, one.group) == (name, group)]
    return row


def case(language: str, label: str, functionality: str = "derog_h") -> dict[str, str]:
    template = f"{language}/{functionality}"
    facts = {"language": language, "label": label, "template": template}
    return {**facts, "functionality": functionality}


def test_every_language_has_its_own_area_and_its_own_denouncements() -> None:
    metas = [
        *(case("de", "hateful"), case("de", "non-hateful", "counter_quote_nh")),
        *(case("es", "hateful"), case("es", "non-hateful", "ident_neutral_nh")),
    ]
    found = SECTIONS["multilingual-hatecheck"].examine(scored([0.9, 0.6, 0.2, 0.4], metas))
    assert figure(found, "roc_auc", "de").value == 1
    assert figure(found, "roc_auc", "es").value == 0
    assert figure(found, "denouncements_marked", "de").value == 1
    assert figure(found, "denouncements_marked", "es").value is None  # there is none: unknown
    assert figure(found, "neutral_marked", "es").value == 0
    assert {one.subset for one in found[0]} == {"language"}


def test_a_language_without_scores_is_unknown_and_covers_nothing() -> None:
    metas = [case("pl", "hateful"), case("pl", "non-hateful")]
    found = SECTIONS["multilingual-hatecheck"].examine(scored([np.nan, np.nan], metas))
    area = figure(found, "roc_auc", "pl")
    assert (area.value, area.n, area.coverage) == (None, 0, 0.0)


def write_tests(folder: Path) -> Path:
    """Of three sets with tests, one each with a split of its own, by words and by file."""
    files = {
        "germeval2018/test.tsv": "Du Narr\tOFFENSE\tINSULT\nGuten Tag\tOTHER\tOTHER\n",
        "russe/test.tsv": "toxic_comment\tneutral_comment\nты дурак\tты не прав\n",
        "deep/jigsaw/validation.csv": "id,comment_text,lang,toxic\n"
        + "".join(f"{n},tonto {n},es,{n % 2}\n" for n in range(40)),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_sets_that_are_absent_are_left_out_and_training_parts_too(tmp_path: Path) -> None:
    section = SECTIONS["languages"]
    prompts, files = texts_of(section, write_tests(tmp_path), None, 0)
    assert sorted(files) == ["germeval2018/test.tsv", "russe/test.tsv", "validation.csv"]
    counts = {name: sum(one.source == name for one in prompts) for name in sources(prompts)}
    assert counts["germeval2018"] == counts["russe-detox"] == 2
    assert 0 < counts["jigsaw-multilingual"] < 20
    assert all(one.meta.get("part", "test") == "test" for one in prompts)


def sources(prompts: Sequence[object]) -> set[str]:
    return {one.source for one in prompts}  # type: ignore[attr-defined]


def test_the_sets_and_the_languages_have_figures(tmp_path: Path) -> None:
    prompts, _ = texts_of(SECTIONS["languages"], write_tests(tmp_path), None, 0)
    right_N = np.array([0.9 if one.meta["label"] == "toxic" else 0.1 for one in prompts])
    texts = Scored(prompts, right_N[:, None], ("toxicity",), "given@1", "toxicity", resamples=100)
    found = SECTIONS["languages"].examine(texts)
    groups = {(one.subset, one.group) for one in found[0]}
    assert {("language", "de"), ("language", "ru"), ("set", "germeval2018")} <= groups
    assert figure(found, "accuracy", "ru").value == 1
    assert figure(found, "roc_auc", "russe-detox").value == pytest.approx(1)
