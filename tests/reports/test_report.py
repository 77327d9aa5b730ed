"""A report shows the same numbers everywhere, says unknown for unknown, and words its verdict."""

import csv
import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detoxlab.comparisons import flow as compare_flow
from detoxlab.errors import ConfigError, DataError
from detoxlab.records import Difference, Guard, Measurement, from_json
from detoxlab.reports import FORMATS, build_report, words
from detoxlab.reports.figures.base import DASHES, SYMBOLS, run_colour
from detoxlab.reports.read import display_names, read_log
from detoxlab.reports.sections.bench import bench_tables
from detoxlab.reports.sections.examples import PER_RULE, choose, examples, training_samples
from detoxlab.reports.study import Study
from detoxlab.reports.summary import summarise
from detoxlab.runs import Run
from tests.support.rendered import csv_of, figures_of, html_of, json_of, markdown_of, tables_of
from tests.support.report_page import read_page
from tests.support.report_runs import bench_row, plain, real_runs
from tests.support.report_study import comparison, measured_run, study, training_log

VERDICTS = list(words.VERDICTS)


@pytest.fixture
def small(tmp_path: Path) -> Study:
    return study(tmp_path, prompts=12, k=2)


def markdown_tables(text: str) -> list[list[list[str]]]:
    blocks = re.findall(r"(?:^\|.*\|\n?)+", text, flags=re.MULTILINE)
    tables = []
    for block in blocks:
        lines = [line for line in block.splitlines() if not re.fullmatch(r"[|:-]+", line)]
        cells = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in lines]
        tables.append([[plain(re.sub(r"\\(.)", r"\1", c)) for c in row] for row in cells])
    return tables


# --- all variants at once ---


def test_the_bench_says_what_each_variant_gained_and_paid(tmp_path: Path) -> None:
    shown = study(tmp_path, variants=3, prompts=8, k=2)
    trained = dataclasses.replace(shown.trained[0], info={**shown.trained[0].info, "method": "sft"})
    shown = dataclasses.replace(shown, trained=(trained,))
    row = bench_row(shown, "ft")
    assert row["Verdict"].endswith("improved, at a cost")
    assert row["Method"] == "sft"
    # the judge on comparable responses: .312345 -> .13, as `report_study.comparison` says
    assert (row["Toxic, judge"], row["Difference"]) == ("13.0 %", "−18.2 pts")
    assert row["Change"] == "−58.4 %"
    assert row["Change, second scorer"] == "−52.0 %"
    assert row["Perplexity, × base"] == "1.47"
    assert row["Guards that worsened"] == "Perplexity"
    assert bench_row(shown, "dpo")["Method"] == "–"


def test_no_two_parts_of_the_page_share_an_id(tmp_path: Path) -> None:
    page = read_page(html_of(study(tmp_path, variants=3, prompts=8, k=2)))
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))


def test_one_variant_needs_no_bench(small: Study) -> None:
    assert bench_tables(small) == []


def test_only_gates_that_fired_are_drawn(small: Study) -> None:
    rows = [{"step": 1, "gate_empty": 0.0, "gate_unscored": 0.1}, {"step": 2, "gate_empty": 0.0}]
    trained = dataclasses.replace(small.trained[0], log=tuple(rows))
    found = figures_of(dataclasses.replace(small, trained=(trained,)))["training"]
    (gates,) = [figure for figure in found if "gated" in figure.title]
    assert [trace["name"] for trace in gates.data] == ["Gate unscored"]


# --- one truth in four formats ---


def test_html_and_markdown_show_the_same_cells(small: Study) -> None:
    page = read_page(html_of(small))
    written = markdown_tables(markdown_of(small))
    assert len(written) == len(tables_of(small)) >= 8
    for table, rows in zip(tables_of(small), written, strict=True):
        expected = [[plain(column.title) for column in table.columns]]
        expected += [[plain(cell.text) for cell in row] for row in table.rows]
        assert rows == expected, table.key
        assert page.tables[table.key] == expected, table.key


def test_csv_and_json_hold_every_number_exactly(small: Study) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_of(small))))
    content = json.loads(json.dumps(json_of(small)))
    for kind, name in ((Measurement, "measurement"), (Difference, "difference"), (Guard, "guard")):
        truth = [r for run in small.measured for r in run.measurements]
        if kind is not Measurement:
            truth = [
                r for c in small.comparisons for r in (*c.differences, *c.guards) if type(r) is kind
            ]
        written = [row for row in rows if row["record"] == name]
        assert len(written) == len(truth) > 0
        for record, row in zip(truth, written, strict=True):
            for field in dataclasses.fields(kind):
                value = getattr(record, field.name)
                if isinstance(value, int | float):
                    assert float(row[field.name]) == value
                elif value is None:
                    assert row[field.name] == ""
    for run, stored in zip(small.measured, content["runs"], strict=True):
        again = tuple(from_json(Measurement, row) for row in stored["measurements"])
        assert again == run.measurements
    stored = content["comparisons"][0]
    assert [from_json(Difference, row) for row in stored["differences"]] == list(
        small.comparisons[0].differences
    )


