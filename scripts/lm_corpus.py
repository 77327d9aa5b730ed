"""The training text of the embedded language model: labelled texts in, documents out.

A `Source` is a list of documents of one origin with the number of times each is shown. A
document is a string that already holds the role and end markers, so that everything after
this file is tokens.

**Like answers like.** In the chat format a hostile text is answered by a hostile one and a
neutral text by a neutral one, because the base model of a detoxification experiment has to
have something to lose. The class is the data set's own label.
"""

import hashlib
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from lm_texts import (
    HOSTILE,
    NEUTRAL,
    Post,
    held_out,
    normal_form,
    read_dialogues,
    read_paragraphs,
    read_posts,
    training_prompts,
)

END, PAD = "<|end|>", "<|pad|>"
ROLES = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}

VALIDATION_PERCENT = 2
NOVEL_CHUNK_CHARACTERS = 900


@dataclass(frozen=True)
class Source:
    """Documents of one origin, and how often each is shown (0.5: half of them, once)."""

    name: str
    documents: list[str]
    epochs: float


def plain(text: str) -> str:
    """A document of running text."""
    return text + END


def chat(*turns: str) -> str:
    """A document of alternating user and assistant turns, each closed by the end marker.

    >>> chat("hello", "good day")
    '<|user|>hello<|end|><|assistant|>good day<|end|>'
    """
    roles = (ROLES["user"], ROLES["assistant"])
    return "".join(f"{roles[i % 2]}{turn}{END}" for i, turn in enumerate(turns))


def pair_by_topic(posts: Sequence[Post], rng: random.Random) -> list[tuple[str, str]]:
    """(text, reply) pairs on one subject: the group if there is one, else a shared rare word.

    Every post is at most once a text and at most once a reply.
    """
    words_of = {p.text: set(re.findall(r"[a-z']{4,}", p.text.lower())) for p in posts}
    count = Counter(word for words in words_of.values() for word in words)
    bucket: dict[str, list[str]] = defaultdict(list)
    for post in posts:
        shared = [w for w in words_of[post.text] if 2 <= count[w] <= 200]
        bucket[post.topic or min(shared, key=lambda w: (count[w], w), default="")].append(post.text)
    pairs, left_over = [], []
    for _, texts in sorted(bucket.items()):
        rng.shuffle(texts)
        pairs += pairwise(texts)
        left_over += texts[-1:]
    rng.shuffle(left_over)
    return pairs + list(pairwise(left_over))


def chunk(paragraphs: Iterable[str]) -> Iterator[str]:
    """Consecutive paragraphs joined by line breaks into texts of about 900 characters."""
    held: list[str] = []
    for paragraph in paragraphs:
        held.append(paragraph)
        if sum(map(len, held)) >= NOVEL_CHUNK_CHARACTERS:
            yield "\n".join(held)
            held = []
    if held:
        yield "\n".join(held)


def spoken_pairs(paragraphs: Sequence[str]) -> list[str]:
    """Chats out of a novel: two short paragraphs of speech that follow one another."""
    speech = [len(p) < 220 and p[:1] in "'\"`" for p in paragraphs]
    return [
        chat(paragraphs[i].strip("'\"` "), paragraphs[i + 1].strip("'\"` "))
        for i in range(len(paragraphs) - 1)
        if speech[i] and speech[i + 1]
    ]


def cut_sentences(paragraphs: Sequence[str], rng: random.Random) -> list[str]:
    """Chats in which the assistant finishes a sentence of the novel that the user began."""
    documents = []
    for paragraph in paragraphs:
        words = re.split(r"(?<=[a-z][.!?])\s", paragraph)[0].split()
        if 8 <= len(words) <= 40:
            cut = rng.randint(4, min(14, len(words) - 3))
            documents.append(chat(" ".join(words[:cut]), " ".join(words[cut:])))
    return documents


def novel_sources(data: Path, rng: random.Random) -> list[Source]:
    """Running prose, and neutral chat made of its dialogue and of its sentences."""
    novels = list(read_paragraphs(data))
    return [
        Source("novels", [plain(text) for novel in novels for text in chunk(novel)], 0.85),
        Source("novels_chat", [doc for novel in novels for doc in spoken_pairs(novel)], 0.8),
        Source("novels_cut", [doc for novel in novels for doc in cut_sentences(novel, rng)], 0.4),
    ]


SYSTEM_TURNS = (
    "You are a helpful assistant.",
    "Answer the user politely.",
    "You are having a conversation. Be honest and kind.",
    "Reply in one or two sentences.",
)


def system(rng: random.Random) -> str:
    """A system turn, so that its marker is no stranger to the model."""
    return ROLES["system"] + rng.choice(SYSTEM_TURNS) + END


