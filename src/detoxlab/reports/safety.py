"""Makes text of models, which is hostile input, harmless in HTML, figures, Markdown and CSV.

HTML itself is escaped by Jinja2's autoescape. This module does the rest: it shows characters
that hide or reorder others, and escapes the special signs of the other formats.
"""

import functools
import json
import re
import unicodedata
from typing import Any

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")
SPACE = re.compile(r"[ \n\t]+")
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&])")


@functools.cache
def _is_hidden(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in HIDDEN


def visible(text: str) -> str:
    """The text with control, zero-width, bidirectional and surrogate characters spelt out.

    >>> visible("ab\\u202ecd\\u200b")
    'ab⟨U+202E⟩cd⟨U+200B⟩'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"⟨U+{ord(c):04X}⟩" if _is_hidden(c) else c for c in text)


def clipped(text: str, limit: int) -> str:
    """The first `limit` characters, with the number of characters left out.

    >>> clipped("abcdef", 4)
    'abcd… [2 more characters]'
    """
    rest = len(text) - limit
    return text if rest <= 0 else f"{text[:limit]}… [{rest} more characters]"


def one_line(text: str) -> str:
    """The visible text on one line.

    >>> one_line("a\\nb")
    'a b'
    """
    return SPACE.sub(" ", visible(text)).strip()


def label(text: str, limit: int) -> str:
    """The text on one line of at most `limit` characters.

    >>> label("abc\\ndef", 5)
    'abc …'
    """
    line = one_line(text)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def markdown(text: str) -> str:
    """The text as literal Markdown, fit for a table's cell.

    >>> markdown("a|b <i>")
    'a\\\\|b \\\\<i\\\\>'
    """
    return MARKDOWN.sub(r"\\\1", one_line(text))


def csv_cell(value: str) -> str:
    """The text with a leading quote where a spreadsheet would take it for a formula.

    >>> csv_cell("=1+1"), csv_cell("toxicity")
    ("'=1+1", 'toxicity')
    """
    text = one_line(value)
    dangerous = text.startswith(FORMULA) or value.startswith(FORMULA)
    return f"'{text}" if dangerous else text


def plotly_text(text: str) -> str:
    """The text as literal text in a figure, where Plotly would read tags such as links.

    >>> plotly_text("<a href='x'>b</a> & c")
    "&lt;a href='x'&gt;b&lt;/a&gt; &amp; c"
    """
    escaped = one_line(text).replace("&", "&amp;")
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def script_json(content: Any) -> str:
    """The content as JSON that cannot end the `<script>` around it.

    >>> script_json({"a": "</script>"})
    '{"a": "\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(content, ensure_ascii=True, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
