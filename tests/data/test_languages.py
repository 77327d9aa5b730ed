"""The labelled sets in other languages: one meaning of labels, languages told, parts apart."""

from pathlib import Path

import pytest

from detoxlab.data import load_labelled, load_prompts
from detoxlab.data.languages import SOURCES
from detoxlab.errors import DataError, MissingFileError

FILES = {
    "multilingual-hatecheck": (
        "hatecheck_cases_final_german.csv",
        "functionality,test_case,label_gold,target_ident,templ_id\n"
        "derog_h,Du Narr,hateful,Vulkanier,3\nident_pos_nh,Guten Tag,non-hateful,,4\n",
    ),
    "jigsaw-multilingual": (
        "validation.csv",
        "id,comment_text,lang,toxic\n0,eres un tonto,es,1\n1,buenos dias,es,0\n",
    ),
    "germeval2018": (
        "germeval2018.test.txt",
        "Du Narr\tOFFENSE\tINSULT\nGuten Tag\tOTHER\tOTHER\n",
    ),
    "gahd": (
        "gahd.csv",
        "gahd_id,text,label,split\n1,Du Narr,1,train\n2,Guten Tag,0,test\n3,,0,test\n",
    ),
    "cold": ("test.csv", ",split,topic,label,TEXT\n0,test,race,1,你是傻瓜\n1,test,region,0,你好\n"),
    "told-br": (
        "ToLD-BR.csv",
        "text,homophobia,obscene,insult,racism,misogyny,xenophobia\n"
        "seu bobo,0.0,1.0,3.0,0,0,0\nbom dia,0,0,0,0,0,0\nora bolas,0,1.0,1.0,0,0,0\n",
    ),
    "beep": (
        "dev.tsv",
        "comments\tcontain_gender_bias\tbias\thate\n바보\tFalse\tnone\toffensive\n"
        "안녕\tFalse\tnone\tnone\n",
    ),
    "mlma": (
        "fr_dataset.csv",
        "HITId,tweet,sentiment\n1,quel idiot,disrespectful_offensive\n2,bonjour,normal\n"
        "3,ah bon,offensive_normal\n4,oh la la,fearful\n",
    ),
    "russe-detox": (
        "test.tsv",
        "idx\ttoxic_comment\tneutral_comment\n0\tты дурак\tты не прав\n",
    ),
}
LABELS = {
    "multilingual-hatecheck": ["hateful", "non-hateful"],
    "gahd": ["hate", "nothate"],
    "told-br": ["toxic", "harmless", None],
    "mlma": ["toxic", "harmless", None, None],
}
LANGUAGE = {"jigsaw-multilingual": "es", "cold": "zh", "told-br": "pt", "beep": "ko", "mlma": "fr"}


def written(folder: Path, name: str) -> Path:
    file, text = FILES[name]
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.filterwarnings("ignore:gahd. 1 of 3 rows have no text")
@pytest.mark.parametrize("name", SOURCES)
def test_every_text_has_its_language_and_its_label(tmp_path: Path, name: str) -> None:
    found = load_prompts(name, path=written(tmp_path, name))
    assert [one.meta.get("label") for one in found] == LABELS.get(name, ["toxic", "harmless"])
    language = LANGUAGE.get(name, "ru" if name == "russe-detox" else "de")
    assert {one.meta["language"] for one in found} == {language}


def test_votes_are_the_share_of_annotators_and_one_vote_is_no_label(tmp_path: Path) -> None:
    found = load_prompts("told-br", path=written(tmp_path, "told-br"))
    assert [one.meta["votes"] for one in found] == [1, 0, pytest.approx(1 / 3)]


def test_several_languages_are_one_set_and_may_be_read_alone(tmp_path: Path) -> None:
    written(tmp_path, "multilingual-hatecheck")
    text = FILES["multilingual-hatecheck"][1]
    (tmp_path / "polish.csv").write_text(text, encoding="utf-8")
    found = load_prompts("multilingual-hatecheck", path=tmp_path)
    assert [one.meta["language"] for one in found] == ["de", "de", "pl", "pl"]
    assert len({one.id for one in found}) == 4
    assert found[0].meta["template"] != found[2].meta["template"]
    alone = load_prompts("multilingual-hatecheck", path=tmp_path, where={"language": "pl"})
    assert len(alone) == 2


def test_a_file_whose_name_tells_no_language_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    path.write_text(FILES["multilingual-hatecheck"][1], encoding="utf-8")
    with pytest.raises(DataError, match="the name of the file tells no language"):
        load_prompts("multilingual-hatecheck", path=path)


def test_a_label_that_is_no_truth_value_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "validation.csv"
    path.write_text("id,comment_text,lang,toxic\n0,hola,es,maybe\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"csv:2: column 'toxic' is neither 0 nor 1"):
        load_prompts("jigsaw-multilingual", path=path)


def test_a_table_of_ones_own_says_the_language_too(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("text,language\nGuten Tag,de\n")
    assert load_prompts(str(path))[0].meta["language"] == "de"


def test_without_files_it_is_said_where_they_are() -> None:
    with pytest.raises(MissingFileError, match=r"Download .*multilingual-hatecheck"):
        load_prompts("multilingual-hatecheck")


@pytest.mark.parametrize(
    ("name", "place", "rows", "labels"),
    [
        ("multilingual-hatecheck", "mhc", 36_582, {"hateful": 25_511}),
        ("jigsaw-multilingual", "jigsaw_validation", 8_000, {"toxic": 1_230}),
        ("germeval2018", "germeval2018", 3_532, {"toxic": 1_202}),
        ("cold", "cold_chinese", 5_323, {"toxic": 2_107}),
        ("told-br", "toldbr", 21_000, {"toxic": 4_063, "harmless": 11_745}),
        ("beep", "korean_beep", 471, {"toxic": 311}),
        ("russe-detox", "russe_detox", 2_000, {"toxic": 1_000}),
        ("mlma", "mlma/hate_speech_mlma", 13_014, {"harmless": 2_453}),
    ],
)
def test_the_published_sets_have_their_published_sizes(
    data_dir: Path, name: str, place: str, rows: int, labels: dict[str, int]
) -> None:
    found = load_labelled(name, path=data_dir / "multilingual" / place)
    assert len(found) == rows
    for label, count in labels.items():
        assert sum(one.meta.get("label") == label for one in found) == count