def test_every_measurement_and_difference_stands_in_a_table(small: Study) -> None:
    shown = [cell.number for table in tables_of(small) for row in table.rows for cell in row]
    for run in small.measured:
        for row in run.measurements:
            for value in (row.value, row.ci_low, row.coverage, row.bound_low):
                assert value is None or value in shown
    for row in (*small.comparisons[0].differences, *small.comparisons[0].guards):
        assert row.difference is None or row.difference in shown


def test_attributes_and_groups_have_their_own_tables(small: Study) -> None:
    named = {table.key: table for table in tables_of(small)}
    assert {row[0].text for row in named["measured-attributes"].rows} == {"Insult"}
    assert {row[0].text for row in named["measured-groups"].rows} == {"toxic", "non-toxic"}
    assert [c.title for c in named["measured-toxicity"].columns][:3] == [
        "Measure",
        "Scorer",
        "Model",
    ]


def test_exact_numbers_stand_behind_the_rounded_ones(small: Study) -> None:
    page = read_page(html_of(small))
    exact = {float(a["data-value"]) for _, a in page.tags if a.get("data-value")}
    values = {row.value for run in small.measured for row in run.measurements}
    assert values - {None} <= exact


# --- unknown is not zero ---


def test_unknown_is_called_unknown_everywhere(small: Study) -> None:
    table = next(t for t in tables_of(small) if t.key == "measured-toxicity")
    rows = [[c.text for c in row] for row in table.rows if "P+C" in row[0].text]
    assert len(rows) == 4
    value = [column.title for column in table.columns].index("Value")
    assert {row[value] for row in rows} == {"unknown"}
    stored = [r for r in csv.DictReader(io.StringIO(csv_of(small))) if r["name"] == "P+C"]
    assert {(r["value"], r["difference"], r["state"]) for r in stored} == {("", "", "unknown")}
    content = json_of(small)["runs"][0]["measurements"]
    assert {r["value"] for r in content if r["name"] == "P+C"} == {None}


def test_an_unknown_guard_is_not_a_passed_one(small: Study) -> None:
    page = read_page(html_of(small))
    row = next(r for r in page.tables["guards-1"] if r[0] == "Similarity to the prompt")
    assert row[1] == "? unknown"
    assert row[2:6] == ["unknown"] * 4
    assert "0" not in "".join(row[2:6])


@pytest.mark.parametrize("formatter", [words.number, words.difference, words.p_value])
def test_missing_numbers_are_never_written_as_zero(formatter: object) -> None:
    assert formatter(None) == formatter(float("nan")) == "unknown"  # type: ignore[operator]


def test_a_comparison_without_a_known_difference_says_so(small: Study) -> None:
    blank = dataclasses.replace(
        small.comparisons[0], differences=(), verdict="invalid", reasons=("nothing scored",)
    )
    text = html_of(dataclasses.replace(small, comparisons=(blank,)))
    assert "nothing scored" in text
    assert "These runs cannot be compared" in text


def test_an_unscored_run_has_no_distribution_and_no_false_zero(tmp_path: Path) -> None:
    silent = study(tmp_path, prompts=6, k=1, missing=1.0)
    figures = figures_of(silent)
    assert figures["distribution"] == ()
    counts = [[c.number for c in row[1:]] for row in figures["flow"][0].table.rows]
    assert counts == [[0, 0, 0, 0]] * 3 + [[0, 0, 0, 6]]
    assert "not scored (unsupported script)" in html_of(silent)


# --- the verdict in words ---


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_verdict_stands_in_the_summary_with_its_reasons(tmp_path: Path, verdict: str) -> None:
    base = study(tmp_path, prompts=6, k=1)
    judged = dataclasses.replace(base, comparisons=(comparison(verdict=verdict),))
    page = " ".join("".join(read_page(html_of(judged)).texts).split())
    written = markdown_of(judged)
    headline = plain(summarise(judged.comparisons[0]).headline)
    assert f"{headline} verdict: {verdict} " in page
    assert f": {verdict}\n" in written
    assert headline in plain(written)
    for reason in judged.comparisons[0].reasons:
        assert reason in page


