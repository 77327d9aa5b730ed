"""Dialogues as token ids and labels: what the model reads, and which tokens it learns.

A row is a whole dialogue. Its context has exactly the tokens that the model is given when it is
asked to answer. Only the tokens of the target and the end token after it are learnt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from detoxlab.errors import ModelError
from detoxlab.records import SYSTEM, Dialogue, Turn

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

IGNORED = -100  # the label that torch's cross entropy leaves out
Targets = Literal["last", "all"]


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One dialogue for training. `labels[t]` is `input_ids[t]` where learnt, -100 elsewhere.

    `closing` counts the tokens at the end that are not from the data: a question about the text
    and its answer.
    """

    dialogue_id: str
    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    cut: bool = False
    closing: int = 0

    @property
    def learnt(self) -> int:
        """The number of learnt tokens."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the dialogue's text that is read (context) or learnt (target)."""

    text: str
    is_target: bool


class RejectedDialogue(Exception):  # noqa: N818 (an outcome of one row, not an error to the user)
    """The reason why a dialogue makes no row; it quotes no text."""


Render = Callable[[Sequence[Turn], bool], str]
Tokenize = Callable[[str, bool], list[int]]


@dataclass(frozen=True)
class RowBuilder:
    """Builds rows with one tokenizer and template.

    `render(turns, asks)` gives the text of a conversation, with the opening of the
    assistant's next turn when `asks`, or raises `RejectedDialogue`. `tokenize(text, opens)`
    gives the ids of such a text; `opens` when it is the beginning of a row. `stop_ids` end a
    response when the model draws them; `end_id` is added where the template puts no end token.
    The first of `leading_ids` stays when the context is cut.
    """

    render: Render
    tokenize: Tokenize
    stop_ids: frozenset[int]
    end_id: int
    max_length: int
    targets: Targets = "last"
    leading_ids: frozenset[int] = frozenset()

    def build(self, dialogue: Dialogue) -> TokenRow:
        """The row of `dialogue`, at most `max_length` tokens long.

        A row that is too long is cut from the left: the oldest exchanges first, then the oldest
        tokens of the context. The last target always stays whole.

        Raises `RejectedDialogue` when there is nothing to learn or the target does not fit.
        """
        turns = dialogue.turns
        if not turns or turns[-1].role != "assistant" or not turns[-1].text.strip():
            raise RejectedDialogue("it does not end with something the assistant says")
        while True:
            ids, labels = self._encode(turns)
            if len(ids) <= self.max_length:
                cut = len(turns) < len(dialogue.turns)
                return TokenRow(dialogue.id, tuple(ids), tuple(labels), cut)
            if len(turns) <= 2 + (turns[0].role == SYSTEM):
                return self._cut_context(dialogue.id, ids, labels)
            turns = _without_oldest(turns)

    def _encode(self, turns: Sequence[Turn]) -> tuple[list[int], list[int]]:
        text, ids, labels = "", list[int](), list[int]()
        for piece in self._pieces(turns):
            new = self._continuation(text, piece.text)
            text += piece.text
            if not piece.is_target:
                ids += new
                labels += [IGNORED] * len(new)
                continue
            new, learnt = self._ended(new)
            ids += new
            labels += new[:learnt] + [IGNORED] * (len(new) - learnt)
        return ids, labels

    def _pieces(self, turns: Sequence[Turn]) -> list[Piece]:
        answers = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
        if self.targets == "last":
            answers = answers[-1:]
        pieces, done = list[Piece](), ""
        for i in answers:
            asked, answered = self.render(turns[:i], True), self.render(turns[: i + 1], False)
            if not (asked.startswith(done) and answered.startswith(asked)):
                raise RejectedDialogue("the chat template rewrites earlier turns")
            pieces.append(Piece(asked[len(done) :], is_target=False))
            pieces.append(Piece(answered[len(asked) :], is_target=True))
            done = answered
        return pieces

    def _continuation(self, text: str, more: str) -> list[int]:
        """The ids of `more` after `text`; `text` keeps the ids that it has alone.

        Where the tokenizer would join both across their border, `more` is tokenised apart.
        """
        if not text:
            return self.tokenize(more, True)
        plain, whole = self.tokenize(text, True), self.tokenize(text + more, True)
        if whole[: len(plain)] == plain:
            return whole[len(plain) :]
        return self.tokenize(more, False)

    def _ended(self, target: list[int]) -> tuple[list[int], int]:
        """The target's ids with its end token, and how many of them are learnt."""
        ends = [i for i, token in enumerate(target) if token in self.stop_ids]
        if ends:
            return target, ends[-1] + 1
        return [*target, self.end_id], len(target) + 1

    def _cut_context(self, dialogue_id: str, ids: list[int], labels: list[int]) -> TokenRow:
        first = next(i for i, label in enumerate(labels) if label != IGNORED)
        head = ids[:1] if first and ids[0] in self.leading_ids else []
        needed = len(ids) - first + len(head) + 1
        if needed > self.max_length:
            raise RejectedDialogue(
                f"its target of {len(ids) - first} tokens does not fit max_length {self.max_length}"
            )
        room = self.max_length - len(head)
        return TokenRow(
            dialogue_id,
            (*head, *ids[-room:]),
            (*[IGNORED] * len(head), *labels[-room:]),
            cut=True,
        )


