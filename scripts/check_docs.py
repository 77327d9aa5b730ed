"""Check the Markdown pages; exit code 1 where one is wrong.

Relative links and commands must exist, no path of a machine may stand there, the tables of measures
must be those of the catalogue, the audits of scorers those of the cards in the package, the picture
of the rooms that of the code, the page on adding a method must show the commit that added one, and
mkdocs.yml must list every page.
"""

import re
import subprocess
import sys
from pathlib import Path

import audit_cards
import draw_rooms
import method_page
from measure_tables import stale_pages

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
COMMAND = re.compile(r"^\s*(?:[A-Z_]+=\S+ )*detoxlab ([a-z]+)", re.MULTILINE)
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|work|tmp)/\w+")


def main() -> int:
    """Print every problem, return their number (0 is fine)."""
    known = commands()
    problems = [
        problem for page in pages() for problem in problems_of(page, page.read_text(), known)
    ]
    problems += [f"docs/{page}: run scripts/measure_tables.py" for page in stale_pages()]
    problems += [
        f"docs/audits/{page}: run scripts/audit_cards.py" for page in audit_cards.stale_pages()
    ]
    if not draw_rooms.is_current(draw_rooms.PICTURE.read_text(), draw_rooms.picture()):
        problems.append("docs/images/rooms.svg: run scripts/draw_rooms.py")
    if not method_page.is_current():
        problems.append("docs/add-a-method.md: run scripts/method_page.py")
    problems += [f"{page.relative_to(ROOT)}: not in the nav of mkdocs.yml" for page in unlisted()]
    print("\n".join(problems) or f"{len(list(pages()))} pages, no broken link or unknown command")
    return 1 if problems else 0


def pages() -> list[Path]:
    """Every Markdown page under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def unlisted() -> list[Path]:
    """The pages of docs/ that the site does not list."""
    listed = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    docs = ROOT / "docs"
    found = [page for page in pages() if page.is_relative_to(docs)]
    return [page for page in found if page.relative_to(docs).as_posix() not in listed]


def commands() -> set[str]:
    """The commands that `detoxlab` has."""
    from detoxlab.cli import app

    commands = {info.callback.__name__ for info in app.registered_commands if info.callback}
    return commands | {str(group.name) for group in app.registered_groups}


def problems_of(page: Path, text: str, known: set[str]) -> list[str]:
    """Broken links, unknown commands and machine paths of one page."""
    name = page.relative_to(ROOT)
    links = [link for link in LINK.findall(text) if "://" not in link and "mailto:" not in link]
    found = [f"{name}: link to {link}" for link in links if not (page.parent / link).exists()]
    found += [f"{name}: no command {c!r}" for c in COMMAND.findall(text) if c not in known]
    return found + [f"{name}: names a path {p}" for p in MACHINE_PATH.findall(text)]


if __name__ == "__main__":
    sys.exit(main())
