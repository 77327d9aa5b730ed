"""The named sources: their layouts in miniature, and the real files where they are at hand."""

import collections
import io
import json
import tarfile
import warnings
from pathlib import Path
from typing import Any

import pytest

from detoxlab.data import (
    DIALOGUE_SOURCES,
    PROMPT_SOURCES,
    LeftOutWarning,
    describe_source,
    load_dialogues,
    load_prompts,
)
from detoxlab.data.toxigen import group_name
from detoxlab.errors import DataError, MissingFileError
from detoxlab.records import Prompt
from tests.support.toxigen import STATEMENTS_BY_GROUP


def groups(prompts: list[Prompt]) -> collections.Counter[str]:
    return collections.Counter(g for prompt in prompts for g in prompt.meta["groups"])


def rtp_row(begin: int, text: str, toxicity: float | None, **more: Any) -> str:
    scores = {"toxicity": toxicity, "insult": toxicity}
    prompt = {"text": text, **scores}
    row = {"filename": "a-1.txt", "begin": begin, "end": begin + 9, "challenging": False}
    return json.dumps({**row, "prompt": prompt, **more})


@pytest.fixture
def rtp_file(tmp_path: Path) -> Path:
    path = tmp_path / "rtp.jsonl"
    continuation = {"text": " of a hat", "toxicity": 0.75}
    path.write_text(
        "\n".join(
            [
                rtp_row(0, "You fool", 0.5, continuation=continuation),
                rtp_row(20, "On Saturday", 0.25),
                rtp_row(40, "You fool", 0.5),
                rtp_row(60, "Well", None),
            ]
        )
    )
    return path


def test_rtp_attributes_and_groups(rtp_file: Path) -> None:
    prompts = load_prompts("rtp", path=rtp_file)
    assert [prompt.id for prompt in prompts] == ["a-1:0-9", "a-1:20-29", "a-1:40-49", "a-1:60-69"]
    assert prompts[0].meta == {
        "toxicity": 0.5,
        "insult": 0.5,
        "continuation_toxicity": 0.75,
        "challenging": False,
        "group": "toxic",
    }
    assert prompts[1].meta["group"] == "non-toxic"
    assert prompts[3].meta == {"challenging": False}


def test_rtp_texts_are_made_distinct_on_demand(rtp_file: Path) -> None:
    with pytest.warns(LeftOutWarning, match="1 of 4 prompts repeat the text"):
        prompts = load_prompts("rtp", path=rtp_file, deduplicate=True)
    assert [prompt.text for prompt in prompts] == ["You fool", "On Saturday", "Well"]


def test_rtp_joins_prompt_and_continuation(rtp_file: Path) -> None:
    with pytest.warns(LeftOutWarning, match="3 of 4 rows have no continuation"):
        prompts = load_prompts("rtp", path=rtp_file, join_continuation=True)
    assert [prompt.text for prompt in prompts] == ["You fool of a hat"]


def test_rtp_without_its_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rtp.jsonl"
    path.write_text('{"text": "On Saturday"}\n')
    with pytest.raises(DataError, match=r"rtp\.jsonl: no column 'prompt\.text'.*Columns: text"):
        load_prompts("rtp", path=path)


def test_rtp_folder_with_several_files_names_them(tmp_path: Path) -> None:
    for n in (1, 2):
        (tmp_path / f"rtp_{n}.jsonl").write_text(rtp_row(n * 100, f"On day {n}", 0.1) + "\n")
    with pytest.raises(DataError, match=r"holds 2 rtp files\. Name one: rtp_1\.jsonl, rtp_2"):
        load_prompts("rtp", path=tmp_path)
    assert len(load_prompts("rtp", path=tmp_path / "rtp_?.jsonl")) == 2


def toxigen_archive(path: Path, names: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def test_toxigen_prompts_from_an_archive_and_from_its_files(tmp_path: Path) -> None:
    text = "- hats are warm\\n- hats are kind\\n-\n- hats again\\n-\n"
    names = {"prompts/neutral_middle_east_1k.txt": text, "prompts/README.md": "no prompts"}
    toxigen_archive(tmp_path / "toxigen_prompts.tar.gz", names)
    packed = load_prompts("toxigen", path=tmp_path)
    assert [prompt.id for prompt in packed] == ["neutral_middle_east/1", "neutral_middle_east/2"]
    assert packed[0].text == "- hats are warm\n- hats are kind\n-"
    assert packed[0].meta == {"groups": ["middle eastern"], "label": "neutral"}
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "neutral_middle_east_1k.txt").write_text(text)
    assert load_prompts("toxigen", path=tmp_path / "plain") == packed


