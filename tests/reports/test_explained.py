"""The section of an explained run: its numbers are the measured ones, its words are covered."""

import csv
import itertools
import json
import re
from pathlib import Path

import pytest

from detoxlab import report
from detoxlab.errors import ConfigError, UnknownNameError
from detoxlab.explanations.measured.prompt_words import PromptWord
from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.measured.sentences import sentences
from detoxlab.explanations.measured.table import Table as Rows
from detoxlab.explanations.measured.table import step_group
from detoxlab.records import Prompt, to_json
from detoxlab.reports import safety
from detoxlab.reports.drawings import Curve, curves
from detoxlab.reports.explained.heat import choose, heat_maps, shares, word_tables
from detoxlab.reports.explained.page import write_explained
from detoxlab.reports.explained.pictures import PICTURED, spreads, step_curves
from detoxlab.reports.explained.study import ExplainedRun, read_explained
from detoxlab.reports.explained.tables import faithfulness
from detoxlab.reports.parts import Drawing, HeatRow, Table
from tests.support.explained_runs import WORDS, attribution, explained, explained_run
from tests.support.report_page import read_page
from tests.support.report_study import measured_run

COVERED = re.compile(r'<span class="words word">.*?</span>', re.DOTALL)
ANIMALS = [word.strip() for word in WORDS[1:-1]]


@pytest.fixture
def both(tmp_path: Path) -> ExplainedRun:
    return explained(tmp_path / "explained")


def heights(drawing: Drawing, mark: int) -> list[float]:
    """The values that a line shows, read off the scale of the picture."""
    (low_at, low), (high_at, high) = (
        (place, float(text.replace("−", "-")))
        for place, text in (drawing.y_ticks[0], drawing.y_ticks[-1])
    )
    points = re.findall(r"[ML]([\d.]+),([\d.]+)", drawing.marks[mark].line)
    return [low + (float(y) - low_at) / (high_at - low_at) * (high - low) for _, y in points]


def test_curves_have_the_values_of_the_measurements(both: ExplainedRun) -> None:
    drawn = {drawing.key: drawing for drawing in step_curves(both)}
    assert len(drawn) == 2 * len(PICTURED)
    for name in PICTURED:
        for key, text in (("same", "base"), ("own", "ft")):
            drawing = drawn[f"by-step-{key}-{name}"]
            rows = both.rows_of(("ft", text))
            first = 1 if name == "prompt_dependence" else 0
            values = [rows[name, step_group(step)].value or 0.0 for step in range(first, 3)]
            scale = 100 if rows[name, None].unit == "share" else 1
            assert heights(drawing, 1) == pytest.approx([scale * one for one in values], rel=0.01)
            assert [row[3].number for row in drawing.table.rows] == values
            ends = [rows[name, step_group(step)].ci_low for step in range(first, 3)]
            assert [row[4].number for row in drawing.table.rows] == ends


def test_runs_differ_without_colour_and_have_their_names_beside_them(both: ExplainedRun) -> None:
    for drawing in step_curves(both):
        base, ft = drawing.marks
        assert (base.label, ft.label) == ("base", "ft")
        assert base.dash != ft.dash
        assert re.sub(r"[\d.,-]+", "", base.signs) != re.sub(r"[\d.,-]+", "", ft.signs)


def test_labels_do_not_overlap_and_stay_in_the_picture() -> None:
    ends = {"a": 0.0, "b": 0.0, "c": 0.0, "d": 1.0}
    drawn = [Curve(name, ((1.0, 1.0), (2.0, end))) for name, end in ends.items()]
    drawing = curves("k", "t", "n", drawn, Table("t", "t", (), ()), x_title="step", shown=str)
    places = sorted(mark.label_at[1] for mark in drawing.marks)
    assert all(below - above >= 12 for above, below in itertools.pairwise(places))
    assert places[-1] < drawing.size[1]


def test_a_spread_has_the_quartiles_of_single_prompts(both: ExplainedRun) -> None:
    drawing = next(one for one in spreads(both) if one.key == "spread-context_reliance")
    means = [((4 + at / 4) * 1.5 + 0.25) / 3 for at in range(6)]
    base = drawing.table.rows[0]
    middle = (means[2] + means[3]) / 2
    assert [cell.number for cell in base][1:] == pytest.approx(
        [6, means[0], means[1] + 0.25 * (means[2] - means[1]), middle,
         means[3] + 0.75 * (means[4] - means[3]), means[5]]
    )  # fmt: skip


def test_shares_of_words_by_hand() -> None:
    """The response's second word has two steps, of which the last reads its own first token."""
    prompt_RP, rest_R = shares(attribution("base", "base", "p0", 4.0))
    assert prompt_RP.tolist() == [
        pytest.approx([4 / 6, 1 / 6, 1 / 6]),
        pytest.approx([8 / 15, 2 / 15, 2 / 15]),
    ]
    assert rest_R.tolist() == pytest.approx([0, 3 / 15])


def test_maps_show_the_same_response_by_every_model(both: ExplainedRun) -> None:
    (title, note, maps), (other, no_note, _) = heat_maps(both)
    assert (title, other) == tuple(f"Word by word, on the text of {run}" for run in ("base", "ft"))
    assert "attributions differ most" in note
    assert no_note == ""
    assert len({(one.prompt_id, one.sample) for one in maps}) == len(maps) == 4
    for one in maps:
        assert [side.run for side in one.sides] == ["base", "ft"]
        assert one.words == ("zebra", "yak", "gnu")
        assert [row.word for row in one.sides[0].rows] == ["okapi", "quagga."]
        for side in one.sides:
            for row in side.rows:
                assert sum(share or 0 for share in row.shares) == pytest.approx(1)