def test_no_two_verdicts_look_alike() -> None:
    signs, headlines, meanings = zip(*words.VERDICTS.values(), strict=True)
    assert len(set(signs)) == len(set(headlines)) == len(set(meanings)) == len(VERDICTS)


def test_the_main_text_is_the_reasons_and_no_other_sentence(small: Study) -> None:
    """A general meaning of the verdict beside them would name causes that do not apply."""
    shown = dataclasses.replace(small, comparisons=(comparison(verdict="not shown"),))
    page = html_of(shown)
    article = page[page.index("<article") : page.index('<dl class="tiles"')]
    said = re.findall(r'<p class="(?:lead|further)">(.*?)</p>', article)
    assert said == list(shown.comparisons[0].reasons)
    assert words.VERDICTS["not shown"][2] not in markdown_of(shown)


def test_both_scorers_stand_in_the_summary_and_what_decides_comes_first(small: Study) -> None:
    readings = summarise(small.comparisons[0]).readings
    assert [(r.role, r.subset) for r in readings] == [
        ("Judge", "Comparable responses"),
        ("Judge", "All responses"),
        ("Second scorer", "Comparable responses"),
        ("Second scorer", "All responses"),
    ]


# --- figures ---


def test_the_flow_has_the_pairs_of_compare(small: Study) -> None:
    figure = figures_of(small)["flow"][0]
    sides = [run.responses for run in small.measured]
    expected = compare_flow(*sides, "rtp-neural@1", "toxicity")
    assert [[c.number for c in row[1:]] for row in figure.table.rows] == expected.tolist()
    assert sum(figure.data[0]["link"]["value"]) == 12 * 2
    assert figure.data[0]["link"]["value"] == [n for n in figure.data[0]["link"]["value"] if n]


def test_a_thin_level_is_named_below_the_flow(tmp_path: Path) -> None:
    shown = study(tmp_path, prompts=100, k=2, missing=0.01)
    figure = figures_of(shown)["flow"][0]
    gone = [
        sum(np.isnan(list(run.scores("rtp-neural@1", "toxicity").values())))
        for run in shown.measured
    ]
    assert 0 < gone[0] < 0.02 * 200
    assert f"Too thin for a label: not scored in base ({gone[0]})" in figure.note
    assert not any("not scored" in label for label in figure.data[0]["node"]["label"])


def test_the_histogram_counts_every_scored_response_once(small: Study) -> None:
    histogram, survival = figures_of(small)["distribution"]
    for column in (1, 2):
        shares = [row[column].number for row in histogram.table.rows]
        assert sum(share or 0 for share in shares) == pytest.approx(1)
        above = [row[column].number or 0.0 for row in survival.table.rows]
        assert above[0] == 1
        assert above == sorted(above, reverse=True)
    scores = np.array(list(small.baseline.scores("rtp-neural@1", "toxicity").values()))
    at_threshold = survival.table.rows[10][1].number
    assert survival.table.rows[10][0].text == "≥ 0.50"
    assert at_threshold == pytest.approx(np.mean(scores[~np.isnan(scores)] >= 0.5))


def test_every_figure_has_its_numbers_as_a_table(tmp_path: Path) -> None:
    shown = study(tmp_path, variants=3, prompts=8, k=2)
    figures = [figure for found in figures_of(shown).values() for figure in found]
    page = read_page(html_of(shown))
    assert {figure.key for figure in figures} >= {"changes", "flow-3", "histogram"}
    for figure in figures:
        assert figure.table.rows
        assert len(page.tables[figure.table.key]) == len(figure.table.rows) + 1


def test_runs_differ_in_more_than_colour(tmp_path: Path) -> None:
    shown = study(tmp_path, variants=3, prompts=8, k=2)
    figures = figures_of(shown)
    dashes = [trace["line"]["dash"] for trace in figures["distribution"][0].data]
    assert len(set(dashes)) == 4


def test_thirty_runs_look_unlike() -> None:
    for marks in (DASHES, SYMBOLS):
        looks = {(run_colour(i), marks[i % len(marks)]) for i in range(30)}
        assert len(looks) == 30


def test_training_curves_are_thinned_and_leave_out_what_is_no_number(small: Study) -> None:
    log = [*training_log(3000), {"step": 3001, "loss": float("nan")}, {"step": 3002, "loss": "x"}]
    trained = dataclasses.replace(small.trained[0], log=tuple(log))
    loss = figures_of(dataclasses.replace(small, trained=(trained,)))["training"][0]
    assert len(loss.data[0]["x"]) == 400
    assert (loss.data[0]["x"][0], loss.data[0]["x"][-1]) == (1, 3000)


