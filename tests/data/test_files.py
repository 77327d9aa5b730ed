"""Local files of every format, and what is said about each that is broken."""

import gzip
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from detoxlab.data import LeftOutWarning, describe_source, hub, load_dialogues, load_prompts
from detoxlab.data.files import SUFFIXES
from detoxlab.errors import ConfigError, DataError, MissingFileError, UnknownNameError
from detoxlab.records import content_id

SECRET = "you fool and your hat"
ROWS = [
    {"id": "a", "text": "You fool, the", "toxicity": 0.75, "challenging": True},
    {"id": "b", "text": 'The "market", on\nSunday', "toxicity": 0.25, "challenging": False},
    {"id": "c", "text": "Ça suffit 🙂", "toxicity": None, "challenging": False},
]
CSV = (
    'id,text,toxicity,challenging\r\na,"You fool, the",0.75,True\r\n'
    'b,"The ""market"", on\nSunday",0.25,False\r\nc,Ça suffit 🙂,,False\r\n'
)


def written(folder: Path, suffix: str) -> Path:
    path = folder / f"prompts{suffix}"
    plain = suffix.removesuffix(".gz")
    if plain == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
        data = path.read_bytes()
    elif plain == ".json":
        data = json.dumps(ROWS).encode()
    elif plain in (".csv", ".tsv"):
        data = (CSV if plain == ".csv" else CSV.replace(",", "\t")).encode()
        data = data.replace(b"You fool\t the", b"You fool, the")
        data = data.replace(b'""market""\t on', b'""market"", on')
    else:
        data = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()
    path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s != ".txt"])
def test_every_format_holds_the_same_prompts(tmp_path: Path, suffix: str, packed: str) -> None:
    path = written(tmp_path, suffix + packed)
    prompts = load_prompts(str(path))
    assert [prompt.id for prompt in prompts] == ["a", "b", "c"]
    assert [prompt.text for prompt in prompts] == [row["text"] for row in ROWS]
    assert {prompt.source for prompt in prompts} == {path.name}
    assert prompts[0].meta == {"toxicity": 0.75, "challenging": True}
    assert prompts[2].meta == {"challenging": False}


def test_a_text_file_has_a_prompt_per_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("On Saturday\n\nYou fool\n")
    assert [prompt.text for prompt in load_prompts(str(path))] == ["On Saturday", "You fool"]