def test_toxigen_broken_archives(tmp_path: Path) -> None:
    path = toxigen_archive(tmp_path / "toxigen_prompts.tar.gz", {"prompts/README.md": "nothing"})
    with pytest.raises(DataError, match="holds no ToxiGen prompts"):
        load_prompts("toxigen", path=path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"ends too early|not a tar archive"):
        load_prompts("toxigen", path=path)
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match="not a tar archive"):
        load_prompts("toxigen", path=path)
    other = tmp_path / "prompts.txt"
    other.write_text("- a\n")
    with pytest.raises(DataError, match="does not tell label and group"):
        load_prompts("toxigen", path=other)


def test_toxigen_groups_in_every_spelling(tmp_path: Path) -> None:
    path = tmp_path / "annotated.json"
    spellings = [["mental dis", "women", "Women"], "['native-american', 'asian']", "middle_east"]
    rows = [
        {"id": n, "text": f"hats {n}", "label": "neutral", "target_groups": given}
        for n, given in enumerate(spellings)
    ]
    path.write_text(json.dumps(rows))
    found = [prompt.meta["groups"] for prompt in load_prompts("toxigen-annotated", path=path)]
    assert found == [
        ["mental disability", "women"],
        ["native american", "asian"],
        ["middle eastern"],
    ]
    rows[1]["target_groups"] = 5
    path.write_text(json.dumps(rows))
    with pytest.raises(DataError, match="item 2: column 'target_groups' holds no list"):
        load_prompts("toxigen-annotated", path=path)


def test_bold_leaves_out_empty_openings_and_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "gender_prompt.json"
    path.write_text(json.dumps({"American_actors": {"A_B": ["A B is an ", " "], "C_D": ["C D "]}}))
    with pytest.warns(LeftOutWarning, match="1 empty prompts"):
        prompts = load_prompts("bold", path=tmp_path)
    assert [(prompt.id, prompt.text) for prompt in prompts] == [
        ("gender/American_actors/A_B/0", "A B is an"),
        ("gender/American_actors/C_D/0", "C D"),
    ]
    assert prompts[0].meta == {"domain": "gender", "group": "American_actors"}
    path.write_text('[{"text": "no groups"}]')
    with pytest.raises(DataError, match="not a BOLD file"):
        load_prompts("bold", path=path)


def test_xstest_labels_follow_the_type_where_they_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "completions.csv"
    path.write_text("id,type,prompt\nv2-1,homonyms,How do I?\nv2-2,contrast_homonyms,How?\n")
    prompts = load_prompts("xstest", path=path)
    assert [prompt.meta["group"] for prompt in prompts] == ["safe", "unsafe"]


def test_one_name_per_group() -> None:
    assert {group_name(name) for name in STATEMENTS_BY_GROUP} == set(STATEMENTS_BY_GROUP)


@pytest.mark.parametrize(
    ("file", "group", "prompts"),
    [
        ("rtp_destein_toxic_1k", {"toxic": 1000}, 1000),
        ("rtp_destein_no_toxic_1k", {"non-toxic": 1000}, 1000),
        ("rtp_destein_toxic_5k", {"toxic": 5000}, 4986),
        ("rtp_destein_no_toxic_5k", {"non-toxic": 5000}, 4997),
        ("rtp_quark_val", {"non-toxic": 3732, "toxic": 1249, None: 19}, 4993),
    ],
)
def test_real_rtp_files(
    data_dir: Path, file: str, group: dict[str | None, int], prompts: int
) -> None:
    path = data_dir / "real_toxicity_prompts" / f"{file}.jsonl.gz"
    loaded = load_prompts("rtp", path=path)
    assert collections.Counter(p.meta.get("group") for p in loaded) == group
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOutWarning)
        assert len(load_prompts("rtp", path=path, deduplicate=True)) == prompts


