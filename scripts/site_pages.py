"""Pages of the site that are no files in docs/: a hook of mkdocs, see mkdocs.yml.

README.md is the first page, and the other pages of the root stand beside it. A file of the
repository that a page links to, such as a recipe, comes along under `repository/`. The notebook
becomes a page. No file has a second copy in the repository.
"""

import json
import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")
OF_THE_ROOT = {"README.md": "index.md"} | {
    name: name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "LOG.md")
}
NOTEBOOK = "notebooks/first-evening"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root, the notebook, and the files that pages link to."""
    for source, uri in OF_THE_ROOT.items():
        files.append(File.generated(config, uri, content=rewritten(ROOT / source, uri)))
    page = f"{NOTEBOOK}.md"
    files.append(File.generated(config, page, content=notebook_page(DOCS / f"{NOTEBOOK}.ipynb")))
    for path in linked_outside():
        uri = f"repository/{path.relative_to(ROOT).as_posix()}"
        if uri.endswith(".md"):
            files.append(File.generated(config, uri, content=rewritten(path, uri)))
        else:  # a page of code, since a browser would run or save the file
            text = f"# {path.name}\n\n```\n{path.read_text(encoding='utf-8')}\n```\n"
            files.append(File.generated(config, f"{uri}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links of pages in docs/ lead to the pages that were added."""
    if page.file.generated_by:
        return markdown
    return rewritten(DOCS / page.file.src_uri, page.file.src_uri, markdown)


def rewritten(source: Path, uri: str, text: str | None = None) -> str:
    """The text of a page whose links, relative to its place, are relative to `uri` in the site."""
    text = source.read_text(encoding="utf-8") if text is None else text

    def target(found: re.Match[str]) -> str:
        before, link, after = found.groups()
        path = Path(os.path.normpath(source.parent / link))
        place = posixpath.relpath(place_of(path), posixpath.dirname(uri) or ".")
        return f"{before}{place}{after}"

    return LINK.sub(target, text)


def place_of(path: Path) -> str:
    """The place in the site of a file of the repository."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    name = path.relative_to(ROOT).as_posix()
    if name in OF_THE_ROOT:
        return OF_THE_ROOT[name]
    return f"repository/{name}" + ("" if name.endswith(".md") else ".md")


def linked_outside() -> list[Path]:
    """The files outside docs/ that its pages and those of the root link to."""
    pages = [*DOCS.rglob("*.md"), *(ROOT / name for name in OF_THE_ROOT)]
    found = set[Path]()
    for page in pages:
        for _, link, _ in LINK.findall(page.read_text(encoding="utf-8")):
            path = Path(os.path.normpath(page.parent / link))
            if path.is_file() and not path.is_relative_to(DOCS):
                found.add(path)
    return sorted(found - {ROOT / name for name in OF_THE_ROOT})


def notebook_page(path: Path) -> str:
    """The cells of a notebook as one page, with a link to the notebook itself."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    heading, _, rest = "\n\n".join(parts).partition("\n\n")
    return f"{heading}\n\n[The notebook]({path.name}) to download.\n\n{rest}\n"
