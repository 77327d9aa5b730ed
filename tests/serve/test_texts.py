"""HTML as text, and offsets in the unit that Google documents."""

import pytest

from detoxlab.scorers.texts.sentences import sentences
from detoxlab.serve.wire.texts import in_utf16, spans_of, text_of_html
from tests.support.growth import takes_linear_time


def test_offsets_count_an_emoji_as_two() -> None:
    text = "\U0001f600\U0001f600 You fool! It rains."
    assert in_utf16(text, spans_of(text)) == [(0, 14), (15, 24)]
    units = text.encode("utf-16-le")
    assert units[2 * 15 : 2 * 24].decode("utf-16-le") == "It rains."


def test_texts_without_one_keep_their_offsets() -> None:
    text = "Où? Là."
    assert in_utf16(text, spans_of(text)) == spans_of(text) == [(0, 3), (4, 7)]


def test_many_sentences_become_few_spans_that_hold_all() -> None:
    text = "Ha. " * 1000
    found = spans_of(text, most=256)
    assert len(found) == 250
    assert found[0].start == 0
    assert found[-1].end == len(text.rstrip())


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain", "plain"),
        ("a &lt;b&gt; &#128512;", "a <b> \U0001f600"),
        ("<P>one</P><p class='x > y'>two</p>", "one\ntwo"),
        ("<style>p{}</style><script>if (a<b) '</p>'</script>x", "x"),
        ("a<!-- <p> -->b", "ab"),
        ("3 < 4 and 5 > 4", "3 < 4 and 5 > 4"),
        ("<a href='never closed", ""),
    ],
)
def test_html_is_what_a_reader_sees(html: str, text: str) -> None:
    assert text_of_html(html) == text


@pytest.mark.parametrize(
    "part",
    ["<a", "<!", "<!--", "<a b=", '<a b="', "</", "<script>", "<?", "&", "<a '", "<title", "\f"],
)
def test_hostile_html_takes_linear_time(part: str) -> None:
    assert takes_linear_time(lambda size: text_of_html(part * size), 50_000 // len(part))


@pytest.mark.parametrize("part", ["A. ", "Mr. ", "e.g. ", ". ", "?\n"])
def test_hostile_sentences_take_linear_time(part: str) -> None:
    assert takes_linear_time(lambda size: sentences(part * size), 20_000 // len(part))
