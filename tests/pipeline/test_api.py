"""The functions that a user calls: their keywords are the settings, wherever these lie."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import detoxlab
from detoxlab import compare, evaluate, measure, report, train
from detoxlab.data.settings import PromptSettings
from detoxlab.errors import ConfigError
from detoxlab.evaluations import read_evaluated
from detoxlab.recipe.measuring import MeasureSettings, SamplingSettings
from detoxlab.recipe.placing import placed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GROUPS = {"prompts": PromptSettings, "sampling": SamplingSettings}
QUICK: dict[str, Any] = {
    "prompts": "embedded",
    "limit": 2,
    "k": 1,
    "max_new_tokens": 2,
    "judge": "rtp-linear",
    "second": None,
    "resamples": 100,
}


def test_the_five_verbs_are_functions_whatever_is_imported() -> None:
    code = (
        "import detoxlab.measures, detoxlab.comparisons, detoxlab.reports, detoxlab.evaluations\n"
        "import detoxlab\n"
        "print([callable(getattr(detoxlab, verb)) for verb in "
        "('measure', 'train', 'evaluate', 'compare', 'report')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([True] * 5)


def test_no_public_name_is_a_room() -> None:
    rooms = {path.stem for path in (ROOT / "src" / "detoxlab").iterdir()}
    assert not rooms & set(detoxlab.__all__)


@pytest.mark.parametrize(
    "given",
    [
        {"prompts": {"source": "embedded", "limit": 5}, "sampling": {"k": 2}},
        {"prompts": "embedded", "limit": 5, "k": 2},
        {"prompts": PromptSettings(source="embedded"), "limit": 5, "sampling": {"k": 2}},
        {"source": "embedded", "limit": 5, "k": 2},
    ],
)
def test_a_keyword_goes_to_its_field_wherever_it_lies(given: dict[str, Any]) -> None:
    assert placed(given, MeasureSettings, GROUPS) == {
        "prompts": {"source": "embedded", "limit": 5},
        "sampling": {"k": 2},
    }


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: measure("embedded", out="r", limt=5),
            "unknown setting 'limt'. Did you mean 'limit'",
        ),
        (lambda: measure("embedded", out="r", limit=0), "prompts.limit"),
        (lambda: train("sfd", "embedded", out="r"), "'sft'"),
        (lambda: train("sft", "embedded", out="r", epoch=1), "Did you mean 'epochs'"),
        (lambda: train("sft", "embedded", out="r", epochs=1), "sft learns from"),
        (lambda: evaluate("r", "perplexit"), "'perplexity'"),
        (lambda: evaluate("r", "perplexity", source="a", strid=1), "Did you mean 'stride'"),
        (lambda: compare("a", "b", perplexity_rato=2), "Did you mean 'perplexity_ratio'"),
        (lambda: report(["a"], "r.html", coverag=1), "Did you mean 'coverage'"),
    ],
)
def test_what_is_wrong_is_said_with_the_nearest_name(call: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        call()


def test_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    base = measure("embedded", **QUICK, out="runs/base")
    tuned = train("sft", "embedded", dialogues="embedded", limit=8, max_steps=1, out="runs/ft")
    assert tuned.config["dialogues"]["limit"] == 8
    assert tuned.config["config"]["max_steps"] == 1
    treated = measure(tuned, **QUICK, out="runs/treated")
    assert treated.config["sampling"]["k"] == 1
    found = compare(base, "runs/treated", resamples=100, prompts=2)
    assert found.limits["prompts"] == 2
    assert report([base, treated], "report.html", resamples=100).read_text().startswith("<!")
    (tmp_path / "texts.txt").write_text("The children ran down to the beach.\n")
    evaluated = evaluate(base, "perplexity", source="texts.txt", resamples=100)
    assert list(read_evaluated(evaluated)) == ["perplexity"]


def snippets() -> dict[str, str]:
    """The snippets of the README and of the package's docstring."""
    readme = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    docstring = re.search(
        r"(^    from .*\n(?:    .*\n|\n)+)", inspect.getdoc(detoxlab) or "", re.MULTILINE
    )
    assert readme
    assert docstring
    return {"README": readme[1], "docstring": inspect.cleandoc(docstring[1])}


@pytest.mark.parametrize("place", sorted(snippets()))
def test_a_shown_snippet_runs(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is printed, but for how much is drawn and learnt."""
    monkeypatch.chdir(tmp_path)
    tree = ast.parse(snippets()[place])
    less = {"measure": {**QUICK}, "train": {"max_steps": 1}, "compare": {"resamples": 100}}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for name, value in less.get(node.func.id, {}).items():
                if name not in {keyword.arg for keyword in node.keywords} | shared(tree):
                    node.keywords.append(ast.keyword(name, ast.Constant(value)))
    exec(compile(ast.fix_missing_locations(tree), place, "exec"), {})
    assert (tmp_path / "report.html").is_file()


def shared(tree: ast.Module) -> set[str]:
    """The keywords that a snippet keeps in a mapping for several calls."""
    return {
        str(key.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
