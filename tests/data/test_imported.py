"""Responses that other tools generated: samples, scores, and unknown that is not zero."""

import json
from pathlib import Path
from typing import Any

import pytest

from detoxlab.data import LeftOutWarning, load_responses_file
from detoxlab.errors import DataError, MissingFileError
from detoxlab.records import content_id

COLUMNS = {"prompt_column": "prompt", "response_column": "response"}


def csv_file(folder: Path, *lines: str) -> Path:
    path = folder / "responses.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


Responses = list[tuple[str, str, int]]
REPEATED: dict[str, tuple[tuple[str, ...], Responses]] = {
    "as many rows of each are its samples": (
        ("A,x", "B,y", "A,z", "B,"),
        [("A", "A", 0), ("B", "B", 0), ("A", "A", 1), ("B", "B", 1)],
    ),
    "a prompt that occurs more often is told apart": (
        ("A,x", "B,y", "A,z", "A,"),
        [("A", "A", 0), ("B", "B", 0), ("A", "A#2", 0), ("A", "A#3", 0)],
    ),
    "so are all, where one occurs less often": (
        ("A,x", "A,y", "B,z", "B,", "C,x"),
        [("A", "A", 0), ("A", "A#2", 0), ("B", "B", 0), ("B", "B#2", 0), ("C", "C", 0)],
    ),
}


@pytest.mark.parametrize("case", REPEATED)
@pytest.mark.filterwarnings("ignore::detoxlab.data.repeats.RepeatWarning")
def test_repeated_prompts(tmp_path: Path, case: str) -> None:
    rows, expected = REPEATED[case]
    path = csv_file(tmp_path, "prompt,response", *rows)
    prompts, generations, scores = load_responses_file(path, **COLUMNS)
    assert {prompt.source for prompt in prompts} == {"responses.csv"}
    text = {prompt.id: prompt.text for prompt in prompts}
    name = {content_id(text): text for text in "ABC"}
    found = [
        (text[g.prompt_id], name[g.prompt_id[:12]] + g.prompt_id[12:], g.sample)
        for g in generations
    ]
    assert found == expected
    assert [g.text for g in generations] == [row.partition(",")[2] for row in rows]
    assert {(g.token_ids, g.finish_reason) for g in generations} == {((), "unknown")}
    assert scores == []


def test_ids_tell_prompts_with_one_text_apart(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "nr,prompt,response", "1,A,x", "2,A,y")
    prompts, generations, _ = load_responses_file(path, id_column="nr", **COLUMNS)
    assert [prompt.id for prompt in prompts] == ["1", "2"]
    assert [generation.sample for generation in generations] == [0, 0]


def test_an_unscored_response_is_no_harmless_one(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "prompt,response,p,q", "A,x,0.5,", "B,y,nan,1", "C,z,0,0.25")
    columns = {"perspective": "p", "other": "q"}
    _, _, scores = load_responses_file(path, score_columns=columns, **COLUMNS)
    assert [(s.scorer_id, s.value, s.error) for s in scores] == [
        ("perspective", 0.5, None),
        ("other", None, "not scored in the file"),
        ("perspective", None, "not scored in the file"),
        ("other", 1.0, None),
        ("perspective", 0.0, None),
        ("other", 0.25, None),
    ]
    assert {score.attribute for score in scores} == {"toxicity"}


def test_a_column_in_which_nothing_is_scored_is_read(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "prompt,response,p", "A,x,", "B,y,")
    _, _, scores = load_responses_file(path, score_columns={"perspective": "p"}, **COLUMNS)
    assert [score.value for score in scores] == [None, None]


def jsonl_file(folder: Path, *lines: str) -> Path:
    path = folder / "responses.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("row", "response_column", "score_column"),
    [
        ('{"prompt": "A", "said": ["x", ""], "tox": [0.5, null]}', "said", "tox"),
        ('{"prompt": "A", "said": [{"t": "x", "s": 0.5}, {"t": ""}]}', "said.t", "said.s"),
    ],
)
def test_a_list_of_responses_is_the_samples_of_its_prompt(
    tmp_path: Path, row: str, response_column: str, score_column: str
) -> None:
    prompts, generations, scores = load_responses_file(
        jsonl_file(tmp_path, row),
        prompt_column="prompt",
        response_column=response_column,
        score_columns={"judge": score_column},
    )
    assert len(prompts) == 1
    assert [(g.sample, g.text) for g in generations] == [(0, "x"), (1, "")]
    assert [score.value for score in scores] == [0.5, None]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"prompt": "A", "said": ["x", "y"], "tox": [0.5]}', r":1: column 'tox' holds 1 items fo"),
        ('{"prompt": "A", "said": ["x", "y"], "tox": 0.5}', r":1: column 'tox' holds no list for"),
        ('{"prompt": "A", "said": [], "tox": []}', "every list of responses is empty"),
        (
            '{"prompt": "A", "said": ["x", null], "tox": [0, 0]}',
            "response 2: column 'said' is null",
        ),
    ],
)
def test_lists_must_fit(tmp_path: Path, row: str, says: str) -> None:
    options = {"prompt_column": "prompt", "response_column": "said"}
    with pytest.raises(DataError, match=says):
        load_responses_file(jsonl_file(tmp_path, row), score_columns={"judge": "tox"}, **options)


