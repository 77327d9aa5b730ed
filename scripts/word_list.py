"""Builds the list of hashed words by which odd spellings are read.

    python scripts/word_list.py --data DIR --out src/detoxlab/assets/words/words.npz

A word is in the list when several texts of one source hold it. Its rudeness is the mean toxicity
that `rtp-neural` gives it alone, after "you" and after "they are"; words of novels alone have
none. Sources: RealToxicityPrompts (training texts only, Apache-2.0), WikiText-2 (CC-BY-SA), novels
(public domain), toxic spans, EDOS and ParaDetox (CC0), dynamically generated hate (CC-BY).
Two minutes on one core.
"""

import argparse
import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from scorer_corpus import read_corpus, split_corpus

from detoxlab.scorers import load_scorer
from detoxlab.scorers.texts.words import LONGEST, word_hash

WORD = re.compile(r"(?<![a-z'])[a-z]+(?![a-z])")
CARRIERS = ("{}", "you {}", "they are {}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    arguments = parser.parse_args()
    literary, spoken = _counted(_literary(arguments.data)), _counted(_spoken(arguments.data))
    counts = literary + spoken
    words = sorted(counts, key=word_hash)
    rudeness_W = rudeness(words) * np.array([word in spoken for word in words])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        arguments.out,
        hashes=np.array([word_hash(word) for word in words], dtype=np.uint64),
        rudeness=np.round(100 * rudeness_W).astype(np.uint8),
        bits=np.round(10 * np.log2([counts[word] for word in words])).astype(np.uint8),
    )
    print(f"{len(words):,} words, {int((rudeness_W >= 0.6).sum()):,} of them rude")


def rudeness(words: list[str]) -> np.ndarray:
    """(W,) mean toxicity of each word in its carriers."""
    scorer = load_scorer("rtp-neural", cache=False)
    carried = [scorer([carrier.format(word) for word in words])[:, 0] for carrier in CARRIERS]
    return np.mean(carried, axis=0)


def _counted(sources: Iterable[tuple[Iterable[str], int]]) -> Counter[str]:
    """The words that at least so many texts of a source hold, with their numbers of texts."""
    total = Counter[str]()
    for texts, least in sources:
        counts = Counter(word for text in texts for word in set(WORD.findall(text.lower())))
        total.update({w: n for w, n in counts.items() if n >= least and 2 <= len(w) <= LONGEST})
    return total


def _literary(data: Path) -> Iterator[tuple[Iterable[str], int]]:
    yield _lines(data / "text" / "novels.txt.gz"), 3
    yield _lines(data / "text" / "wikitext2_valid.txt.gz"), 2


def _spoken(data: Path) -> Iterator[tuple[Iterable[str], int]]:
    split = split_corpus(read_corpus(data))
    yield [text.text for text in split.linear + split.neural], 2
    yield _column(data / "hate" / "toxic_spans" / "tsd_train.csv.gz", "text"), 3
    yield _column(data / "hate" / "edos_sexism" / "edos_labelled_aggregated.csv.gz", "text"), 3
    yield _lines(data / "hate" / "dghs" / "dynbert_train.txt.gz"), 3
    rows = _lines(data / "hate_and_offence" / "paradetox.tsv.gz")
    yield (row.partition("\t")[0] for row in rows), 3


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="\n") as lines:
        yield from lines


def _column(path: Path, name: str) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            yield row[name]


if __name__ == "__main__":
    main()