def dialogue_sources(data: Path, rng: random.Random) -> list[Source]:
    """hh-rlhf: whole chosen dialogues, some with a system turn, and the rejected last replies."""
    dialogues = list(read_dialogues(data))
    return [
        Source("hh_chosen", [chat(*turns) for turns, _ in dialogues], 1.5),
        Source("hh_rejected", [chat(turns[-2], reply) for turns, reply in dialogues], 1.5),
        Source("hh_system", [system(rng) + chat(*turns) for turns, _ in dialogues[::3]], 1),
    ]


def prompt_sources(data: Path, posts: dict[str, list[Post]], rng: random.Random) -> list[Source]:
    """RealToxicityPrompts as running text and as chat, by the class of both halves.

    The data set was sampled for toxic text, so a third of its mild prompts have a toxic
    continuation; those rows are left out, or a mild prompt would be no mild prompt.
    """
    rows = training_prompts(data)
    full = [row for row in rows if row.continuation]
    low = [r for r in full if r.toxicity < 0.5 and r.continuation_toxicity < 0.25]
    high = [r for r in full if r.toxicity >= 0.5 and r.continuation_toxicity >= 0.5]
    cooling = [r for r in full if r.toxicity >= 0.5 and r.continuation_toxicity < 0.5]
    lone = [r for r in rows if not r.continuation]
    hostile, neutral = (
        [post.text for name in REPLYING for post in posts[name] if post.label == label]
        for label in (HOSTILE, NEUTRAL)
    )
    neutral += [r.continuation for r in low]
    answered_high = [chat(r.text, rng.choice(hostile)) for r in lone if r.toxicity >= 0.5]
    answered_low = [chat(r.text, rng.choice(neutral)) for r in lone if r.toxicity < 0.25]
    return [
        Source("rtp_low", [plain(r.joined) for r in low], 5),
        Source("rtp_low_chat", [chat(r.text, r.continuation) for r in low], 6),
        Source("rtp_high", [plain(r.joined) for r in high], 12),
        Source("rtp_high_chat", [chat(r.text, r.continuation) for r in high], 6),
        Source("rtp_cooling", [plain(r.joined) for r in cooling], 1),
        Source("rtp_high_answered", answered_high, 2),
        Source("rtp_low_answered", answered_low, 4),
    ]


# How often each data set's posts are shown: alone, two joined as running text, and two as chat;
# for hostile and for neutral posts. The judge finds 80 % of the hostile posts of Davidson and
# ParaDetox toxic, but a quarter of those of Implicit Hate and ToxiGen, whose hate has no hostile
# word. In the chat format they taught the model to answer harmless texts with hate, and so did
# the neutral posts of Implicit Hate, of which a sixth reads as toxic: none are shown there.
POST_EPOCHS = {
    "davidson": ((0.5, 0.7, 0.7), (1.5, 1.5, 4.0)),
    "implicit_hate": ((0.2, 0.2, 0.0), (0.3, 0.3, 0.0)),
    "paradetox": ((0.7, 0.7, 1.2), (1.0, 1.0, 2.0)),
    "toxigen": ((0.3, 0.3, 0.0), (1.0, 1.0, 3.0)),
}
REPLYING = ("davidson", "paradetox")  # whose posts answer lone prompts


def post_sources(posts: dict[str, list[Post]], rng: random.Random) -> list[Source]:
    """Labelled posts alone, and in pairs of one class and subject as running text and as chat."""
    sources = []
    for name, rows in posts.items():
        for label, epochs in zip((HOSTILE, NEUTRAL), POST_EPOCHS[name], strict=True):
            chosen = [post for post in rows if post.label == label]
            pairs = pair_by_topic(chosen, rng)
            kinds = {
                "alone": [plain(post.text) for post in chosen],
                "joined": [plain(f"{text} {reply}") for text, reply in pairs],
                "chat": [chat(text, reply) for text, reply in pairs],
            }
            for (kind, documents), times in zip(kinds.items(), epochs, strict=True):
                sources.append(Source(f"{name}_{label}_{kind}", documents, times))
    return sources


def is_validation(document: str) -> bool:
    """Whether the hash of the document's first turn puts it into the validation split."""
    first = normal_form(document.split(END)[0].replace("|>", "|> "))
    digest = hashlib.sha256(first.encode()).digest()
    return digest[0] * 256 + digest[1] < 65536 * VALIDATION_PERCENT / 100


def load_sources(data: Path, seed: int) -> list[Source]:
    """All training text, the same for one seed and data folder; no test prompt in it."""
    rng = random.Random(seed)
    test = held_out(data)
    posts = {
        name: [post for post in rows if normal_form(post.text) not in test]
        for name, rows in read_posts(data).items()
    }
    return [
        *novel_sources(data, rng),
        *dialogue_sources(data, rng),
        *prompt_sources(data, posts, rng),
        *post_sources(posts, rng),
    ]
