"""Texts that name groups and are harmless, by people's labels: negatives for human-neural.

    python scripts/harmless_mentions.py --data DIR --out FILE.csv

Dynamically generated hate (its texts for training) and the Implicit Hate Corpus say of a text that
it is no hate; it may be rude nevertheless. So texts with a word that people marked as toxic in at
least half of the comments of Toxic Spans that have it are left out. What remains is called
harmless. Hateful texts of the two sets are not taken.
"""

import argparse
import csv
import gzip
import re
from ast import literal_eval
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from detoxlab.data import load_labelled

WORD = re.compile(r"[a-z']+")
FEWEST, SHARE = 3, 0.5
GROUPS = re.compile(
    r"\b(wom[ae]n|girls?|females?|black|africans?|asians?|arabs?|muslims?|islam\w*|jews?|jewish|"
    r"gays?|lesbians?|lgbt\w*|queer|trans|transgender\w*|immigrants?|migrants?|refugees?|foreign\w*|latin[oa]s?|"
    r"mexicans?|indians?|chinese|disab\w+|autis\w+|blind|deaf|christians?|hindus?|whites?|minorit\w+)\b",
    re.IGNORECASE,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    arguments = parser.parse_args()
    rude = rude_words(_marked(arguments.data / "hate" / "toxic_spans"))
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "set"])
        for name, texts in _not_hateful(arguments.data).items():
            kept = [one for one in texts if is_harmless_mention(one, rude)]
            table.writerows([one, name] for one in kept)
            print(f"{name}: {len(kept)} of {len(texts)} texts name a group without a rude word")


def is_harmless_mention(text: str, rude: frozenset[str]) -> bool:
    """Whether a text names a group and has no rude word."""
    return bool(GROUPS.search(text)) and rude.isdisjoint(_words(text))


def rude_words(marked: Iterable[tuple[str, list[int]]]) -> frozenset[str]:
    """The words that people marked in at least half of the comments that have them.

    Each comment comes with the places of its marked characters. A word counts once per comment,
    and must stand in three.

    >>> sorted(rude_words([("you fool", [4, 5, 6, 7])] * 3))
    ['fool']
    """
    seen, inside = Counter[str](), Counter[str]()
    for text, places in marked:
        chosen = set(places)
        found = {(one.group(), one.start() in chosen) for one in WORD.finditer(text.lower())}
        seen.update({word for word, _ in found})
        inside.update({word for word, is_marked in found if is_marked})
    return frozenset(w for w, n in inside.items() if seen[w] >= FEWEST and n >= SHARE * seen[w])


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))


def _marked(folder: Path) -> Iterator[tuple[str, list[int]]]:
    with gzip.open(folder / "tsd_train.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["text"], literal_eval(row["spans"])


def _not_hateful(data: Path) -> dict[str, list[str]]:
    """The texts of both sets that people called no hate."""
    generated = load_labelled("dghs", path=data / "hate" / "dghs" / "dynbert_train.txt.gz")
    implicit = load_labelled(
        str(data / "hate_and_offence" / "implicit_hate.json.gz"),
        columns={"text": "text", "label": "label"},
    )
    return {
        "dghs": [one.text for one in generated if one.meta["label"] == "nothate"],
        "implicit": [one.text for one in implicit if one.meta["label"] == "neutral"],
    }


if __name__ == "__main__":
    main()
