"""Odd spelling becomes plain; clean text stays as it is, letter by letter."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from detoxlab.scorers.texts import normalise
from detoxlab.scorers.texts.spacing import segments
from detoxlab.scorers.texts.words import WordList, word_hash, word_list

ROOT = Path(__file__).parents[3]
PLAIN = "you idiot"


@pytest.mark.parametrize(
    "odd",
    [
        "you id\u200bi\u00adot",  # zero-width space, soft hyphen
        "you \u0456d\u0456\u043et",  # Cyrillic
        "you \u03b9di\u03bft",  # Greek
        "ｙｏｕ ｉｄｉｏｔ",
        "𝐲𝐨𝐮 𝒾𝒹𝒾ℴ𝓉",
        "you i\u0336d\u0336i\u0336o\u0336t\u0336",
        "you i\u0316\u0317d\u0318io\u0319\u0320\u0321t",
        "you ídïòt",
        "you id*ot",
        "you i###t",
        "you id!ot",
        "you 1d10t",
        "you i d i o t",
        "you i.d.i.o.t",
        "you i-d-i-o-t",
        "you i_d_i_o_t",
        "you i  d  i  o  t",
        "you idiooooot",
        "you iiidiiiooottt",
        "y o u i d i o t",
    ],
)
def test_each_trick_is_undone(odd: str) -> None:
    assert normalise(odd) == PLAIN


def test_case_and_neighbours_are_kept() -> None:
    assert normalise("(1D10T!) *1d1ot*, “Id*ot”.") == "(IDIOT!) *idiot*, “Idiot”."
    assert normalise("You F.O.O.L, go") == "You FOOL, go"


def test_emoji_that_insult_become_words() -> None:
    assert normalise("you 🤡🤡! 🌞") == "you clown clown! 🌞"
    assert normalise("the🐷") == "the pig"


CLEAN = [
    "At 10am, 3 kg for $5 each, 50% off, £4.99, 1,000,000 or 1e-3; the 1st, 2nd, 3rd, 4th.",
    "Write to jo.fool@example.org or @f00l, see https://example.org/f00l?a=1d10t #f00l #1d10t",
    "H2O, CO2, mp3, R2-D2, B2B, COVID-19, H1N1, 4x4, 3D, U2, i18n, k8s, GPT-4, x86_64, utf8",
    "int **p = &a; char** argv; f(*args, **kwargs); x**2 + y*z; rm *.txt; foo* bar_baz; a[i]",
    "J. R. R. Tolkien, the U.S.A., e.g. at 5 p.m.; A B C D, a-b-c-d, x y z; W. H. O.; F.B.I.",
    "Kings Louis XVIII and Henry VIII; www.example.org; hmmm, shhh, zzz; AAA; !!! ??? ... *** ###",
    "The price** rose*; a total*** (see note #3) C# and C++ at 100 µm, 5 kΩ, α-helix, Δx, π r²",
    "naïve café, Zoë Müller, señor, Łódź, Đorđe, Ågåtå; ½ ™ © ® № 1º 2ª ﬁne",
    "t-shirt, x-ray, e-mail, co-op, self-made, T-Rex, A-team, f-stop, on-us, I_do",
    "Они сказали: это хорошо. Сор, кот, рот, сосок, нет.",
    "Γειά σου, το νερό και το αυτό.",
    "Ich möchte Grüße übermitteln: Schifffahrt, Flussschiff, Bettttuch. Müßiggang!",
    "Ça c’était l’été à Nîmes, où Noël fut très gai; il pétait le feu.",
    "¿Qué más? ¡Olé! El niño está aquí, señorita; año nuevo. ¡Idiomas!",
    "İstanbul'da ılık bir gün; Đà Nẵng, Tiếng Việt; ẹ̀kọ́ Yorùbá",
    "ＮＨＫは東京にある。これはＯＫです。",
    "می\u200cخواهم، नमस्ते क\u094d\u200dष, 👨\u200d👩\u200d👧 🌞 ☕",
]


@pytest.mark.parametrize("text", CLEAN)
def test_clean_text_stays(text: str) -> None:
    assert normalise(text) == text


def test_code_and_prose_of_this_package_stay() -> None:
    files = [*(ROOT / "src").rglob("*.py"), ROOT / "README.md", ROOT / "LOG.md"]
    texts = [file.read_text(encoding="utf-8") for file in files if "texts" not in file.parts]
    lines = [line for text in texts for line in text.splitlines()]
    assert len(lines) > 10_000
    assert [line for line in lines if normalise(line) != line] == []


def test_real_clean_text_stays(data_dir: Path) -> None:
    for name, least in (("wikitext2_test", 1_000), ("novels", 5_000)):
        lines = first_lines(data_dir / "text" / f"{name}.txt.gz", least)
        changed = [line for line in lines if normalise(line) != line]
        assert len(lines) == least
        assert len(changed) == 0


def test_calm_prompts_change_only_by_soft_hyphens_and_masks(data_dir: Path) -> None:
    path = data_dir / "real_toxicity_prompts" / "rtp_destein_no_toxic_5k.jsonl.gz"
    texts = [json.loads(line)["prompt"]["text"] for line in first_lines(path, 5_000)]
    changed = [text for text in texts if normalise(text) != text]
    assert len(changed) < len(texts) / 500
    assert all("\u00ad" in text or "**" in text for text in changed)


def test_german_stays_but_for_its_own_tricks(data_dir: Path) -> None:
    path = data_dir / "multilingual" / "gahd_german"
    (file,) = sorted(path.glob("*.csv.gz"))[:1]
    with gzip.open(file, "rt", encoding="utf-8", newline="") as rows:
        texts = [row["text"] for row in csv.DictReader(rows)][:2_000]
    changed = [text for text in texts if normalise(text) != text]
    assert len(changed) <= len(texts) / 100


def first_lines(path: Path, count: int) -> list[str]:
    def lines() -> Iterator[str]:
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
            yield from file

    return [line for line, _ in zip(lines(), range(count), strict=False)]


def test_twice_is_as_once() -> None:
    for text in ["You f o o l, you 1d10t!", "f*ckin f***", "you🤡"]:
        assert normalise(normalise(text)) == normalise(text)


def test_odd_input_does_no_harm() -> None:
    for text in ["", " ", "\ud83d", "*" * 1000, "a" * 10_000, "1" * 100, "a\x00b", "@", "\u0301"]:
        assert isinstance(normalise(text), str)


def a_list(*words: tuple[str, int, int]) -> WordList:
    rows = sorted((word_hash(word), rudeness, bits) for word, rudeness, bits in words)
    hashes, rudeness, bits = zip(*rows, strict=True)
    return WordList(
        np.array(hashes, dtype=np.uint64),
        np.array(rudeness, dtype=np.uint8),
        np.array(bits, dtype=np.uint8),
    )


def test_of_two_readings_the_rude_one_wins_and_else_the_frequent_one() -> None:
    words = a_list(("fool", 70, 50), ("foul", 65, 90), ("foil", 5, 20), ("fowl", 6, 40))
    found = words.best(["f", "o", "uoiw", "l"])
    assert found == ("fool", 0.7, 5.0)
    assert words.best("foil") == ("foil", 0.05, 2.0)
    assert words.best(["f", "o", "iw", "l"]) == ("fowl", 0.06, 4.0)
    assert words.best(["f", "o", "iw", "l"], least=0.5) is None
    assert words.best(["f", "o", "x", "l"]) is None
    assert words.find("foo") is None


def test_too_many_spellings_are_not_tried() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert a_list(("fool", 70, 50)).best([letters] * 5) is None
    assert a_list(("fool", 70, 50)).best(["f", *[letters] * 3]) == ("fool", 0.7, 5.0)


def test_the_list_of_words_holds_no_word() -> None:
    file = ROOT / "src" / "detoxlab" / "assets" / "words" / "words.npz"
    assert file.stat().st_size < 400_000
    assert b"fool" not in file.read_bytes()
    assert word_list().find("fool") is not None
    assert word_list().find("qzxjk") is None


def test_letters_in_a_row_are_read_by_frequency() -> None:
    assert segments("youareafool") == ("you", "are", "a", "fool")
    assert segments("qfool") == ("q", "fool")
