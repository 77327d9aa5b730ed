"""An environment with a wheel and its declared dependencies, and nothing else.

The dependencies are those of the environment of the tests, linked and not copied, so that it takes
a second and no network. A package that is not declared is not there.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Collection
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

SOURCE = ("src", "pyproject.toml", "README.md", "LICENSE")


def built_wheel(root: Path, folder: Path) -> Path:
    """The wheel of the project at `root`, built from a copy of it in `folder`, without network."""
    for name in SOURCE:
        copied = shutil.copytree if (root / name).is_dir() else shutil.copyfile
        copied(root / name, folder / name)
    for made in (folder / "src").glob("*.egg-info"):
        shutil.rmtree(made)
    pip(
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder / "dist"),
        str(folder),
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def environment_with(wheel: Path, folder: Path, extras: Collection[str] = ()) -> Path:
    """The Python of a new environment at `folder` that has the wheel with these extras."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    paths = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", vars=paths))
    pip("install", "--no-deps", "--no-index", "--target", str(packages), str(wheel))
    for found in closure(distribution_in(packages), extras):
        for name in top_level(found):
            source, link = Path(str(found.locate_file(name))), packages / name
            if source.exists() and not link.exists():
                link.symlink_to(source)
    return python


def distribution_in(packages: Path) -> Distribution:
    """The distribution of detoxlab in a folder of packages."""
    (info,) = packages.glob("detoxlab-*.dist-info")
    return Distribution.at(info)


def closure(root: Distribution, extras: Collection[str]) -> list[Distribution]:
    """The installed distributions that `root` needs with these extras, whatever needs them."""
    found: dict[str, Distribution] = {}
    waiting = [(root, frozenset(extras))]
    seen = set[tuple[str, frozenset[str]]]()
    while waiting:
        dist, wanted = waiting.pop()
        for line in dist.requires or ():
            needed = Requirement(line)
            if not _applies(needed, wanted):
                continue
            name = re.sub(r"[-_.]+", "-", needed.name).lower()
            key = (name, frozenset(needed.extras))
            if key not in seen:
                seen.add(key)
                found[name] = distribution(name)
                waiting.append((found[name], frozenset(needed.extras)))
    return list(found.values())


def top_level(dist: Distribution) -> set[str]:
    """The files and folders of a distribution directly among the packages."""
    parts = {
        path.parts[0] for path in dist.files or () if path.parts[0] not in ("..", "__pycache__")
    }
    return {name for name in parts if not name.endswith(".pth")}


def pip(*arguments: str) -> None:
    """Run pip of the environment of the tests."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _applies(needed: Requirement, extras: Collection[str]) -> bool:
    if needed.marker is None:
        return True
    return any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras))
