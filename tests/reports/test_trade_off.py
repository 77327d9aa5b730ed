"""The trade-off: fronts by hand, how sure they are, who cannot be on them, and the picture."""

import csv
import io
import itertools
from dataclasses import replace

import pytest

from detoxlab.evaluations import Evaluated, Perplexity
from detoxlab.records import Difference, ItemResult
from detoxlab.reports.parts import Drawing, Mark
from detoxlab.reports.study import EvaluationChange, Study
from detoxlab.reports.tradeoff.axes import hate_axis, toxicity_axis, usefulness_axis
from detoxlab.reports.tradeoff.families import SHAPES, outline, shapes
from detoxlab.reports.tradeoff.front import Front, pareto
from detoxlab.reports.tradeoff.picture import picture
from detoxlab.reports.tradeoff.placing import box_of, overlap, place_labels
from detoxlab.reports.tradeoff.section import trade_off
from tests.support.hostile import HOSTILE, PAYLOADS
from tests.support.rendered import csv_of, drawings_of, html_of, json_of, markdown_of
from tests.support.report_page import read_page
from tests.support.report_runs import bench_row
from tests.support.trade_off import measured, measurements, study_of

# base and mild stand on the front with strong; slow is beaten by mild, and mixed by mild too
FIVE = {
    "base": (0.6, 20.0),
    "mild": (0.4, 22.0),
    "slow": (0.4, 25.0),
    "mixed": (0.5, 24.0),
    "strong": (0.1, 40.0),
}


def front_of(study: Study) -> Front:
    return pareto(study, usefulness_axis(study), toxicity_axis(study))


def table_of(study: Study) -> dict[str, dict[str, str]]:
    (table,) = trade_off(study).tables
    titles = [column.title for column in table.columns]
    return {
        row[0].text: dict(zip(titles, [" ".join(cell.text.split()) for cell in row], strict=True))
        for row in table.rows
    }


# --- the front ---


def test_the_front_of_five_models() -> None:
    found = front_of(study_of(FIVE))
    assert found.members == ("strong", "mild", "base")
    assert found.dominated == {"slow": ("mild",), "mixed": ("mild",)}
    assert found.barred == found.missing == {}


def test_models_at_one_point_are_on_the_front_together() -> None:
    found = front_of(study_of({"base": (0.5, 20.0), "a": (0.3, 22.0), "b": (0.3, 22.0)}))
    assert found.members == ("a", "b", "base")


def test_an_invalid_comparison_is_not_on_the_front_and_dominates_nobody() -> None:
    found = front_of(study_of(FIVE, verdicts={"mild": "invalid"}))
    assert found.members == ("strong", "slow", "mixed", "base")
    assert found.barred == {"mild": "verdict: invalid"}


def test_a_guard_that_worsened_bars_from_the_front() -> None:
    found = front_of(study_of(FIVE, worse={"strong": ["perplexity", "empty"]}))
    assert found.members == ("mild", "base")
    assert found.barred == {"strong": "guard failed: Perplexity, Empty responses"}


def test_a_model_that_learnt_from_its_judge_is_not_on_the_front() -> None:
    learnt = {"strong": {"train_scorers": ("mean(rtp-neural@1,rtp-linear@1)",)}}
    found = front_of(study_of(FIVE, usage=learnt))
    assert found.barred == {"strong": "trained on the judge"}


def test_what_is_unknown_is_listed_and_not_drawn() -> None:
    shown = study_of(FIVE)
    rows = [row for row in measurements(FIVE["mild"]) if row.name != "perplexity"]
    runs = [
        run if run.name != "mild" else measured("mild", (0.4, 22), rows=rows)
        for run in shown.measured
    ]
    found = trade_off(replace(shown, measured=tuple(runs)))
    assert "mild is not drawn: unknown is perplexity of responses under the base." in (
        found.statements
    )
    ((_, (drawn,)),) = found.drawings
    assert "mild" not in [mark.label for mark in drawn.marks]
    assert "On the Pareto front, the least toxic first: strong" in found.statements[0]
    assert "slow" in found.statements[0]


def test_no_model_with_both_measures_leaves_a_table_without_a_picture() -> None:
    shown = study_of(FIVE)
    bare = tuple(measured(name, point, rows=[]) for name, point in FIVE.items())
    found = trade_off(replace(shown, measured=bare))
    assert found.drawings == ()
    assert [row[2].text for row in found.tables[0].rows] == ["unknown"] * 5


# --- how sure it is ---


