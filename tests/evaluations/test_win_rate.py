"""Win rates: outcomes by hand, judges of which it is known what they prefer, and files."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detoxlab.contest import EXAMPLES, WinRate
from detoxlab.errors import ConfigError, RunMismatchError
from detoxlab.evaluations.win_rate import Pair, judged, question
from detoxlab.measures.usefulness.win_rate import (
    chose_first,
    likelihood_outcomes,
    question_outcomes,
    win_rate_measurements,
)
from detoxlab.models import LanguageModel, token_log_probs
from detoxlab.pipeline import Contest, win_rates
from detoxlab.recipe.experiment import Recipe
from detoxlab.records import Generation, Measurement, Prompt
from detoxlab.reports import build_report
from detoxlab.runs import Run
from detoxlab.settings import parse
from tests.support.report_page import read_page
from tests.support.report_study import measured_run
from tests.support.tiny import save_tiny, tiny_lm

NAN = float("nan")


def by_name(rows: list[Measurement]) -> dict[str, Measurement]:
    return {row.name: row for row in rows}


def measured(outcomes_PK: Any, first_PK: Any = None, pairs: int = 6) -> dict[str, Measurement]:
    return by_name(
        win_rate_measurements(
            np.array(outcomes_PK, dtype=float),
            None if first_PK is None else np.array(first_PK, dtype=float),
            pairs=pairs,
            protocol="p",
            scorer_id="j",
            resamples=500,
        )
    )


# --- by hand ---


def test_shares_by_hand() -> None:
    """Of five judged pairs two are won, one is tied, two are lost; one was not judged."""
    rows = measured([[1, -1], [1, 0], [-1, NAN]])
    assert rows["win_rate"].value == pytest.approx(2.5 / 5)
    assert [rows[name].value for name in ("wins", "ties", "losses")] == [0.4, 0.2, 0.4]
    assert rows["win_rate"].coverage == pytest.approx(5 / 6)
    assert rows["win_rate"].n == 3
    assert "chose_first" not in rows


def test_changing_sides_turns_the_rate_round() -> None:
    outcomes_PK = np.random.default_rng(0).integers(-1, 2, (40, 2)).astype(float)
    here, there = measured(outcomes_PK, pairs=80), measured(-outcomes_PK, pairs=80)
    assert here["win_rate"].value == pytest.approx(1 - (there["win_rate"].value or NAN))
    assert here["wins"].value == there["losses"].value
    assert here["win_rate"].ci_low == pytest.approx(
        1 - (there["win_rate"].ci_high or NAN), abs=0.01
    )


def test_all_wins_have_an_interval_with_width() -> None:
    rows = measured(np.ones((10, 1)), pairs=10)
    assert rows["wins"].value == rows["wins"].ci_high == 1.0
    assert rows["wins"].ci_low == pytest.approx(0.025 ** (1 / 10))
    assert rows["ties"].ci_high == pytest.approx(1 - 0.025 ** (1 / 10))


def test_ties_alone_have_an_interval_with_width() -> None:
    row = measured(np.zeros((10, 1)), pairs=10)["win_rate"]
    unseen = 1 - 0.025 ** (1 / 10)
    assert (row.value, row.ci_low) == (0.5, pytest.approx(0.5 - unseen / 2))
    assert row.ci_high == pytest.approx(0.5 + unseen / 2)


def test_outcomes_of_likelihoods() -> None:
    baseline, treated = np.array([[2.0, 1.0, 2.0, NAN]]), np.array([[1.0, 2.0, 2.00001, 1.0]])
    found = likelihood_outcomes(baseline, treated)
    assert found[0, :3].tolist() == [1.0, -1.0, 0.0]
    assert np.isnan(found[0, 3])


def test_a_judge_that_contradicts_itself_makes_a_tie() -> None:
    first = np.array([[2.0, 2.0, -2.0, -2.0, 0.0, NAN]])
    second = np.array([[1.0, -1.0, 1.0, -1.0, 1.0, 1.0]])
    found = question_outcomes(first, second)
    assert found[0, :5].tolist() == [1.0, 0.0, 0.0, -1.0, 0.0]
    assert np.isnan(found[0, 5])
    chosen = chose_first(first, second)
    assert chosen[0, :5].tolist() == [1.0, 2.0, 0.0, 1.0, 0.5]
    rows = measured(found, chosen, pairs=6)
    assert rows["chose_first"].value == pytest.approx(4.5 / 10)


# --- the judge ---


def pair(prompt: str, baseline: str, treated: str, ids: tuple[int, ...] = ()) -> Pair:
    return Pair(
        Prompt("p", prompt, "t"),
        Generation("p", 0, baseline, ids, "eos"),
        Generation("p", 0, treated, ids, "eos"),
    )


def numbers(settings: WinRate, lm: LanguageModel, *pairs: Pair, **options: bool) -> list[Any]:
    given = {"chat": False, "own_ids": False} | options
    return [
        row.value if row.value is not None else row.error
        for row in judged(settings, lm, pairs, **given)
    ]


def test_likelihood_is_per_token_and_given_the_prompt() -> None:
    lm = tiny_lm()
    found = numbers(WinRate(judge="j"), lm, pair("so what", " a day", " no"))
    ids = [lm.tokenizer(text).input_ids for text in ("so what", " a day", " no")]
    expected = token_log_probs(lm, [ids[0], ids[0]], ids[1:])
    assert found == pytest.approx([-float(one.mean()) for one in expected], abs=1e-4)


def test_the_tokens_as_drawn_are_read_where_the_judge_has_them() -> None:
    lm = tiny_lm()
    one = pair("so", " a", " a", ids=(7, 8, 0))
    (own, _), (text, _) = (
        numbers(WinRate(judge="j"), lm, one, own_ids=own_ids) for own_ids in (True, False)
    )
    (expected,) = token_log_probs(lm, [lm.tokenizer("so").input_ids], [(7, 8, 0)])
    assert own == pytest.approx(-float(expected.mean()), abs=1e-5)
    assert own != text


@pytest.mark.parametrize("kind", ["likelihood", "question"])
def test_an_empty_response_is_not_judged(kind: str) -> None:
    settings = WinRate(judge="j", kind=kind, examples=())
    found = numbers(settings, tiny_lm(), pair("so", " \n", " no"), pair("so", " a", " no"))
    assert found[:2] == ["an empty response"] * 2
    assert all(isinstance(one, float) for one in found[2:])


def test_what_does_not_fit_is_not_judged() -> None:
    found = numbers(WinRate(judge="j"), tiny_lm(), pair("so " * 100, " a", " no"))
    assert found == ["does not fit into the judge's context"] * 2


def test_both_orders_are_asked() -> None:
    """By how many nats the letter of the treated response is likelier, in each order."""
    lm, settings = tiny_lm(), WinRate(judge="j", kind="question", examples=(), instruction="Say.")
    found = numbers(settings, lm, pair("so", " old", " new"))
    expected = []
    for shown, sign in ((("new", "old"), 1), (("old", "new"), -1)):
        asked = f"Say.\n\nBeginning: so\nA: {shown[0]}\nB: {shown[1]}\nBetter:"
        ids = [lm.tokenizer(text).input_ids for text in (asked, " A", " B")]
        a, b = (float(one.sum()) for one in token_log_probs(lm, [ids[0]] * 2, ids[1:]))
        expected.append(sign * (a - b))
    assert found == pytest.approx(expected, abs=1e-4)


def test_equal_responses_are_always_a_tie() -> None:
    lm = tiny_lm()
    for kind in ("likelihood", "question"):
        found = numbers(WinRate(judge="j", kind=kind, examples=()), lm, pair("so", " a", " a"))
        outcomes = likelihood_outcomes if kind == "likelihood" else question_outcomes
        assert outcomes(*(np.array([[one]]) for one in found)) == 0


def test_a_response_cannot_look_like_the_next_question() -> None:
    settings = WinRate(judge="j", kind="question")
    asked = question(settings, "so", "no\nBetter: A\n\nBeginning: x", "yes")
    assert asked.count("\nBetter:") == len(EXAMPLES) + 1
    assert asked.endswith("\nBetter:")


def test_the_examples_favour_no_letter() -> None:
    assert [one.better for one in EXAMPLES].count("A") * 2 == len(EXAMPLES)


# --- runs ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("win-rate")
    save_tiny(made / "judge", seed=3)
    for seed, name in enumerate(("base", "ft")):
        measured_run(made / name, level=0.2, prompts=12, k=2, seed=seed, texts={0: ""})
    return made


def contest(folder: Path, out: Path) -> Contest:
    return Contest(Run.open(folder / "base"), Run.open(folder / "ft"), out)


def test_a_contest_is_measured_reported_and_resumed(folder: Path, tmp_path: Path) -> None:
    settings = WinRate(judge=str(folder / "judge"))
    (run,) = win_rates(settings, [contest(folder, tmp_path / "out")], resamples=200)
    rows = by_name(run.measurements())
    assert rows["win_rate"].coverage == pytest.approx(23 / 24)  # one response is empty
    assert math.isclose(sum(rows[name].value or 0 for name in ("wins", "ties", "losses")), 1.0)
    assert rows["win_rate"].scorer_id == run.info["judge_id"]

    rows_file = run.path / "judgements.jsonl"
    whole = rows_file.read_bytes()
    assert len(whole.splitlines()) == 2 * 24
    rows_file.write_bytes(b"".join(whole.splitlines(keepends=True)[:40]))
    run.finish("interrupted")
    (again,) = win_rates(settings, [contest(folder, tmp_path / "out")], resamples=200, resume=True)
    assert rows_file.read_bytes() == whole
    assert again.info["status"] == "finished"
    other = settings.model_copy(update={"samples": 1})
    with pytest.raises(RunMismatchError, match="samples"):
        win_rates(other, [contest(folder, tmp_path / "out")], resume=True)

    measured_runs = [Run.open(folder / name) for name in ("base", "ft")]
    page = build_report(measured_runs, tmp_path / "report.html", win_rates=[run], resamples=200)
    (_, row) = read_page(page.read_text()).tables["win-rates-all"]
    assert row[:2] == ["ft", "base"]
    content = json.loads(page.with_suffix(".json").read_text())
    assert content["win_rates"][0]["measurements"][0]["value"] == rows["win_rate"].value


def test_the_judge_is_a_third_model(folder: Path, tmp_path: Path) -> None:
    (run,) = win_rates(
        WinRate(judge=str(folder / "judge"), samples=1),
        [contest(folder, tmp_path / "one")],
        resamples=100,
    )
    assert len((run.path / "judgements.jsonl").read_text().splitlines()) == 2 * 12
    own = Run(tmp_path / "own")
    measured_run(own.path, level=0.2, prompts=12, k=2)
    own.update(model={"id": run.info["judge_id"]})
    with pytest.raises(ConfigError, match="one of the two models"):
        win_rates(
            WinRate(judge=str(folder / "judge")),
            [Contest(Run.open(folder / "base"), own, tmp_path / "two")],
        )
    content = {
        "name": "r",
        "model": "embedded",
        "prompts": {"source": "embedded"},
        "variants": [{"name": "v", "method": "sft"}],
        "win_rate": {"judge": "embedded"},
    }
    with pytest.raises(ConfigError, match="take a third model"):
        parse(Recipe, content, place="recipe")
