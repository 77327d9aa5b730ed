"""Which file imports which: no circle, late imports counted, and families that fit on a screen."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
MOST_FILES = 16


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in (SOURCE / "detoxlab").rglob("*.py")}


def imported(tree: ast.Module, modules: set[str]) -> set[str]:
    """The modules that a file imports anywhere, but for those only its types are read of."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set[str]()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{name.name}" for name in node.names}
            found |= (inner & modules) or {node.module}
    return found & modules


def circle(sources: dict[str, str]) -> list[str]:
    """The modules of one circle of imports, in order; none where there is no circle."""
    modules = set(sources)
    graph = {name: imported(ast.parse(text), modules) - {name} for name, text in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other() -> None:
    assert circle({name: path.read_text() for name, path in MODULES.items()}) == []


@pytest.mark.parametrize(
    "back", ["from a import x", "import a", "def f():\n    from a import x", "from a.b import y"]
)
def test_a_circle_is_seen_late_imports_too(back: str) -> None:
    sources = {"a": "from b import f", "a.b": "import a", "b": back}
    assert {"a", "b"} <= set(circle(sources))
    assert circle(sources | {"b": f"if TYPE_CHECKING:\n    from a import x\n{'x = 1'}"}) == []


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in MODULES.values()}), ids=lambda path: path.name
)
def test_a_family_fits_on_a_screen(folder: Path) -> None:
    files = list(folder.glob("*.py"))
    assert len(files) <= MOST_FILES or folder.name == "data", [path.name for path in files]


def resamples_named(source: str) -> list[str]:
    """The names that a source text gives 10,000 resamples under."""
    plain = ast.unparse(ast.parse(source))
    return re.findall(r"(\w*resamples\w*)\W[^\n]{0,30}?\b10000\b", plain, re.IGNORECASE)


def test_the_number_of_resamples_stands_once() -> None:
    found = [name for path in MODULES.values() for name in resamples_named(path.read_text())]
    assert found == ["RESAMPLES"]


@pytest.mark.parametrize(
    "copy",
    [
        "def f(*, resamples: int = 10_000): ...",
        "f(resamples=10000)",
        "class S:\n    resamples: int = Field(10_000, ge=100)",
        "config.get('resamples', 10_000)",
        "MY_RESAMPLES = 10_000",
    ],
)
def test_a_second_copy_of_the_number_is_seen(copy: str) -> None:
    assert len(resamples_named(copy)) == 1
    assert resamples_named("Protocol(limit=10_000, n_prompts=10_000)") == []
