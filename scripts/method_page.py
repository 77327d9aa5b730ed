"""Write into docs/add-a-method.md the commit that added SimPO, and the file it added.

    python scripts/method_page.py           writes them
    python scripts/method_page.py --check   exit code 1 where the page is out of date

A part stands between `<!-- commit: files -->`, `<!-- commit: PATH -->` or `<!-- file: PATH -->` and
`<!-- end -->`. Where the history does not reach back to the commit, its parts stay as they are.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "add-a-method.md"
SUBJECT = "Add SimPO: preferences without a reference model"
PART = re.compile(r"(<!-- (commit|file): (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Write, or check, the parts of the page."""
    if is_current():
        return 0
    if "--check" in sys.argv:
        print("docs/add-a-method.md: run scripts/method_page.py")
        return 1
    PAGE.write_text(with_parts(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print("docs/add-a-method.md: written")
    return 0


def is_current() -> bool:
    """Whether the page says what the commit and the file say."""
    text = PAGE.read_text(encoding="utf-8")
    return with_parts(text) == text


def with_parts(page: str) -> str:
    """The page with all of its parts as they should be."""
    commit = commit_of(SUBJECT)

    def written(part: re.Match[str]) -> str:
        start, kind, path, present, end = part.groups()
        if kind == "file":
            present = fenced("python", (ROOT / path).read_text(encoding="utf-8"))
        elif commit:
            present = files_of(commit) if path == "files" else diff_of(commit, path)
        return f"{start}{present}{end}"

    return PART.sub(written, page)


def commit_of(subject: str) -> str:
    """The commit with this subject; empty where the history does not have it."""
    return git("log", "-1", "--format=%H", "--fixed-strings", f"--grep={subject}").strip()


def files_of(commit: str) -> str:
    """A Markdown table of the files that a commit touched: lines added and removed."""
    lines = git("show", "--format=", "--numstat", commit).splitlines()
    rows = [(path, f"+{added}", f"−{removed}") for added, removed, path in map(str.split, lines)]
    head = ("file", "added", "removed"), ("---", "---:", "---:")
    cells = [*head, *((f"`{path}`", *counts) for path, *counts in rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def diff_of(commit: str, path: str) -> str:
    """The lines that a commit changed in a file, each with one line around it."""
    shown = git("show", "--format=", "--unified=1", commit, "--", path)
    hunks = shown[shown.index("@@") :].splitlines()
    return fenced("diff", "\n".join(line for line in hunks if not line.startswith("@@")))


def fenced(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def git(*arguments: str) -> str:
    """What git prints; nothing where there is no repository."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
