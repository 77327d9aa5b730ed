"""Sections and tables of a model card in Markdown."""

from collections.abc import Sequence


def section(title: str, body: str) -> str:
    """A section of a card."""
    return f"## {title}\n\n{body}\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; bars and line breaks in cells do no harm.

    >>> print(table(("what", "value"), [("a|b", "1")]))
    | what | value |
    | --- | --- |
    | a\\|b | 1 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
