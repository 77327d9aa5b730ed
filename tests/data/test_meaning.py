"""One thing written in several ways is read as one: lines, labels, numbers, quotes, types."""

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from detoxlab import load_dialogues, load_prompts, load_responses_file
from detoxlab.cli.common.arguments import conditions
from detoxlab.data.documents import load_documents
from detoxlab.data.settings import PromptSettings
from detoxlab.data.tabular import read_rows
from detoxlab.errors import DataError
from detoxlab.settings import parse

# Characters that end a line for str.splitlines, but may occur inside of texts.
INSIDE = {
    "line tabulation": "\x0b",
    "form feed": "\x0c",
    "file separator": "\x1c",
    "group separator": "\x1d",
    "record separator": "\x1e",
    "next line": "\x85",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "a carriage return alone": "\r",
    "null": "\x00",
    "no-break space": "\xa0",
}


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_text_file_has_a_prompt_per_line_whatever_is_in_it(
    tmp_path: Path, name: str, end: str
) -> None:
    lines = [f"On {number}{INSIDE[name]}and on" for number in range(5)]
    path = tmp_path / "p.txt"
    path.write_bytes((end.join(lines) + end).encode())
    assert [prompt.text for prompt in load_prompts(str(path))] == lines
    assert [prompt.text for prompt in load_documents(str(path))] == lines


def test_carriage_returns_end_the_lines_of_a_file_that_has_no_others(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes(b"On Saturday\rOn Sunday\r")
    assert [prompt.text for prompt in load_prompts(str(path))] == ["On Saturday", "On Sunday"]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", INSIDE)
def test_a_cell_of_csv_keeps_them_with_quotes_and_without(
    tmp_path: Path, name: str, end: str, quote: str
) -> None:
    texts = [f"On {number}{INSIDE[name]}and on" for number in range(3)]
    rows = [f"{number},{quote}{text}{quote},1" for number, text in enumerate(texts)]
    path = tmp_path / "p.csv"
    path.write_bytes((end.join(["id,text,hate", *rows]) + end).encode())
    prompts = load_prompts(str(path))
    assert [prompt.text for prompt in prompts] == texts
    assert [prompt.meta["hate"] for prompt in prompts] == [1, 1, 1]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("name", INSIDE)
def test_no_format_cuts_a_text_at_them(tmp_path: Path, name: str, suffix: str) -> None:
    rows = [{"id": str(number), "text": f"On {number}{INSIDE[name]}on"} for number in range(3)]
    path = tmp_path / f"p{suffix}"
    if suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif suffix in (".csv", ".tsv"):
        mark = "," if suffix == ".csv" else "\t"
        lines = [f"id{mark}text", *(f'{row["id"]}{mark}"{row["text"]}"' for row in rows)]
        path.write_bytes("\n".join(lines).encode())
    elif suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False))
    else:
        path.write_bytes("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode())
    assert [prompt.text for prompt in load_prompts(str(path))] == [row["text"] for row in rows]


# --- filters ---

LABELS: list[tuple[Any, Any]] = [
    # what most of the file says, what the filter says
    (1, "1"),
    (1, 1),
    (1, 1.0),
    (1.0, "1"),
    ("1", 1),
    ("1.0", "1"),
    (0, "0"),
    (0, False),
    (1, True),
    (True, "true"),
    (True, "yes"),
    (True, "1"),
    (True, 1),
    (False, "no"),
    ("True", True),
    ("yes", "yes"),
    ("yes", True),
    ("no", False),
    ("no", "no"),
    ("0.5", "0.5"),
    (0.5, "0.50"),
    ("hate", "hate"),
    ("null", "null"),
]


@pytest.mark.parametrize(("label", "wanted"), LABELS)
def test_a_label_is_matched_by_what_it_means(tmp_path: Path, label: Any, wanted: Any) -> None:
    path = tmp_path / "p.jsonl"
    rows = [{"text": "a", "label": label}, {"text": "b", "label": "other"}, {"text": "c"}]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.warns(UserWarning, match="1 of 3 prompts have no 'label'"):
        kept = load_prompts(str(path), where={"label": wanted})
    assert [prompt.text for prompt in kept] == ["a"]


@pytest.mark.parametrize("written", ["label=1", "label=yes", "label=1:1", "label=true"])
@pytest.mark.parametrize("cell", ["1", "1.0"])
def test_the_option_reaches_a_number_in_a_file_without_types(
    tmp_path: Path, written: str, cell: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f"text,label\na,{cell}\nb,0\n")
    settings = parse(
        PromptSettings, {"source": str(path), "where": conditions([written])}, place="measure"
    )
    assert [p.text for p in load_prompts(str(path), where=settings.where)] == ["a"]


@pytest.mark.parametrize("value", [1, 0, 0.5, "1", "yes", True, False, (0.5, None), (None, 1.0)])
def test_a_recipe_keeps_a_condition_as_it_is_written(value: Any) -> None:
    settings = parse(PromptSettings, {"source": "x", "where": {"label": value}}, place="recipe")
    kept = settings.where["label"]
    assert (kept, type(kept)) == (value, type(value))


@pytest.mark.parametrize(("label", "wanted"), [("hate", True), (2, True), ("1", "one"), ("", 0)])
def test_what_means_something_else_is_not_matched(tmp_path: Path, label: Any, wanted: Any) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"text": "a", "label": label}) + '\n{"text": "b", "label": "x"}\n')
    with pytest.raises(DataError, match="no prompts left"):
        load_prompts(str(path), where={"label": wanted})


