"""JSON bodies, read as Google reads them: strictly, but for the layout that its documentation uses.

That layout is `{comment: {text: "…"}, languages: ["en"]}`: names without quotation marks. Text in
single ones and a comma before a bracket are taken too.
"""

import json
import re
from typing import Any, NoReturn

from detoxlab.serve.wire.refusals import Refusal, invalid_json

LONGEST_RELAXED = 1 << 18  # characters; six for each byte of a longest text, and the rest
# Possessive, and with texts that do not end, so that it takes linear time.
_TOKENS = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*+(?:"|\\?\Z))
    |'(?P<single>(?:[^'\\]|\\.)*+)(?:'|\\?\Z)
    |(?P<comma>,)(?=\s*[}\]])
    |(?<![\w$])(?P<name>[A-Za-z_$][\w$]*+)(?=\s*:)
    """,
    re.VERBOSE | re.DOTALL,
)
_SINGLE_TO_DOUBLE = re.compile(r"\\(.)|\"", re.DOTALL)


def read_json(body: bytes) -> dict[str, Any]:
    """The object in a body. Raises `Refusal` with status 400; no part of the body is repeated.

    Twice the same name, NaN, lone surrogates and anything but an object are refused.

    >>> read_json(b"{comment: {text: 'a \\\\'b\\\\' \\"c\\"'}, languages: [\\"en\\",],}")
    {'comment': {'text': 'a \\'b\\' "c"'}, 'languages': ['en']}
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise invalid_json("Invalid UTF-8.") from None
    if not text.strip():
        return {}
    try:
        found = _DECODER.decode(text)
    except ValueError:
        found = _read_relaxed(text[:LONGEST_RELAXED])
    except RecursionError:
        raise _too_deep() from None
    if not isinstance(found, dict):
        raise invalid_json('Unknown name "": Root element must be a message.')
    if "\\" in text:
        _refuse_surrogates(text, found)
    return found


def _read_relaxed(text: str) -> Any:
    try:
        return _DECODER.decode(_TOKENS.sub(_strict, text))
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise invalid_json(f"Unexpected token (line {error.lineno}).") from None
    except ValueError:  # a number of thousands of digits
        raise invalid_json("Unable to parse number.") from None


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise invalid_json("A name occurs twice.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise invalid_json(f"Unexpected token: {name}.")


_DECODER = json.JSONDecoder(object_pairs_hook=_no_repeats, parse_constant=_no_constant)


def _strict(token: re.Match[str]) -> str:
    if token["text"] is not None:
        return token["text"]
    if token["comma"]:
        return ""
    if token["name"]:
        return f'"{token["name"]}"'
    return f'"{_SINGLE_TO_DOUBLE.sub(_double, token["single"])}"'


def _double(found: re.Match[str]) -> str:
    if found[1] == "'":
        return "'"
    return found[0] if found[1] else '\\"'


def _refuse_surrogates(text: str, found: dict[str, Any]) -> None:
    """A half of an emoji has no UTF-8 form; only an escape can bring it."""
    if not re.search(r"\\u[dD][89a-fA-F]", text):
        return
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise invalid_json("Missing low surrogate.") from None


def _too_deep() -> Refusal:
    return invalid_json("Message too deep.")
