"""The pages build into a site without a warning; its links lead somewhere, and it asks nobody."""

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


class Links(HTMLParser):
    """The places that a page links to, what it loads, and the anchors in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.linked: list[str] = []
        self.loaded: list[str] = []
        self.anchors = set[str]()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a":
            self.linked.append(found.get("href") or "")
        else:
            self.loaded += [found.get("src") or "", found.get("href") or ""]
        self.anchors.add(found.get("id") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Links]:
    """The pages of the site, which is built into a folder."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {page: Links(page) for page in folder.rglob("*.html")}


def inside(page: Path, places: list[str]) -> Iterator[tuple[str, Path, str]]:
    """Each place within the site, as it stands there, with its file and anchor."""
    for place in places:
        parts = urlsplit(place)
        if place and not parts.scheme and not parts.netloc:
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            yield place, path, unquote(parts.fragment)


def test_every_link_leads_to_a_page_and_its_anchor(site: dict[Path, Links]) -> None:
    broken = []
    for page, links in site.items():
        if page.name == "404.html":  # its links begin at the root of a server
            continue
        for place, path, anchor in inside(page, links.linked + links.loaded):
            known = not anchor or path not in site or anchor in site[path].anchors
            if not path.exists() or not known:
                broken.append(f"{page.name}: {place}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(site: dict[Path, Links]) -> None:
    loaded = {place for links in site.values() for place in links.loaded}
    assert {place for place in loaded if urlsplit(place).netloc} == set()


def test_readme_notebook_and_every_page_are_in_it(site: dict[Path, Links]) -> None:
    (root,) = (page.parent for page in site if page.name == "404.html")
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    added = [Path("index.md"), Path("notebooks/first-evening.md"), Path("CONTRIBUTING.md")]
    assert {root / path.with_suffix(".html") for path in (*pages, *added)} <= set(site)
