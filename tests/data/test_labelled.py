"""The labelled sets by which scorers are audited: labels, groups, and files that are wrong."""

from pathlib import Path

import pytest

from detoxlab.data import LeftOutWarning, load_labelled, load_prompts
from detoxlab.errors import DataError, MissingFileError


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_hatecheck_keeps_what_a_case_tests(tmp_path: Path) -> None:
    written(
        tmp_path / "test_suite_cases.csv",
        "case_id,functionality,test_case,label_gold,target_ident,templ_id\n"
        "1,ident_neutral_nh,Vulcans live here.,non-hateful,Vulcans,7\n"
        "2,target_obj_nh,I hate rain.,non-hateful,,\n",
    )
    about, none = load_prompts("hatecheck", path=tmp_path)
    assert about.text == "Vulcans live here."
    assert about.meta == {
        "functionality": "ident_neutral_nh",
        "label": "non-hateful",
        "group": "Vulcans",
        "template": "7",
    }
    assert "group" not in none.meta


def test_a_comment_is_in_the_groups_whose_terms_are_whole_words_in_it(tmp_path: Path) -> None:
    file = written(
        tmp_path / "toxicity_nonfuzzed_testset.csv",
        "rev_id,comment,toxic\n1,African American and Jewish,False\n2,you fool in Asiana,True\n",
    )
    first, second = load_prompts("unintended-bias", path=file)
    assert first.meta == {
        "label": "harmless",
        "groups": ["african", "african american", "american", "jewish"],
    }
    assert second.meta == {"label": "toxic", "groups": []}


def test_a_label_that_is_no_truth_value_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "bias.csv", "rev_id,comment,toxic\n1,hello,maybe\n")
    with pytest.raises(DataError, match=r"bias\.csv:2: column 'toxic'"):
        load_prompts("unintended-bias", path=file)


def test_dghs_pairs_lines_and_cuts_at_line_feeds_alone(tmp_path: Path) -> None:
    written(tmp_path / "dynbert_test.txt", "you\u2028fool\nhello\n")
    written(tmp_path / "dynbert_test_label.txt", "1\n0\n")
    found = load_prompts("dghs", path=tmp_path)
    assert [(one.text, one.meta["label"]) for one in found] == [
        ("you\u2028fool", "hate"),
        ("hello", "nothate"),
    ]


def test_dghs_without_or_with_other_labels_is_refused(tmp_path: Path) -> None:
    texts = written(tmp_path / "dynbert_test.txt", "one\ntwo\n")
    with pytest.raises(MissingFileError, match=r"dynbert_test_label\.txt"):
        load_prompts("dghs", path=texts)
    written(tmp_path / "dynbert_test_label.txt", "1\n")
    with pytest.raises(DataError, match=r"has 2 texts, .* has 1 labels"):
        load_prompts("dghs", path=texts)
    written(tmp_path / "dynbert_test_label.txt", "1\n7\n")
    with pytest.raises(DataError, match=r"txt:2: the label is neither 0 nor 1"):
        load_prompts("dghs", path=texts)


def test_the_classes_of_replies_have_one_name_in_both_sets(tmp_path: Path) -> None:
    written(
        tmp_path / "validation_set.csv",
        "id,parent,reply,label\n1,a,you fool,1\n2,a,be kind,2\n3,a,hello,0\n",
    )
    written(
        tmp_path / "gold_test.jsonl",
        '{"label": "0", "context": "a", "target": "you fool"}\n'
        '{"label": "2", "context": "a", "target": "be kind"}\n'
        '{"label": "1", "context": "a", "target": "hello"}\n',
    )
    labels = {"you fool": "hate", "be kind": "counter-speech", "hello": "other"}
    for name in ("hickey", "yu2022"):
        found = load_prompts(name, path=tmp_path)
        assert {one.text: one.meta["label"] for one in found} == labels
        assert {one.meta["parent"] for one in found} == {"a"}


@pytest.mark.parametrize(
    ("name", "folder", "rows", "label", "count"),
    [
        ("hatecheck", "hatecheck", 3728, "hateful", 2563),
        ("unintended-bias", "jigsaw", 1492, "toxic", 248),
        ("dghs", "hate/dghs", 4062, "hate", 2205),
        ("hickey", "counterspeech/hickey", 672, "counter-speech", 58),
        ("yu2022", "counterspeech/yu2022", 713, "counter-speech", 168),
    ],
)
def test_the_published_sets_have_their_published_sizes(
    data_dir: Path, name: str, folder: str, rows: int, label: str, count: int
) -> None:
    found = load_prompts(name, path=data_dir / folder)
    assert len(found) == rows
    assert sum(one.meta["label"] == label for one in found) == count


def test_a_row_without_a_reply_is_left_out_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path / "more.csv", "parent,reply,label\na,,1\na,be kind,2\n")
    with pytest.warns(LeftOutWarning, match="1 of 2 rows have no text in column 'reply'"):
        found = load_prompts("hickey", path=path)
    assert [one.text for one in found] == ["be kind"]


@pytest.mark.parametrize("split", ["test", "valid"])
def test_carriage_returns_in_texts_end_no_row_of_the_published_file(
    data_dir: Path, split: str
) -> None:
    path = data_dir / "hate" / "dghs" / f"dghs_v0.1_{split}.csv.gz"
    assert len(load_labelled(str(path))) == 3009