def test_a_constraint_is_drawn_by_domain_and_its_head_by_position(small: Study) -> None:
    positions = [{"position": 1, "auroc": 0.6}, {"position": 2, "auroc": None}]
    rows = [
        {"domain": domain, "step": step, "acceptance": share, "weight": weight}
        for domain in ("rude", "loud")
        for step, share in ((0, 0.5), (20, 0.75))
        for weight in [3.0 if domain == "rude" else 1.0 + share]
    ]
    rows[-1] |= {"held_out_positions": positions}
    trained = dataclasses.replace(small.trained[0], log=(), iterations=tuple(rows))
    found = figures_of(dataclasses.replace(small, trained=(trained,)))["training"]
    drawn = {figure.key: [(t["name"], t["x"], t["y"]) for t in figure.data] for figure in found}
    assert drawn == {
        "step-1-acceptance": [
            ("Share accepted, rude", [0, 20], [0.5, 0.75]),
            ("Share accepted, loud", [0, 20], [0.5, 0.75]),
        ],
        "step-1-weight": [("Weight, loud", [0, 20], [1.5, 1.75])],
        "position-1-auroc": [("AUROC, loud", [1], [0.6])],
    }


# --- examples ---


def test_examples_follow_their_rule_and_no_prompt_stands_twice() -> None:
    rng = np.random.default_rng(1)
    pairs = [(f"p{p}", s) for p in range(30) for s in range(3)]
    base = dict(zip(pairs, rng.random(90), strict=True))
    treated = dict(zip(pairs, rng.random(90), strict=True))
    treated[pairs[0]] = float("nan")
    chosen = choose(base, treated, seed=3)
    change = {p: treated[p] - base[p] for p in pairs[1:]}
    best = min(change, key=lambda p: change[p])
    worst = max(change, key=lambda p: change[p])
    assert chosen["drop"][0] == best
    assert chosen["rise"][0] == worst
    assert chosen["unscored"] in ([pairs[0]], [])
    prompts = [p for found in chosen.values() for p, _ in found]
    assert len(prompts) == len(set(prompts)) <= 4 * PER_RULE
    assert chosen == choose(dict(reversed(base.items())), treated, seed=3)
    assert chosen["random"] != choose(base, treated, seed=4)["random"]


def test_long_texts_are_cut_and_empty_ones_named(tmp_path: Path) -> None:
    texts = dict.fromkeys(range(11), "x" * 5000) | {11: " "}
    shown = study(tmp_path, prompts=12, k=1, missing=0.0, texts=texts)
    found = examples(shown, shown.variants[0], 1)
    assert all(len(side.text) < 650 for one in found for side in one.sides)
    assert "4400 more characters" in html_of(shown)
    assert [side.empty for one in found for side in one.sides].count(True) in (0, 2)


def with_samples(shown: Study, steps: int) -> Study:
    row = {"prompt_id": "p", "sample": 0, "prompt": "Prompt number 1", "reward": 0.25}
    more = {"text": "a telltale sample", "gates": ["empty", "unscored"]}
    samples = tuple({"step": step, **row, **more} for step in range(1, steps + 1))
    trained = dataclasses.replace(shown.trained[0], samples=samples)
    return dataclasses.replace(shown, trained=(trained,))


def test_samples_of_a_training_are_of_its_first_middle_and_last_step(small: Study) -> None:
    found = training_samples(with_samples(small, 9).trained[0], 1)
    assert [one.rule for one in found] == ["Step 1", "Step 5", "Step 9"]
    scores = [("reward", "0.250"), ("gate", "Empty responses"), ("gate", "Unscored")]
    assert list(found[0].sides[0].scores) == scores
    assert "a telltale sample" in html_of(with_samples(small, 1))


def test_texts_stand_in_the_page_only(tmp_path: Path) -> None:
    shown = study(tmp_path, prompts=6, k=1, texts=dict.fromkeys(range(6), "a telltale response"))
    shown = with_samples(shown, 3)
    assert "a telltale response" in html_of(shown)
    others = [markdown_of(shown), csv_of(shown), json.dumps(json_of(shown))]
    assert not any("telltale" in text or "Prompt number" in text for text in others)


# --- from folders ---


