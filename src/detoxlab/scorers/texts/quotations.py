"""Quoted speech: the text that a writer repeats and does not say."""

import re

from detoxlab.scorers.texts.sentences import Piece

# A single mark that opens stands before a word and after none: else it is an apostrophe.
_QUOTED = re.compile(
    r'"[^"\n]+"|“[^”\n]+”|«[^»\n]+»|„[^“”\n]+[“”]|‘[^’\n]+’(?!\w)|(?<!\w)\'(?=\w)[^\'\n]+\'(?!\w)'
    r"|(?m:^[ \t]*>.*$)"
)


def quotations(text: str) -> list[Piece]:
    """The quotations of a text with their marks, and its lines that begin with ">", in order.

    A quotation that is not closed in its line, and speech that is reported without marks, are
    not found.

    >>> text = 'He said "you fool", and it\\'s a pity.'
    >>> [text[start:end] for start, end in quotations(text)]
    ['"you fool"']
    """
    return [Piece(*found.span()) for found in _QUOTED.finditer(text)]


def without_quotations(text: str, piece: Piece | None = None) -> str:
    """The text, or a piece of it, without its quotations; empty where nothing else has a letter.

    A text that quotes nothing comes back as it is. A quotation that begins before the piece
    counts too.

    >>> without_quotations('He said "you fool", and I said no.')
    'He said , and I said no.'
    >>> without_quotations('"You fool!"')
    ''
    """
    start, end = piece or (0, len(text))
    inside = [quoted for quoted in quotations(text) if quoted.start < end and quoted.end > start]
    if not inside:
        return text[start:end]
    kept, at = [], start
    for quoted in inside:
        kept.append(text[at : max(at, quoted.start)])
        at = min(quoted.end, end)
    left = re.sub(r"[ \t]{2,}", " ", "".join([*kept, text[at:end]])).strip()
    return left if any(map(str.isalnum, left)) else ""
