"""Laws of the package as a whole: its surface, its layers, its speed to start."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import detoxlab

ROOT = Path(__file__).parent.parent


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
    declared = project["dependencies"] + project["optional-dependencies"]["quant"]
    names = {line.split(">")[0].lower() for line in declared}
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
        "huggingface_hub": "datasets",
        "markupsafe": "jinja2",
        "pyarrow": "datasets",
        "tokenizers": "transformers",
    }
    assert {comes_with.get(name, name) for name in imported} <= names


@pytest.mark.skipif(not os.environ.get("DETOXLAB_EXPECT_CPU"), reason="set in CI only")
def test_no_cuda_build_came() -> None:
    import torch

    assert torch.version.cuda is None
