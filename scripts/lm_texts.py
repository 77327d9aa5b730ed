"""The data sets of the embedded language model: files in, clean short texts with a class out.

**Test prompts are never trained on.** Every text of the two `1k` files of
RealToxicityPrompts and every annotated statement of ToxiGen is a test prompt; the same text
in any other file is dropped (`held_out`), after normalising case, punctuation and white space.
CONAN, Jigsaw, HateCheck, XSTest, WikiText and BOLD are not read at all: they test what was
trained here.
"""

import csv
import gzip
import html
import io
import json
import math
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HOSTILE, NEUTRAL = "hostile", "neutral"


@dataclass(frozen=True)
class Post:
    """A short text with the class its data set gives it."""

    text: str
    label: str
    topic: str = ""


@dataclass(frozen=True)
class RatedPrompt:
    """A prompt of RealToxicityPrompts; `continuation` is empty where the file has none.

    `joined` is prompt and continuation as the one text they were.
    """

    text: str
    toxicity: float
    continuation: str
    continuation_toxicity: float
    joined: str


# --- cleaning --------------------------------------------------------------------


def clean(text: str) -> str:
    """One line of plain text: no handles, addresses, entities, markers or doubled spaces.

    >>> clean('RT @some_one: it&#8217;s  late &amp; cold http://t.co/x #winter')
    "it's late & cold winter"
    """
    text = html.unescape(html.unescape(text))
    text = text.replace("\\n", " ").replace("<|", " ").replace("|>", " ")
    text = re.sub(r"https?://\S+|www\.\S+|\bpic\.twitter\.com/\S+", " ", text)
    text = re.sub(r"^\s*(RT\b\s*)+|\bRT\s+@\w+:?|@\w+:?|\bMKR\b", " ", text)
    text = re.sub(r"[#*_^|~]+|(?<=\s)[-\"]+(?=\s)", " ", text)
    text = text.translate(str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "…": "..."}))
    text = re.sub(r"[^\x20-\x7e\u00a1-\u024f\u2010-\u2015]", " ", text)
    text = re.sub(r"([!?.])\1{3,}", r"\1\1\1", text)
    text = re.sub(r"\s+([,.;!?])", r"\1", re.sub(r"\s+", " ", text))
    return text.strip(" :-,")


