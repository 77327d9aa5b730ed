"""Classification by label words: log-odds by hand, areas, pairs, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from detoxlab.errors import ConfigError, DataError
from detoxlab.evaluations import Classification, load_evaluation
from detoxlab.records import ItemResult
from detoxlab.subject import Subject
from tests.support.tiny import tiny_lm

WORDS = {"toxic": " yes", "harmless": " no"}
LM = tiny_lm()


@pytest.fixture
def comments(tmp_path: Path) -> Path:
    file = tmp_path / "comments.jsonl"
    rows = [
        {"id": str(i), "text": f"comment {i}" + " more" * (i % 3), "label": label}
        for i, label in enumerate(["toxic", "harmless", "toxic", "harmless", "harmless"])
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def asked(source: Path, **changes: Any) -> Any:
    settings = {
        "kind": "classification",
        "source": str(source),
        "verbaliser": {"question": " Rude?", "words": WORDS},
        "max_length": 40,
    }
    return load_evaluation(settings | changes)


def answers(*pairs: tuple[float, int]) -> list[ItemResult]:
    return [
        ItemResult(str(i), {"log_odds": odds, "positive": float(positive)})
        for i, (odds, positive) in enumerate(pairs)
    ]


def log_probability(text: str, answer: str) -> float:
    """Of the answer after the text, one forward pass over both."""
    before, after = LM.prompt_ids(text, chat=False), LM.prompt_ids(answer, chat=False)
    with torch.no_grad():
        logits = LM.model(input_ids=torch.tensor([before + after])).logits[0]
    log_p = torch.log_softmax(logits[len(before) - 1 : -1].double(), dim=-1)
    return float(log_p.gather(1, torch.tensor(after)[:, None]).sum())


def test_the_score_is_the_log_odds_of_the_words(comments: Path) -> None:
    evaluation = asked(comments).resolved(Subject(LM))
    items = evaluation.items(seed=0)
    results = evaluation.results(Subject(LM), items)
    assert [len(item.text) for item in items] == sorted(len(item.text) for item in items)
    for item, result in zip(items, results, strict=True):
        yes, no = (log_probability(item.text + " Rude?", word) for word in (" yes", " no"))
        assert result.item == item.id
        assert result.values["log_odds"] == pytest.approx(yes - no, abs=1e-4)
        assert result.values["positive"] == (item.meta["label"] == "toxic")


@pytest.mark.parametrize("labels", [(1, 0), (1.0, 0.0), (True, False), ("yes", "no")])
@pytest.mark.parametrize("positive", [1, True, "1", "true"])
def test_labels_may_be_numbers_or_booleans(tmp_path: Path, labels: Any, positive: Any) -> None:
    file = tmp_path / "comments.jsonl"
    rows = [{"id": str(i), "text": f"comment {i}", "label": labels[i % 2]} for i in range(4)]
    rows.append({"id": "4", "text": "unknown", "label": -1})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    name = "1" if str(positive) == "1" else "true"
    words = {name: " yes", "0" if name == "1" else "false": " no"}
    evaluation = asked(
        file,
        verbaliser={"question": " Rude?", "words": words},
        positive=positive,
    )
    with pytest.raises(DataError, match=r"text 4: .*without words\. Choose the labelled texts"):
        evaluation.items(seed=0)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows[:4]))
    results = evaluation.resolved(Subject(LM)).results(Subject(LM), evaluation.items(seed=0))
    assert {one.item: one.values["positive"] for one in results} == {"0": 1, "1": 0, "2": 1, "3": 0}


@pytest.mark.parametrize("wanted", [1, "1", True])
def test_texts_are_chosen_by_what_a_label_means(tmp_path: Path, wanted: Any) -> None:
    file = tmp_path / "comments.jsonl"
    rows = [
        {"id": str(i), "text": f"comment {i}", "label": ("toxic", "harmless")[i % 2], "kept": i < 2}
        for i in range(4)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [item.id for item in asked(file, where={"kept": wanted}).items(seed=0)] == ["0", "1"]


def test_a_third_label_counts_against_the_positive_one(comments: Path) -> None:
    words = WORDS | {"odd": " so"}
    evaluation = asked(comments, verbaliser={"question": " Rude?", "words": words})
    item = evaluation.items(seed=0)[0]
    (result,) = evaluation.resolved(Subject(LM)).results(Subject(LM), [item])
    log_p = [log_probability(item.text + " Rude?", word) for word in words.values()]
    odds = log_p[0] - torch.logsumexp(torch.tensor(log_p[1:]), dim=0).item()
    assert result.values["log_odds"] == pytest.approx(odds, abs=1e-4)


def test_words_of_one_token_are_read_alike(comments: Path) -> None:
    words = {"toxic": "y", "harmless": "n"}
    evaluation = asked(comments, verbaliser={"question": " Rude? ", "words": words})
    items = evaluation.items(seed=0)
    for item, result in zip(
        items, evaluation.resolved(Subject(LM)).results(Subject(LM), items), strict=True
    ):
        yes, no = (log_probability(item.text + " Rude? ", word) for word in "yn")
        assert result.values["log_odds"] == pytest.approx(yes - no, abs=1e-4)


def test_a_long_text_is_cut_as_in_training(comments: Path) -> None:
    evaluation = asked(comments, max_length=18).resolved(Subject(LM))
    item = evaluation.items(seed=0)[-1]
    (result,) = evaluation.results(Subject(LM), [item])
    kept = item.text[: 18 - len(" Rude?") - len(" yes") - 1]
    yes, no = (log_probability(kept + " Rude?", word) for word in (" yes", " no"))
    assert result.values["log_odds"] == pytest.approx(yes - no, abs=1e-4)


def test_the_area_counts_pairs_in_order() -> None:
    results = answers((2.0, 1), (1.0, 0), (0.5, 1), (0.0, 0))
    (measured,) = CLASSIFICATION.measurements([*results, ItemResult("x", error="odd")])
    assert (measured.name, measured.value, measured.direction) == ("roc_auc", 0.75, "higher")
    assert (measured.n, measured.coverage) == (4, 0.8)
    (unknown,) = CLASSIFICATION.measurements([ItemResult("x", error="odd")])
    assert (unknown.value, unknown.coverage) == (None, 0.0)


def test_models_are_compared_on_the_items_both_have() -> None:
    good = answers(*[(i % 2 + 0.01 * i, i % 2) for i in range(40)])
    poor = answers(*[(i % 3 + 0.01 * i, i % 2) for i in range(39)])
    (change,) = CLASSIFICATION.differences(good, poor, resamples=500)
    assert change.baseline == 1.0
    assert change.difference == pytest.approx((change.treated or 0) - 1.0)
    assert (change.n_pairs, change.coverage) == (39, 39 / 40)
    assert change.ci_high is not None
    assert change.ci_high < 0


def test_what_cannot_be_asked_is_refused(comments: Path) -> None:
    with pytest.raises(ConfigError, match=r"positive is 'rude'.*toxic, harmless"):
        asked(comments, positive="rude")
    with pytest.raises(ConfigError, match="max_length is 999, the context of tiny@00000000 is 256"):
        asked(comments, max_length=999).resolved(Subject(LM))
    with pytest.raises(DataError, match="all 2 texts have one label"):
        asked(comments, where={"label": "toxic"}).items(seed=0)


CLASSIFICATION = Classification(
    source="comments.jsonl",
    verbaliser={"question": " Rude?", "words": WORDS},  # type: ignore[arg-type]
)
