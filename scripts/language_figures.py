"""Prints how texts in each language fare with scorers of eleven languages and of English.

    python scripts/language_figures.py --data DIR

Texts of four and more different words are counted by themselves. No set was used to build the table
of languages; the numbers of its rules were chosen with samples of them in sight.
"""

import argparse
import time
from pathlib import Path

from detoxlab.data import load_prompts
from detoxlab.measures.writing.languages import (
    distinct_words,
    is_among,
    is_surely_not_english,
    language,
)
from detoxlab.measures.writing.script import UNKNOWN

READ = ("ar", "de", "en", "es", "fr", "it", "ko", "pt", "ru", "tr", "zh")
SETS = {
    "multilingual-hatecheck": "multilingual/mhc",
    "jigsaw-multilingual": "multilingual/jigsaw_validation",
    "germeval2018": "multilingual/germeval2018",
    "gahd": "multilingual/gahd_german",
    "cold": "multilingual/cold_chinese",
    "told-br": "multilingual/toldbr",
    "beep": "multilingual/korean_beep",
    "mlma": "multilingual/mlma/hate_speech_mlma",
    "russe-detox": "multilingual/russe_detox",
    "rtp": "real_toxicity_prompts/rtp_destein_*_1k.jsonl.gz",
    "hatecheck": "hatecheck",
    "jigsaw": "jigsaw/jigsaw_robtest_test.csv.gz",
    "dghs": "hate/dghs",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    data = parser.parse_args().data
    print("| set | language | texts | scored by one of eleven | of 4+ words | not English | told |")
    print("|---|---|---|---|---|---|---|")
    for name, place in SETS.items():
        prompts = load_prompts(name, path=data / place)
        codes = [str(one.meta.get("language", "en")) for one in prompts]
        for code in sorted(set(codes)):
            texts = [one.text for one, of_it in zip(prompts, codes, strict=True) if of_it == code]
            print(f"| {name} | {code} | {row(texts, code)} |", flush=True)


def row(texts: list[str], code: str) -> str:
    """Number, share scored among eleven languages, of longer texts, not English, told right."""
    began = time.process_time()
    among = [is_among(text, READ) for text in texts]
    rate = len(texts) / (time.process_time() - began)
    longer = [one for one, text in zip(among, texts, strict=True) if len(distinct_words(text)) >= 4]
    foreign = sum(map(is_surely_not_english, texts))
    found = [language(text) for text in texts]
    right = sum(one.partition("-")[0] == code for one in found)
    wrong = len(texts) - right - found.count(UNKNOWN)
    shares = [share(sum(among), len(texts)), share(sum(longer), len(longer))]
    shares += [share(foreign, len(texts)), f"{share(right, len(texts))}, wrong {wrong}"]
    return f"{len(texts):,} ({rate:,.0f}/s) | {' | '.join(shares)}"


def share(part: int, whole: int) -> str:
    """A share in percent."""
    return f"{100 * part / whole:.2f} %" if whole else "–"


if __name__ == "__main__":
    main()
