"""Over-refusal: shares by hand, missing verdicts, pairs, labels, and the judge's questions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from detoxlab.errors import ConfigError, DataError, MissingFileError, RunMismatchError
from detoxlab.evaluations import (
    OverRefusal,
    evaluate_into,
    load_evaluation,
    read_evaluated,
    task_evaluations,
)
from detoxlab.evaluations.refusal import Item
from detoxlab.evaluations.refusal_judge import judge_name, judged
from detoxlab.measures.refusal import DETECTOR
from detoxlab.records import ItemResult, Measurement
from detoxlab.runs import Run
from detoxlab.runs.files import TornLineWarning
from detoxlab.scorers.guards.load import load_guard
from detoxlab.servers import Retries
from detoxlab.subject import Subject
from tests.support.tiny import tiny_lm

LM = tiny_lm()
RESPONSES = (
    ("safe/1", "full"),
    ("safe/2", "none"),
    ("safe/3", "partial"),
    ("safe/4", "none"),
    ("safe/5", None),
    ("unsafe/1", "full"),
    ("unsafe/2", "full"),
)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    rows = [
        {"id": str(i), "text": f"How do I cut {i}" + " logs" * (i % 3) + "?", "label": label}
        for i, label in enumerate(["safe", "unsafe", "safe", "unsafe", "safe"])
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def told(*classes: tuple[str, str | None]) -> list[ItemResult]:
    return [
        ItemResult(item, error="an empty response")
        if found is None
        else ItemResult(
            item,
            {
                "one": 1.0,
                "refusal": float(found != "none"),
                "full": float(found == "full"),
                "partial": float(found == "partial"),
            },
        )
        for item, found in classes
    ]


def by_name(rows: Sequence[Measurement]) -> dict[str, Measurement]:
    return {row.name: row for row in rows if row.attribute is None}


def test_shares_by_hand_and_the_missing_lower_the_coverage() -> None:
    rows = by_name(OverRefusal().measurements(told(*RESPONSES), resamples=200))
    shares = {name: (row.value, row.n, row.coverage) for name, row in rows.items()}
    assert shares == {
        "safe_refusals": (0.5, 4, 0.8),
        "safe_full_refusals": (0.25, 4, 0.8),
        "safe_partial_refusals": (0.25, 4, 0.8),
        "unsafe_refusals": (1.0, 2, 1.0),
        "unsafe_full_refusals": (1.0, 2, 1.0),
        "unsafe_partial_refusals": (0.0, 2, 1.0),
    }
    assert {row.scorer_id for row in rows.values()} == {DETECTOR}
    # Clopper and Pearson: 2 of 2 is at least .025 ** (1 / 2).
    assert rows["unsafe_refusals"].ci_low == pytest.approx(0.025**0.5)
    assert rows["unsafe_refusals"].ci_high == 1.0


def test_the_rules_agreement_with_people_stands_beside_the_result() -> None:
    rows = OverRefusal().measurements(told(*RESPONSES), resamples=200)
    beside = {(row.name, row.attribute): row for row in rows if row.attribute}
    assert len(beside) == 8
    assert beside["detector_recall", "gpt4"].n == 450
    with_judge = OverRefusal(judge="org/judge")
    assert not [
        row
        for row in with_judge.measurements(
            [ItemResult(one.item, {**one.values, "agrees": 1.0}) for one in told(*RESPONSES[:4])],
            resamples=200,
        )
        if row.attribute
    ]


def test_differences_are_paired_by_prompt() -> None:
    before = told(*((f"safe/{at}", "none") for at in range(20)))
    after = told(*((f"safe/{at}", "full" if at < 8 else "none") for at in range(19)))
    rows = {row.name: row for row in OverRefusal().differences(before, after, resamples=2000)}
    change = rows["safe_refusals"]
    assert (change.baseline, change.treated) == (0.0, pytest.approx(8 / 19))
    assert (change.n_pairs, change.coverage) == (19, 0.95)
    assert change.ci_low is not None
    assert change.ci_low > 0
    assert set(rows) == {"safe_refusals", "safe_full_refusals", "safe_partial_refusals"}


def test_a_model_differs_from_itself_by_nothing() -> None:
    same = told(*RESPONSES)
    assert [row.difference for row in OverRefusal().differences(same, same)] == [0.0] * 6


# --- the run ---


def evaluation(source: Path, **changes: Any) -> Any:
    given = {"kind": "refusal", "source": str(source), "max_new_tokens": 8}
    return load_evaluation(given | changes)


def test_responses_are_kept_and_a_killed_run_goes_on(prompts: Path, tmp_path: Path) -> None:
    run = Run.start(tmp_path / "run", kind="evaluate", config={}, resume=True)
    asked = evaluation(prompts, chat=False)
    evaluate_into(run, "refusal", asked, Subject(LM), resamples=100)
    whole = (run.path / "evaluation/refusal.jsonl").read_bytes()
    found = read_evaluated(run)["refusal"]
    assert sorted(one.item for one in found.results) == [
        "safe/0",
        "safe/2",
        "safe/4",
        "unsafe/1",
        "unsafe/3",
    ]
    assert all(one.text is not None for one in found.results)
    assert found.data["detector"] == DETECTOR
    with pytest.raises(RunMismatchError, match="max_new_tokens"):
        evaluate_into(run, "refusal", evaluation(prompts, max_new_tokens=9), Subject(LM))
    (run.path / "evaluation/refusal.jsonl").write_bytes(whole[:40])
    head = run.path / "evaluation/refusal.json"
    content = json.loads(head.read_text())
    del content["measurements"]
    head.write_text(json.dumps(content))
    with pytest.warns(TornLineWarning):
        evaluate_into(run, "refusal", asked, Subject(LM), resamples=100)
    assert (run.path / "evaluation/refusal.jsonl").read_bytes() == whole


def test_labels_of_other_names(prompts: Path, tmp_path: Path) -> None:
    ids = {one.id for one in evaluation(prompts, safe=["unsafe"], unsafe=["Safe"]).items(0)}
    assert ids == {"unsafe/0", "safe/1", "unsafe/2", "safe/3", "unsafe/4"}
    with pytest.raises(DataError, match="neither safe nor unsafe by its 'kind'"):
        evaluation(prompts, label="kind").items(0)
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"text": "How do I cut a log?"}\n')
    (only,) = evaluation(bare, all_are="safe").items(0)
    assert only.id.startswith("safe/")


def test_the_preset_is_xstest() -> None:
    asked = OverRefusal()
    assert (asked.sampling.temperature, asked.sampling.max_new_tokens, asked.chat) == (0, 512, True)
    assert asked.protocol == "xstest@1"
    other = OverRefusal(source="folder/orbench.csv", chat=False)
    assert other.protocol == "xstest@1 (source=orbench.csv, chat=False)"


def test_xstest_has_250_safe_and_200_unsafe_prompts(data_dir: Path) -> None:
    items = OverRefusal(path=str(data_dir / "xstest")).items(0)
    kinds = [one.id.partition("/")[0] for one in items]
    assert (kinds.count("safe"), kinds.count("unsafe"), len(kinds)) == (250, 200, 450)


def test_the_task_xstest_is_the_preset_on_the_file_of_the_folder(data_dir: Path) -> None:
    made = task_evaluations(["xstest"], {"data": str(data_dir)})["xstest"]
    assert isinstance(made, OverRefusal)
    assert made.protocol == "xstest@1"
    assert len(made.items(0)) == 450


def test_labelled_completions_check_the_detector(prompts: Path, tmp_path: Path) -> None:
    file = tmp_path / "xstest_v2_completions_mine.csv"
    file.write_text(
        "id,prompt,completion,final_label\n"
        "1,May I?,I cannot help with that.,2_full_refusal\n"
        "2,May I?,Hm.,3_partial_refusal\n"
        "3,May I?,Yes.,1_full_compliance\n"
        "4,May I?,,1_full_compliance\n"
        "5,May I?,I have no access to it.,3_partial_refusal\n"
    )
    asked = evaluation(prompts, labelled=[str(file)], chat=False)
    results = asked.results(Subject(LM), asked.items(0))
    assert [one.text for one in results[:5]] == [None] * 5
    rows = asked.measurements(results, resamples=100)
    checked = {row.name: row for row in rows if row.attribute == "mine"}
    assert checked["detector_recall"].value == pytest.approx(2 / 3)
    assert checked["detector_specificity"].value == 1.0
    assert (checked["detector_recall"].n, checked["detector_recall"].coverage) == (4, 0.8)
    assert not [row for row in rows if row.attribute == "gpt4"]
    file.write_text("id,prompt,completion,final_label\n1,May I?,Yes.,maybe\n")
    with pytest.raises(DataError, match="holds another label"):
        asked.items(0)


# --- the judge ---


def server(request: httpx.Request) -> httpx.Response:
    """Calls what has "cannot" a refusal, what has "steps" helpful; mumbles where it reads "hm"."""
    asked = json.loads(request.content)["messages"][0]["content"]
    judged_text = asked.partition("Question: ")[2]
    word = "cannot" if "refuse" in asked.partition("Question: ")[0] else "steps"
    answer = "Well …" if "hm" in judged_text else "Yes" if word in judged_text else "No"
    choice = {"message": {"content": answer}, "finish_reason": "stop"}
    return httpx.Response(200, json={"choices": [choice]})


def test_a_judge_at_a_server_is_asked_two_questions() -> None:
    guard = load_guard(
        judge_name("http://server/v1#model", None),
        transport=httpx.MockTransport(server),
        retries=Retries(attempts=1, first_wait_seconds=0.0),
    )
    responses = ["I cannot.", "I cannot, but these are the steps.", "The steps are …", "No.", "hm"]
    found = judged(guard, ["May I?"] * 5, responses)
    assert [one for one, _ in found] == ["full", "partial", "none", "none", None]
    assert found[-1][1].startswith("failed: unreadable verdict")


def test_an_unreadable_verdict_of_a_local_judge_is_missing(prompts: Path, tmp_path: Path) -> None:
    LM.model.save_pretrained(tmp_path / "judge")
    LM.tokenizer.save_pretrained(tmp_path / "judge")
    asked = evaluation(prompts, judge=str(tmp_path / "judge"), chat=False)
    items = [Item("safe/1", "May I?", "Yes.", "none")]
    (result,) = asked.results(Subject(LM), items)
    assert result.error is not None
    assert result.error.startswith("failed: ")


def test_a_judge_that_cannot_be_asked_is_found_before_the_model_answers(prompts: Path) -> None:
    with pytest.raises(MissingFileError, match="no such model folder"):
        evaluation(prompts, judge="./nowhere").items(0)
    with pytest.raises(ConfigError, match="http://HOST/v1#MODEL"):
        evaluation(prompts, judge="http://server/v1")


def test_another_format_is_another_detector(prompts: Path) -> None:
    plain, chat = (
        evaluation(prompts, judge="org/judge", judge_format=one).describe()["detector"]
        for one in ("plain", "chat")
    )
    assert plain != chat
