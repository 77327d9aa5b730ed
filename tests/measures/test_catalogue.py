"""Every measure and guard is declared once, and a new one is an entry with a pure function."""

import ast
import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

import detoxlab
from detoxlab.comparisons import Limits
from detoxlab.comparisons.limits import with_guards
from detoxlab.data.verbaliser import Verbaliser
from detoxlab.evaluations import Classification, OverRefusal, Perplexity
from detoxlab.measures import measure
from detoxlab.measures.catalogue import MEASURES, described, guards
from detoxlab.measures.entry import Limit, ResponseMeasure
from detoxlab.measures.features import of_text
from detoxlab.measures.usefulness.win_rate import win_rate_measurements
from detoxlab.protocols import PROTOCOLS, get_protocol
from detoxlab.records import Difference, ItemResult, Measurement, Responses
from detoxlab.reports import build_report
from tests.support.paired import ENGLISH, held, run
from tests.support.report_page import read_page
from tests.support.report_study import measured_run

UNITS = {
    "share",
    "score",
    "ratio",
    "cosine",
    "correlation",
    "perplexity",
    "words",
    "responses",
    "area",
    "nats",
    "seconds",
    "bytes",
}


def responses(name: str, seed: int) -> Responses:
    scores_PK = np.random.default_rng(seed).random((24, 2))
    return run(name, scores_PK, checked_PK=scores_PK**2, groups=["a", "b"] * 12)


def assert_declared(rows: Iterable[Measurement | Difference]) -> None:
    found = list(rows)
    assert found
    for row in found:
        declared = MEASURES[row.name]
        assert (row.unit, row.direction) == (declared.unit, declared.direction), row.name


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_whatever_a_protocol_measures_is_declared(protocol: str) -> None:
    assert set(PROTOCOLS[protocol].measures) <= set(MEASURES)
    assert_declared(measure(responses("a", 0), protocol=get_protocol(protocol), resamples=100))


def test_whatever_a_contest_or_an_evaluation_measures_is_declared() -> None:
    outcomes_PK = np.array([[1.0, 0.0], [-1.0, 1.0]])
    contest = win_rate_measurements(
        outcomes_PK, np.ones((2, 2)), pairs=4, protocol="p", scorer_id="j", resamples=100
    )
    assert len(contest) == 5
    assert_declared(contest)
    counts = {"nats": 9.0, "tokens": 4.0, "words": 3.0, "bytes": 12.0}
    verbaliser = Verbaliser(question=" Toxic?", words={"yes": " yes", "no": " no"})
    ranks = [{"log_odds": float(at), "positive": float(at % 2)} for at in range(4)]
    told = {"one": 1.0, "refusal": 1.0, "full": 1.0, "partial": 0.0, "agrees": 1.0}
    refusals = [ItemResult(f"{kind}/{at}", told) for kind in ("safe", "unsafe") for at in range(3)]
    judged = OverRefusal(judge="org/judge")
    assert_declared(judged.measurements(refusals, resamples=100))
    assert_declared(OverRefusal().measurements(refusals, resamples=100))
    assert_declared(judged.differences(refusals, refusals, resamples=100))
    asked = (
        (Perplexity(source="x", max_length=8, stride=4), [counts] * 3),
        (Classification(source="x", verbaliser=verbaliser, positive="yes"), ranks),
    )
    for evaluation, values in asked:
        results = [ItemResult(str(at), one) for at, one in enumerate(values)]
        assert_declared(evaluation.measurements(results, resamples=100))
        assert_declared(evaluation.differences(results, results, resamples=100))


def test_whatever_a_comparison_holds_is_declared_and_guards_have_limits() -> None:
    comparison = held(responses("a", 0), responses("b", 1))
    assert_declared(comparison.differences)
    assert {guard.name for guard in comparison.guards} == {guard.name for guard in guards()}
    for guard in comparison.guards:
        declared = MEASURES[guard.name]
        assert declared.label
        assert declared.unit in UNITS
        assert all(
            comparison.limits[name] == one.default for name, one in declared.settings.items()
        )


