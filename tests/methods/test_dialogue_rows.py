"""What the model reads and what it learns, token by token."""

from dataclasses import replace
from pathlib import Path

import pytest

from detoxlab.methods.rows.dialogue import IGNORED, RowBuilder, TokenRow, build_rows, row_builder
from detoxlab.models import FALLBACK_TEMPLATE, LanguageModel, load_model
from detoxlab.records import Dialogue, Turn
from tests.support.tiny import (
    ASSISTANT,
    CHAT_TEMPLATE,
    END,
    USER,
    dialogue,
    tiny_lm,
    tiny_tokenizer,
)


def builder(
    lm: LanguageModel, *, chat: bool = True, targets: str = "last", max_length: int = 256
) -> RowBuilder:
    return row_builder(lm, chat=chat, targets=targets, max_length=max_length)  # type: ignore[arg-type]


def shown(lm: LanguageModel, row: TokenRow) -> tuple[list[str], str]:
    """The row's tokens, and a line with ^ under the learnt ones."""
    tokens = lm.tokenizer.convert_ids_to_tokens(list(row.input_ids))
    for token, label in zip(row.input_ids, row.labels, strict=True):
        assert label in (token, IGNORED)
    return tokens, "".join("." if label == IGNORED else "^" for label in row.labels)


def context_of(row: TokenRow) -> list[int]:
    """The tokens before the first learnt one."""
    first = next(i for i, label in enumerate(row.labels) if label != IGNORED)
    return list(row.input_ids[:first])


def with_template(template: str | None) -> LanguageModel:
    lm = tiny_lm()
    lm.tokenizer = tiny_tokenizer(template)
    if template is None:
        FALLBACK_TEMPLATE.install(lm.tokenizer)
        lm.template_name = FALLBACK_TEMPLATE.name
    return lm


def test_only_the_last_answer_and_its_end_are_learnt() -> None:
    lm = tiny_lm()
    tokens, learnt = shown(lm, builder(lm).build(dialogue("hi", "no", "ok", "yes")))
    first = [USER, "h", "i", END, ASSISTANT, "n", "o", END]
    assert tokens == [*first, USER, "o", "k", END, ASSISTANT, "y", "e", "s", END]
    assert learnt == "........" + "....." + "^^^^"


def test_every_answer_is_learnt_on_demand_and_the_user_never() -> None:
    lm = tiny_lm()
    _, learnt = shown(lm, builder(lm, targets="all").build(dialogue("hi", "no", "ok", "yes")))
    assert learnt == ".....^^^" + "....." + "^^^^"


def test_the_fallback_template_ends_the_answer_and_hides_what_follows() -> None:
    lm = with_template(None)
    tokens, learnt = shown(lm, builder(lm).build(dialogue("hi", "no")))
    text = "User: hi\nAssistant: no"
    assert len(tokens) == len(text) + 2
    assert tokens[-2:] == [END, "Ċ"]
    assert learnt == "." * len("User: hi\nAssistant:") + "^" * len(" no") + "^" + "."


def test_a_template_without_an_end_gets_one() -> None:
    lm = with_template("{% for m in messages %}[{{ m['content'] }}]{% endfor %}")
    tokens, learnt = shown(lm, builder(lm, targets="all").build(dialogue("hi", "no", "a", "b")))
    assert tokens == [*"[hi]", *"[no]", END, *"[a]", *"[b]", END]
    assert learnt == "....^^^^^...^^^^"


def test_without_a_template_the_line_break_belongs_to_the_answer() -> None:
    lm = tiny_lm()
    tokens, learnt = shown(lm, builder(lm, chat=False).build(dialogue("hi", "no", "ok", "yes")))
    assert tokens == [*"hi", "Ċ", *"no", "Ċ", *"ok", "Ċ", *"yes", END]
    assert learnt == "........" + "^^^^^"


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("template", [CHAT_TEMPLATE, None])
def test_the_context_is_what_the_model_is_asked_with(chat: bool, template: str | None) -> None:
    lm = with_template(template)
    row = builder(lm, chat=chat).build(dialogue("you fool", "be kind"))
    assert context_of(row) == lm.prompt_ids("you fool", chat=chat)


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("template", [CHAT_TEMPLATE, None])
def test_a_turn_of_the_system_is_told_as_in_a_measurement(chat: bool, template: str | None) -> None:
    lm = with_template(template)
    said = dialogue("first", "answer", "you fool", "be nice")
    told = replace(said, turns=(Turn("system", "be kind"), *said.turns))
    short = replace(said, turns=(told.turns[0], *said.turns[2:]))
    asked = lm.with_system("be kind").prompt_ids("you fool", chat=chat)
    assert context_of(builder(lm, chat=chat).build(short)) == asked
    room = len(builder(lm, chat=chat).build(short).input_ids)
    cut = builder(lm, chat=chat, max_length=room).build(told)
    assert (cut.cut, context_of(cut)) == (True, asked)