# --- quotes in files of tab-separated values ---


@pytest.mark.parametrize(
    "texts",
    [
        ['"Well', "he said", 'so"', "and on"],
        ['"', '"', '""x', 'x"'],
        ["plain", 'in the "middle" of', '5" nails', "end"],
        ['"one" and "two"', "x", '"three', "y"],
    ],
)
def test_a_lone_quote_swallows_no_row(tmp_path: Path, texts: list[str]) -> None:
    path = tmp_path / "p.tsv"
    lines = [f"{number}\t{text}\t0.5" for number, text in enumerate(texts)]
    path.write_text("\n".join(["id\ttext\tscore", *lines]) + "\n")
    assert [prompt.text for prompt in load_prompts(str(path))] == texts


def test_cells_that_are_quoted_whole_are_unquoted(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text('"id"\t"text"\n"1"\t"A ""big"" hat"\n2\t"Well, well"\n')
    assert [p.text for p in load_prompts(str(path))] == ['A "big" hat', "Well, well"]


def test_a_quoted_cell_may_hold_tabs_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text('id\ttext\n1\t"one\ttab"\n2\t"two\nlines"\n')
    assert [p.text for p in load_prompts(str(path))] == ["one\ttab", "two\nlines"]


def test_a_quote_that_takes_in_whole_rows_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text('id\ttext\n1\t"Well\n2\tgood"\n3\t"two\nlines"\n')
    with pytest.raises(DataError, match=r"p\.tsv:2: a quote in column 'text' takes in whole rows"):
        load_prompts(str(path))


def test_a_row_of_a_tsv_file_with_too_few_cells_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text("id\ttext\n1\tone\n2\n")
    with pytest.raises(DataError, match=r"p\.tsv:3: has 1 cells, the header has 2"):
        load_prompts(str(path))


# --- turns ---

WHOLE = [0, 0.0, "0", "0.0", " 0 "]


def long_file(folder: Path, suffix: str, first: Any) -> str:
    path = folder / f"d{suffix}"
    rows = [("d", first, "user", "Hello"), ("d", 1, "assistant", "Good day")]
    if suffix == ".csv":
        lines = [",".join(map(str, row)) for row in rows]
        path.write_text("\n".join(["dialogue,turn,role,text", *lines]))
    else:
        names = ("dialogue", "turn", "role", "text")
        path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("turn", WHOLE)
def test_a_turn_is_a_whole_number_however_it_is_written(
    tmp_path: Path, suffix: str, turn: Any
) -> None:
    (dialogue,) = load_dialogues(long_file(tmp_path, suffix, turn)).dialogues
    assert [turn.text for turn in dialogue.turns] == ["Hello", "Good day"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("turn", [0.5, "0.5", "first", True, "true", ""])
def test_what_is_no_whole_number_is_no_turn(tmp_path: Path, suffix: str, turn: Any) -> None:
    with pytest.raises(DataError, match=r"column 'turn' holds no whole number\. Number the turns"):
        load_dialogues(long_file(tmp_path, suffix, turn))


# --- types of Parquet ---

Column = tuple[pyarrow.DataType, list[Any], list[Any]]
TYPES: dict[str, Column] = {
    "decimal": (pyarrow.decimal128(5, 2), [Decimal("0.25"), None], [0.25, None]),
    "wide decimal": (pyarrow.decimal256(40, 2), [Decimal("1.00"), None], [1, None]),
    "half": (pyarrow.float16(), [0.5, None], [0.5, None]),
    "nullable integer": (pyarrow.int64(), [1, None], [1, None]),
    "unsigned integer": (pyarrow.uint8(), [1, None], [1, None]),
    "boolean": (pyarrow.bool_(), [True, None], [True, None]),
    "large text": (pyarrow.large_string(), ["x", None], ["x", None]),
    "bytes": (pyarrow.binary(), ["é".encode(), None], ["é", None]),
    "dictionary": (pyarrow.dictionary(pyarrow.int8(), pyarrow.string()), ["x", None], ["x", None]),
    "date": (pyarrow.date32(), [datetime.date(2024, 5, 1), None], ["2024-05-01", None]),
    "time stamp": (
        pyarrow.timestamp("us"),
        [datetime.datetime(2024, 5, 1, 12), None],
        ["2024-05-01T12:00:00", None],
    ),
    "duration": (pyarrow.duration("ms"), [datetime.timedelta(seconds=1.5), None], [1.5, None]),
    "list": (pyarrow.list_(pyarrow.string()), [["x", None], None], [["x", None], None]),
    "list of decimals": (
        pyarrow.list_(pyarrow.decimal128(3, 1)),
        [[Decimal("0.5")], []],
        [[0.5], []],
    ),
    "object": (
        pyarrow.struct({"a": pyarrow.decimal128(3, 1)}),
        [{"a": Decimal("0.5")}, None],
        [{"a": 0.5}, None],
    ),
}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_of_parquet_is_read_as_json_would_hold_it(tmp_path: Path, name: str) -> None:
    kind, given, expected = TYPES[name]
    path = tmp_path / "p.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"c": pyarrow.array(given, type=kind)}), path)
    found = [row.values["c"] for row in read_rows(path)]
    assert found == expected
    assert [type(cell) for cell in found] == [type(cell) for cell in expected]


def test_bytes_that_are_no_text_are_refused_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": [b"Good d\xe4y"]}), path)
    with pytest.raises(DataError, match=r"row 1: column 'text' holds half of a surrogate pair"):
        load_prompts(str(path))


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (pyarrow.decimal128(5, 2), Decimal("0.25")),
        (pyarrow.float32(), 0.25),
        (pyarrow.string(), "0.25"),
        (pyarrow.large_string(), "2.5e-1"),
        (pyarrow.dictionary(pyarrow.int8(), pyarrow.string()), "0.25"),
    ],
)
def test_a_score_may_be_of_any_type(tmp_path: Path, kind: Any, number: Any) -> None:
    path = tmp_path / "p.parquet"
    columns: dict[str, Any] = {
        "prompt": ["Hello", "Well"],
        "response": ["Hi", "So"],
        "tox": pyarrow.array([number, None], type=kind),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    _, _, scores = load_responses_file(
        path, prompt_column="prompt", response_column="response", score_columns={"given": "tox"}
    )
    assert [score.value for score in scores] == [0.25, None]


@pytest.mark.parametrize(
    "make",
    [
        lambda labels: pyarrow.array(labels),
        lambda labels: pyarrow.array([float(label) for label in labels]),
        lambda labels: pyarrow.array([bool(label) for label in labels]),
        lambda labels: pyarrow.array([str(label) for label in labels]).dictionary_encode(),
        lambda labels: pyarrow.array([Decimal(label) for label in labels]),
    ],
)
def test_a_label_of_any_type_is_filtered_by_one_word(
    tmp_path: Path, make: Callable[[list[int]], Any]
) -> None:
    path = tmp_path / "p.parquet"
    table = pyarrow.table({"text": ["a", "b"], "label": make([1, 0])})
    pyarrow.parquet.write_table(table, path)
    kept = load_prompts(str(path), where=conditions(["label=1"]))
    assert [prompt.text for prompt in kept] == ["a"]


# --- a cell without a value ---

NULL: dict[str, tuple[dict[str, Any], str, str]] = {
    "a null text": ({"text": None}, "text", r":2: column 'text' is null\. Fill it, remove"),
    "no such column here": ({"txt": "a"}, "text", r"'text' is missing\. Did you mean 'txt'"),
    "a null object": ({"prompt": None}, "prompt.text", r":2: column 'prompt' is null\. Fill"),
    "a null field": ({"prompt": {"text": None}}, "prompt.text", r"'prompt\.text' is null\. Fill"),
    "no such field": (
        {"prompt": {"txt": "a"}},
        "prompt.text",
        r"'prompt\.text' is missing\. Did you mean 'prompt\.txt'",
    ),
    "no object": (
        {"prompt": "a"},
        "prompt.text",
        r"'prompt\.text' is missing\. Did you mean 'prompt'",
    ),
}


# Every row of a table has every column: there only nulls can be told.
TOLD = [(".jsonl", case) for case in NULL] + [(".parquet", c) for c in NULL if "null" in c]


@pytest.mark.parametrize(("suffix", "case"), TOLD)
def test_a_null_cell_is_told_from_a_missing_column(tmp_path: Path, case: str, suffix: str) -> None:
    row, column, says = NULL[case]
    outer, _, inner = column.partition(".")
    good: dict[str, Any] = {outer: {inner: "Hello"} if inner else "Hello"}
    path = tmp_path / f"p{suffix}"
    if suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([good, row]), path)
        says = says.replace(":2", ", row 2")
    else:
        path.write_text(json.dumps(good) + "\n" + json.dumps(row))
    with pytest.raises(DataError, match=says):
        load_prompts(str(path), columns={"text": column})


def test_a_field_that_no_row_has_is_sought_among_the_fields(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": {"text": "Hello"}, "id": 1}')
    with pytest.raises(DataError, match=r"no column 'prompt\.txt'\. Did you mean 'prompt\.text'\?"):
        load_prompts(str(path), columns={"text": "prompt.txt"})
