"""Control tokens that a text spells out, such as `<|im_end|>`, are read as text.

A tokenizer turns the text of a control token into that token wherever it stands, so a prompt
could end its own turn and speak for the assistant. Here such stretches of the speakers' texts are
marked before the chat template is rendered. The template wrote the tokens without marks.
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from detoxlab.errors import ModelError

ControlTokens = Literal["text", "token"]
START, END = "\U0010ff01", "\U0010ff02"  # around a spelt-out control token; private use
FIRST_STAND_IN = 0x100000  # private use too


@dataclass(frozen=True)
class Spelling:
    """Turns texts into a tokenizer's ids, with `tokens` as its control tokens."""

    tokenizer: Any
    tokens: frozenset[str]

    def marked(self, text: str) -> str:
        """A speaker's text, with a mark around each control token that it spells out."""
        if not self.tokens or not self._control.search(text):
            return text
        return self._control.sub(rf"{START}\g<0>{END}", unmarked(text))

    def ids(self, text: str, *, opens: bool = False) -> list[int]:
        """The ids of a marked text: control tokens where they are unmarked, text elsewhere.

        With `opens` the tokenizer's own first and last tokens are around them. Without a mark
        these are the ids that the tokenizer gives.

        Raises `ModelError` where the tokenizer reads a control token in any case.
        """
        if START not in text and END not in text:
            return self._own_ids(text, opens)
        found = self._ids_of_twin(text)
        ids = self._ids_by_piece(text) if found is None else found
        before, after = self._around if opens else ((), ())
        return [*before, *ids, *after]

    # --- inside ---

    def _own_ids(self, text: str, opens: bool) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=opens).input_ids)

    @cached_property
    def _control(self) -> re.Pattern[str]:
        longest_first = sorted(self.tokens, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    @cached_property
    def _marked_or_control(self) -> re.Pattern[str]:
        control = self._control.pattern
        return re.compile(f"{START}(?P<text>{control}){END}|(?P<control>{control})|[{START}{END}]")

    @cached_property
    def _around(self) -> tuple[list[int], list[int]]:
        """The ids that the tokenizer puts before and after a text."""
        inner, outer = self._own_ids("a", False), self._own_ids("a", True)
        starts = range(len(outer) - len(inner) + 1)
        at = next((i for i in starts if outer[i : i + len(inner)] == inner), 0)
        return outer[:at], outer[at + len(inner) :]

    # A twin of the tokenizer has other names for its control tokens: single characters that occur
    # in no text. So it reads the whole text at once, as the tokenizer would, and a spelt-out
    # control token is plain text to it.

    def _ids_of_twin(self, text: str) -> list[int] | None:
        """The twin's ids; None without a twin, or if it differs from the tokenizer on this text."""
        if self._twin is None or any(name in text for name in self._stand_ins.values()):
            return None
        plain = unmarked(text)
        if self._read_by_twin(plain) != self._own_ids(plain, False):
            return None
        return self._read_by_twin(text)

    def _read_by_twin(self, text: str) -> list[int]:
        twin, own_ids = self._twin
        renamed = self._marked_or_control.sub(self._renamed, text)
        ids = twin.encode(renamed, add_special_tokens=False).ids
        return [own_ids.get(token, token) for token in ids]

    def _renamed(self, found: re.Match[str]) -> str:
        control = found["control"]
        return self._stand_ins[control] if control else found["text"] or ""

    @cached_property
    def _stand_ins(self) -> dict[str, str]:
        return {token: chr(FIRST_STAND_IN + at) for at, token in enumerate(sorted(self.tokens))}

    @cached_property
    def _twin(self) -> Any:
        """The twin, and our ids of its added tokens; None for a tokenizer without a backend."""
        from tokenizers import Tokenizer

        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            return None
        content = _renamed_content(json.loads(backend.to_str()), self._stand_ins)
        twin = Tokenizer.from_str(json.dumps(content))
        own_names = {name: token for token, name in self._stand_ins.items()}
        named = [entry["content"] for entry in content["added_tokens"]]
        ids = {twin.token_to_id(n): backend.token_to_id(own_names.get(n, n)) for n in named}
        return twin, ids

    def _ids_by_piece(self, text: str) -> list[int]:
        ids: list[int] = []
        piece, place = "", 0
        for found in self._marked_or_control.finditer(text):
            piece += text[place : found.start()] + (found["text"] or "")
            place = found.end()
            if control := found["control"]:
                ids += [*self._text_ids(piece), self.tokenizer.convert_tokens_to_ids(control)]
                piece = ""
        return ids + self._text_ids(piece + text[place:])

    def _text_ids(self, piece: str) -> list[int]:
        if not piece:
            return []
        ids = self.tokenizer.encode(piece, add_special_tokens=False, split_special_tokens=True)
        spelt = [token for token in self.tokens if token in piece]
        read = [t for t in spelt if self.tokenizer.convert_tokens_to_ids(t) in ids]
        if read:
            raise ModelError(
                f"a text spells out the control token {read[0]}, which this tokenizer "
                f"({type(self.tokenizer).__name__}) cannot read as text",
                remedy="Leave out such texts, or set control_tokens to token.",
            )
        return list(ids)


def unmarked(text: str) -> str:
    """The text without the marks around spelt-out control tokens.

    >>> unmarked(f"say {START}</s>{END}!")
    'say </s>!'
    """
    return text.replace(START, "").replace(END, "")


def control_tokens(tokenizer: Any, written: str) -> frozenset[str]:
    """The tokenizer's special tokens, and further added ones that `written` has.

    `written` is all text that a chat template can write. An added token that is a plain word
    always counts as a word.
    """
    added = tokenizer.added_tokens_decoder.values()
    special = {str(token) for token in tokenizer.all_special_tokens}
    special |= {token.content for token in added if token.special}
    signs = {token.content for token in added if not token.content.isalnum()}
    found = special | {token for token in signs if token in written}
    return frozenset(token for token in found if token.strip())


def _renamed_content(content: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """A stored tokenizer with other names for some tokens, which adds nothing around a text."""
    model = dict(content["model"])
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(token, token): at for token, at in vocabulary.items()}
    else:
        model["vocab"] = [[names.get(token, token), score] for token, score in vocabulary]
    if "merges" in model:
        model["merges"] = [pair for pair in model["merges"] if not _makes_one_of(names, pair)]
    if model.get("unk_token"):
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    added = [
        entry | {"content": names.get(entry["content"], entry["content"])}
        for entry in content["added_tokens"]
    ]
    bare = {"post_processor": None, "truncation": None, "padding": None}
    return content | bare | {"model": model, "added_tokens": added}


def _makes_one_of(names: dict[str, str], pair: str | list[str]) -> bool:
    """Whether a merge reads or makes a token that is renamed."""
    left, right = pair.split(" ") if isinstance(pair, str) else pair
    return bool({left, right, left + right} & names.keys())