def without_system_role(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns with the text of the system, if it speaks, at the beginning of the user's turn.

    >>> without_system_role([Turn("system", "Be kind."), Turn("user", "Hello")])
    [Turn(role='user', text='Be kind.\\n\\nHello')]
    """
    if len(turns) < 2 or turns[0].role != SYSTEM:
        return turns
    told = Turn(turns[1].role, f"{turns[0].text}\n\n{turns[1].text}")
    return [told, *turns[2:]]


def _without_oldest(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns without the oldest exchange; the system's turn stays.

    >>> spoken = [Turn(role, "") for role in ("system", "user", "assistant", "user")]
    >>> [turn.role for turn in _without_oldest(spoken)]
    ['system', 'user']
    """
    first = 1 if turns[0].role == SYSTEM else 0
    oldest = 2 if turns[first].role == "user" else 1
    return (*turns[:first], *turns[first + oldest :])


def row_builder(
    lm: "LanguageModel", *, chat: bool, targets: Targets, max_length: int
) -> RowBuilder:
    """A builder whose contexts are token for token the prompts that `lm` is measured with.

    With `chat` the turns stand in the model's chat template; without, they are lines of a
    plain text, and the line break before the target is learnt with it.
    """
    tokenizer, template = lm.tokenizer, lm.chat
    if chat:
        template.check_exchange()

    def tokenize(text: str, opens: bool) -> list[int]:
        ids = template.ids(text, opens=opens and not chat)
        ends = opens and not chat and len(ids) > 1 and ids[-1] == tokenizer.eos_token_id
        return ids[:-1] if ends else ids

    def render_chat(turns: Sequence[Turn], asks: bool) -> str:
        if not template.hears_system:
            turns = without_system_role(turns)
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        try:
            return template.render(messages, reply=asks)
        except ModelError:
            raise RejectedDialogue("the chat template refuses its order of roles") from None

    def render_lines(turns: Sequence[Turn], _asks: bool) -> str:
        return "\n".join(template.marked(turn.text) for turn in without_system_role(turns))

    return RowBuilder(
        render=render_chat if chat else render_lines,
        tokenize=tokenize,
        stop_ids=lm.end_of_turn_ids if chat else lm.eos_ids,
        end_id=int(tokenizer.eos_token_id),
        max_length=max_length,
        targets=targets,
        leading_ids=frozenset({tokenizer.bos_token_id} - {None}),
    )


def build_rows(
    builder: RowBuilder, dialogues: Sequence[Dialogue]
) -> tuple[list[TokenRow], list[tuple[str, str]]]:
    """The rows of all dialogues that make one, and (id, reason) of the other dialogues."""
    rows, rejected = list[TokenRow](), list[tuple[str, str]]()
    for dialogue in dialogues:
        try:
            rows.append(builder.build(dialogue))
        except RejectedDialogue as reason:
            rejected.append((dialogue.id, str(reason)))
    return rows, rejected


def row_columns(rows: Sequence[TokenRow]) -> dict[str, list[Any]]:
    """The columns that the trainers read: ids, labels, and the number of each row.

    >>> row_columns([TokenRow("d", (7, 8), (-100, 8)), TokenRow("e", (9,), (9,))])
    {'input_ids': [[7, 8], [9]], 'labels': [[-100, 8], [9]], 'number': [0, 1]}
    """
    return {
        "input_ids": [list(row.input_ids) for row in rows],
        "labels": [list(row.labels) for row in rows],
        "number": list(range(len(rows))),
    }