def test_a_byte_order_mark_is_no_part_of_a_column_name(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_bytes(b"\xef\xbb\xbftext\nOn Saturday\n")
    assert load_prompts(str(path))[0].text == "On Saturday"


@pytest.mark.parametrize(
    ("text", "line"),
    [("\n\nid,text\n1,\n", 4), ('\n\nid,text\n1,ok\n\n2,"a\nb"\n3,\n', 8)],
)
def test_blank_lines_and_long_cells_are_counted(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"p\.csv:{line}: column 'text' is empty"):
        load_prompts(str(path))


def test_nan_is_no_number(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "p.parquet"
    rows = [{"text": "a", "toxicity": float("nan")}, {"text": "b", "toxicity": 0.0}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert [prompt.meta for prompt in load_prompts(str(path))] == [{}, {"toxicity": 0.0}]


def test_columns_are_mapped_into_nested_objects(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"key": 7, "prompt": {"text": "You fool", "rude": 0.5}, "about": "hats"}\n')
    columns = {"text": "prompt.text", "id": "key", "rude": "prompt.rude", "group": "about"}
    (prompt,) = load_prompts(str(path), columns=columns)
    assert (prompt.id, prompt.text) == ("7", "You fool")
    assert prompt.meta == {"rude": 0.5, "group": "hats"}


def test_groups_are_texts_and_may_be_several(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"text": "a", "group": 1, "groups": ["x", 2]}\n{"text": "b", "group": ""}\n')
    numbered, ungrouped = load_prompts(str(path))
    assert numbered.meta == {"group": "1", "groups": ["x", "2"]}
    assert ungrouped.meta == {}


def test_a_prompt_without_id_is_named_by_its_text(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("text\nOn Saturday\nYou fool\nOn Saturday\n")
    with pytest.warns(LeftOutWarning, match="1 of 3 rows repeat the text"):
        prompts = load_prompts(str(path))
    assert [prompt.id for prompt in prompts] == [content_id("On Saturday"), content_id("You fool")]


def test_what_was_read_is_named_without_its_path(tmp_path: Path) -> None:
    path = written(tmp_path, ".jsonl")
    described = describe_source(str(path))
    assert described["source"] == "prompts.jsonl"
    assert described["files"][0]["name"] == "prompts.jsonl"
    assert len(described["files"][0]["sha256"]) == 64
    assert str(tmp_path) not in json.dumps(described)


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"toxicity": (0.5, 1)}, ["a"]),
    ({"toxicity": [0.25, 0.75]}, ["a", "b"]),
    ({"toxicity": (None, 0.25)}, ["b"]),
    ({"challenging": False}, ["b", "c"]),
    ({"challenging": False, "toxicity": (0, 1)}, ["b"]),
]


@pytest.mark.parametrize(("where", "ids"), FILTERS)
def test_filters(tmp_path: Path, where: dict[str, Any], ids: list[str]) -> None:
    path = written(tmp_path, ".jsonl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOutWarning)
        assert [prompt.id for prompt in load_prompts(str(path), where=where)] == ids


def test_prompts_without_the_attribute_are_counted(tmp_path: Path) -> None:
    path = str(written(tmp_path, ".jsonl"))
    with pytest.warns(LeftOutWarning, match="1 of 3 prompts have no 'toxicity'"):
        load_prompts(path, where={"toxicity": (0, 1)})


def test_a_limit_draws_by_seed_and_keeps_the_order(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("\n".join(f"opening {n}" for n in range(100)))
    whole = load_prompts(str(path))
    some, more, others = (
        load_prompts(str(path), limit=limit, seed=seed) for limit, seed in ((9, 1), (30, 1), (9, 2))
    )
    assert len(some) == 9
    assert some == [prompt for prompt in whole if prompt in some]
    assert {p.id for p in some} < {p.id for p in more}
    assert some != others
    assert load_prompts(str(path), limit=500) == whole


BROKEN: dict[str, tuple[str, bytes, type[Exception], str]] = {
    "empty": ("p.jsonl", b"", DataError, r"p\.jsonl: is empty"),
    "blank": ("p.jsonl", b"\n \n", DataError, r"p\.jsonl: is empty"),
    "empty array": ("p.json", b"[]", DataError, "holds no rows"),
    "header only": ("p.csv", b"id,text\n", DataError, "holds no rows"),
    "cut JSON": (
        "p.jsonl",
        b'{"text": "ok"}\n{"text": "you fool and your hat',
        DataError,
        r"p\.jsonl:2: not valid JSON \(Unterminated string starting at, character 10\)",
    ),
    "cut array": ("p.json", b'[{"text": "ok"},\n{"text"', DataError, r"not valid JSON .*line 2"),
    "no object": ("p.jsonl", b'["you fool and your hat"]', DataError, r":1: a list instead of"),
    "array of texts": ("p.json", b'["you fool and your hat"]', DataError, "item 1: a text instead"),
    "latin-1": (
        "p.csv",
        b"text\nok\nyou fool and your hat \xe9\n",
        DataError,
        r"p\.csv:3: not UTF-8 \(byte 30\)\. Perhaps it is latin-1",
    ),
    "utf-16": ("p.csv", "text\nok\n".encode("utf-16"), DataError, "Perhaps it is utf-16"),
    "no gzip": ("p.jsonl.gz", b'{"text": "ok"}', DataError, "not a gzip file"),
    "cut gzip": (
        "p.jsonl.gz",
        gzip.compress(b'{"text": "ok"}' * 99)[:-12],
        DataError,
        "broken gzip .it ends too early",
    ),
    "wrong gzip": (
        "p.jsonl.gz",
        gzip.compress(b'{"text": "ok"}')[:-8] + b"12345678",
        DataError,
        "broken gzip .its content",
    ),
    "cut Parquet": ("p.parquet", b"PAR1\x15\x04\x15", DataError, "not a readable Parquet"),
    "no column": (
        "p.csv",
        b"id,txt\n1,you fool and your hat\n",
        DataError,
        r"no column 'text' or 'prompt'\. Type --column text=txt\. Columns: id, txt",
    ),
    "no header": (
        "p.csv",
        b"1,you fool and your hat is as old as the hills around us\n2,ok\n",
        DataError,
        r"\(54 characters\)\. Is the header missing",
    ),
    "missing cell": (
        "p.jsonl",
        b'{"text": "ok"}\n{"txt": "you fool and your hat"}',
        DataError,
        r"p\.jsonl:2: column 'text' is missing\. Did you mean 'txt'\? Columns: txt",
    ),
    "empty text": (
        "p.csv",
        b"id,text\n1,ok\n2, \n",
        DataError,
        r"p\.csv:3: column 'text' is empty",
    ),
    "number": ("p.jsonl", b'{"text": 5}', DataError, r":1: column 'text' holds a number, not text"),
    "object": (
        "p.jsonl",
        b'{"prompt": {"text": "you fool and your hat", "toxicity": 0.5}}',
        DataError,
        r"holds an object, not text\. Name one of its fields: prompt\.text, prompt\.toxicity",
    ),
    "half a surrogate": ("p.jsonl", b'{"text": "ok \\ud83d"}', DataError, "half of a surrogate"),
    "long row": (
        "p.csv",
        b"id,text\n1,ok\n2,a,b\n",
        DataError,
        r":3: has 3 cells, the header has 2",
    ),
    "open quote": ("p.csv", b'id,text\n1,"you fool and your hat\n', DataError, "not valid CSV"),
    "text after a quote": ("p.csv", b'text\n"a"b\n', DataError, r"p\.csv:2: not valid CSV"),
    "same column": ("p.csv", b"text,text\na,b\n", DataError, "names column 'text' twice"),
    "same id": (
        "p.csv",
        b"id,text\n1,ok\n2,well\n1,you fool and your hat\n",
        DataError,
        r"p\.csv:4: prompt id '1' was already given at .*p\.csv:2",
    ),
    "type": ("p.xlsx", b"PK", DataError, r"files of type '\.xlsx' cannot be read\. Use \.jsonl"),
}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_file_has_the_separator_of_its_header(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(f'id{separator}text\na{separator}"Well{separator} good morning"\n')
    (prompt,) = load_prompts(str(path))
    assert (prompt.id, prompt.text) == ("a", f"Well{separator} good morning")


def test_rows_without_a_text_are_left_out_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,said\na,Good morning\nb,\n")
    columns = {"text": "said"}
    with pytest.raises(DataError, match=r":3: column 'said' is empty.*--skip-nulls"):
        load_prompts(str(path), columns=columns)
    with pytest.warns(LeftOutWarning, match="1 of 2 rows have no text in column 'said'"):
        assert len(load_prompts(str(path), columns=columns, skip_nulls=True)) == 1


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named_with_place_and_remedy(tmp_path: Path, case: str) -> None:
    name, data, error, says = BROKEN[case]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(error, match=says) as caught:
        load_prompts(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"limit": 0}, ConfigError, "limit is 0. It must be at least 1"),
    ({"limit": -3}, ConfigError, "limit is -3"),
    ({"columns": {"text": "txet"}}, DataError, r"no column 'txet'\. Did you mean 'text'\?"),
    ({"columns": {"text": "text", "id": "nr"}}, DataError, "no column 'nr'.*Columns: challenging"),
    (
        {"where": {"toxcity": (0, 1)}},
        DataError,
        "no prompt has the attribute 'toxcity'.*'toxicity'",
    ),
    ({"where": {"toxicity": (0.8, 1)}}, DataError, "of 3 read.*1 of them without.*0.25 to 0.75"),
    ({"where": {"challenging": "perhaps"}}, DataError, "no prompts left.*False, True"),
    ({"where": {"toxicity": (0.8, 0.1)}}, ConfigError, "the range is empty"),
    ({"where": {"toxicity": (0.8,)}}, ConfigError, "neither a range nor a value"),
    ({"where": {"toxicity": None}}, ConfigError, "neither a range nor a value"),
    ({"join_continuation": True}, ConfigError, "is for the prompts of 'rtp'"),
]


@pytest.mark.parametrize(("options", "error", "says"), WRONG)
def test_a_wrong_option_is_named(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    path = written(tmp_path, ".jsonl")
    with pytest.raises(error, match=says) as caught:
        load_prompts(str(path), **options)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_suggests_the_nearest(tmp_path: Path) -> None:
    written(tmp_path, ".jsonl")
    with pytest.raises(MissingFileError, match=r"Did you mean '.*/prompts\.jsonl'"):
        load_prompts(str(tmp_path / "promts.jsonl"))
    with pytest.raises(MissingFileError, match="There is no folder"):
        load_prompts(str(tmp_path / "nowhere" / "prompts.jsonl"))
    with pytest.raises(MissingFileError, match="no such file"):
        load_prompts("rtp", path=tmp_path / "rtp.jsonl")


def test_a_folder_instead_of_a_file_lists_its_files(tmp_path: Path) -> None:
    written(tmp_path, ".csv.gz")
    with pytest.raises(DataError, match=r"is a folder.*Name a file in it: prompts\.csv\.gz"):
        load_prompts(str(tmp_path))


def test_an_unknown_source_lists_the_known_and_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'toxigen'.*embedded, .*jigsaw, "):
        load_prompts("toxigenn")
    with pytest.raises(UnknownNameError, match="Did you mean 'dialoconan'"):
        load_dialogues("dialocoan")


def test_columns_of_a_known_source_cannot_be_renamed() -> None:
    with pytest.raises(ConfigError, match="whose columns are known"):
        load_prompts("embedded", columns={"text": "text"})


def test_a_source_without_files_says_where_to_get_them() -> None:
    with pytest.raises(MissingFileError, match=r"xstest: its files were not given\. Download"):
        load_prompts("xstest")
    with pytest.raises(MissingFileError, match=r"github\.com/marcoguerini/CONAN"):
        load_dialogues("dialoconan")


def test_a_folder_without_the_files_of_a_source(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"holds no bold file.*_prompt\.json"):
        load_prompts("bold", path=tmp_path)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_hub_without_a_network_is_one_line() -> None:
    with pytest.raises(DataError, match="nobody/nothing at revision 'abc': cannot be loaded") as e:
        load_prompts("nobody/nothing", revision="abc")
    assert "\n" not in str(e.value)
    assert describe_source("nobody/nothing", revision="abc")["revision"] == "abc"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_hub_rows_come_from_the_named_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in the hub's layout takes the place of the hub: `datasets` reads both alike."""
    pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    for split in ("validation", "test"):
        (folder / f"{split}.jsonl").write_text(json.dumps({"text": split}) + "\n")
    with pytest.raises(DataError, match=r"has several splits\. Name one.*validation, test"):
        hub.read_rows(str(folder), None)
    with pytest.raises(DataError, match=r"no split 'train'\. Name one"):
        hub.read_rows(f"{folder}:train", None)
    (row,) = hub.read_rows(f"{folder}:test", None)
    assert row.values == {"text": "test"}
    assert row.place.endswith(":test, row 1")
