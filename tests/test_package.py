"""Laws of the package as a whole: its surface, its layers, its speed to start."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import detoxlab

ROOT = Path(__file__).parent.parent
NO_SUBJECT = re.compile(r"(What|Those|Whose|Whoever|That which|One of which)\b")


def in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_every_public_name_is_there() -> None:
    assert all(getattr(detoxlab, name) is not None for name in detoxlab.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonesuch'"):
        detoxlab.nonesuch  # noqa: B018


def test_the_names_and_settings_of_all_methods_import_nothing_heavy() -> None:
    code = (
        "import sys, detoxlab.methods, detoxlab.recipe.experiment\n"
        "print([name for name in ('torch', 'transformers', 'peft', 'trl') if name in sys.modules])"
    )
    assert in_a_new_process(code) == "[]"


def test_stages_that_read_the_same_data_warn_once() -> None:
    code = (
        "import warnings, detoxlab.cli as cli\n"
        "from detoxlab.data.source import LeftOutWarning\n"
        "cli._settle(); warnings.simplefilter('always')\n"
        "for text in ('one', 'one', 'two'): warnings.warn(text, LeftOutWarning)\n"
        "warnings.warn('a library says', DeprecationWarning)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["warning: one", "warning: two"]


def test_imports_follow_the_layers() -> None:
    subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )


def test_every_dependency_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    groups = ("quant", "eval", "figures", "scale", "serve")
    declared = project["dependencies"] + [line for group in groups for line in extras[group]]
    names = {re.split(r"[>\[]", line)[0].lower() for line in declared}
    names |= {"yaml"} if "pyyaml" in names else set()
    code = (
        "import ast, pathlib, sys\n"
        "found = set()\n"
        f"for path in pathlib.Path({str(ROOT / 'src')!r}).rglob('*.py'):\n"
        "    for node in ast.walk(ast.parse(path.read_text())):\n"
        "        if isinstance(node, ast.Import): found |= {a.name for a in node.names}\n"
        "        if isinstance(node, ast.ImportFrom) and node.module: found.add(node.module)\n"
        "print(*{n.split('.')[0] for n in found} - set(sys.stdlib_module_names) - {'detoxlab'})"
    )
    imported = set(in_a_new_process(code).split())
    comes_with = {
        "httpx2": "huggingface-hub",
        "huggingface_hub": "huggingface-hub",
        "markupsafe": "jinja2",
        "prometheus_client": "prometheus-client",
        "pyarrow": "datasets",
        "resvg_py": "resvg-py",
        "starlette": "fastapi",
        "tokenizers": "transformers",
    }
    assert {comes_with.get(name, name) for name in imported} <= names


def without_subject(source: str) -> list[str]:
    """The sentences of docstrings that begin with a word in place of their subject."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    texts = [ast.get_docstring(node) or "" for node in nodes]
    sentences = [one for text in texts for one in re.split(r"(?<=[.!?:])\s+|\n\n", text)]
    return [one for one in sentences if NO_SUBJECT.match(one)]


def test_the_container_has_the_tested_torch() -> None:
    (constrained,) = re.findall(r"^torch==(.+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert f"ARG TORCH={constrained}+cpu\n" in (ROOT / "Dockerfile").read_text()


def test_every_sentence_of_a_docstring_names_its_subject() -> None:
    sources = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    assert [one for source in sources for one in without_subject(source)] == []


@pytest.mark.parametrize(
    "text", ["What is left.", "All.\n\nThose of it.", "One: What\nis it?", "A. Whose it is."]
)
def test_a_sentence_without_a_subject_is_seen(text: str) -> None:
    assert len(without_subject(f"def f():\n    {text!r}")) == 1
    assert without_subject("'Whatever it is. The one that is what it was.'") == []


@pytest.mark.skipif(not os.environ.get("DETOXLAB_EXPECT_CPU"), reason="set in CI only")
def test_no_cuda_build_came() -> None:
    import torch

    assert torch.version.cuda is None
