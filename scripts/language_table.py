"""Builds the table by which languages are told apart.

    pip install wordfreq==3.1.1 stopwordsiso==0.7.1 Django==5.2.19
    python scripts/language_table.py --out src/detoxlab/assets/languages/languages.npz

Frequencies of words come from wordfreq (CC BY-SA 4.0). Languages that it lacks get their words
from the translations of Django (BSD, every other message) and the lists of stopwords-iso (MIT).
Hindi, Russian and Greek are also written in Latin letters, by rule (`romanise.py`). A minute on
one core; the same file every time.
"""

import argparse
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import django
import numpy as np
import romanise
import stopwordsiso
import wordfreq

from detoxlab.measures.writing.languages import (
    TRIGRAM_BITS,
    TRIGRAM_STEP,
    WORD_STEP,
    distinct_words,
    letter_codes,
    trigram_buckets,
    word_hash,
)

Frequencies = dict[str, float]

FREQUENT = (
    "ar bg ca cs da de en es fa fi fil fr hi hu id is it lt lv mk ms nb nl pl pt ro ru sh sk sl sv "
    "tr uk ur vi"
)
TRANSLATED = "af az be br cy eo et eu ga gd ha kk ky la mn mr ne os so sq sw tg tk tt uz yo zu"
SPELLED = 20_000  # the words of a language whose letters are counted
LISTED = 3_000
LISTED_ENGLISH = 15_000  # so that misspelt and rare words do not look foreign
RAREST = 9.0  # nats of the unlikeliest letter
MESSAGE = re.compile(r'^msgstr(?:\[\d\])? ((?:"(?:[^"\\]|\\.)*"\s*)+)', re.MULTILINE)
FIELDS = re.compile(r"%\(\w+\)[sdi]|%[sdi]|\{[^}]*\}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    out = parser.parse_args().out
    languages = all_languages()
    codes = sorted(languages)
    trigrams_VL = np.stack([trigram_steps(languages[code]) for code in codes], axis=1)
    entries: dict[int, dict[int, int]] = defaultdict(dict)
    for column, code in enumerate(codes):
        for word, frequency in listed(code, languages[code]):
            step = round(-float(np.log(frequency)) * WORD_STEP)
            row = entries[word_hash(word)]
            row[column] = min(row.get(column, 255), step, 255)
    out.parent.mkdir(parents=True, exist_ok=True)
    hashes = sorted(entries)
    np.savez_compressed(
        out,
        codes=np.array(codes),
        hashes=np.array(hashes, dtype=np.uint32),
        counts=np.array([len(entries[one]) for one in hashes], dtype=np.uint8),
        owners=np.array([column for one in hashes for column in entries[one]], dtype=np.uint8),
        bits=np.array([step for one in hashes for step in entries[one].values()], dtype=np.uint8),
        trigrams=trigrams_VL,
    )
    print(f"{len(codes)} languages, {len(hashes):,} words, {out.stat().st_size / 1e6:.2f} MB")


def all_languages() -> dict[str, Frequencies]:
    """The words of every language with their frequencies, the commonest first."""
    found = {code: frequent(code) for code in FREQUENT.split()}
    found |= {code: translated(code) for code in TRANSLATED.split()}
    serbian = ((romanise.serbian(word), share) for word, share in found["sh"].items())
    found["sr"] = commonest(serbian)
    found["hi-Latn"] = rewritten(found["hi"], romanise.hindi)
    found["ru-Latn"] = rewritten(found["ru"], romanise.russian)
    found["el-Latn"] = rewritten(frequent("el"), romanise.greek)
    return found


def frequent(code: str) -> Frequencies:
    """The words of wordfreq."""
    rows = wordfreq.get_frequency_dict(code, "best").items()
    return commonest((word, share) for word, share in rows if distinct_words(word) == [word])


def translated(code: str) -> Frequencies:
    """Half of the weight on the words of translated messages, half on a list of stop words."""
    words = Counter(word for text in messages(code)[::2] for word in distinct_words(text))
    stop = stopwordsiso.stopwords(code) if stopwordsiso.has_lang(code) else ()
    stop = sorted({word.lower() for word in stop if distinct_words(word) == [word.lower()]})
    rows = [(word, 0.5 * count / words.total()) for word, count in sorted(words.items())]
    return commonest(rows + [(word, 0.5 / len(stop)) for word in stop])


def messages(code: str) -> list[str]:
    """The translated messages of Django in a language, without their fields."""
    found: dict[str, None] = {}
    for path in sorted(Path(django.__file__).parent.glob(f"**/locale/{code}/**/django*.po")):
        for entry in path.read_text(encoding="utf-8").split("\n\n")[1:]:
            for match in () if "#, fuzzy" in entry else MESSAGE.finditer(entry):
                parts = re.findall(r'"(?:[^"\\]|\\.)*"', match[1])
                text = "".join(json.loads(part) for part in parts)
                found[FIELDS.sub(" ", text)] = None
    return [text for text in found if text.strip()]


def rewritten(words: Frequencies, write: Callable[[str, random.Random], str]) -> Frequencies:
    """The words in Latin letters: each three times, as its spelling varies."""
    rng = random.Random(1)
    return commonest(
        (write(word, rng), share / 3) for word, share in words.items() for _ in range(3)
    )


def commonest(rows: Iterable[tuple[str, float]]) -> Frequencies:
    """The commonest words with shares that sum to one."""
    sums: Counter[str] = Counter()
    for word, share in rows:
        sums[word] += share
    del sums[""]
    kept = sorted(sums.items(), key=lambda row: (-row[1], row[0]))[:SPELLED]
    total = sum(share for _, share in kept)
    return {word: share / total for word, share in kept}


def listed(code: str, words: Frequencies) -> list[tuple[str, float]]:
    """The words that are listed with their frequencies."""
    return list(words.items())[: LISTED_ENGLISH if code == "en" else LISTED]


def trigram_steps(words: Frequencies) -> np.ndarray:
    """(V,) -ln P(letter | two letters before), in steps, by the bucket of the three letters.

    Words weigh by the root of their frequency. Counts are smoothed by those of shorter contexts
    (Witten and Bell 1991); of trigrams in one bucket the likelier counts.
    """
    weights = np.sqrt(np.array(list(words.values())))
    weights /= weights.mean()
    codes = letter_codes(words)
    lengths = np.array([len(word) + 1 for word in words])
    real = codes[2:] != 2
    triples = zip(
        trigram_buckets(codes)[real].tolist(),
        codes[:-2][real].tolist(),
        codes[1:-1][real].tolist(),
        codes[2:][real].tolist(),
        np.repeat(weights, lengths).tolist(),
        strict=True,
    )
    counts: dict[tuple[int, ...], float] = defaultdict(float)
    buckets: dict[tuple[int, int, int], int] = {}
    for bucket, first, second, third, weight in triples:
        buckets[first, second, third] = bucket
        for gram in ((first, second, third), (second, third), (third,)):
            counts[gram] += weight
    totals: dict[tuple[int, ...], float] = defaultdict(float)
    kinds: Counter[tuple[int, ...]] = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
        kinds[gram[:-1]] += 1

    def chance(gram: tuple[int, ...]) -> float:
        if len(gram) == 1:
            return counts[gram] / totals[()]
        context = gram[:-1]
        shorter = kinds[context] * chance(gram[1:])
        return (counts[gram] + shorter) / (totals[context] + kinds[context])

    steps_V = np.full(1 << TRIGRAM_BITS, round(RAREST * TRIGRAM_STEP), dtype=np.int64)
    for gram, bucket in buckets.items():
        step = round(-float(np.log(chance(gram))) * TRIGRAM_STEP)
        steps_V[bucket] = min(steps_V[bucket], step)
    return steps_V.clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