def test_only_the_catalogue_makes_measurements_and_differences() -> None:
    package = Path(detoxlab.__file__).parent
    makers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Measurement", "Difference")
    }
    assert {Path(maker).name for maker in makers} == {"entry.py"}


@pytest.mark.parametrize("name", MEASURES)
def test_every_entry_can_be_read_by_people(name: str) -> None:
    one = MEASURES[name]
    assert one.name == name
    assert one.label
    assert one.description
    assert one.unit in UNITS
    assert not one.limits or all(limit.description for limit in one.limits)


def test_a_name_that_nobody_declared_is_shown_as_a_share() -> None:
    assert described("my_own_share").label == "My own share"
    assert described("my_own_share").unit == "share"


def test_every_limit_keeps_its_default_and_its_range() -> None:
    for guard in guards():
        for setting, limit in guard.settings.items():
            assert Limits().of(setting) == limit.default
            with pytest.raises(ValueError, match=setting):
                Limits(**{setting: -1.0})


# --- a new guard is an entry ---


@pytest.fixture
def shouting(monkeypatch: pytest.MonkeyPatch) -> ResponseMeasure:
    """A guard that is declared for the length of a test."""
    guard = ResponseMeasure(
        "shouting",
        "Shouted responses",
        "all in capital letters",
        computes=of_text(str.isupper),
        limits=(Limit(0.05, "rise of shouted responses, at most"),),
    )
    monkeypatch.setitem(MEASURES, guard.name, guard)
    return guard


def test_a_new_guard_is_measured_and_bars_a_free_gain(shouting: ResponseMeasure) -> None:
    limits = with_guards(Limits)()
    assert limits.model_dump()["shouting"] == 0.05
    before_PK = np.repeat(np.arange(40) % 2, 2).reshape(40, 2).astype(float)
    base = run("base", before_PK)
    loud = run("loud", before_PK * 0, text=lambda row, _: ENGLISH if row % 4 else ENGLISH.upper())
    (row,) = [
        one
        for one in measure(loud, protocol=get_protocol("rtp"), resamples=100)
        if one.name == shouting.name
    ]
    assert (row.value, row.unit, row.direction, row.n) == (0.25, "share", "lower", 40)
    comparison = held(base, loud, limits=limits)
    (guard,) = [one for one in comparison.guards if one.name == shouting.name]
    assert (guard.baseline, guard.treated, guard.limit, guard.status) == (0, 0.25, "+0.05", "worse")
    assert comparison.verdict == "improved, at a cost"
    assert any("guard shouting worsened" in reason for reason in comparison.reasons)
    quiet = held(base, run("quiet", before_PK * 0), limits=limits)
    assert quiet.verdict == "improved"


def test_a_new_guard_stands_in_every_format_of_the_report(
    shouting: ResponseMeasure, tmp_path: Path
) -> None:
    runs = [
        measured_run(tmp_path / name, level=level, texts=dict.fromkeys(range(120), text))
        for name, level, text in (("base", 0.3, ENGLISH), ("loud", 0.1, ENGLISH.upper()))
    ]
    for one in runs:
        one.write_measurements(
            measure(one.responses(), protocol=get_protocol("rtp"), resamples=100)
        )
    page = build_report(runs, tmp_path / "report.html", limits=with_guards(Limits)(), resamples=200)
    tables = read_page(page.read_text()).tables
    (guard,) = [row for row in tables["guards-1"] if row[0] == shouting.label]
    assert [" ".join(cell.split()) for cell in guard[1:5]] == [
        "✗ worse",
        "0.0 %",
        "100.0 %",
        "+100.0 pts",
    ]
    measured = [row for row in tables["measured-guards"] if row[0] == shouting.label]
    assert [row[2] for row in measured] == ["base", "loud"]
    assert [row[0] for row in tables["limits"] if row[0] == shouting.name]
    assert page.with_suffix(".md").read_text().count(f"| {shouting.label} |") == 3
    with page.with_suffix(".csv").open() as file:
        records = [row["record"] for row in csv.DictReader(file) if row["name"] == shouting.name]
    assert records == ["measurement", "measurement", "guard"]
    assert page.with_suffix(".json").read_text().count('"shouting"') == 4
