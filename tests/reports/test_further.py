"""Further pairs of a report: which are taken, what marks them, and that readers can choose."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from detoxlab.measures.marks import guard_values, marked, marking_guards
from detoxlab.records import Generation, Prompt
from detoxlab.reports.sections.examples import examples, examples_shown
from detoxlab.reports.sections.further import MOST, PER_GUARD, choose_further
from detoxlab.reports.study import Study
from tests.support.rendered import html_of, markdown_of
from tests.support.report_page import read_page
from tests.support.report_study import study

NAMES = [guard.name for guard in marking_guards()]
PAIRS = [(f"p{at:03}", 0) for at in range(300)]


def values_of(*texts: str, asked: str = "The river takes its time", ended: str = "eos") -> dict:
    rows = [Generation("p", at, text, (), ended) for at, text in enumerate(texts)]
    found_NG = guard_values([Prompt("p", asked, "made")] * len(rows), rows)
    return dict(zip(NAMES, found_NG.T.tolist(), strict=True))


def test_guards_have_a_value_for_each_response_by_hand() -> None:
    found = values_of("", "Куда ты идёшь сегодня", "a b c d a b c d", "no no no")
    assert found["empty"] == [1, 0, 0, 0]
    assert found["capped"] == [0, 0, 0, 0]
    assert found["other_language"][1] == 1
    assert found["repetition"][2] == pytest.approx(0.2)  # 5 4-grams, of which 1 repeats
    assert found["repeated_unit"][3] == 1
    assert values_of("river", ended="length")["capped"] == [1]


def test_a_guard_marks_what_moved_beyond_its_limit_and_nothing_unknown() -> None:
    before, after = np.zeros((4, len(NAMES))), np.zeros((4, len(NAMES)))
    at = NAMES.index("repetition")  # its limit is .05
    before[:, at] = (0.0, 0.0, np.nan, 0.5)
    after[:, at] = (0.06, 0.05, 0.5, 0.2)
    assert marked(before, after)[:, at].tolist() == [True, False, False, False]
    assert marked(0.0, after)[:, at].tolist() == [True, False, True, True]
    assert marked(before, after).sum() == 1


def test_further_pairs_are_the_ends_and_then_a_draw_in_which_marked_ones_come_first() -> None:
    moved = {pair: (at - 150) / 150 for at, pair in enumerate(PAIRS)}
    found = choose_further(
        moved,
        PAIRS[-2:],
        lambda pairs: [("empty",) if int(p[1:]) % 2 else () for p, _ in pairs],
        most=90,
        falls=True,
        seed=0,
    )
    assert len(found) == len(set(found)) == 90
    assert found[:30] == PAIRS[-3:-33:-1]  # the largest rises that are not taken
    assert found[30:60] == PAIRS[:30]  # the largest drops
    drawn = [int(name[1:]) % 2 for name, _ in found[60:]]
    assert drawn[:PER_GUARD] == [1] * PER_GUARD
    assert 0 in drawn


@pytest.mark.parametrize("seed", [0, 1])
def test_the_choice_depends_on_scores_and_seed_alone(seed: int) -> None:
    moved = {pair: (at * 7 % 300) / 300 for at, pair in enumerate(PAIRS)}

    def chosen(values: dict, seed: int) -> list:
        return choose_further(values, (), lambda p: [()] * len(p), most=60, falls=False, seed=seed)

    assert chosen(moved, seed) == chosen(dict(reversed(moved.items())), seed)
    assert chosen(moved, seed) != chosen(moved, seed + 1)


def test_one_model_alone_has_examples_too(tmp_path: Path) -> None:
    shown = study(tmp_path, variants=0, prompts=30, k=2)
    ((title, found),) = examples_shown(shown).examples
    assert title == "base"
    assert {one.rule for one in found if not one.further} == {
        "Highest score",
        "Drawn at random",
        "Not scored",
    }
    first = found[0]
    assert first.facets is not None
    assert first.facets.score == max(one.facets.score or 0 for one in found if one.facets)
    assert [side.run for side in first.sides] == ["base"]
    assert len(found) == 60  # every response, because they are fewer than 300


def test_facets_say_change_score_groups_and_guards(tmp_path: Path) -> None:
    shown = study(tmp_path, prompts=12, k=1, missing=0.0, texts={5: ""})
    found = {one.prompt_id: one for one in examples(shown, shown.variants[0], 1)}
    scores = [run.score(("p7", 0), shown.judge_id, "toxicity") for run in shown.measured]
    facets = found["p7"].facets
    assert facets is not None
    assert facets.moved == pytest.approx(scores[1] - scores[0], abs=1e-4)
    assert facets.score == pytest.approx(scores[1], abs=1e-4)
    assert facets.groups == ("non-toxic",)
    assert facets.guards == ()
    alone = examples(shown, shown.baseline, 1)
    (empty,) = [one.facets for one in alone if one.prompt_id == "p5"]
    assert empty is not None
    assert empty.guards == ("empty", "capped")


def test_the_page_holds_a_few_hundred_and_markdown_none(tmp_path: Path) -> None:
    shown = study(tmp_path, variants=2, prompts=120, k=3)
    page = read_page(html_of(shown))
    given = [
        attributes for tag, attributes in page.tags if attributes.get("data-score") is not None
    ]
    assert MOST < len(given) <= MOST + 2 * 16
    assert all(json.loads(f"[{one['data-moved'] or 'null'}]") for one in given)
    assert "Prompt number" not in markdown_of(shown)


def test_an_unknown_prompt_of_a_variant_is_no_example(tmp_path: Path) -> None:
    shown = study(tmp_path, prompts=6, k=1)
    asked = shown.baseline.responses
    less = dataclasses.replace(asked, prompts=asked.prompts[1:])
    shown = Study("t", (dataclasses.replace(shown.baseline, responses=less), *shown.variants))
    assert "p0" not in {one.prompt_id for one in examples(shown, shown.variants[0], 1)}