WRONG: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "no column": (("prompt,reply", "A,x"), {}, "no column 'response'.*Columns: prompt, reply"),
    "no score column": (
        ("prompt,response,tox", "A,x,1"),
        {"score_columns": {"judge": "toxx"}},
        "no column 'toxx'. Did you mean 'tox'",
    ),
    "no id": (("nr,prompt,response", "1,A,x", ",B,y"), {"id_column": "nr"}, r":3: column 'nr' is"),
    "empty prompt": (("prompt,response", "A,x", ",you fool"), {}, r":3: column 'prompt' is empty"),
    "one id, two prompts": (
        ("nr,prompt,response", "1,A,x", "1,you fool,y"),
        {"id_column": "nr"},
        r"csv:3: id '1' was given to another prompt at .*csv:2",
    ),
    "percent": (
        ("prompt,response,p", "A,x,73"),
        {"score_columns": {"judge": "p"}},
        r":2: the score 73 in column 'p' is not between 0 and 1\. Divide percentages",
    ),
    "word": (
        ("prompt,response,p", "A,x,you fool"),
        {"score_columns": {"judge": "p"}},
        r":2: column 'p' holds no number",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_responses_are_named(tmp_path: Path, case: str) -> None:
    lines, options, says = WRONG[case]
    with pytest.raises(DataError, match=says) as caught:
        load_responses_file(csv_file(tmp_path, *lines), **COLUMNS, **options)
    assert "\n" not in str(caught.value)
    assert "you fool" not in str(caught.value)


NONE = {
    "-1": ("-1", ["-1"]),
    "-1.0 for -1": ("-1.0", ["-1"]),
    "-1 for -1.0": ("-1", ["-1.0"]),
    "999": ("999", ["999"]),
    "a word": ("n/a", ["n/a"]),
    "a word among blanks": (" n/a ", ["n/a"]),
    "a dash": ("-", ["-1", "-"]),
    "two of them": ("999", ["-1", "999"]),
    "0": ("0", ["0"]),
    "NA, by itself": ("NA", []),
    "nan, by itself": ("nan", []),
    "null, by itself": ("null", []),
    "empty, by itself": ("", []),
    "NA, when others are named": ("NA", ["-1"]),
}


@pytest.mark.parametrize("case", NONE)
def test_what_stands_for_no_score_is_unknown(tmp_path: Path, case: str) -> None:
    cell, missing = NONE[case]
    path = csv_file(tmp_path, "prompt,response,p", f"A,x,{cell}", "B,y,0.5")
    _, _, scores = load_responses_file(
        path, score_columns={"given": "p"}, missing_values=missing, **COLUMNS
    )
    assert [(s.value, s.error) for s in scores] == [(None, "not scored in the file"), (0.5, None)]


@pytest.mark.parametrize("cell", [-1, -1.0, "-1", 999])
def test_a_typed_cell_is_unknown_too(tmp_path: Path, cell: Any) -> None:
    path = jsonl_file(tmp_path, json.dumps({"prompt": "A", "response": ["x", "y"], "p": [cell, 1]}))
    _, _, scores = load_responses_file(
        path, score_columns={"given": "p"}, missing_values=["-1", "999"], **COLUMNS
    )
    assert [score.value for score in scores] == [None, 1.0]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("-1", r"the score -1 in .* If -1 stands for no score, say --missing-value -1\.$"),
        ("-1.0", r"If -1 stands for no score, say --missing-value -1\.$"),
        ("999", r"If 999 stands for no score, say --missing-value 999\.$"),
        ("73", r"Divide percentages by 100; if 73 stands for no score, say --missing-value 73\.$"),
        ("n/a", r"If a word stands for none, name it with --missing-value"),
    ],
)
def test_the_error_names_the_option(tmp_path: Path, cell: str, says: str) -> None:
    path = csv_file(tmp_path, "prompt,response,p", f"A,x,{cell}")
    with pytest.raises(DataError, match=says):
        load_responses_file(path, score_columns={"given": "p"}, **COLUMNS)


def test_a_null_response_is_not_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "responses.jsonl"
    path.write_text('{"prompt": "A", "response": ""}\n{"prompt": "B", "response": null}\n')
    with pytest.raises(
        DataError, match=r"jsonl:2: column 'response' is null\. Fill it .*--skip-nulls\.$"
    ):
        load_responses_file(path, **COLUMNS)
    with pytest.warns(LeftOutWarning, match="1 of 2 rows have no prompt or response"):
        _, generations, _ = load_responses_file(path, skip_nulls=True, **COLUMNS)
    assert [one.text for one in generations] == [""]


def test_no_file_and_no_rows(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"responses\.csv: no such file"):
        load_responses_file(tmp_path / "responses.csv", **COLUMNS)
    with pytest.raises(DataError, match="holds no rows"):
        load_responses_file(csv_file(tmp_path, "prompt,response"), **COLUMNS)


def test_real_completions(data_dir: Path) -> None:
    prompts, generations, scores = load_responses_file(
        data_dir / "xstest" / "xstest_v2_completions_gpt4.csv.gz",
        prompt_column="prompt",
        response_column="completion",
        id_column="id",
    )
    assert (len(prompts), len(generations), scores) == (450, 450, [])
