"""What each token is, and which tokens make a word."""

import pytest

from detoxlab.errors import DataError
from detoxlab.explanations.tokens import pieces, prompt_classes, template_ids, words
from detoxlab.models import LanguageModel, load_model
from tests.support.tiny import CHAT_TEMPLATE, tiny_lm, tiny_model, tiny_tokenizer

SYSTEM = "{{ '<|user|>Be kind.' + eos_token }}" + CHAT_TEMPLATE


def lm_with(template: str) -> LanguageModel:
    return LanguageModel("tiny", "tiny@0", tiny_model(), tiny_tokenizer(template))


def classes_of(lm: LanguageModel, text: str, chat: bool) -> str:
    return prompt_classes(lm, text, chat, lm.prompt_ids(text, chat))


@pytest.mark.parametrize("text", ["Hi", "Apples", "42?", "Apple", "2?", "a <|end|> b"])
def test_template_and_text_are_told_apart(text: str) -> None:
    size = len(text.encode())  # a token per byte
    # <|user|> text <|end|> <|assistant|>
    assert classes_of(tiny_lm(), text, chat=True) == "S" + "C" * size + "TT"


def test_the_systems_text_is_template() -> None:
    found = classes_of(lm_with(SYSTEM), "Hi", chat=True)
    assert found == "S" + "T" * (len("Be kind.") + 2) + "CC" + "TT"


def test_a_text_to_continue_is_all_text_but_its_first_token() -> None:
    assert classes_of(tiny_lm(), "Hello", chat=False) == "SCCCC"
    assert classes_of(tiny_lm(), "", chat=True) == "STT"


def test_a_prompt_that_lost_its_beginning() -> None:
    lm = tiny_lm()
    ids = lm.prompt_ids("Hello", chat=True)
    assert prompt_classes(lm, "Hello", True, ids[-4:]) == "SCTT"
    with pytest.raises(DataError, match="is not what the tokenizer makes"):
        prompt_classes(lm, "Hellp", True, ids)


def test_a_prompt_that_lost_its_beginning_but_kept_its_first_token() -> None:
    lm = load_model("embedded")
    bos = [lm.tokenizer.bos_token_id]
    ids = lm.prompt_ids("one two three four", chat=False)
    given = lm.shortened(ids, len(ids) - 1)
    if ids[:1] == bos:
        assert given[:1] == tuple(bos)
    assert prompt_classes(lm, "one two three four", False, given) == "S" + "C" * (len(given) - 1)


def test_the_prompt_without_its_text() -> None:
    lm = lm_with(SYSTEM)
    ids = lm.prompt_ids("Hi", chat=True)
    left = template_ids(lm, ids, classes_of(lm, "Hi", chat=True))
    assert left == tuple(lm.prompt_ids("", chat=True))
    plain = lm.prompt_ids("Hi", chat=False)
    assert template_ids(lm, plain, "SC") == tuple(lm.prompt_ids("", chat=False))


def test_pieces_are_the_text_and_special_tokens_have_names() -> None:
    lm = tiny_lm()
    ids = lm.prompt_ids("né", chat=True)
    assert pieces(lm, ids)[0] == "<|user|>"
    assert pieces(lm, ids)[1] == "n"
    assert pieces(lm, ids)[-1] == "<|assistant|>"


def test_words_begin_after_white_space_and_where_the_class_changes() -> None:
    texts = ["<|user|>", "go", "od", " day", " ", "x", "<|end|>", "<|a|>", "Ye", "s"]
    assert words(texts, "SCCCCCTTGG") == [0, 1, 1, 2, 3, 4, 5, 6, 7, 7]