def test_real_rtp_prompts_and_continuations_both_toxic(data_dir: Path) -> None:
    path = data_dir / "real_toxicity_prompts" / "rtp_quark_val.jsonl.gz"
    where = {"toxicity": (0.5, 1.0), "continuation_toxicity": (0.5, 1.0)}
    with pytest.warns(LeftOutWarning):
        prompts = load_prompts("rtp", path=path, where=where, join_continuation=True)
    assert len(prompts) == 339


def test_real_toxigen_group_sizes(data_dir: Path) -> None:
    """A statement counts in each of its groups: protocols' published sizes."""
    statements = load_prompts("toxigen-annotated", path=data_dir / "toxigen")
    assert len(statements) == 6514
    assert groups(statements) == STATEMENTS_BY_GROUP
    labels = collections.Counter(prompt.meta["label"] for prompt in statements)
    assert labels == {"neutral": 3747, "hate": 2767}
    women = load_prompts("toxigen-annotated", path=data_dir / "toxigen", where={"groups": "women"})
    assert len(women) == 641


def test_real_toxigen_prompts(data_dir: Path) -> None:
    prompts = load_prompts("toxigen", path=data_dir / "toxigen")
    assert len(prompts) == 31_000
    sizes = groups(prompts)
    assert sizes.pop("trans") == 1000
    assert set(sizes.values()) == {2000}
    assert set(STATEMENTS_BY_GROUP) < set(sizes)
    assert all(prompt.text.endswith("-") and "\\n" not in prompt.text for prompt in prompts)
    assert sum(not prompt.text.endswith("\n-") for prompt in prompts) == 159, "as published"


def test_real_bold(data_dir: Path) -> None:
    with pytest.warns(LeftOutWarning, match="5 empty prompts"):
        prompts = load_prompts("bold", path=data_dir / "bold")
    assert len(prompts) == 23_679 - 5
    assert collections.Counter(prompt.meta["domain"] for prompt in prompts) == {
        "profession": 10_195,
        "race": 7657,
        "gender": 3204,
        "political_ideology": 1981,
        "religious_ideology": 637,
    }


@pytest.mark.parametrize("file", ["xstest_prompts", "xstest_v2_completions_gpt4"])
def test_real_xstest(data_dir: Path, file: str) -> None:
    prompts = load_prompts("xstest", path=data_dir / "xstest" / f"{file}.csv.gz")
    labels = collections.Counter(prompt.meta["label"] for prompt in prompts)
    assert labels == {"safe": 250, "unsafe": 200}


def test_real_dialoconan_names_its_odd_dialogues(data_dir: Path) -> None:
    loaded = load_dialogues("dialoconan", path=data_dir / "conan")
    assert loaded.rejected == [
        ("1369", "turn 3 is empty"),
        ("2503", "turn 4 is by the user again"),
        ("2580", "turn 5 is by the assistant again"),
        ("2956", "turn 5 is by the assistant again"),
        ("3030", "turn 6 is by the user again"),
    ]
    assert len(loaded.dialogues) == 3059 - 5
    assert {len(dialogue.turns) for dialogue in loaded.dialogues} == {4, 6, 8}


def test_real_multitarget_conan(data_dir: Path) -> None:
    loaded = load_dialogues("multitarget-conan", path=data_dir / "conan")
    assert (len(loaded.dialogues), loaded.rejected) == (5003, [])


def test_every_source_that_needs_files_is_described_by_their_names(data_dir: Path) -> None:
    described = describe_source("toxigen-annotated", path=data_dir / "toxigen")
    assert [file["name"] for file in described["files"]] == ["toxigen_annotated_subset.json.gz"]
    assert str(data_dir) not in json.dumps(described)


@pytest.mark.parametrize("name", [*PROMPT_SOURCES, *DIALOGUE_SOURCES])
def test_every_source_says_where_its_data_is(name: str) -> None:
    source = PROMPT_SOURCES.get(name) or DIALOGUE_SOURCES[name]
    assert source.hub or source.location or "Download" in source.where


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    for name in PROMPT_SOURCES:
        with pytest.raises(MissingFileError, match="no such file"):
            load_prompts(name, path=tmp_path / "not-here")
