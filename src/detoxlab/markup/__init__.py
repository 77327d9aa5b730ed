"""Small pieces of HTML for notebooks; every text is escaped. Standard library only.

`numbers` has the form of numbers for readers, one form everywhere.
"""

from collections.abc import Iterable, Sequence
from html import escape


def paragraph(text: str, *, strong: str = "") -> str:
    """A paragraph, with its `strong` words at the end in bold.

    >>> paragraph("ft against base: ", strong="not shown")
    '<p>ft against base: <strong>not shown</strong></p>'
    """
    return f"<p>{escape(text)}{f'<strong>{escape(strong)}</strong>' if strong else ''}</p>"


def bullets(texts: Iterable[str]) -> str:
    """A list with one line per text; nothing for no texts.

    >>> bullets(["1 < 2"]), bullets([])
    ('<ul><li>1 &lt; 2</li></ul>', '')
    """
    lines = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{lines}</ul>" if lines else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a heading per column.

    >>> table(["measure"], [["<b>"]])
    '<table><thead><tr><th>measure</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    body = "".join(_line("td", row) for row in rows)
    return f"<table><thead>{_line('th', head)}</thead><tbody>{body}</tbody></table>"


def _line(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
