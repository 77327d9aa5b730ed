"""Private parts of other packages are touched in `internals` alone, within the bounds named."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from detoxlab.errors import DependencyError
from detoxlab.internals import versions

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "detoxlab"
OWNERS = ("accelerate", "peft", "torch", "transformers", "trl")
# Modules of the owners that their documentation names.
DOCUMENTED = {
    "transformers.pytorch_utils",
    "transformers.utils.logging",
}
TREES = {
    path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text())
    for path in SOURCE.rglob("*.py")
    if path.parent.name != "internals"
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names() -> set[str]:
    """All that this package defines or assigns under a private name."""
    found = set[str]()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return set(filter(is_private, found))


def attribute_of(node: ast.AST) -> str:
    """The attribute that a piece of code reads, by a dot or by `getattr` and its like."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1:
        name = node.args[1]
        if node.func.id in ("getattr", "hasattr", "setattr") and isinstance(name, ast.Constant):
            return str(name.value)
    return ""


def test_no_private_attribute_of_another_package_is_used() -> None:
    known = own_names()
    used = [
        f"{place}: {attribute}"
        for place, tree in TREES.items()
        for node in ast.walk(tree)
        if is_private(attribute := attribute_of(node)) and attribute not in known
    ]
    assert used == []


def test_no_undocumented_module_of_an_owner_is_imported() -> None:
    used = []
    for place, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            owner, *inner = node.module.split(".")
            private = [alias.name for alias in node.names if is_private(alias.name)]
            undocumented = owner in ("peft", "transformers", "trl", "accelerate") and inner
            if owner in OWNERS and (private or undocumented):
                used += [f"{place}:{node.lineno} {node.module}"] * (node.module not in DOCUMENTED)
    assert used == []


def test_no_method_of_ours_replaces_a_private_one_of_a_trainer() -> None:
    from trl import DPOTrainer, GRPOTrainer, KTOTrainer, RLOOTrainer, SFTTrainer

    trainers = (DPOTrainer, GRPOTrainer, KTOTrainer, RLOOTrainer, SFTTrainer)
    theirs = {name for one in trainers for name in dir(one) if is_private(name)}
    replaced = [
        f"{place}:{method.lineno} {method.name}"
        for place, tree in TREES.items()
        if place.startswith("methods/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name in theirs
    ]
    assert replaced == []


def test_what_is_installed_is_within_the_bounds_that_pyproject_asks_for() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    asked = dict(re.fullmatch(r"([\w-]+)(.*)", one).groups() for one in needed)  # type: ignore[union-attr]
    assert {name: asked[name] for name in versions.BOUNDS} == versions.BOUNDS
    assert set(versions.BOUNDS) == set(OWNERS)
    for name in OWNERS:
        versions.check_version(name)


def test_another_version_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(versions.BOUNDS, "trl", ">=1000")
    with pytest.raises(DependencyError, match=r"trl 1\.\d+.*\n?.*pip install 'trl>=1000'"):
        versions.check_version("trl")
