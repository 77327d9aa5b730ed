"""The prompts and dialogues that come with the package: small sets of our own, in mild words.

`assets/prompts` and `assets/dialogues` hold them with a card each.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from detoxlab.data.dialogues import from_turns
from detoxlab.data.source import DialogueSet, DialogueSource, Located, PromptSource
from detoxlab.data.tabular import TableRow, text_of
from detoxlab.records import Prompt

ASSETS = Path(__file__).parent.parent / "assets"
NAME = "embedded"


def read_prompts(rows: Sequence[TableRow]) -> Iterable[Located[Prompt]]:
    """A prompt per row; `group` and `kind` are "neutral", "provoking" or "hostile"."""
    for row in rows:
        kind = text_of(row, "kind")
        meta = {"kind": kind, "group": kind}
        yield row.place, Prompt(text_of(row, "id"), text_of(row, "text"), NAME, meta)


def read_dialogues(rows: Sequence[TableRow]) -> DialogueSet:
    """The dialogues; none is odd."""
    return from_turns(rows, {}, NAME)


PROMPTS = PromptSource(parse=read_prompts, location=ASSETS / "prompts" / "prompts.jsonl")
DIALOGUES = DialogueSource(parse=read_dialogues, location=ASSETS / "dialogues" / "dialogues.jsonl")
