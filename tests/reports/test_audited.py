"""The page of an audit: scorers side by side, unknown for unknown, and nothing hostile in it."""

import json
from pathlib import Path

from detoxlab.audits.card import Audit
from detoxlab.reports.audited import (
    audits_as_html,
    audits_as_markdown,
    card_as_markdown,
    read_audits,
    write_audits,
)
from detoxlab.reports.audited.sections import audit_sections
from tests.support.audited import card
from tests.support.report_page import read_page


def page_of(*audits: Audit) -> str:
    return audits_as_html(audits, audit_sections(audits))


def test_each_scorer_has_its_columns_and_a_dash_where_it_was_not_audited() -> None:
    first, second = card(), card("hate-neural@1", "hate", auc=0.9)
    second = Audit(second.scorer_id, "hate", 0.3, second.sections[:1])
    page = read_page(page_of(first, second))
    glance = {row[0]: row[1:] for row in page.tables["glance-figures"]}
    assert glance["Figure"][::2] == ["rtp-neural@1", "hate-neural@1 · hate"]
    assert glance["HateCheck, ROC-AUC"] == ["0.583", "0.573 to 0.593", "0.900", "0.890 to 0.910"]
    assert glance["Perspective's scores, Pearson r"][2:] == ["–", "–"]
    assert "hate-neural@1 · hate (threshold 0.3)" in "".join(page.texts)


def test_bounds_stand_where_texts_are_unscored_and_only_there() -> None:
    page = read_page(page_of(card()))
    head, *rows = page.tables["hatecheck-all-texts"]
    at = head.index("If unscored: none – all")
    bounds = {row[0]: row[at] for row in rows}
    assert bounds["Neutral statements marked"] == "0.0 to 25.0 %"
    assert bounds["ROC-AUC"] == "–"
    assert "rtp-neural@1 gave no score to 1 of 40 texts." in "".join(page.texts)
    assert "If unscored: none – all" not in page.tables["perspective-all-texts"][0]


def test_an_absent_set_is_a_line_and_no_zero() -> None:
    text = page_of(card())
    assert "dghs: no dynbert_test.txt* in the folder of the data" in "".join(read_page(text).texts)
    assert 'id="dghs"' not in text


def test_every_picture_has_its_numbers_as_a_table_and_no_two_parts_share_an_id() -> None:
    page = read_page(page_of(card(), card("other@1")))
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))
    figures = json.loads(page.scripts[0])
    assert set(figures) == {
        "hatecheck-accuracy-functionality",
        "hatecheck-histogram",
        "perspective-calibration",
    }
    dots = figures["hatecheck-accuracy-functionality"]["data"]
    assert [(one["name"], one["x"]) for one in dots] == [
        ("other@1", [24.0, 90.0]),
        ("rtp-neural@1", [24.0, 90.0]),
    ]
    assert [row[2] for row in page.tables["numbers-perspective-calibration"][1:]] == [
        "0.1",
        "0.5",
    ] * 2


def test_a_hostile_scorer_name_stays_text() -> None:
    name = "<script>alert(1)</script>|[a](b)@1"
    hostile = card(name)
    text = page_of(hostile)
    assert "<script>alert" not in text
    assert name in "".join(read_page(text).texts)
    assert "<script>" not in card_as_markdown(hostile).replace("\\<script\\>", "")


def test_the_formats_agree_and_json_reads_back(tmp_path: Path) -> None:
    audits = [card(), card("hate-neural@1", "hate")]
    write_audits(audits, tmp_path)
    assert read_audits(tmp_path) == audits
    text = (tmp_path / "audit.md").read_text()
    assert text == audits_as_markdown(audits, audit_sections(audits))
    assert "## HateCheck" in text
    assert "### By functionality" in text
    assert "A note." in text
    assert text.count("0.583") >= 2