def test_a_report_from_folders_compares_and_writes_four_files(tmp_path: Path) -> None:
    page = build_report(real_runs(tmp_path), tmp_path / "out" / "report.html", resamples=200)
    assert page == tmp_path / "out" / "report.html"
    files = {p.name for p in page.parent.iterdir() if p.is_file()}
    assert files == {f"report.{name}" for name in FORMATS}
    cards = {p.name for p in (page.parent / "judges").iterdir()}
    assert cards == {"rtp-neural@1-toxicity.md", "rtp-linear@1-toxicity.md"}
    content = json.loads((page.parent / "report.json").read_text())
    assert content["comparisons"][0]["verdict"] == "improved"
    assert content["comparisons"][0]["treated"] == "ft"
    text = page.read_text()
    assert ", and no guard worsened" in text
    assert "Toxicity of ft against base" in text
    assert len(text) < 8_000_000


def test_the_same_folders_give_the_same_bytes(tmp_path: Path) -> None:
    runs = real_runs(tmp_path)
    pages = [build_report(runs, tmp_path / name, resamples=100) for name in ("a.html", "b.html")]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_the_page_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    sizes = []
    for prompts in (100, 250):  # more responses than a page has examples
        shown = study(tmp_path / str(prompts), prompts=prompts, k=4)
        sizes.append(len(html_of(shown)))
    assert abs(sizes[1] - sizes[0]) < 20_000


def test_one_run_alone_gets_a_page_without_a_verdict(tmp_path: Path) -> None:
    page = build_report(real_runs(tmp_path, ("base",)), tmp_path, resamples=100)
    text = page.read_text()
    assert page.name == "report.html"
    assert "One model, measured" in text
    assert "A verdict needs a second run" in text


def test_several_variants_get_a_section_each(tmp_path: Path) -> None:
    page = build_report(real_runs(tmp_path, ("base", "ft", "dpo")), tmp_path, resamples=100)
    text = page.read_text()
    keys = read_page(text).tables.keys()
    assert {"change-1", "change-2", "guards-1", "guards-2"} <= keys
    order = [text.index(f'<section id="{key}"') for key in ("bench", "summary", "change")]
    assert order == sorted(order)  # all variants at a glance, before the verdict on each


def test_rivals_get_a_section_but_no_row_of_the_bench(tmp_path: Path) -> None:
    runs = real_runs(tmp_path, ("base", "ft", "dpo"))
    page = build_report(runs, tmp_path, rivals=[("ft", "dpo")], resamples=100)
    content = json.loads((page.parent / "report.json").read_text())
    pairs = [(one["baseline"], one["treated"]) for one in content["comparisons"]]
    assert pairs == [("base", "ft"), ("base", "dpo"), ("ft", "dpo")]
    text = page.read_text()
    # two headings, of groups of columns and of columns; then base and two variants
    assert len(read_page(text).tables["variants"]) == 2 + 3
    assert "dpo against ft" in text


def test_an_unfinished_run_is_named_in_all_places(tmp_path: Path) -> None:
    runs = real_runs(tmp_path)
    runs[1].finish("interrupted")
    page = build_report(runs, tmp_path / "report.html", resamples=100)
    assert "“interrupted”, not finished" in page.read_text()
    assert "interrupted: numbers may be partial" in page.with_suffix(".md").read_text()


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no runs"):
        build_report([], tmp_path / "report.html")
    with pytest.raises(ConfigError, match=r"format 'htm'\. Did you mean 'html'"):
        build_report([Run(tmp_path)], tmp_path / "r.html", formats=("htm",))
    runs = [*real_runs(tmp_path), measured_run(tmp_path / "other", level=0.2, prompts=30, k=3)]
    with pytest.raises(ConfigError, match="k = "):
        build_report(runs, tmp_path / "r.html", resamples=100)
    assert not (tmp_path / "r.html").exists()


def test_a_torn_training_log_is_named_with_its_line(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "train", kind="train", config={})
    (run.path / "train.jsonl").write_text('{"step": 1, "loss": 2.0}\n[1]\n')
    with pytest.raises(DataError, match=r"train.jsonl:2: not a JSON object"):
        read_log(run.path / "train.jsonl")


def test_names_say_which_run_is_meant(tmp_path: Path) -> None:
    paths = ("base", "ft/measure", "dpo/measure", "x/base")
    runs = [Run.start(tmp_path / path, kind="measure", config={}) for path in paths]
    assert display_names(runs) == ["base", "ft", "dpo", "base (2)"]


def test_a_report_needs_no_model_library() -> None:
    code = "import sys, detoxlab.reports, detoxlab.reports.html; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.replace("'", "").strip("[]\n").split(", "))
    assert not loaded & {"torch", "transformers", "peft", "trl", "datasets", "plotly"}
