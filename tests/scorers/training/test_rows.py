"""The corpus of a training: labels as probabilities, repetitions, forbidden texts, the split."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detoxlab.errors import ConfigError, DataError, UnknownNameError
from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers.training.rows import Corpus, goals_array, read_corpus, summary
from detoxlab.settings import parse

Row = dict[str, Any]


def table(folder: Path, name: str, rows: list[Row]) -> str:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def texts(count: int, **columns: Any) -> list[Row]:
    return [{"text": f"text number {n}", **columns} for n in range(count)]


def corpus(data: dict[str, Any], **more: Any) -> Corpus:
    given = {"name": "x", "encoder": "minilm", "data": data, **more}
    return read_corpus(parse(ScorerTraining, given, place="test"))


def goals(found: Corpus) -> dict[str, tuple[float, ...]]:
    return {one.text: one.goals for one in (*found.train, *found.validation)}


@pytest.mark.parametrize(
    ("label", "cell", "goal"),
    [
        ("class", 0.25, 0.25),
        ("class", "1", 1.0),
        ("class", True, 1.0),
        ({"column": "class", "values": {"hate": 1, "other": 0}}, "other", 0.0),
        ({"column": "class", "values": {1: 1, 2: 0}}, "2.0", 0.0),
        ({"column": "class", "values": {"rude": 1, "none": 0}}, "none", 0.0),
        ({"column": "class", "values": {"hate": 1}, "otherwise": 0.5}, "other", 0.5),
        ({"column": "class", "range": [1, 5]}, 2, 0.25),
        ({"column": ["class", "second"]}, 0.1, 0.7),
        (0.3, "anything", 0.3),
    ],
)
def test_a_label_means_a_probability(tmp_path: Path, label: Any, cell: Any, goal: float) -> None:
    rows = texts(20, second=0.7, **{"class": cell})
    found = corpus({"a": {"source": table(tmp_path, "a", rows), "labels": {"hate": label}}})
    assert {one[0] for one in goals(found).values()} == {goal}


def test_a_row_without_any_label_is_counted_and_left_out(tmp_path: Path) -> None:
    rows = [*texts(20, label="hate"), {"text": "what a day", "label": "unsure"}]
    label = {"column": "label", "values": {"hate": 1, "none": 0}}
    found = corpus({"a": {"source": table(tmp_path, "a", rows), "labels": {"hate": label}}})
    assert found.counts["a"].unlabelled == 1
    assert "what a day" not in goals(found)


def test_a_number_out_of_range_and_a_text_for_a_number_name_place_and_remedy(
    tmp_path: Path,
) -> None:
    high, words = texts(3, toxicity=3.5), texts(3, toxicity="high")
    for rows, message in (
        (high, r"bad.jsonl:1: column 'toxicity' holds 3.5, outside 0 to 1. Give the range"),
        (words, r"bad.jsonl:1: column 'toxicity' holds no number. Say in labels.toxicity.values"),
    ):
        source = table(tmp_path, "bad", rows)
        with pytest.raises(DataError, match=message):
            corpus({"a": {"source": source, "labels": {"toxicity": "toxicity"}}})


def test_sets_have_labels_of_their_own_and_lack_those_of_others(tmp_path: Path) -> None:
    one = table(tmp_path, "one", texts(20, rude=1))
    other = table(tmp_path, "other", [{"text": f"other {n}", "hate": 0} for n in range(20)])
    found = corpus(
        {
            "one": {"source": one, "labels": {"toxicity": "rude"}},
            "other": {"source": other, "labels": {"hate": "hate"}},
        }
    )
    goals_NA = goals_array(found.train)
    assert {tuple(np.isnan(row).tolist()) for row in goals_NA} == {(False, True), (True, False)}


def test_annotations_of_one_text_merge_into_their_mean(tmp_path: Path) -> None:
    rows = [*texts(20, label=0), *({"text": "You  fool", "label": n} for n in (1, 1, 0))]
    rows += [{"text": "you fool", "label": 0}, {"text": "you fool 🐀", "label": 1}]
    found = corpus({"a": {"source": table(tmp_path, "a", rows), "labels": {"hate": "label"}}})
    assert goals(found)["You  fool"] == (0.5,)
    assert goals(found)["you fool 🐀"] == (1.0,)
    assert found.counts["a"].merged == 3


def test_what_is_never_trained_on_goes_with_its_variants_and_is_counted_by_set(
    tmp_path: Path,
) -> None:
    never = {"source": table(tmp_path, "n", [{"text": "Text, number 3!"}, {"text": "nothing"}])}
    one = {"source": table(tmp_path, "a", texts(20, hate=1)), "labels": {"hate": "hate"}}
    found = corpus({"a": one}, never={"bench": never})
    assert found.counts["a"].never == {"bench": 1}
    assert "text number 3" not in goals(found)
    assert "1 never to be trained on" in summary(found)[0]


def test_the_first_set_keeps_a_text_that_two_have(tmp_path: Path) -> None:
    one = {"source": table(tmp_path, "one", texts(20, hate=1)), "labels": {"hate": "hate"}}
    other = {"source": table(tmp_path, "other", texts(30, hate=0)), "labels": {"hate": "hate"}}
    found = corpus({"one": one, "other": other})
    assert found.counts["other"].repeated == 20
    assert [goals(found)[f"text number {n}"] for n in (0, 19, 20)] == [(1.0,), (1.0,), (0.0,)]


def test_a_document_and_the_variants_of_a_text_stay_on_one_side(tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "page": f"p{n // 5}", "hate": 1} for n in range(100)]
    rows += [{"text": f"Text {n}!", "page": f"q{n}", "hate": 0} for n in range(100)]
    one = {
        "source": table(tmp_path, "a", rows),
        "labels": {"hate": "hate"},
        "document": "page",
    }
    found = corpus({"a": one}, validation=0.2)
    pages = [{one.document for one in part} for part in (found.train, found.validation)]
    assert not pages[0] & pages[1]
    sides = [
        {one.text.strip("!").lower() for one in part} for part in (found.train, found.validation)
    ]
    assert not sides[0] & sides[1]
    assert len(found.validation) == 40


def test_a_set_may_be_for_one_side_alone_and_training_has_no_variant_of_it(
    tmp_path: Path,
) -> None:
    train = {"source": table(tmp_path, "a", texts(20, hate=1)), "labels": {"hate": "hate"}}
    test = {
        "source": table(tmp_path, "b", [{"text": "Text number 4!", "hate": 1}]),
        "labels": {"hate": "hate"},
        "use": "validation",
    }
    found = corpus({"a": {**train, "use": "train"}, "b": test})
    assert [one.text for one in found.validation] == ["Text number 4!"]
    assert len(found.train) == 19
    assert found.counts["a"].repeated == 1


def test_a_limit_counts_texts_that_are_left_and_the_seed_draws_them(tmp_path: Path) -> None:
    rows = [*texts(30, hate=1), *texts(30, hate=1)]
    one = {"source": table(tmp_path, "a", rows), "labels": {"hate": "hate"}, "limit": 10}
    first, again, other = (corpus({"a": one}, seed=seed) for seed in (0, 0, 1))
    assert len(goals(first)) == 10
    assert first.sha256() == again.sha256() != other.sha256()


def test_rows_without_a_text_are_left_out_with_a_warning(tmp_path: Path) -> None:
    source = table(tmp_path, "a", [*texts(9, hate=1), {"text": " ", "hate": 0}])
    with pytest.warns(UserWarning, match="1 of 10 rows have no text in column 'text'"):
        corpus({"a": {"source": source, "labels": {"hate": "hate"}}})


def test_an_attribute_that_nothing_labels_is_refused_and_so_is_an_unknown_column(
    tmp_path: Path,
) -> None:
    one = {"source": table(tmp_path, "a", texts(9, hate=1)), "labels": {"hate": "hate"}}
    with pytest.raises(ConfigError, match="no data set labels the attribute 'insult'"):
        corpus({"a": one}, attributes=["insult"])
    with pytest.raises(ConfigError, match="a label is a column or a constant"):
        corpus({"a": {**one, "labels": {"hate": {"values": {"x": 1}}}}})
    with pytest.raises(DataError, match=r"no column 'hat'\. Did you mean 'hate'"):
        corpus({"a": {**one, "labels": {"hate": "hat"}}})
    with pytest.raises(UnknownNameError, match="source of labelled texts"):
        corpus({"a": {**one, "source": "hatechek"}})


def test_an_attribute_without_a_validation_label_is_refused(tmp_path: Path) -> None:
    one = {"source": table(tmp_path, "a", texts(20, hate=1)), "labels": {"hate": "hate"}}
    other = {"source": table(tmp_path, "b", [{"text": "odd", "rude": 1}])}
    rude = {**other, "labels": {"insult": "rude"}, "use": "train"}
    with pytest.raises(DataError, match="no validation text has a label for 'insult'"):
        corpus({"a": one, "b": rude})


def test_texts_of_rtp_are_prompts_and_continuations_with_their_document(tmp_path: Path) -> None:
    parts = {
        "prompt": {"text": "You are", "toxicity": 0.1},
        "continuation": {"text": " a fool", "toxicity": 0.8, "insult": 0.9},
    }
    rows = [
        {"filename": f"{n}.txt", "begin": 0, "end": 9, **parts, "prompt": {"text": f"So {n}"}}
        for n in range(9)
    ]
    rows += [{"filename": "x.txt", "begin": 1, "end": 2, **parts}]
    found = corpus(
        {
            "rtp": {
                "source": "rtp-texts",
                "path": table(tmp_path, "rtp", rows),
                "labels": {"toxicity": "toxicity", "insult": "insult"},
                "document": "document",
                "use": "train",
            },
            "more": {
                "source": table(tmp_path, "more", texts(3, t=0, i=0)),
                "labels": {"toxicity": "t", "insult": "i"},
            },
        }
    )
    assert goals(found)["a fool"] == (0.8, 0.9)
    assert math.isnan(goals(found)["You are"][1])
    assert found.counts["rtp"].unlabelled == 9


def test_pairs_of_text_and_label_and_tables_without_a_header_are_read(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.json"
    pairs.write_text(json.dumps([[f"text {n}", "normal"] for n in range(9)]))
    headless = tmp_path / "germeval.tsv"
    headless.write_text("".join(f'"so {n}\tOFFENSE\tABUSE\n' for n in range(9)))
    found = corpus(
        {
            "a": {
                "source": "rule-by-example",
                "path": str(pairs),
                "labels": {"hate": {"column": "label", "values": {"normal": 0}}},
            },
            "b": {
                "source": "germeval2018",
                "path": str(headless),
                "labels": {"hate": {"column": "coarse", "values": {"OFFENSE": 1}}},
            },
        }
    )
    assert (goals(found)["text 3"], goals(found)['"so 3']) == ((0.0,), (1.0,))
    pairs.write_text('[["a", "b", "c"]]')
    with pytest.raises(DataError, match=r"item 1: is not \[text, label\]"):
        corpus({"a": {"source": "rule-by-example", "path": str(pairs), "labels": {"hate": 1}}})