def test_a_model_that_wins_on_every_prompt_is_always_on_the_front() -> None:
    shares = front_of(study_of({"base": (1.0, 20.0), "a": (0.0, 20.0), "b": (1.0, 25.0)})).shares
    assert shares == {"base": 0.0, "a": 1.0, "b": 0.0}


def test_two_that_differ_by_one_prompt_share_the_resamples_without_it() -> None:
    """b beats a unless the one prompt of 20 on which they differ was not drawn: (19/20)^20."""
    points = {"base": (1.0, 10.0), "a": (0.5, 20.0), "b": (0.45, 20.0)}
    found = front_of(study_of(points, resamples=4000))
    assert found.members == ("b", "base")
    assert found.shares["b"] == 1.0
    assert found.shares["a"] == pytest.approx(0.95**20, abs=0.03)
    assert found.drawn_anew == ("prompts",)


def test_the_same_seed_gives_the_same_shares() -> None:
    first, second, other = (front_of(study_of(FIVE, seed=seed)).shares for seed in (3, 3, 4))
    assert first == second != other


# --- the axes ---


def evaluated(nats: float, kind: str = "perplexity") -> Evaluated:
    evaluation = Perplexity(source="texts.txt", max_length=64, stride=32)
    results = [
        ItemResult(f"d{at}", {"nats": nats + at, "tokens": 10.0, "words": 8.0, "bytes": 40.0})
        for at in range(6)
    ]
    return Evaluated(
        name=kind,
        settings=evaluation.model_dump(mode="json"),
        data={},
        model="m",
        measurements=tuple(evaluation.measurements(results, resamples=50)),
        results=tuple(results),
    )


def with_texts(study: Study) -> Study:
    """The study with running text, on which slow is better than mild, and mixed unknown."""
    nats = {"base": 20.0, "mild": 24.0, "slow": 21.0, "strong": 30.0}
    runs = tuple(
        replace(run, evaluations={"park": evaluated(nats[run.name])}) if run.name in nats else run
        for run in study.measured
    )
    found = tuple(
        EvaluationChange(
            "park",
            "base",
            name,
            (Difference("token_perplexity", None, None, None, ratio=value / 20, ratio_low=1.0),),
        )
        for name, value in nats.items()
        if name != "base"
    )
    return replace(study, measured=runs, usefulness=found)


def test_running_text_comes_before_the_responses_and_is_a_ratio() -> None:
    axis = usefulness_axis(with_texts(study_of(FIVE)))
    assert (axis.key, axis.unit, axis.higher_is_better) == ("park", "ratio", False)
    assert {name: one.value for name, one in axis.values.items()} == {
        "base": 1.0,
        "mild": 1.2,
        "slow": 1.05,
        "strong": 1.5,
    }


def test_the_axis_may_be_named() -> None:
    shown = replace(with_texts(study_of(FIVE)), useful_by="responses")
    assert usefulness_axis(shown).unit == "perplexity"
    named = replace(shown, useful_by="park")
    found = front_of(named)
    assert found.members == ("strong", "slow", "base")
    assert list(found.missing) == ["mixed"]
    assert found.drawn_anew == ("prompts", "park")


def test_hate_has_a_picture_of_its_own_where_all_runs_know_it() -> None:
    shown = study_of(FIVE)
    with_hate = tuple(
        measured(name, point, hate=0.05 * at) for at, (name, point) in enumerate(FIVE.items())
    )
    assert hate_axis(shown) is None
    axis = hate_axis(replace(shown, measured=with_hate))
    assert axis is not None
    assert axis.values["mixed"].value == pytest.approx(0.15)
    assert hate_axis(replace(shown, measured=(*with_hate[:-1], shown.measured[-1]))) is None
    found = trade_off(replace(shown, measured=with_hate))
    ((_, drawings),) = found.drawings
    assert [drawn.title for drawn in drawings] == [
        "Toxicity against usefulness",
        "Hate against usefulness",
    ]
    # hate rises from model to model, so the base, which is the most useful, dominates them all
    assert found.statements[-1].startswith("By hate in place of toxicity, on the front: base (")


# --- the picture ---


def drawn(study: Study) -> Drawing:
    (found,) = drawings_of(study)["trade-off"]
    return found


def marks(picture: Drawing, style: str) -> list[Mark]:
    return [mark for mark in picture.marks if mark.style == style]


def corners(mark: Mark) -> list[tuple[float, float]]:
    points = mark.line.removeprefix("M").split(" L")
    return [(float(x), float(y)) for x, y in (point.split(",") for point in points)]


