"""What a verdict says: the true reason first, at most three sentences, numbers told apart."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from detoxlab.cli import main
from detoxlab.comparisons import Limits
from detoxlab.markup.numbers import difference
from detoxlab.records import Comparison, from_json, to_json
from tests.support.paired import BASE_PK, LOWER_PK, Values, find, held, run
from tests.support.report_study import measured_run
from tests.support.verdicts import CASES, switched


@pytest.mark.parametrize("case", CASES)
def test_the_true_reason_comes_first_and_three_sentences_are_enough(case: str) -> None:
    make, verdict, first = CASES[case]
    comparison = make()
    assert comparison.verdict == verdict
    assert comparison.reasons[0].startswith(first)
    assert len(comparison.reasons) <= 3
    assert len(set(comparison.sentences)) == len(comparison.sentences)


@pytest.mark.parametrize("case", [name for name in CASES if CASES[name][1] == "not shown"])
def test_not_shown_names_no_cause_that_does_not_apply(case: str) -> None:
    text = " ".join(CASES[case][0]().sentences)
    marks = {
        "no fall": "no fall of the toxic fraction",
        "second scorer": "shows no fall",
        "few prompts": "too few for an interval",
        "unknown guard": "no gain can be shown without it",
    }
    assert [name for name, mark in marks.items() if mark in text] == [case]


def test_the_first_figure_of_an_invalid_comparison_is_of_comparable_pairs() -> None:
    """The false gain over all pairs stands nowhere before it."""
    treated_PK = np.where(np.arange(60)[:, None] % 3 == 0, 0.02, BASE_PK)
    comparison = held(run("a", BASE_PK), run("b", treated_PK, text=switched))
    assert find(comparison, "toxic_fraction", subset="all").ci_high < -0.05
    assert comparison.verdict == "invalid"
    assert "on 160 comparable pairs of 40 prompts" in comparison.reasons[0]
    assert "did not move" in comparison.reasons[0]
    assert "difference 0.0 pts" in comparison.reasons[0]


@pytest.mark.parametrize("case", CASES)
def test_sentences_give_shares_in_per_cent_as_the_reports_tables_do(case: str) -> None:
    of_shares = [one for one in CASES[case][0]().sentences if " the toxic fraction by " in one]
    assert of_shares
    for sentence in of_shares:
        assert " % to " in sentence
        assert not re.search(r"\b0\.\d{3}\b", sentence)


@pytest.mark.parametrize(("missing", "shown"), [(13, "94.58 %"), (73, "69.6 %")])
def test_a_share_below_its_limit_does_not_read_like_the_limit(missing: int, shown: str) -> None:
    treated_PK = BASE_PK.copy()
    treated_PK.ravel()[:missing] = np.nan
    limit = 0.946 if missing == 13 else 0.95
    comparison = held(
        run("a", BASE_PK), run("b", treated_PK), limits=Limits(coverage=limit, comparable=0.5)
    )
    assert f"Only {shown} of 240 pairs" in comparison.reasons[0]
    assert f"(limit {100 * limit:.{2 if missing == 13 else 1}f} %" in comparison.reasons[0]


def test_an_interval_that_excludes_zero_does_not_end_at_zero() -> None:
    from detoxlab.comparisons.evidence import signed

    assert signed(-0.0004) == "−0.0004"
    assert signed(0.0) == signed(1e-17) == "0.000"


def test_what_old_versions_wrote_can_still_be_read() -> None:
    written = to_json(held(run("a", BASE_PK), run("b", LOWER_PK)))
    for name in ("remarks", "attribute", "threshold", "sensitivity"):
        del written[name]
    for row in written["differences"]:
        del row["threshold"]
    again = from_json(Comparison, written)
    assert (again.remarks, again.attribute, again.sensitivity) == ((), None, ())
    assert {row.attribute for row in again.overall} <= {"toxicity", None}


# --- the attribute that is asked for ---


@pytest.mark.parametrize("attribute", ["insult", "threat"])
def test_headline_and_table_are_of_the_attribute_asked_for(
    attribute: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, level in (("base", 0.4), ("ft", 0.1)):
        kinds = ("toxicity", "insult", "threat")
        measured_run(tmp_path / name, level=level, missing=0.0, attributes=kinds)
    runs = [str(tmp_path / name) for name in ("base", "ft")]
    with pytest.raises(SystemExit) as stop:
        main(["compare", *runs, "--attribute", attribute, "-o", str(tmp_path / "out.json")])
    assert stop.value.code == 0
    (written,) = json.loads((tmp_path / "out.json").read_text())
    comparison = from_json(Comparison, written)
    headline = find(comparison, "toxic_fraction", scorer_id="rtp-neural@1", attribute=attribute)
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("toxic_fraction")]
    assert len(lines) >= 4
    assert f"\n{attribute} at 0.5" in printed
    assert f"the toxic fraction ({attribute}) by rtp-neural@1" in " ".join(printed.split())
    assert any(difference(headline.difference) in line for line in lines)


def single_label(values_PK: Values, name: str, label: str) -> object:
    given = run(name, values_PK)
    scores = tuple(
        dataclasses.replace(s, attribute=label) if s.scorer_id == "judge@1" else s
        for s in given.scores
    )
    return dataclasses.replace(given, scores=scores, attribute=label)


def test_a_judge_with_one_label_is_cross_checked_by_toxicity() -> None:
    """A table that was measured as `hate` still has the second scorer that judged toxicity."""
    sides = [single_label(BASE_PK, "a", "hate"), single_label(LOWER_PK, "b", "hate")]
    comparison = held(*sides)
    assert (comparison.attribute, comparison.second_id) == ("hate", "second@1")
    assert comparison.verdict == "improved"
