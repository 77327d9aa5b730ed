"""Telling languages apart: by hand on a small table, and on real texts with the embedded one."""

import csv
import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from detoxlab.measures.writing.languages import (
    CAP,
    Table,
    distinct_words,
    evidence,
    is_among,
    is_surely_not_english,
    language,
    letter_codes,
    trigram_buckets,
    word_hash,
)

GERMAN = "Das ist nicht mein Haus, und ich weiß nicht, wem es gehört."
# Of the multilingual scorer.
READ = ("ar", "de", "en", "es", "fr", "it", "ko", "pt", "ru", "tr", "zh")


def test_a_word_has_its_frequency_and_the_chances_of_its_letters() -> None:
    """-ln p of every trigram is 28 steps, or 1 nat, in the first language and 56 in the second."""
    table = Table(
        ("en", "de"),
        hashes_U=np.array([word_hash("ab")], dtype=np.uint32),
        starts_U=np.array([0, 1]),
        owners_E=np.array([1], dtype=np.uint8),
        bits_E=np.array([32], dtype=np.uint8),
        trigrams_VL=np.tile(np.array([28, 56], dtype=np.uint8), (1 << 14, 1)),
    )
    assert table.frequencies(["ab", "abc"]).tolist() == [[0.0, np.exp(-2.0)], [0.0, 0.0]]
    # Two letters and the end of the word, then three and the end.
    assert table.spellings(["ab", "abc"]).tolist() == [[-3.0, -6.0], [-4.0, -8.0]]


def test_trigrams_do_not_reach_from_one_word_into_the_next() -> None:
    def buckets(words: list[str]) -> list[int]:
        codes = letter_codes(words)
        return trigram_buckets(codes)[codes[2:] != 2].tolist()

    assert buckets(["you", "fool"]) == buckets(["you"]) + buckets(["fool"])


def test_a_word_counts_once_and_for_at_most_four_nats() -> None:
    once, often = evidence("nicht"), evidence("nicht, NICHT nicht")
    assert once is not None
    assert often is not None
    np.testing.assert_array_equal(once.nats_L, often.nats_L)
    assert once.nats_L.max() - once.nats_L.min() == pytest.approx(CAP)


def test_the_evidence_of_words_adds_up() -> None:
    parts = [evidence(word) for word in ("das", "haus")]
    both = evidence("Das Haus")
    assert both is not None
    together = sum(one.nats_L for one in parts if one is not None)
    np.testing.assert_allclose(both.nats_L, together)
    assert both.codes == parts[0].codes  # type: ignore[union-attr]


def test_links_names_tags_and_digits_are_no_words() -> None:
    text = "@someone see https://example.org/das-ist <br> &amp; 2nd b4 it's fine"
    assert distinct_words(text) == ["see", "it's", "fine"]
    assert distinct_words("42 :-)") == []
    assert (
        len(distinct_words(" ".join(f"{chr(97 + i // 26)}{chr(97 + i % 26)}x" for i in range(400))))
        == 100
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (GERMAN, "de"),
        ("tum log bahut bure ho, mujhe pasand nahi", "hi-Latn"),
        ("ya ne znayu chto eto takoe", "ru-Latn"),
        ("To nie jest mój dom", "pl"),
        ("Toto nie je môj dom, ale tvoj", "sk"),
        ("Это не мой дом, и я не знаю", "ru"),
        ("Це не мій дім, і я не знаю, що це", "uk"),
        ("این خانه من نیست", "fa"),
    ],
)
def test_languages_of_one_script_are_told_apart(text: str, code: str) -> None:
    assert language(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "u r soooo dum lol smh",
        "thiss is jstu a tset of mispelt wrods",
        "Ludwig van Beethoven, Wolfgang Amadeus Mozart",
        "def main(argv): return sys.exit(parse(argv))",
        "SHUT UP!!! SHUT UP!!! SHUT UP!!!",
        "y o u  a r e  a  f o o l",
        "yоu аre а fооl аnd а clоwn",  # Cyrillic look-alikes
        "ýöú àrê ã fôôl ànd à çlôwñ",
        "y*u s*lly f*ol, g* away",
        "no no no",
        "Hello",
        "Hasta la vista, baby",
        "",
        "Привет, это не мой дом",  # another script is another reason
    ],
)
def test_names_slang_and_misspelt_english_are_not_taken_for_another_language(text: str) -> None:
    assert not is_surely_not_english(text)


@pytest.mark.parametrize(
    "text",
    [
        GERMAN,
        "Esta no es mi casa y no sé de quién es",
        "Dit is niet mijn huis en ik weet het niet",
        "Ce n'est pas ma maison, je ne sais pas à qui elle est",
    ],
)
def test_sentences_in_other_languages_are(text: str) -> None:
    assert is_surely_not_english(text)


def test_threads_find_the_same() -> None:
    texts = [f"{GERMAN} {number}" for number in "abcdefghijklmnop" for _ in range(8)]
    alone = [evidence(text).nats_L.tolist() for text in texts]  # type: ignore[union-attr]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: evidence.__wrapped__(text).nats_L.tolist(), texts))
    assert found == alone


def _cases(folder: Path, name: str, every: int) -> list[str]:
    with gzip.open(folder / "multilingual" / "mhc" / name, "rt", encoding="utf-8") as lines:
        texts = [row["test_case"] for row in csv.DictReader(lines)][::every]
    return [text for text in texts if len(distinct_words(text)) >= 4]


@pytest.mark.parametrize("name", ["polish", "dutch", "hindi"])  # the Hindi is in Latin letters
def test_languages_that_a_scorer_does_not_read_are_kept_from_it(data_dir: Path, name: str) -> None:
    texts = _cases(data_dir, f"{name}.csv.gz", every=9)
    assert np.mean([is_among(text, READ) for text in texts]) <= 0.05


@pytest.mark.parametrize("name", ["german", "spanish", "french", "portuguese", "italian"])
def test_languages_that_it_reads_are_not(data_dir: Path, name: str) -> None:
    texts = _cases(data_dir, f"{name}.csv.gz", every=9)
    assert np.mean([is_among(text, READ) for text in texts]) >= 0.97
    assert np.mean([is_surely_not_english(text) for text in texts]) >= 0.9
