"""Measured tables of ToxiGen and BOLD: shares, means and gaps of a score file, by hand."""

import dataclasses

import pytest

from detoxlab.measures import measure
from detoxlab.protocols import get_protocol
from detoxlab.records import Generation, Measurement, Prompt, Responses, Score

# Per prompt: its groups, and its score by the judge.
STATEMENTS: list[tuple[list[str], float | None]] = [
    (["asian"], 0.9),
    (["asian", "chinese"], 0.8),
    (["asian"], 0.1),
    (["asian"], None),
    (["chinese"], 0.2),
    (["women"], 0.6),
    (["women"], 0.7),
    (["women"], None),
]
SENTENCES = [
    ("gender", "actors", 0.9),
    ("gender", "actors", 0.1),
    ("gender", "actresses", 0.1),
    ("gender", "actresses", 0.2),
    ("race", "one", 0.9),
    ("profession", "sewing", 0.8),
    ("profession", "metal", 0.9),
]


def responses(rows: list[tuple[dict[str, object], float | None]], protocol: str) -> Responses:
    return Responses(
        "run",
        tuple(Prompt(f"p{at}", "A text.", "test", meta) for at, (meta, _) in enumerate(rows)),
        tuple(Generation(f"p{at}", 0, "So it is.", (), "eos") for at in range(len(rows))),
        tuple(
            Score(f"p{at}", 0, "judge@1", "hate", value, None if value is not None else "empty")
            for at, (_, value) in enumerate(rows)
        ),
        get_protocol(protocol).sampling,
        protocol=protocol,
        judge_id="judge@1",
    )


def toxigen() -> list[Measurement]:
    given = responses([({"groups": groups}, score) for groups, score in STATEMENTS], "toxigen")
    return measure(given, protocol=get_protocol("toxigen"), resamples=300)


def find(rows: list[Measurement], name: str, group: str | None = None) -> Measurement:
    (row,) = [one for one in rows if (one.name, one.group) == (name, group)]
    return row


def test_shares_of_groups_with_coverage_and_bounds_by_hand() -> None:
    rows = toxigen()
    found = {
        name: (row.value, row.n, row.coverage, row.bound_low, row.bound_high)
        for name in ("asian", "chinese", "women")
        if (row := find(rows, "toxic_fraction", name))
    }
    assert found == {
        "asian": (pytest.approx(2 / 3), 3, 0.75, 0.5, 0.75),
        "chinese": (0.5, 2, 1.0, 0.5, 0.5),
        "women": (1.0, 2, pytest.approx(2 / 3), pytest.approx(2 / 3), 1.0),
    }


def test_the_macro_mean_weighs_groups_alike_and_knows_its_bounds() -> None:
    macro = find(toxigen(), "toxicity_macro_mean")
    assert macro.value == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert macro.bound_low == pytest.approx((1 / 2 + 1 / 2 + 2 / 3) / 3)
    assert macro.bound_high == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert macro.coverage == 6 / 8


def test_gap_ratio_and_deviation_by_hand() -> None:
    rows = toxigen()
    gap = find(rows, "group_gap")
    assert gap.value == 0.5
    assert (gap.bound_low, gap.bound_high) == (pytest.approx(1 / 6), 0.5)
    assert gap.note is not None
    assert gap.note.startswith("3 of 3 groups; highest: women, lowest: chinese; if all were alike")
    assert find(rows, "group_ratio").value == 2.0
    # Six scored statements tell nothing apart: the low ends are those of no difference.
    assert gap.ci_low in (0.0, None)
    assert find(rows, "group_deviation").value == 0.0
    chance = find(rows, "group_gap_by_chance")
    assert chance.value is not None
    assert 0 < chance.value < 1
    assert chance.ci_low is None


def test_groups_that_nobody_scored_are_counted_and_left_out() -> None:
    rows: list[tuple[dict[str, object], float | None]] = [
        ({"groups": ["a"]}, 0.9),
        ({"groups": ["a"]}, 0.1),
        ({"groups": ["b"]}, 0.1),
        ({"groups": ["c"]}, None),
    ]
    found = measure(responses(rows, "toxigen"), protocol=get_protocol("toxigen"), resamples=200)
    gap = find(found, "group_gap")
    assert gap.value == 0.5
    assert (gap.bound_low, gap.bound_high) == (0.5, 1.0)  # c may be anything
    assert gap.note is not None
    assert gap.note.startswith("2 of 3 groups")
    only_a = measure(responses(rows[:2] + rows[3:], "toxigen"), protocol=get_protocol("toxigen"))
    assert find(only_a, "group_gap").value is None
    assert find(only_a, "group_gap").note == "1 of 2 groups"


def test_bold_holds_groups_against_each_other_within_their_domain() -> None:
    given = responses([({"domain": d, "group": g}, s) for d, g, s in SENTENCES], "bold")
    rows = measure(given, protocol=get_protocol("bold"), resamples=200)
    gaps = {row.group: row.value for row in rows if row.name == "group_gap"}
    assert gaps == {"gender": 0.5, "profession": 0.0}
    assert find(rows, "toxic_fraction", "race").value == 1.0
    assert find(rows, "group_gap", "gender").n == 4
    assert find(rows, "group_deviation", "profession").value is None  # single prompts


def test_other_protocols_hold_no_groups_against_each_other() -> None:
    given = responses([({"group": g}, 0.1) for g in ("toxic", "non-toxic")], "helm")
    one_each = dataclasses.replace(get_protocol("helm").sampling, k=1)
    given = dataclasses.replace(given, sampling=one_each)
    rows = measure(given, protocol=get_protocol("helm"), resamples=200)
    assert not [row for row in rows if row.name.startswith("group_")]
    assert {row.group for row in rows} == {None, "toxic", "non-toxic"}


def test_a_brief_table_has_toxicity_and_coverage_alone() -> None:
    given = responses([({"groups": groups}, score) for groups, score in STATEMENTS], "toxigen")
    whole, brief = (
        measure(given, protocol=get_protocol("toxigen"), brief=brief, resamples=200)
        for brief in (False, True)
    )
    assert [row for row in whole if row in brief] == brief
    assert {row.name for row in brief if not row.name.startswith("group_")} == {
        "toxic_fraction",
        "toxicity_macro_mean",
        "coverage",
    }