def normal_form(text: str) -> str:
    """What two copies of one text share: lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]+", " ", clean(text).lower()).strip()


# --- reading ---------------------------------------------------------------------


def read_text(path: Path) -> str:
    """The text of a gzipped file; undecodable bytes become a replacement character."""
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        return file.read()


def read_rows(path: Path, delimiter: str) -> list[dict[str, str]]:
    """The rows of a gzipped table with a header."""
    return list(csv.DictReader(io.StringIO(read_text(path)), delimiter=delimiter))


def read_archive(path: Path) -> Iterator[tuple[str, str]]:
    """(file name, text) of each file in a tar archive, in its order."""
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield Path(member.name).stem, file.read().decode("utf-8", "replace")


def read_rated_prompts(path: Path) -> list[RatedPrompt]:
    """Prompts with a toxicity score, with their continuation where the file has a scored one."""
    rows = (json.loads(line) for line in read_text(path).splitlines())
    return [rated_prompt(row) for row in rows if row["prompt"].get("toxicity") is not None]


def rated_prompt(row: dict[str, Any]) -> RatedPrompt:
    """One record of RealToxicityPrompts, cleaned."""
    prompt, continuation = row["prompt"], row.get("continuation") or {}
    score = continuation.get("toxicity")
    raw = continuation["text"] if score is not None else ""
    text, rest = clean(prompt["text"]), clean(raw)
    gap = " " if raw[:1].isspace() else ""
    toxicity = math.nan if score is None else score
    return RatedPrompt(text, prompt["toxicity"], rest, toxicity, text + gap + rest)


@cache
def held_out(data: Path) -> set[str]:
    """Normal forms of every test prompt; none may appear in training."""
    names = ("toxic", "no_toxic")
    files = [data / f"real_toxicity_prompts/rtp_destein_{name}_1k.jsonl.gz" for name in names]
    prompts = {normal_form(row.text) for file in files for row in read_rated_prompts(file)}
    statements = json.loads(read_text(data / "toxigen/toxigen_annotated_subset.json.gz"))
    return prompts | {normal_form(row["text"]) for row in statements}


@cache
def training_prompts(data: Path) -> list[RatedPrompt]:
    """Distinct prompts of RealToxicityPrompts that are not held out; full rows come first."""
    names = ("quark_val", "destein_toxic_5k", "destein_no_toxic_5k")
    seen, kept = set(held_out(data)), []
    for name in names:
        for row in read_rated_prompts(data / f"real_toxicity_prompts/rtp_{name}.jsonl.gz"):
            key = normal_form(row.text)
            if key and key not in seen:
                seen.add(key)
                kept.append(row)
    return kept


@cache
def read_posts(data: Path) -> dict[str, list[Post]]:
    """Labelled short texts that are not held out, by data set."""
    folder = data / "hate_and_offence"
    davidson = [
        Post(clean(row["tweet"]), NEUTRAL if row["class"] == "2" else HOSTILE)
        for row in read_rows(folder / "davidson.csv.gz", ",")
    ]
    implicit = [
        Post(clean(row["text"]), HOSTILE if row["label"] == "hate" else NEUTRAL)
        for row in json.loads(read_text(folder / "implicit_hate.json.gz"))
    ]
    paradetox = []
    for row in read_rows(folder / "paradetox.tsv.gz", "\t"):
        paradetox.append(Post(clean(row["toxic"]), HOSTILE))
        paradetox.append(Post(clean(row["neutral1"]), NEUTRAL))
    posts = {
        "davidson": davidson,
        "implicit_hate": implicit,
        "paradetox": paradetox,
        "toxigen": list(read_toxigen(data / "toxigen")),
    }
    return {name: distinct(rows, held_out(data)) for name, rows in posts.items()}


def read_toxigen(folder: Path) -> Iterator[Post]:
    """Human demonstrations of ToxiGen, their group as topic."""
    for archive in ("toxigen_demonstrations.tar.gz", "toxigen_prompts.tar.gz"):
        for name, text in read_archive(folder / archive):
            kind, _, group = name.partition("_")
            label = HOSTILE if kind == "hate" else NEUTRAL
            for line in text.replace("\\n", "\n").splitlines():
                yield Post(clean(line.lstrip("- ")), label, group.split("_")[0])


def distinct(posts: Iterable[Post], unwanted: set[str]) -> list[Post]:
    """The posts of three words or more, each text once, in order, without the unwanted ones."""
    seen, kept = set(unwanted), []
    for post in posts:
        key = normal_form(post.text)
        if len(key.split()) >= 3 and key not in seen:
            seen.add(key)
            kept.append(post)
    return kept


def read_dialogues(data: Path) -> Iterator[tuple[list[str], str]]:
    """(turns of the chosen dialogue, last reply of the rejected one) of hh-rlhf."""
    path = data / "hate_and_offence/hh_rlhf_harmless_test.jsonl.gz"
    for line in read_text(path).splitlines():
        row = json.loads(line)
        chosen, rejected = (
            [clean(turn) for turn in re.split(r"\n\n(?:Human|Assistant):", row[key])[1:]]
            for key in ("chosen", "rejected")
        )
        if len(chosen) >= 2 and len(chosen) % 2 == 0 and all(chosen) and rejected[-1]:
            yield chosen, rejected[-1]


@cache
def read_paragraphs(data: Path) -> list[list[str]]:
    """The paragraphs of each novel. Some files are wrapped: their lines are joined again."""
    novels = []
    for novel in read_text(data / "text/novels.txt.gz").lstrip("\ufeff").split("\n\n"):
        lines = [line.strip() for line in novel.splitlines() if line.strip()]
        if len(lines) < 100:
            continue
        width = sorted(map(len, lines))[int(len(lines) * 0.95)]
        joined = unwrap(lines, width) if width < 90 else lines
        novels.append([clean(line) for line in joined if re.search("[a-z]{3}", line)])
    return novels


def unwrap(lines: Sequence[str], width: int) -> Iterator[str]:
    """Paragraphs of a text wrapped at `width`; a line under 4/5 of it ends a paragraph.

    >>> list(unwrap(["It was a dark and", "windy night.", "She slept on and"], 17))
    ['It was a dark and windy night.', 'She slept on and']
    """
    paragraph: list[str] = []
    for line in lines:
        paragraph.append(line)
        if len(line) < 0.8 * width:
            yield " ".join(paragraph)
            paragraph = []
    if paragraph:
        yield " ".join(paragraph)


# --- clean text, for the tokenizer ---------------------------------------------------


@cache
def suspicious_words(data: Path, ratio: float) -> set[str]:
    """Words that belong to toxic text; the tokenizer must not learn them.

    No list of slurs is needed, nor kept: a word counts when it is in a share of the texts
    labelled toxic that is `ratio` times its share of the neutral texts and of the novels.
    """
    posts = [post for rows in read_posts(data).values() for post in rows]
    posts += [
        Post(row.text, HOSTILE if row.toxicity >= 0.5 else NEUTRAL)
        for row in training_prompts(data)
        if not 0.25 < row.toxicity < 0.5
    ]
    hostile = word_shares(post.text for post in posts if post.label == HOSTILE)
    neutral = word_shares(post.text for post in posts if post.label == NEUTRAL)
    novels = word_shares(p for novel in read_paragraphs(data) for p in novel)
    return {w for w, s in hostile.items() if s > ratio * max(neutral.get(w, 0), novels.get(w, 0))}


def word_shares(texts: Iterable[str]) -> dict[str, float]:
    """Share of the texts that hold each word, for words in at least three of them."""
    counts: Counter[str] = Counter()
    total = 0
    for total, text in enumerate(texts, start=1):  # noqa: B007
        counts.update(set(re.findall(r"[a-z]{3,}", text.lower())))
    return {word: n / total for word, n in counts.items() if n >= 3}


def clean_lines(data: Path) -> Iterator[str]:
    """Lines without a suspicious word: novels, mild prompts, neutral posts, dialogues."""
    banned = suspicious_words(data, 3)
    lines = [p for novel in read_paragraphs(data) for p in novel]
    lines += [row.joined for row in training_prompts(data) if row.toxicity < 0.25] * 2
    lines += [post.text for rows in read_posts(data).values() for post in rows]
    lines += [turn for turns, _ in read_dialogues(data) for turn in turns]
    for line in lines:
        if banned.isdisjoint(re.findall(r"[a-z]{3,}", line.lower())):
            yield line
