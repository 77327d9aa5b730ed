"""A picture for each guard: every variant in a row, the bad ones marked, the limit drawn."""

import dataclasses
from pathlib import Path

from detoxlab.records import Guard
from detoxlab.reports.figures.guards import guard_pictures
from detoxlab.reports.study import Study
from tests.support.rendered import drawings_of
from tests.support.report_study import comparison, study

EMPTY = Guard("empty", 0.01, 0.06, 0.05, 0.03, 0.07, "+0.02", "worse")
CALM = Guard("empty", 0.01, 0.01, 0.0, -0.01, 0.01, "+0.02", "ok")
UNKNOWN = Guard("similarity", None, None, None, None, None, "−0.05", "unknown")
FLUENT = Guard("perplexity", 20.0, 22.0, 2.0, 1.0, 3.0, "× 0.5 to × 1.25", "ok")


def shown(folder: Path, *guards: tuple[Guard, ...]) -> Study:
    made = study(folder, variants=len(guards), prompts=4, k=1)
    gains = [
        dataclasses.replace(comparison(run.name), guards=own)
        for run, own in zip(made.variants, guards, strict=True)
    ]
    return dataclasses.replace(made, comparisons=tuple(gains))


def test_each_guard_that_is_known_has_a_picture(tmp_path: Path) -> None:
    drawn = guard_pictures(shown(tmp_path, (EMPTY, UNKNOWN, FLUENT), (CALM, UNKNOWN, FLUENT)))
    assert [one.title for one in drawn] == ["Empty responses", "Perplexity"]
    empty, perplexity = drawn
    zero, limit, bad, good = empty.marks
    assert (zero.style, limit.style, zero.dash) == ("limit", "limit", "")
    assert limit.dash
    assert (bad.label, bad.colour) == ("ft", "var(--bad)")
    assert (good.label, good.colour) == ("dpo", "var(--accent)")
    assert "dashed, the limit +2.0\u00a0pts" in empty.note
    assert len(perplexity.marks) == 1 + 2  # a limit that is a ratio has no place on the axis
    assert "the limit ×\u00a00.5 to ×\u00a01.25" in perplexity.note
    assert [[cell.text for cell in row][-1] for row in empty.table.rows] == ["worse", "ok"]


def test_zero_limit_and_intervals_stand_at_their_numbers(tmp_path: Path) -> None:
    """The axis runs from the lowest end, −.01, to the highest, .07."""
    (empty,) = guard_pictures(shown(tmp_path, (EMPTY,), (CALM,)))
    left, right, _ = empty.frame

    def at(value: float) -> float:
        return round(left + (value + 0.01) / 0.08 * (right - left), 2)

    zero, limit, bad, _ = empty.marks
    assert [float(one.line[1:].split(",")[0]) for one in (zero, limit)] == [at(0.0), at(0.02)]
    ends = [float(point.split(",")[0].strip("ML")) for point in bad.line.split()]
    assert ends == [at(0.03), at(0.07)]


def test_one_variant_has_its_table_alone(tmp_path: Path) -> None:
    one = shown(tmp_path, (EMPTY,))
    assert guard_pictures(one) == []
    assert "guards" not in drawings_of(one)
