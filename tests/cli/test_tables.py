"""Tables on the console: no name is cut, and a number has one form and one minus sign."""

import io
import re
import sys

import pytest

from detoxlab.cli.common.compared import show_changes, show_comparison
from detoxlab.cli.common.tables import show_names
from detoxlab.records import Comparison, Difference, Guard

LONG = "expected_maximum_toxicity"
FALL = Difference(
    LONG,
    0.5,
    0.25,
    -0.25,
    ci_low=-0.3,
    ci_high=-0.0001,
    unit="score",
    n_pairs=20,
    scorer_id="a-scorer-with-a-long-name@1",
    subset="all",
)
RISE = Difference("toxic_fraction", 0.001, 0.5, 0.499, subset="P+C", scorer_id="a@1")
COMPARED = Comparison(
    "a against b",
    "a",
    "b",
    "a@1",
    None,
    (FALL, RISE),
    (
        Guard("perplexity", 12.5591, 50.2, 37.6, None, None, "× 0.5 to × 1.25", "worse"),
        Guard("empty", 0.0, 0.5, 0.5, None, None, "+0.02", "worse"),
    ),
    "improved",
    ("It fell.",),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_piped_table_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    show_names("names", {"n" * 300: "w " * 300}, "what it is")
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "nn" in one]
    assert line.split() == ["n" * 300, *["w"] * 300]


def test_a_narrow_terminal_breaks_a_name_and_keeps_it_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "90")
    show_comparison(COMPARED)
    shown = screen.getvalue()
    assert "…" not in shown
    assert all(len(line) <= 90 for line in shown.splitlines())


def test_numbers_have_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(COMPARED, everything=True)
    show_changes("a − b", [FALL, RISE])
    shown = capsys.readouterr().out.replace("\xa0", " ")
    assert not re.search(r"(?<!\w)-\d", shown)
    assert "−0.250  −0.300 to 0.000" in shown
    assert re.search(r"0\.10 % +50\.0 % +\+49\.9 pts", shown)
    assert re.search(r"perplexity +12\.6 +50\.2 +× 0\.5 to × 1\.25 +worse", shown)
    assert re.search(r"empty +0\.0 % +50\.0 % +\+2\.0 pts +worse", shown)


def test_further_subsets_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(COMPARED)
    assert "P+C" not in capsys.readouterr().out
    show_comparison(COMPARED, everything=True)
    assert "P+C" in capsys.readouterr().out
