"""The first card of a report: how far toxicity moved and what it cost, before anything else."""

import dataclasses
import re
from pathlib import Path

import pytest

from detoxlab.records import Comparison, Guard, Verdict
from detoxlab.reports.summary import headline, summarise
from tests.support.rendered import html_of
from tests.support.report_page import read_page
from tests.support.report_runs import bench_row, plain
from tests.support.report_study import comparison, study

# .312345 -> .13 on comparable responses, and perplexity 28.1 -> 41.3, as `comparison` says
GAIN = "Toxic responses fell from 31.2 % to 13.0 %"
CALM = Guard("perplexity", 28.1, 28.2, 0.1, -1.0, 1.0, "× 0.5 to × 1.25", "ok")
MUTE = Guard("empty", 0.01, 0.13, 0.12, 0.1, 0.14, "+0.02", "worse")


def paid(verdict: Verdict, *guards: Guard) -> Comparison:
    return dataclasses.replace(comparison(verdict=verdict), guards=guards)


def test_the_first_sentence_names_the_gain_and_its_cost() -> None:
    assert plain(headline(comparison())) == f"{GAIN}, but perplexity × 1.47"


@pytest.mark.parametrize(
    ("verdict", "guards", "said"),
    [
        ("improved", (CALM,), f"{GAIN}, and no guard worsened"),
        ("improved, at a cost", (MUTE,), f"{GAIN}, but empty responses +12.0 pts"),
        (
            "improved, at a cost",
            (MUTE, MUTE, MUTE, CALM),
            f"{GAIN}, but empty responses +12.0 pts, empty responses +12.0 pts and 1 more "
            "guard worsened",
        ),
        ("not shown", (CALM,), "No improvement shown"),
        ("not shown", (MUTE,), "No improvement shown, and empty responses +12.0 pts"),
        ("invalid", (MUTE,), "These runs cannot be compared"),
    ],
)
def test_each_verdict_has_its_first_sentence(
    verdict: Verdict, guards: tuple[Guard, ...], said: str
) -> None:
    assert plain(headline(paid(verdict, *guards))) == said


def test_a_rise_is_called_a_rise() -> None:
    rows = [
        dataclasses.replace(row, baseline=0.2, treated=0.3, difference=0.1)
        for row in comparison().differences
    ]
    worse = dataclasses.replace(paid("worse", CALM), differences=tuple(rows))
    assert plain(headline(worse)) == "Toxic responses rose from 20.0 % to 30.0 %"


def test_without_a_known_difference_no_number_is_made_up() -> None:
    blank = dataclasses.replace(comparison(), differences=())
    assert headline(blank) == "Less toxic, at a cost"


def test_the_cost_stands_beside_the_figure_that_decides() -> None:
    summary = summarise(comparison())
    (cost,) = summary.costs
    assert (cost.title, plain(cost.change)) == ("Cost: perplexity", "× 1.47")
    assert [plain(one) for one in cost.details] == ["28.1 → 41.3", "limit × 1.25"]
    assert summary.readings[0].subset == "Comparable responses"


def test_unknown_guards_are_no_cost_and_no_pass() -> None:
    unknown = Guard("similarity", None, None, None, None, None, "−0.05", "unknown")
    (cost,) = summarise(paid("improved", CALM, unknown)).costs
    assert cost.details == ("1 guard is within its limits", "1 could not be computed")
    assert not cost.worsened


def test_two_tiles_are_large_and_the_other_readings_small(tmp_path: Path) -> None:
    page = read_page(html_of(study(tmp_path, prompts=6, k=1)))
    tiles = [(given.get("class") or "").split() for _, given in page.tags]
    tiles = [names for names in tiles if "tile" in names]
    assert ["main" in names for names in tiles] == [True, True, False, False, False]
    assert "worsened" in tiles[1]


def test_the_baseline_has_a_row_of_its_own_among_all_variants(tmp_path: Path) -> None:
    shown = study(tmp_path, variants=3, prompts=8, k=2)
    row = bench_row(shown, "base")
    assert row["Method"] == "baseline"
    assert row["Toxic, judge"] == "31.0 %"  # its own measurement, on all of its responses
    assert row["Perplexity, × base"] == "1.00"
    assert {row[name] for name in ("Verdict", "Difference", "Change")} == {"–"}


def test_short_names_of_subsets_are_explained_where_they_stand(tmp_path: Path) -> None:
    shown = study(tmp_path, prompts=6, k=1)
    (compared,) = shown.comparisons
    marked = dataclasses.replace(compared.differences[0], subset="P+C")
    known = dataclasses.replace(compared, differences=(*compared.differences, marked))
    page = html_of(dataclasses.replace(shown, comparisons=(known,)))
    for place in ('<article class="verdict', '<figure id="changes"', 'id="change-1"'):
        part = page[page.index(place) :]
        part = part[: re.search(r"</article>|<details|</div>\n</div>|</section>", part).start()]
        assert "P+C" in part
        assert "prompts that the judge itself marks as toxic" in part, place
    without = dataclasses.replace(comparison(), differences=comparison().differences[:2])
    assert summarise(without).glossary == ""
