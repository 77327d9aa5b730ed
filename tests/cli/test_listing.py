"""`detoxlab list`, and the names that people type: all are known where they are used."""

from pathlib import Path

import pytest

from detoxlab.cli import main
from detoxlab.cli.listing import KINDS
from detoxlab.data.known import PROMPT_SOURCES
from detoxlab.data.settings import USUAL_NAMES, PromptSettings
from detoxlab.methods import METHODS
from detoxlab.recipe.load import load_recipe, recipe_file
from detoxlab.scorers.loading import SCORERS
from detoxlab.scorers.names import EMBEDDED
from detoxlab.steering import STEERINGS


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(["list", *arguments])
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out + said.err


def test_every_name_of_the_registries_is_listed() -> None:
    assert set(METHODS) == set(KINDS["methods"]())
    assert set(PROMPT_SOURCES) <= set(KINDS["prompts"]())
    assert set(STEERINGS) == set(KINDS["steerings"]())
    assert set(EMBEDDED) == set(SCORERS)
    assert set(EMBEDDED) < set(KINDS["scorers"]())
    for kind, names in KINDS.items():
        assert all(names().values()), kind


def test_the_page_has_one_kind_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    code, page = printed(capsys, "recipes")
    assert (code, "let-the-models-respond" in page, "rtp-neural" in page) == (0, True, False)
    code, page = printed(capsys)
    assert (code, "let-the-models-respond" in page, "rtp-neural" in page) == (0, True, True)
    code, page = printed(capsys, "recipe")
    assert (code, "Did you mean 'recipes'?" in page) == (1, True)


def test_a_shipped_recipe_runs_by_its_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DETOXLAB_DATA", "data")
    monkeypatch.chdir(tmp_path)
    assert load_recipe("let-the-models-respond").name == "let-the-models-respond"
    with pytest.raises(SystemExit):
        main(["run", "let-the-model-respond"])
    assert "Did you mean 'let-the-models-respond'?" in capsys.readouterr().err
    Path("steering").write_text("name: mine\n")  # a file of that name is the user's own
    assert recipe_file("steering") == Path("steering")


@pytest.mark.parametrize("typed", ["RTP", "RealToxicityPrompts", "real_toxicity_prompts", "rtp"])
def test_a_data_set_has_the_names_that_people_type(typed: str) -> None:
    assert PromptSettings(source=typed).source == "rtp"
    assert set(USUAL_NAMES.values()) <= set(PROMPT_SOURCES)
