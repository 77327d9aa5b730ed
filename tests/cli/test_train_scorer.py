"""`detoxlab train scorer`: two words, a recipe or one table, one line for what is wrong."""

import json
from pathlib import Path

import pytest

from detoxlab.cli import main
from detoxlab.data import load_prompts
from detoxlab.data.split import words_of
from detoxlab.recipe.load import load_settings
from detoxlab.scorer_training import ScorerTraining
from detoxlab.scorers import load_scorer
from detoxlab.scorers.training.rows import read_corpus
from tests.support.tiny_classifier import save_tiny_encoder

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes" / "scorers").glob("*.yaml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder, and a table with a column of texts and two of labels."""
    made = tmp_path_factory.mktemp("command")
    save_tiny_encoder(made / "encoder")
    lines = ["comment,is_hate,insult"]
    lines += [f"you fool {n},1,0.5" for n in range(30)]
    lines += [f"lovely day {n},0,0.1" for n in range(30)]
    (made / "table.csv").write_text("\n".join(lines) + "\n")
    return made


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(["train", "scorer", *arguments])
    printed = capsys.readouterr()
    return int(stop.value.code or 0), printed.out + printed.err


def table(folder: Path, *more: str) -> list[str]:
    named = ["--column", "text=comment", "--column", "hate=is_hate", "--set", "bf16=off"]
    files = ["--data", str(folder / "table.csv"), "--encoder", str(folder / "encoder")]
    return [*files, *named, "--attributes", "hate,insult", "--epochs", "1", *more]


def test_one_table_becomes_a_scorer(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = ended(capsys, *table(folder, "--out", str(tmp_path / "mine")))
    assert code == 0, printed
    assert f"use it: --scorer {tmp_path / 'mine'}" in printed
    scorer = load_scorer(str(tmp_path / "mine"), cache=False)
    assert scorer.attributes == ("hate", "insult")
    assert scorer.id.startswith("mine@1+")
    code, printed = ended(capsys, *table(folder, "--out", str(tmp_path / "mine")))
    assert (code, "already holds a run" in printed) == (1, True)


def test_a_dry_run_counts_and_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = ended(capsys, *table(folder, "--out", str(tmp_path / "x"), "--dry-run"))
    assert code == 0
    assert "would train x@1 (hate, insult) from" in printed
    assert "table: 54 to train, 6 to validate; 60 rows" in printed
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no data named. Give a recipe"),
        (["none.yaml"], "none.yaml: no such"),
        (["none.yaml", "--column", "text=a"], "a recipe and a table are given"),
        (["--data", "TABLE", "--encoder", "ENCODER"], "no attribute named. Name columns"),
        (["--data", "TABLE", "--encoder", "ENCODER", "--attributes", "hat"], "no column 'text' or"),
        (["--data", "TABLE", "--encoder", "./nowhere", "--attributes", "insult"], "no such model"),
        (
            ["--data", "TABLE", "--attributes", "insult", "--set", "lora_s=3"],
            "encoder is not given",
        ),
        (["recipe.yaml", "--set", "lora_s=3"], "unknown key 'lora_s'. Did you mean 'lora_r'?"),
    ],
)
def test_a_mistake_gets_one_line(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    recipe = {"name": "r", "encoder": "minilm", "data": {"a": {"source": "x", "labels": {"b": 1}}}}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    places = {"TABLE": str(folder / "table.csv"), "ENCODER": str(folder / "encoder")}
    places["recipe.yaml"] = str(tmp_path / "recipe.yaml")
    given = [places.get(one, one) for one in arguments]
    code, printed = ended(capsys, *given, "--out", str(tmp_path / "x"))
    assert code == 1
    *begun, printed = printed.splitlines()
    assert [line.partition(",")[0] for line in begun] in ([], ["train scorer"])
    assert printed.startswith("error: ")
    assert message in printed
    assert not (tmp_path / "x").exists()


def test_options_replace_what_a_recipe_says(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"a": {"source": str(folder / "table.csv"), "labels": {"insult": "insult"}}}
    data["a"]["columns"] = {"text": "comment"}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({"name": "r", "encoder": "minilm", "data": data}))
    options = ["--encoder", str(folder / "encoder"), "--set", "data.a.limit=20", "--epochs", "2"]
    code, printed = ended(capsys, str(recipe), *options, "--out", str(tmp_path / "x"), "--dry-run")
    assert code == 0, printed
    assert "would train r@1 (insult)" in printed
    assert "18 to train, 2 to validate" in printed
    assert "2 epochs of 1 steps" in printed


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_are_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETOXLAB_DATA", "data")
    settings = load_settings(ScorerTraining, path)
    assert settings.name == path.stem
    assert settings.never
    assert settings.description


@pytest.mark.filterwarnings("ignore::detoxlab.data.LeftOutWarning")
@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("hate-neural", 20_000),
        pytest.param("human-neural", 30_000, marks=pytest.mark.slow),
        pytest.param("toxicity-multilingual", 40_000, marks=pytest.mark.slow),
    ],
)
def test_a_recipe_trains_on_none_of_its_tests(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, texts: int
) -> None:
    if name == "human-neural":
        make_harmless_mentions(data_dir, tmp_path / "runs", monkeypatch)
        monkeypatch.chdir(tmp_path)
    corpus = read_corpus(recipe_named(name))
    cases = load_prompts("hatecheck", path=data_dir / "hatecheck", deduplicate=True)
    others = load_prompts("multilingual-hatecheck", path=data_dir / "multilingual" / "mhc")
    tested = {words_of(case.text) for case in (*cases, *others)}
    learnt = {words_of(one.text) for one in (*corpus.train, *corpus.validation)}
    assert not tested & learnt
    assert len(learnt) > texts


def make_harmless_mentions(data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the script that makes a set of human-neural."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import harmless_mentions

    folder.mkdir()
    out = str(folder / "harmless-mentions.csv")
    monkeypatch.setattr("sys.argv", ["harmless_mentions", "--data", str(data), "--out", out])
    harmless_mentions.main()


def recipe_named(name: str) -> ScorerTraining:
    return load_settings(ScorerTraining, ROOT / "recipes" / "scorers" / f"{name}.yaml")


def test_every_language_of_the_multilingual_recipe_has_texts_for_tests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DETOXLAB_DATA", "data")
    settings = recipe_named("toxicity-multilingual")
    said = {"ar": "arabic", "de": "german", "en": "english", "es": "spanish", "fr": "french"}
    said |= {"it": "italian", "ko": "korean", "pt": "portuguese", "ru": "russian"}
    said |= {"tr": "turkish", "zh": "chinese"}
    assert set(settings.languages) == set(said)
    for language in said.values():
        assert any(language in name for name in settings.data), language
        assert any(language in name and "test" in name for name in settings.never), language


def test_the_second_scorer_learns_from_other_texts_and_labels_than_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DETOXLAB_DATA", "data")
    second = recipe_named("human-neural")
    files = {Path(one.path or one.source).name for one in second.never.values()}
    assert {
        f"rtp_destein_{kind}_{size}.jsonl.gz"
        for kind in ("toxic", "no_toxic")
        for size in ("1k", "5k")
    } | {"rtp_quark_val.jsonl.gz"} <= files
    columns = {name for one in second.data.values() for name in one.labels["toxicity"].column}
    assert not columns & {"api", "toxicity", "toxicity_score"}  # Perspective's
