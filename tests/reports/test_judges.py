"""The report says how far its judges can be believed, and links their cards."""

import csv
import dataclasses
import io
from pathlib import Path

import pytest

from detoxlab.audits.card import Audit, SectionResult, store_card
from detoxlab.records import Asked, Measurement, Prompt, Responses
from detoxlab.reports.build import build_report, write_report
from detoxlab.reports.judged import ANSWERS, CONTINUATIONS, deaf_spots, text_kind
from detoxlab.reports.study import Study
from detoxlab.scorers.loading import known_scorers
from detoxlab.scorers.names import EMBEDDED
from tests.support.audited import card
from tests.support.rendered import csv_of, html_of, json_of, markdown_of
from tests.support.report_page import read_page
from tests.support.report_runs import plain
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


# --- the box on the first page ---


def with_figures(*found: tuple[str, Measurement]) -> Audit:
    sections = tuple(SectionResult(key, 10, 0, (row,)) for key, row in found)
    return dataclasses.replace(card(), sections=sections)


def figure(name: str, value: float, spread: float = 0.02, **place: str) -> Measurement:
    return Measurement(name, value, value - spread, value + spread, n=2000, **place)  # type: ignore[arg-type]


CALM = {"group": "insult, 20 calm sentences", "subset": "after calm sentences"}


@pytest.mark.parametrize(
    ("key", "row", "said"),
    [
        ("hatecheck", figure("roc_auc", 0.6), "hate without rude words"),
        ("hatecheck", figure("roc_auc", 0.9), None),
        ("hatecheck", figure("roc_auc", 0.74), None),  # its interval reaches above .75
        ("hatecheck", figure("denouncements_marked", 0.6), "marks 60.0 % of denouncements"),
        ("hatecheck", figure("denouncements_marked", 0.05), None),
        ("length", figure("marked", 0.1, **CALM), "an insult after 20 calm sentences"),
        ("length", figure("marked", 0.9, **CALM), None),
    ],
)
def test_a_deaf_spot_is_named_where_the_card_shows_it(
    key: str, row: Measurement, said: str | None
) -> None:
    found = deaf_spots(with_figures((key, row)))
    assert len(found) == (said is not None)
    assert all(said in plain(spot) for spot in found if said)


def test_the_first_page_says_who_judged_and_how_far_to_believe_it(audited: Study) -> None:
    deaf = with_figures(
        ("perspective", dataclasses.replace(figure("pearson", 0.959), unit="correlation")),
        ("hatecheck", figure("denouncements_marked", 0.6)),
    )
    shown = dataclasses.replace(audited, cards={"rtp-neural@1": deaf})
    page = html_of(shown)
    box = page[page.index('class="judged"') : page.index("</aside>")]
    assert page.index('class="judged"') < page.index('id="change"')
    text = plain(" ".join(read_page(box).texts))
    assert "Judge rtp-neural@1 It gives toxicity and its kinds as Perspective scores them." in text
    assert "on 2 000 texts: r = 0.959 (95 % interval 0.939 to 0.979)." in text
    assert "It cannot hear: that a text rejects the hate it quotes" in text
    assert "Second scorer rtp-linear@1" in text
    assert "It was not audited: how far it can be believed is unknown." in text
    assert box.count(f'href="{LINK}"') == box.count("href=") == 1
    assert "rejects the hate it quotes" in markdown_of(shown)


def test_every_embedded_judge_has_its_words() -> None:
    assert EMBEDDED.keys() >= {"rtp-neural", "human-neural", "rtp-linear", "hate-neural"}
    assert EMBEDDED.keys() <= set(known_scorers())