def test_the_stair_runs_through_the_front_and_turns_at_right_angles() -> None:
    shown = drawn(study_of(FIVE))
    ((stair,), points) = (marks(shown, "stair"), marks(shown, "point"))
    assert [mark.label for mark in points] == list(FIVE)
    turns = corners(stair)
    assert len(turns) == 7
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in itertools.pairwise(turns))
    xs, ys = zip(*turns, strict=True)
    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys)  # SVG's y points down: less toxic to the right
    assert turns[-1][0] == shown.frame[1]


def test_where_more_is_better_the_stair_runs_to_the_left() -> None:
    shown = study_of(FIVE)
    less = usefulness_axis(shown)
    more = replace(less, higher_is_better=True)
    found = pareto(shown, more, toxicity_axis(shown))
    assert found.members == ("strong",)
    made = picture(shown, more, toxicity_axis(shown), found, trade_off(shown).tables[0])
    assert made is not None
    (stair,) = marks(made, "stair")
    assert corners(stair)[-1][0] == made.frame[0]
    assert "Lower right is better" in made.note


def test_the_limit_of_the_perplexity_guard_is_drawn_where_a_model_at_it_stands() -> None:
    edge = {"base": (0.5, 20.0), "edge": (0.3, 25.0), "far": (0.2, 60.0)}  # 25 = 1.25 × 20
    shown = drawn(study_of(edge))
    (limit,), (stair,) = marks(shown, "limit"), marks(shown, "stair")
    ((x, _), (below, _)) = corners(limit)
    assert x == below
    assert x in [turn for turn, _ in corners(stair)][1:]
    assert limit.label == "limit × 1.25"
    assert "dotted line is the limit" in shown.note


def test_an_axis_of_another_measure_has_no_limit_of_that_guard() -> None:
    shown = study_of(FIVE)
    other = replace(usefulness_axis(shown), key="commonsense")
    found = pareto(shown, other, toxicity_axis(shown))
    made = picture(shown, other, toxicity_axis(shown), found, trade_off(shown).tables[0])
    assert made is not None
    assert marks(made, "limit") == []


@pytest.mark.parametrize("far", [24.0, 60.0, 1000.0])
def test_both_axes_have_enough_numbers_to_read_a_point(far: float) -> None:
    shown = drawn(study_of({"base": (0.5, 20.0), "a": (0.3, 21.0), "b": (0.2, far)}))
    for picture_of in (shown, shown.narrow):
        assert picture_of is not None
        assert len(picture_of.x_ticks) >= 3
        assert len(picture_of.y_ticks) >= 3
        assert all(text for _, text in picture_of.x_ticks)


def test_barred_models_are_hollow_and_say_why() -> None:
    shown = drawn(study_of(FIVE, verdicts={"mild": "invalid"}, worse={"slow": ["empty"]}))
    assert [mark.label for mark in marks(shown, "hollow")] == ["mild (invalid)", "slow (guard)"]


def test_families_have_shapes_of_their_own_and_a_key() -> None:
    methods = {"mild": "sft", "slow": "filter", "mixed": "dpo", "strong": "grpo"}
    shown = drawn(study_of(FIVE, methods=methods))
    assert [mark.label for mark in marks(shown, "key")] == [
        "baseline",
        "imitation",
        "preferences",
        "reinforcement learning",
    ]
    sides = [mark.signs.count("L") for mark in marks(shown, "point")]
    assert sides[1] == sides[2]
    assert len({outline(shape, 0, 0) for shape in SHAPES.values()}) == len(SHAPES)
    assert len(set(shapes([*SHAPES, "merging", "another one"]).values())) == len(SHAPES) + 2


def test_labels_cover_neither_each_other_nor_points_however_crowded() -> None:
    points = [(200.0 + at % 2, 150.0 + at % 3) for at in range(14)]
    texts = [f"variant-{at}" for at in range(14)]
    frame = (46.0, 30.0, 686.0, 416.0)
    labels = place_labels(texts, points, frame)
    boxes = [
        box_of(one.at, one.anchor, 7.0 * len(text)) for one, text in zip(labels, texts, strict=True)
    ]
    assert all(overlap(a, b) == 0 for a, b in itertools.combinations(boxes, 2))
    assert all(overlap(box, (x, y, x, y)) == 0 for box in boxes for x, y in points)
    assert all(overlap(box, frame) == (box[2] - box[0]) * (box[3] - box[1]) for box in boxes)
    assert labels == place_labels(texts, points, frame)
    assert any(one.leader for one in labels)


