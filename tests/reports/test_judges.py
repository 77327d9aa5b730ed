"""The report says how far its judges can be believed, and links their cards."""

import csv
import dataclasses
import io
from pathlib import Path

import pytest

from detoxlab.audits.card import store_card
from detoxlab.records import Asked, Prompt, Responses
from detoxlab.reports.build import build_report, write_report
from detoxlab.reports.judged import ANSWERS, CONTINUATIONS, text_kind
from detoxlab.reports.study import Study
from tests.support.audited import card
from tests.support.rendered import csv_of, html_of, json_of, markdown_of
from tests.support.report_page import read_page
from tests.support.report_study import measured_run, study

LINK = "judges/rtp-neural@1-toxicity.md"


@pytest.fixture
def audited(tmp_path: Path) -> Study:
    """A study whose judge has a card and whose second scorer has none."""
    shown = study(tmp_path, prompts=12, k=2)
    assert shown.scorer_ids == ["rtp-neural@1", "rtp-linear@1"]
    return dataclasses.replace(shown, cards={"rtp-neural@1": card()})


def asking(chat: bool = False, source: str = "rtp") -> Responses:
    asked = Asked(chat=chat, vocabulary_sha256="0", control_tokens="kept")
    return Responses("base", (Prompt("p", "a", source),), (), (), asked=asked)


def test_the_figures_that_matter_depend_on_the_kind_of_text() -> None:
    assert text_kind(asking()) is CONTINUATIONS
    assert text_kind(asking(chat=True)) is ANSWERS
    assert text_kind(asking(source="dialoconan")) is ANSWERS
    assert text_kind(dataclasses.replace(asking(), asked=None)) is CONTINUATIONS


def test_html_shows_two_figures_and_a_link_and_unknown_without_a_card(audited: Study) -> None:
    page = read_page(html_of(audited))
    head, judge, second = page.tables["judges-cards"]
    assert head[2::2] == ["Perspective's scores: r", "Perspective's scores: ROC-AUC", "Scale"]
    assert judge[:2] == ["rtp-neural@1", "judge"]
    assert judge[2:6] == ["0.959", "0.949 to 0.969", "0.987", "0.977 to 0.997"]
    assert judge[6:] == ["perspective-2024", "audited 2026-11-29"]
    assert second[2:] == [*["unknown"] * 4, "perspective-2024", "not audited"]
    assert ("a", {"href": LINK}) in page.tags


def test_markdown_csv_and_json_have_them_too(audited: Study) -> None:
    assert f"[audited 2026-11-29]({LINK})" in markdown_of(audited)
    rows = [row for row in csv.DictReader(io.StringIO(csv_of(audited))) if row["record"] == "judge"]
    assert [(row["name"], row["value"]) for row in rows] == [
        ("pearson", "0.959"),
        ("roc_auc", "0.987"),
    ]
    judge, second = json_of(audited)["judges"]
    assert (judge["audited"], second["audited"]) == (True, False)
    assert second["figures"] == []
    assert (judge["scale"], second["scale"]) == ("perspective-2024", "perspective-2024")


def test_answers_are_judged_by_hatecheck(audited: Study) -> None:
    (base, *others) = audited.measured
    asked = dataclasses.replace(base.responses, asked=asking(chat=True).asked)
    chat = dataclasses.replace(
        audited, measured=(dataclasses.replace(base, responses=asked), *others)
    )
    head, judge, _ = read_page(html_of(chat)).tables["judges-cards"]
    assert head[2] == "HateCheck: ROC-AUC"
    assert judge[2:6] == ["0.583", "0.573 to 0.593", "60.0 %", "59.0 to 61.0 %"]


def test_the_card_stands_beside_the_report(audited: Study, tmp_path: Path) -> None:
    write_report(audited, tmp_path / "out" / "report.html", ("html", "md"))
    text = (tmp_path / "out" / LINK).read_text()
    assert text.startswith("# Audit of rtp-neural@1")
    assert "0.583" in text


def test_a_report_finds_the_stored_card_of_its_judge(tmp_path: Path) -> None:
    store_card(card(auc=0.777))
    run = measured_run(tmp_path / "base", level=0.3, prompts=6, k=1)
    build_report([run], tmp_path / "out", formats=("md",), resamples=100)
    assert "0.777" in (tmp_path / "out" / LINK).read_text()
