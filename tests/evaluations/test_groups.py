"""Toxicity by group: draws, judges, differences by hand, samples that keep the groups."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from detoxlab.data import load_prompts
from detoxlab.errors import ConfigError
from detoxlab.evaluations import (
    GroupToxicity,
    evaluate_into,
    evaluated_differences,
    load_evaluation,
    read_evaluated,
    task_evaluations,
)
from detoxlab.generate import LocalEngine
from detoxlab.measures.statistics import exact_share_interval, holm
from detoxlab.records import Difference, ItemResult
from detoxlab.runs import Run
from detoxlab.runs.files import TornLineWarning
from detoxlab.subject import Subject
from tests.support.tiny import tiny_lm
from tests.support.toxigen import STATEMENTS_BY_GROUP

LM = tiny_lm()
JUDGE = "judge:hate-neural@1#hate"
BESIDE = "beside:rtp-linear@1#toxicity"


@pytest.fixture
def statements(tmp_path: Path) -> Path:
    """Twelve statements about three groups; every fourth is about two of them."""
    names = ["asian", "women", "jewish"]
    rows = [
        {
            "text": f"There is a man {at}" + " who sings" * (at % 3),
            "target_groups": names[at % 3 : at % 3 + (2 if at % 4 == 0 else 1)],
        }
        for at in range(12)
    ]
    file = tmp_path / "annotated.json"
    file.write_text(json.dumps(rows))
    return file


def evaluation(path: Path, **changes: Any) -> GroupToxicity:
    given = {"kind": "groups", "preset": "toxigen", "path": str(path), "judge": "rtp-linear"}
    made = load_evaluation(given | {"max_new_tokens": 8} | changes)
    assert isinstance(made, GroupToxicity)
    return made


def scored(*rows: tuple[list[str], float | None], beside: float | None = None) -> list[ItemResult]:
    return [
        ItemResult(
            f"s{at}",
            {JUDGE: value} | ({BESIDE: beside} if beside is not None else {}),
            meta={"groups": groups},
        )
        if value is not None
        else ItemResult(f"s{at}", error="empty", text="", meta={"groups": groups})
        for at, (groups, value) in enumerate(rows)
    ]


def by_key(rows: list[Any], scorer: str = "hate-neural@1") -> dict[tuple[str, str | None], Any]:
    return {(row.name, row.group): row for row in rows if row.scorer_id == scorer}


BASE = scored(
    (["asian"], 0.9),
    (["asian"], 0.8),
    (["asian", "women"], 0.9),
    (["women"], 0.1),
    (["women"], 0.7),
    (["jewish"], 0.2),
    (["jewish"], None),
)


def test_shares_means_and_gaps_by_hand() -> None:
    rows = by_key(GroupToxicity(preset="toxigen").measurements(BASE, resamples=200))
    shares = {"asian": 1.0, "women": 2 / 3, "jewish": 0.0}
    for group, share in shares.items():
        assert rows["toxic_fraction", group].value == pytest.approx(share)
    assert rows["toxicity_macro_mean", None].value == pytest.approx((1 + 2 / 3) / 3)
    assert rows["group_gap", None].value == 1.0
    jewish = rows["toxic_fraction", "jewish"]
    assert (jewish.n, jewish.coverage, jewish.bound_low, jewish.bound_high) == (1, 0.5, 0.0, 0.5)
    assert (jewish.ci_low, jewish.ci_high) == exact_share_interval(0, 1)
    assert {row.attribute for key, row in rows.items() if key[0] != "coverage"} == {"hate"}
    assert {row.protocol for row in rows.values()} == {"toxigen@1"}


def test_a_scorer_beside_has_a_table_of_its_own() -> None:
    rows = GroupToxicity(preset="toxigen", beside="rtp-linear").measurements(
        scored((["a"], 0.9), (["b"], 0.9), beside=0.2), resamples=200
    )
    assert [
        by_key(rows, name)["toxic_fraction", "a"].value
        for name in ("hate-neural@1", "rtp-linear@1")
    ] == [1.0, 0.0]
    assert list(dict.fromkeys(row.scorer_id for row in rows)) == ["hate-neural@1", "rtp-linear@1"]


def test_nothing_scored_is_unknown_and_not_zero() -> None:
    rows = GroupToxicity(preset="toxigen").measurements(
        scored((["a"], None), (["b"], None)), resamples=200
    )
    assert [row.value for row in rows if row.name != "coverage"] == [None] * 8
    assert [row.value for row in rows if row.name == "coverage"] == [0.0]


def differences(after: list[ItemResult]) -> dict[tuple[str, str | None], Difference]:
    return by_key(GroupToxicity(preset="toxigen").differences(BASE, after, resamples=300))


def test_differences_are_paired_by_prompt_and_their_p_values_corrected_over_groups() -> None:
    after = scored(
        (["asian"], 0.1),
        (["asian"], 0.2),
        (["asian", "women"], 0.2),
        (["women"], 0.1),
        (["women"], None),
        (["jewish"], 0.6),
        (["jewish"], 0.9),
    )
    rows = differences(after)
    overall = rows["toxic_fraction", None]
    assert (overall.baseline, overall.treated) == (3 / 5, 1 / 5)
    assert (overall.n_pairs, overall.coverage) == (5, 5 / 7)
    assert overall.p_value == 0.625  # of four prompts that changed three fell
    women = rows["toxic_fraction", "women"]
    assert (women.baseline, women.treated, women.n_pairs) == (0.5, 0.0, 2)
    assert women.coverage == pytest.approx(2 / 3)
    groups = [row for (name, group), row in rows.items() if name == "toxic_fraction" and group]
    assert [row.p_value for row in groups] == [0.25, 1.0, 1.0]
    assert [row.p_holm for row in groups] == holm([0.25, 1.0, 1.0])
    macro = rows["toxicity_macro_mean", None]
    assert (macro.baseline, macro.treated) == (0.5, pytest.approx(1 / 3))
    gap = rows["group_gap", None]
    assert (gap.baseline, gap.treated, gap.difference) == (1.0, 1.0, 0.0)
    assert gap.n_pairs == 5


def test_a_model_differs_from_itself_by_nothing() -> None:
    assert {row.difference for row in differences(BASE).values()} <= {0.0, None}
    assert GroupToxicity(preset="toxigen").differences([], [], resamples=200) == []


# --- the run ---


def test_responses_are_those_that_measure_would_draw_and_a_cut_file_goes_on(
    statements: Path, tmp_path: Path
) -> None:
    run = Run.start(tmp_path / "run", kind="evaluate", config={}, resume=True)
    asked = evaluation(statements)
    found = evaluate_into(run, "toxigen", asked, Subject(LM), seed=3, resamples=100)
    results = {one.item: one for one in read_evaluated(run)["toxigen"].results}
    prompts = load_prompts("toxigen-annotated", path=statements)
    engine = LocalEngine(Subject(LM), chat=False)
    sampling = dataclasses.replace(asked.sampling, seed=3)
    for one in engine.generate(prompts, sampling):
        assert results[one.prompt_id].text == one.text
    assert results[prompts[0].id].meta == {"groups": ["asian", "women"]}
    assert {row.protocol for row in found} == {"toxigen@1 (max_new_tokens=8)"}
    whole = (run.path / "evaluation/toxigen.jsonl").read_bytes()
    (run.path / "evaluation/toxigen.jsonl").write_bytes(whole[:300])
    head = run.path / "evaluation/toxigen.json"
    content = json.loads(head.read_text())
    del content["measurements"]
    head.write_text(json.dumps(content))
    with pytest.warns(TornLineWarning):
        again = evaluate_into(run, "toxigen", asked, Subject(LM), seed=3, resamples=100)
    assert (run.path / "evaluation/toxigen.jsonl").read_bytes() == whole
    assert again == found


def test_runs_with_another_judge_are_not_compared(statements: Path, tmp_path: Path) -> None:
    held = []
    for judge in ("rtp-linear", "rtp-neural"):
        run = Run.start(tmp_path / judge, kind="evaluate", config={}, resume=True)
        asked = evaluation(statements, judge=judge, limit=4)
        evaluate_into(run, "toxigen", asked, Subject(LM), resamples=100)
        held.append(read_evaluated(run)["toxigen"])
    assert evaluated_differences(*held) == []
    assert evaluated_differences(held[0], held[0], resamples=100)


def test_a_scorer_that_trained_the_model_does_not_judge_it(statements: Path) -> None:
    lm = tiny_lm()
    lm.facts["train_scorers"] = ["max(rtp-linear@1,other@2)"]
    with pytest.raises(ConfigError, match=r"rtp-linear trained .* it cannot judge it"):
        evaluation(statements).resolved(Subject(lm))
    with pytest.raises(ConfigError, match="rtp-linear trained"):
        evaluation(statements, judge="rtp-neural", beside="rtp-linear").resolved(Subject(lm))
    assert evaluation(statements, judge="rtp-neural").resolved(Subject(lm)).judge == "rtp-neural"


def test_presets_bring_their_judges_and_names_say_what_differs(tmp_path: Path) -> None:
    toxigen, bold = GroupToxicity(preset="toxigen"), GroupToxicity(preset="bold")
    assert (toxigen.judge, toxigen.beside) == ("hate-neural", None)
    assert (bold.judge, bold.beside) == ("rtp-neural", "hate-neural")
    assert (toxigen.sampling.temperature, toxigen.sampling.max_new_tokens) == (0.1, 128)
    assert GroupToxicity(preset="bold", beside="none").beside is None
    other = GroupToxicity(preset="bold", limit=9, chat=True)
    assert other.protocol == "bold@1 (limit=9, chat=True)"
    with pytest.raises(ConfigError, match="judge and beside are both 'a'"):
        load_evaluation({"kind": "groups", "preset": "bold", "judge": "a", "beside": "a"})
    file = tmp_path / "plain.jsonl"
    file.write_text('{"text": "A man."}\n')
    with pytest.raises(ConfigError, match="no prompt has 'groups'"):
        GroupToxicity(preset="toxigen", source=str(file)).items(0)


# --- real data ---


def groups_of(items: Any) -> Counter[str]:
    return Counter(name for one in items for name in one.prompt.meta["groups"])


def test_all_statements_are_asked_and_a_sample_keeps_each_groups_share(data_dir: Path) -> None:
    asked = task_evaluations(["toxigen"], {"data": str(data_dir)})["toxigen"]
    items = asked.items(0)
    assert len(items) == 6_514
    assert groups_of(items) == STATEMENTS_BY_GROUP
    limited = task_evaluations(["toxigen"], {"data": str(data_dir), "limit": 650})["toxigen"]
    drawn = limited.items(0)
    assert len(drawn) == 650
    # Strata are sets of groups, so a group's count may move by one for each set that it is in.
    for group, count in groups_of(drawn).items():
        assert count == pytest.approx(STATEMENTS_BY_GROUP[group] * 650 / 6_514, abs=8)
    assert {one.prompt.id for one in drawn} == {one.prompt.id for one in limited.items(0)}
    assert {one.prompt.id for one in drawn} != {one.prompt.id for one in limited.items(1)}


@pytest.mark.filterwarnings("ignore:bold. 5 empty prompts")
def test_bold_has_43_groups_in_five_domains(data_dir: Path) -> None:
    items = task_evaluations(["bold"], {"data": str(data_dir)})["bold"].items(0)
    assert len(items) == 23_674
    found = {(one.prompt.meta["domain"], one.prompt.meta["group"]) for one in items}
    assert Counter(domain for domain, _ in found) == {
        "gender": 2,
        "political_ideology": 12,
        "profession": 18,
        "race": 4,
        "religious_ideology": 7,
    }
