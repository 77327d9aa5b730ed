"""Sentences, windows and quotations: every word stays, and is found where it stands."""

import pytest

from detoxlab.errors import UnknownNameError
from detoxlab.scorers import load_scorer
from detoxlab.scorers.texts import sentences, spans, windows, without_quotations

CALM = "The river ran past the mill. We met at the station. She bought three apples."
BAD = "You stupid fool!"


def cut(text: str, pieces: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in pieces]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Mr. Fox met Dr. J. Smith. Well…", ["Mr. Fox met Dr. J. Smith.", "Well…"]),
        ("It cost 3.50, e.g. here.", ["It cost 3.50, e.g. here."]),
        ('"You fool!" she said. (Really.) Yes', ['"You fool!"', "she said.", "(Really.)", "Yes"]),
        ("no stop here\nnext line\n\nlast", ["no stop here", "next line", "last"]),
        ("  \n ", []),
        ("", []),
    ],
)
def test_sentences(text: str, found: list[str]) -> None:
    assert cut(text, sentences(text)) == found


def test_every_word_is_in_one_sentence_and_in_a_window() -> None:
    text = " ".join([CALM, BAD] * 7) + " and " + "on " * 50 + "to the end"
    assert " ".join(cut(text, sentences(text))).split() == text.split()
    for words in (1, 3, 8, 40, 1000):
        parts = cut(text, windows(text, words))
        assert all(len(part.split()) <= words for part in parts)
        starts, at = [], 0
        for start, end in windows(text, words):
            assert start <= at or not text[at:start].strip()
            starts.append(start)
            at = end
        assert starts == sorted(set(starts))
        assert not text[at:].strip()


def test_a_text_that_fits_is_one_window_unchanged() -> None:
    assert cut("  You  fool! ", windows("  You  fool! ", 2)) == ["  You  fool! "]
    assert cut("", windows("", 2)) == [""]


def test_windows_overlap_by_a_sentence() -> None:
    text = "One one one. Two two two. Three three three. Four four four."
    assert cut(text, windows(text, 6)) == [
        "One one one. Two two two.",
        "Two two two. Three three three.",
        "Three three three. Four four four.",
    ]


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ('He said "you fool" to me.', "He said to me."),
        ("He said “you fool”, and left.", "He said , and left."),
        ("Er sagte „du Narr“ und ging.", "Er sagte und ging."),
        ("He said 'you fool' to me.", "He said to me."),
        ("He said ‘you fool’ to me.", "He said to me."),
        ("> you fool\nNo, I am not.", "No, I am not."),
        ('"You fool!"', ""),
        ("It's the dogs' food, isn't it?", "It's the dogs' food, isn't it?"),
        ('An open "quotation stays.', 'An open "quotation stays.'),
    ],
)
def test_quotations(text: str, own: str) -> None:
    assert without_quotations(text).strip() == own


def test_a_text_without_quotations_stays_as_it_is() -> None:
    for text in ("  You  fool! ", "?!", ""):
        assert without_quotations(text) == text


def test_spans_find_the_one_bad_sentence() -> None:
    scorer = load_scorer("rtp-linear")
    text = f"{CALM} {CALM} {BAD} {CALM}"
    found = spans(scorer, text)
    worst = max(found, key=lambda span: span.score or 0)
    assert text[worst.start : worst.end] == BAD
    assert worst.score == scorer([BAD])[0, 0] == worst.own
    assert len(found) == 10
    assert scorer([text])[0, 0] < 0.6 < worst.score


def test_spans_tell_a_quotation_from_own_words() -> None:
    scorer = load_scorer("rtp-linear")
    text = 'Nobody may say "you stupid fool. You idiot" to a child. "You idiot!" ты дурак'
    first, second, third, fourth = spans(scorer, text)
    assert first.own == scorer(["Nobody may say"])[0, 0] < first.score
    assert second.own == scorer(["to a child."])[0, 0] < second.score
    assert third.own is None
    assert third.score > 0.6
    assert (fourth.score, fourth.own) == (None, None)


def test_spans_of_nothing_and_of_another_attribute() -> None:
    assert spans(load_scorer("rtp-linear"), "") == []
    with pytest.raises(UnknownNameError, match="warmth"):
        spans(load_scorer("rtp-linear"), CALM, "warmth")
