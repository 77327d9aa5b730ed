"""Pairs of two runs, and the choice among them: laws, and numbers by hand."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from detoxlab.comparisons.pairs import join
from detoxlab.measures.marks import marking_guards
from detoxlab.runs import Run
from detoxlab.viewing.folders import Place
from detoxlab.viewing.rows.index import Index, build_index
from detoxlab.viewing.rows.pairing import Choice, Rows, alone, chosen, paired, summary
from tests.support.report_study import measured_run

NAN = float("nan")


def index(ids: str, pairs: list[tuple[int, int]], scores: list[float], **changed: object) -> Index:
    """An index of prompts with one letter each; prompts of capital letters are in group "big"."""
    made = Index(
        files=(),
        places_R3=np.zeros((len(pairs), 3), dtype=np.int64),
        rows_R2=np.array(pairs, dtype=np.int64).reshape(-1, 2),
        prompts_P2=np.zeros((len(ids), 2), dtype=np.int64),
        ids=tuple(ids),
        texts_P=np.arange(len(ids), dtype=np.int64) * 0,
        groups=("big",),
        members_PG=np.array([[name.isupper()] for name in ids]),
        scorers=(("judge", "toxicity"),),
        scores_RS=np.array(scores).reshape(-1, 1),
    )
    return dataclasses.replace(made, **changed)  # type: ignore[arg-type]


BASE = index("aBc", [(0, 0), (0, 1), (1, 0), (2, 0)], [0.2, 0.9, 0.4, 0.5])
# the other way round, with one sample less of "a" and one more of "B"
FT = index("Ba", [(0, 0), (0, 1), (1, 0)], [0.7, 0.1, NAN])


def shown(rows: Rows) -> list[tuple[int, int]]:
    return [tuple(row) for row in rows.rows_NS.tolist()]


def test_rows_are_joined_on_prompt_and_sample_by_hand() -> None:
    rows = paired(BASE, FT)
    assert shown(rows) == [(0, 2), (1, -1), (2, 0), (-1, 1)]
    assert rows.apart == {
        "prompts in the baseline only": 1,
        "pairs with a response in one run only": 2,
    }
    np.testing.assert_allclose(rows.moved, [NAN, NAN, 0.3, NAN])
    assert [rows.sides[-1].ids[at] for at in rows.asked] == ["a", "a", "B", "B"]


def test_prompts_of_one_id_and_different_texts_are_not_joined() -> None:
    other = dataclasses.replace(FT, texts_P=np.array([1, 0]))
    rows = paired(BASE, other)
    assert shown(rows) == [(0, 2), (1, -1)]
    assert rows.apart["prompts of one id with different texts"] == 1


def test_pairing_back_swaps_the_sides_and_the_signs() -> None:
    there, back = paired(BASE, FT), paired(FT, BASE)
    assert {pair[::-1] for pair in shown(there)} == set(shown(back))
    changes = [
        sorted(-rows.moved[~np.isnan(rows.moved)] * sign) for rows, sign in ((there, -1), (back, 1))
    ]
    np.testing.assert_allclose(*changes)


def test_a_run_against_itself_moves_nothing() -> None:
    rows = paired(BASE, BASE)
    assert shown(rows) == [(at, at) for at in range(4)]
    assert (rows.moved == 0).all()
    assert rows.apart == {}


def test_other_judges_give_no_change() -> None:
    other = dataclasses.replace(FT, scorers=(("other", "toxicity"),))
    assert np.isnan(paired(BASE, other).moved).all()


@pytest.mark.parametrize("k", [1, 3])
def test_pairs_and_changes_are_those_of_comparisons(tmp_path: Path, k: int) -> None:
    for seed, name in enumerate(("base", "ft")):
        measured_run(tmp_path / name, level=0.3, prompts=15, k=k, seed=seed, missing=0.2)
    places = [Place(tmp_path.resolve(), name) for name in ("base", "ft")]
    rows = paired(*map(build_index, places))
    pairs = join(*(Run.open(place.path).responses() for place in places), "toxicity")
    before_PK, after_PK = pairs.scores(pairs.judge, pairs.attribute)
    change = {
        (prompt.id, sample): after_PK[at, sample] - before_PK[at, sample]
        for at, prompt in enumerate(pairs.baseline.prompts)
        for sample in range(k)
    }
    side = rows.sides[0]
    found = {
        (side.ids[prompt], sample): rows.moved[at]
        for at, (prompt, sample) in enumerate(side.rows_R2[rows.rows_NS[:, 0]].tolist())
    }
    assert found.keys() == change.keys()
    for pair, value in change.items():
        np.testing.assert_allclose(found[pair], value, atol=1e-12)


# --- choices ---

ROWS = paired(
    index("aBcD", [(at, 0) for at in range(4)], [0.2, 0.9, 0.5, 0.5]),
    index("aBcD", [(at, 0) for at in range(4)], [0.6, 0.1, 0.5, NAN]),
)


@pytest.mark.parametrize(
    ("choice", "numbers"),
    [
        (Choice(), [0, 1, 2, 3]),
        (Choice(moved="up"), [0]),
        (Choice(moved="down"), [1]),
        (Choice(moved="same"), [2]),
        (Choice(moved="none"), [3]),
        (Choice(group="big"), [1, 3]),
        (Choice(group="no such group"), []),
        (Choice(low=0.5), [0, 2]),
        (Choice(high=0.5), [1, 2]),
        (Choice(low=0.1, high=0.1), [1]),
        (Choice(order="rise"), [0, 2, 1, 3]),
        (Choice(order="drop"), [1, 2, 0, 3]),
        (Choice(order="high"), [0, 2, 1, 3]),
        (Choice(order="low"), [1, 2, 0, 3]),
        (Choice(group="big", moved="down", order="rise"), [1]),
    ],
)
def test_choices_by_hand(choice: Choice, numbers: list[int]) -> None:
    assert chosen(ROWS, choice).tolist() == numbers


def test_worsened_improved_unchanged_and_not_comparable_are_all() -> None:
    assert summary(ROWS) == {"worsened": 1, "improved": 1, "unchanged": 1, "not comparable": 1}
    assert sum(summary(paired(BASE, FT)).values()) == len(paired(BASE, FT))


def test_one_run_has_toxic_ones_from_the_threshold_and_unknown_ones_apart() -> None:
    rows = alone(index("abc", [(0, 0), (1, 0), (2, 0)], [0.5, 0.49, NAN]))
    assert summary(rows) == {"toxic": 1, "not toxic": 1, "not scored": 1}
    assert np.isnan(rows.moved).all()
    assert chosen(rows, Choice(order="high")).tolist() == [0, 1, 2]


def test_a_guard_chooses_pairs_in_which_it_came() -> None:
    names = [guard.name for guard in marking_guards()]
    before, after = np.zeros((4, len(names))), np.zeros((4, len(names)))
    at = names.index("empty")
    before[:, at], after[:, at] = [0, 0, 1, 1], [1, 0, 1, 0]
    marks_NG = ROWS.marks([before, after])
    assert chosen(ROWS, Choice(guard="empty"), marks_NG).tolist() == [0]
    assert chosen(ROWS, Choice(guard="capped"), marks_NG).tolist() == []
    assert chosen(ROWS, Choice(guard="no such guard"), marks_NG).tolist() == []


def test_no_responses_at_all_are_no_rows() -> None:
    empty = index("", [], [])
    for rows in (alone(empty), paired(empty, BASE), paired(BASE, empty), paired(empty, empty)):
        assert len(chosen(rows, Choice(moved="up", order="rise"))) == 0
        assert len(rows) == 0
