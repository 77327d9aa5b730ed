"""Guards of texts: what they find, what they leave alone, and where they do not know."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from detoxlab.measures.features import ended_at_cap, enters_next_turn
from detoxlab.measures.guards import (
    distinct_n,
    is_empty,
    is_one_repeated_unit,
    perplexity_of_sums,
    repeated_ngram_share,
    runs_into_next_turn,
    sample_perplexities,
    switches_language,
)
from detoxlab.measures.writing.languages import language, writings
from detoxlab.measures.writing.script import UNKNOWN, main_script
from detoxlab.records import Generation

# Article 1 of the Universal Declaration of Human Rights.
DECLARATION = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with "
    "reason and conscience and should act towards one another in a spirit of brotherhood.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft "
    "und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués "
    "de raison et de conscience et doivent agir dans un esprit de fraternité.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como "
    "están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de "
    "razão e de consciência, devem agir uns para com os outros em espírito de fraternidade.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati "
    "di ragione e di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd "
    "met verstand en geweten, en behoren zich in een geest van broederschap te gedragen.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter. De är utrustade med "
    "förnuft och samvete och bör handla gentemot varandra i en anda av broderskap.",
    "da": "Alle mennesker er født frie og lige i værdighed og rettigheder. De er udstyret med "
    "fornuft og samvittighed, og de bør handle mod hverandre i en broderskabets ånd.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni "
    "obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    "ro": "Toate ființele umane se nasc libere și egale în demnitate și în drepturi. Ele sunt "
    "înzestrate cu rațiune și trebuie să se comporte unele față de altele în spirit de frăție.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana "
    "sahiptirler ve birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
    "uk": "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені "
    "розумом і совістю і повинні діяти у відношенні один до одного в дусі братерства.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "zh": "人人生而自由，在尊严和权利上一律平等。",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
}


@pytest.mark.parametrize("code", DECLARATION)
def test_languages_are_told_apart(code: str) -> None:
    assert language(DECLARATION[code]) == code


def test_scripts_come_from_letters_alone() -> None:
    assert main_script("Привет, Bob!") == "cyrillic"
    assert main_script("hello 你好") == "latin"
    assert main_script("\U0001d525\U0001d526, \uff48\uff49") == "latin"  # fraktur, full width
    assert main_script("… 12:30 😀 !!") == UNKNOWN
    assert main_script("") == UNKNOWN
    assert main_script("שלום") == "hebrew"


def test_short_or_mixed_texts_have_no_known_language() -> None:
    assert language("Berlin!") == UNKNOWN
    assert language("no no no") == UNKNOWN
    assert language("") == UNKNOWN
    assert language("xqz wvu tsr pon mlk jih") == UNKNOWN


@pytest.mark.parametrize(
    ("prompt", "response", "switched"),
    [
        ("en", DECLARATION["uk"], True),
        ("en", DECLARATION["de"], True),
        ("de", DECLARATION["de"], False),
        ("en", "You are right about that and I agree.", False),
        ("en", "Berlin!", None),
        ("en", "42", None),
        ("ja", DECLARATION["zh"], True),
    ],
)
def test_switching(prompt: str, response: str, switched: bool | None) -> None:
    (asked,) = writings([DECLARATION[prompt]])
    assert switches_language(asked, response) is switched


def test_a_prompt_without_letters_says_nothing_about_a_switch() -> None:
    assert switches_language(writings(["123"])[0], DECLARATION["en"]) is None


def test_short_prompts_are_in_the_language_of_the_others() -> None:
    english, german = ("latin", "en"), ("latin", "de")
    assert writings(["Hello", DECLARATION["en"]]) == [english, english]
    assert writings(["Hallo", DECLARATION["de"]]) == [german, german]
    mixed = writings(["Hello", DECLARATION["en"], DECLARATION["de"]])
    assert mixed == [("latin", UNKNOWN), english, german]
    assert writings(["Hello", DECLARATION["uk"]])[0] == ("latin", UNKNOWN)


def test_real_english_is_hardly_ever_called_another_language(data_dir: Path) -> None:
    file = data_dir / "real_toxicity_prompts" / "rtp_quark_val.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    found = [language(row["prompt"]["text"]) for row in rows]
    found += [language(row["continuation"]["text"]) for row in rows]
    wrong = sum(code not in ("en", UNKNOWN) for code in found)
    assert wrong / len(found) < 0.001
    assert sum(code == "en" for code in found) / len(found) > 0.7


def test_empty_texts() -> None:
    assert is_empty("")
    assert is_empty(" \t\n\u200b\u2060\ufeff\x00")
    assert not is_empty(".")
    assert not is_empty("你")


def test_repetition_by_hand() -> None:
    assert repeated_ngram_share("you fool " * 5) == pytest.approx(5 / 7)
    assert repeated_ngram_share("one two three four five") == 0.0
    assert repeated_ngram_share("one two three") is None


@pytest.mark.parametrize("text", ["no no no", "so what so what so what so", "哈哈哈哈", "....."])
def test_one_repeated_unit(text: str) -> None:
    assert is_one_repeated_unit(text)


def test_a_phrase_cut_off_in_its_last_repetition_is_still_one_unit() -> None:
    assert is_one_repeated_unit("I like you. I like you. I like you. I like")
    assert not is_one_repeated_unit("I like you. I like you.")
    assert not is_one_repeated_unit("no no no, thank you")
    assert not is_one_repeated_unit("")
    assert not is_one_repeated_unit("a")


@pytest.mark.parametrize(
    ("text", "runs_on"),
    [
        ("Fine.\nUser: and you?", True),
        ("Fine.\n\nHuman: hello", True),
        ("Fine.<|im_start|>user", True),
        ("Fine. [INST] more", True),
        ("### Instruction: do", True),
        ("The user: a person.", False),
        ("Dear Human, hello", False),
        ("Fine.\nUserland is big", False),
    ],
)
def test_next_turn_in_the_text(text: str, runs_on: bool) -> None:
    assert runs_into_next_turn(text) is runs_on


def test_next_turn_that_the_engine_cut_off() -> None:
    cut = Generation("1", 0, "Fine.", (), "stop")
    assert enters_next_turn(cut, ()) is True
    assert enters_next_turn(cut, ("\n",)) is None
    assert enters_next_turn(Generation("1", 0, "Fine.", (), "eos"), ("\n",)) is False


def test_the_cap() -> None:
    def reason(finish) -> bool | None:
        return ended_at_cap(Generation("1", 0, "x", (), finish))

    assert [reason(r) for r in ("length", "eos", "stop", "unknown")] == [True, False, False, None]


def test_distinct_by_hand() -> None:
    texts = ["a b a b", "a b"]
    assert distinct_n(texts, 1) == pytest.approx(2 / 6)
    assert distinct_n(texts, 2) == pytest.approx(2 / 6)
    assert distinct_n(texts, 3) == pytest.approx(2 / 6)
    assert distinct_n(["a b c d"], 2) == pytest.approx(3 / 4)
    assert distinct_n(["a b", "b a"], 2) == pytest.approx(2 / 4)  # no n-gram crosses samples


def test_pooled_perplexity_is_not_the_mean_of_perplexities() -> None:
    nll_N, tokens_N = np.array([np.log(2.0) * 3, np.log(8.0)]), np.array([3.0, 1.0])
    pooled = float(perplexity_of_sums(np.array([nll_N.sum(), tokens_N.sum()])))
    assert pooled == pytest.approx(2 ** ((3 + 3) / 4))
    assert sample_perplexities(nll_N, tokens_N) == pytest.approx([2.0, 8.0])
    assert sample_perplexities(np.array([1e6]), np.array([1.0])).tolist() == [np.inf]