def test_a_real_tokenizer_keeps_context_and_answer(data_dir: Path) -> None:
    lm = load_model(data_dir / "models" / "tinystories-656k")
    for chat in (True, False):
        for text in ("be kind", " be kind", "Be kind.\nAlways!", "She said, 2 cats"):
            row = builder(lm, chat=chat).build(dialogue("you fool", text))
            learnt = [label for label in row.labels if label != IGNORED]
            assert context_of(row) == lm.prompt_ids("you fool", chat=chat)
            assert learnt[-1] == lm.tokenizer.eos_token_id
            assert lm.tokenizer.decode(learnt[:-1]).strip() == text.strip()


def test_a_tokenizer_that_joins_across_the_border_leaves_the_prompt_as_it_is() -> None:
    def tokenize(text: str, _opens: bool) -> list[int]:
        return [ord(letter) for letter in text.replace(": n", "~")]

    joining = RowBuilder(
        render=lambda _turns, asks: "a:" if asks else "a: no",
        tokenize=tokenize,
        stop_ids=frozenset({0}),
        end_id=0,
        max_length=99,
    )
    row = joining.build(dialogue("a", "no"))
    assert row.input_ids == (*map(ord, "a: no"), 0)
    assert row.learnt == 4


def test_the_oldest_exchanges_leave_first_and_whole() -> None:
    lm = tiny_lm()
    long = dialogue("first", "answer", "hi", "no", "ok", "yes")
    row = builder(lm, max_length=20).build(long)
    assert row.cut
    assert shown(lm, row)[0][:5] == [USER, "h", "i", END, ASSISTANT]
    assert row.learnt == 4
    assert not builder(lm).build(long).cut


def test_then_the_oldest_tokens_of_the_context_leave_never_the_target() -> None:
    lm = tiny_lm()
    tokens, learnt = shown(lm, builder(lm, max_length=8).build(dialogue("abcdefgh", "yes")))
    assert tokens == ["g", "h", END, ASSISTANT, *"yes", END]
    assert learnt == "....^^^^"


def test_a_bos_stays_in_front_of_a_cut_context() -> None:
    lm = with_template("{{ bos_token }}" + CHAT_TEMPLATE)
    lm.tokenizer.bos_token = PAD_AS_BOS
    tokens, learnt = shown(lm, builder(lm, max_length=8).build(dialogue("abcdefgh", "yes")))
    assert tokens == [PAD_AS_BOS, "h", END, ASSISTANT, *"yes", END]
    assert learnt == "....^^^^"


PAD_AS_BOS = "<|pad|>"


@pytest.mark.parametrize(("max_length", "fits"), [(5, True), (4, False)])
def test_a_target_that_does_not_fit_is_left_out_and_reported(max_length: int, fits: bool) -> None:
    rows, rejected = build_rows(
        builder(tiny_lm(), max_length=max_length), [dialogue("hello", "yes", name="d7")]
    )
    assert len(rows) == fits
    reason = f"its target of 4 tokens does not fit max_length {max_length}"
    assert rejected == ([] if fits else [("d7", reason)])


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ((), "does not end with something the assistant says"),
        ((Turn("user", "hi"),), "does not end with something the assistant says"),
        ((Turn("user", "hi"), Turn("assistant", " ")), "does not end with something"),
    ],
)
def test_a_dialogue_with_nothing_to_learn_is_reported(turns: tuple[Turn, ...], reason: str) -> None:
    rows, rejected = build_rows(builder(tiny_lm()), [Dialogue("d", turns, "test")])
    assert not rows
    assert reason in rejected[0][1]


def test_a_template_that_refuses_the_roles_is_reported() -> None:
    lm = with_template("{{ raise_exception('roles must alternate: ' + messages[0]['content']) }}")
    _, rejected = build_rows(
        row_builder(_with_known_ends(lm), chat=True, targets="last", max_length=99),
        [dialogue("secret", "no")],
    )
    assert rejected == [("d", "the chat template refuses its order of roles")]


def test_a_template_that_rewrites_earlier_turns_can_not_learn_them_all() -> None:
    template = (
        "{% for m in messages %}{% if loop.last or m['role'] == 'user' %}"
        "<{{ m['content'] }}>{% endif %}{% endfor %}"
    )
    lm = with_template(template)
    two = dialogue("hi", "no", "ok", "yes")
    _, rejected = build_rows(builder(lm, targets="all"), [two])
    assert rejected == [("d", "the chat template rewrites earlier turns")]
    tokens, learnt = shown(lm, builder(lm).build(two))
    assert tokens == [*"<hi><ok><yes>", END]
    assert learnt == "........" + "^^^^^^"


def _with_known_ends(lm: LanguageModel) -> LanguageModel:
    lm.__dict__["end_of_turn_ids"] = lm.eos_ids
    return lm