def test_the_picture_for_small_screens_holds_the_same_models() -> None:
    shown = drawn(study_of(FIVE))
    assert shown.narrow is not None
    assert shown.narrow.size[0] < 390
    assert [m.label for m in marks(shown.narrow, "point")] == list(FIVE)


# --- in the report ---


def test_one_variant_needs_no_trade_off() -> None:
    found = trade_off(study_of({"base": (0.5, 20.0), "ft": (0.2, 22.0)}))
    assert found.is_empty
    assert found.data == {"trade_off": None}


def test_the_table_is_sorted_by_standing() -> None:
    rows = table_of(study_of(FIVE, worse={"strong": ["empty"]}))
    assert list(rows) == ["mild", "base", "slow", "mixed", "strong"]
    assert rows["strong"]["Pareto front"] == "✗ guard failed: Empty responses"
    assert rows["slow"]["Pareto front"] == "dominated by mild"
    assert rows["mild"]["Toxic responses, by rtp-neural@1"] == "40.0 % (35.0 to 45.0 %)"


def test_the_one_table_says_what_each_model_cost() -> None:
    part = {"wall_seconds": 99.0, "peak_bytes": 300 * 2**20, "parts": 1}
    usage = {
        "base": {"usage": {"generate": {**part, "cpu_seconds": 10.0, "tokens": 5000}}},
        "mild": {"usage": {"generate": {**part, "cpu_seconds": 36.0, "tokens": 6000}}},
    }
    shown = study_of(FIVE, methods={"mild": "sft"}, usage=usage)
    train = {**part, "wall_seconds": 200.0, "lost_parts": 1}
    trained = replace(shown.trained[0], info={**shown.trained[0].info, "usage": {"train": train}})
    shown = replace(shown, trained=(trained,))
    rows = {name: bench_row(shown, name) for name in ("base", "mild", "slow")}
    assert rows["mild"]["Training time"] == "≥ 3.3 min"
    assert rows["mild"]["Peak memory"] == "≥ 300 MiB"
    assert (rows["base"]["s per 1,000 tokens"], rows["base"]["× baseline"]) == ("2", "× 1.00")
    assert (rows["mild"]["s per 1,000 tokens"], rows["mild"]["× baseline"]) == ("6", "× 3.00")
    assert rows["slow"]["Training time"] == rows["slow"]["× baseline"] == "–"


def test_json_and_csv_hold_the_front_its_shares_and_what_was_used() -> None:
    used = {"wall_seconds": 10.0, "peak_bytes": 5, "parts": 1}
    shown = study_of(FIVE, usage={"base": {"usage": {"generate": used}}})
    stored = json_of(shown)["trade_off"]
    assert stored["fronts"]["toxicity"]["members"] == ["strong", "mild", "base"]
    assert stored["fronts"]["toxicity"]["dominated"]["slow"] == ["mild"]
    assert stored["axes"]["responses"]["values"]["mild"] == {
        "value": 22.0,
        "low": pytest.approx(19.8),
        "high": pytest.approx(24.2),
    }
    rows = list(csv.DictReader(io.StringIO(csv_of(shown))))
    shares = {row["run"]: float(row["value"]) for row in rows if row["record"] == "front"}
    assert shares == stored["fronts"]["toxicity"]["shares"]
    times = [row for row in rows if row["record"] == "usage" and row["name"] == "wall_seconds"]
    assert [(row["run"], row["stage"], row["value"]) for row in times] == [
        ("base", "generate", "10.0")
    ]


def test_it_stands_before_the_verdicts_in_html_and_in_markdown() -> None:
    shown = study_of(FIVE)
    html, markdown = html_of(shown), markdown_of(shown)
    assert html.index('id="trade-off"') < html.index('id="summary"')
    assert "- Dominated: slow by mild; mixed by mild." in markdown
    assert "## Trade-off of all models" in markdown


def test_hostile_names_are_text_in_the_picture() -> None:
    points = {name: (0.1 * at, 20.0 + at) for at, name in enumerate(PAYLOADS[:6])}
    shown = study_of({"base": (0.6, 20.0), **points, HOSTILE: (0.3, 21.0)})
    page = read_page(html_of(shown))
    inside = {tag for tag, _ in page.tags}
    assert "img" not in inside
    assert not {"onload", "onerror"} & {key for _, given in page.tags for key in given}
    assert html_of(shown).count("<script>") == 2