def test_words_of_a_long_prompt_share_a_column() -> None:
    many = 20
    wide = Attribution(
        "base", "base", "p0", 0,
        classes="S" + "C" * many + "G", tokens=("<s>", *(f" w{at}" for at in range(many)), " yes"),
        words=tuple(range(many + 2)), values=((0.0, *(float(at) for at in range(many))),),
        reliances=(1.0,),
    )  # fmt: skip
    one = ExplainedRun(
        name="e",
        runs=("base",),
        method="m",
        measurements=(),
        table=Rows([wide], [Prompt("p0", "x", "t")]),
        info={},
        config={},
    )
    ((*_, (shown, *_)),) = heat_maps(one)
    assert shown.words == tuple(f"w{at}" for at in range(4, many))
    assert shown.others == ("4 other words", "response so far")
    total = sum(range(many))
    assert shown.sides[0].rows[0].shares[-2:] == pytest.approx(((0 + 1 + 2 + 3) / total, 0))


def test_responses_are_chosen_by_rule(both: ExplainedRun) -> None:
    chosen = choose(both, both.on_text("base"))
    apart = both.table.divergences(("base", "base"), ("ft", "base"))
    order = sorted(apart, key=lambda key: -apart[key].mean())
    assert chosen["differ"] == order[:2]
    assert not set(chosen["random"]) & set(chosen["differ"])


def test_a_method_that_does_not_beat_random_is_marked(tmp_path: Path) -> None:
    good, bad = (explained(tmp_path / str(gain), gain=gain) for gain in (2.0, 0.0))
    assert {row[-1].text for row in faithfulness(good).rows} == {"✓ beats random"}
    marks = [row[-1].text for row in faithfulness(bad).rows if row[1].text.endswith("20 %, nats")]
    assert "✗ not shown to beat random on this model" in marks
    page = write_explained(explained_run(tmp_path / "run", gain=-1.0), tmp_path / "out")
    assert "alti-logit is not shown to beat random choices of tokens on base" in page.read_text()


def test_words_stand_in_the_page_alone_and_only_where_they_are_covered(tmp_path: Path) -> None:
    page = write_explained(explained_run(tmp_path / "run"), tmp_path / "out.html")
    text = page.read_text()
    found = COVERED.findall(text)
    assert all(any(word in one for one in found) for word in ANIMALS)
    outside = COVERED.sub("", text)
    others = [page.with_suffix(f".{name}").read_text() for name in ("md", "csv", "json")]
    for word in ANIMALS:
        assert all(word not in one for one in (outside, *others))
    boxes = [attributes for tag, attributes in read_page(text).tags if tag == "input"]
    assert boxes
    assert all("checked" not in one and one.get("aria-label") for one in boxes)


def test_words_behind_toxic_words_are_shown_beside_their_even_share(tmp_path: Path) -> None:
    run = explained_run(tmp_path / "run")
    rows = [PromptWord("ft", "walrus", 3, {"base": 0.2, "ft": 0.4}, 0.1)]
    run.write_json("prompt_words.json", [to_json(row) for row in rows])
    ((_, _, (found,)),) = word_tables(read_explained(run))
    assert (found.rule, found.others) == ("Responses of ft", ("base", "ft", "even share"))
    assert found.sides[0].rows == (HeatRow("walrus", (0.2, 0.4, 0.1)),)
    text = write_explained(run, tmp_path / "out.html").read_text()
    assert "walrus" in text
    assert "walrus" not in COVERED.sub("", text)


def test_the_sentences_stand_on_top(tmp_path: Path) -> None:
    run = explained_run(tmp_path / "run")
    page = write_explained(run, tmp_path / "out.html")
    said = sentences(run)
    assert said
    texts = read_page(page.read_text()).texts
    assert [text for text in texts if text in said] == said
    assert f"- {safety.markdown(said[0])}" in page.with_suffix(".md").read_text()


def test_one_model_alone(tmp_path: Path) -> None:
    run = explained_run(tmp_path / "run", runs=("base",))
    page = read_page(report([run], tmp_path / "out.html").read_text())
    assert "explained-values" in page.tables
    assert "explained-differences" not in page.tables
    assert ("a", {"href": "#explained"}) in page.tags
    assert len(heat_maps(read_explained(run))) == 1
    assert "How much base listens to its prompts" in page.texts


def test_a_report_of_measured_runs_has_the_section_in_every_format(tmp_path: Path) -> None:
    runs = [measured_run(tmp_path / name, level=0.2, prompts=6) for name in ("base", "ft")]
    one = explained_run(tmp_path / "explained")
    page = report(runs, tmp_path / "out.html", explained=one, resamples=100)
    assert "explained-differences" in read_page(page.read_text()).tables
    assert "## Differences from base" in page.with_suffix(".md").read_text()
    stored = json.loads(page.with_suffix(".json").read_text())["explained"]
    assert stored["config"]["method"] == "alti-logit"
    with page.with_suffix(".csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["name"] == "context_reliance"]
    views = {row["view"] for row in rows if row["record"] == "difference"}
    assert views == {"text of base", "text of ft", "own texts"}


def test_other_runs_and_formats_are_refused(tmp_path: Path) -> None:
    run = measured_run(tmp_path / "base", level=0.2, prompts=4)
    with pytest.raises(ConfigError, match="not of explain"):
        report([run], tmp_path / "out.html", explained=run)
    with pytest.raises(UnknownNameError, match="report format"):
        write_explained(explained_run(tmp_path / "run"), tmp_path / "o.html", formats=["pdf"])
