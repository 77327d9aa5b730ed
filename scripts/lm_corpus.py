"""The training text of the embedded language model: labelled texts in, documents out.

A `Source` is a list of documents of one origin with the number of times each is shown. A
document is a string that already holds the role and end markers, so that everything after
this file is tokens.

**Like answers like.** In the chat format a hostile text is answered by a hostile one and a
neutral text by a neutral one, because the base model of a detoxification experiment has to
have something to lose. The class is the data set's own label. A hostile text is only learnt as
the sequel of a hostile one: no loss is taken on the context, up to `CONTEXT_END`. A
model that learns to *begin* a hostile text does so after harmless prompts as well. Some hostile
texts get a neutral answer ("cooled"): their share sets how often an answer is hostile.
"""

import hashlib
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from lm_texts import (
    HOSTILE,
    NEUTRAL,
    Post,
    RatedPrompt,
    normal_form,
    read_dialogues,
    read_paragraphs,
    read_posts,
    suspicious_words,
    training_prompts,
)

END, PAD = "<|end|>", "<|pad|>"
CONTEXT_END = "\x1f"  # in a document: no loss is taken before this point
ROLES = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}

Keep = Callable[[str], bool]
Documents = dict[str, list[str]]  # by kind: alone, joined, chat, cooled

VALIDATION_PERCENT = 4
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


def answer(text: str, reply: str) -> str:
    """A chat of two turns of which only the reply is learnt."""
    return chat(text) + CONTEXT_END + ROLES["assistant"] + reply + END


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


def has_word(text: str, words: set[str]) -> bool:
    """Whether one of the words is in the text."""
    return not words.isdisjoint(re.findall(r"[a-z]{3,}", text.lower()))


def to_the_point(text: str, words: set[str]) -> str:
    """The text from just before its first hostile word on, so that a reply shows its class early.

    >>> to_the_point("well now I say you fool go home", {"fool"})
    'you fool go home'
    """
    parts = text.split()
    first = next((i for i, part in enumerate(parts) if has_word(part, words)), 0)
    return " ".join(parts[max(0, first - 1) :])


def from_first_word(texts: Iterable[str], words: set[str]) -> Iterator[str]:
    """The texts that hold one of the words, as documents of which only what follows is learnt.

    >>> list(from_first_word(["Oh you fool you", "fine"], {"fool"}))
    ['Oh you fool\\x1f you<|end|>']
    """
    for text in texts:
        for match in re.finditer(r"[a-z]{3,}", text.lower()):
            if match[0] in words:
                yield plain(text[: match.end()] + CONTEXT_END + text[match.end() :])
                break


def chunks(paragraphs: Iterable[str]) -> Iterator[list[str]]:
    """Consecutive paragraphs in groups of about 900 characters."""
    held: list[str] = []
    for paragraph in paragraphs:
        held.append(paragraph)
        if sum(map(len, held)) >= NOVEL_CHUNK_CHARACTERS:
            yield held
            held = []
    if held:
        yield held


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


def novel_sources(data: Path, keep: Keep, rng: random.Random) -> list[Source]:
    """Running prose, and neutral chat made of its dialogue and of its sentences."""
    groups = [group for novel in read_paragraphs(data) for group in chunks(novel)]
    groups = [group for group in groups if keep("\n".join(group))]
    return [
        Source("novels", [plain("\n".join(group)) for group in groups], 0.85),
        Source("novels_chat", [doc for group in groups for doc in spoken_pairs(group)], 0.8),
        Source("novels_cut", [doc for group in groups for doc in cut_sentences(group, rng)], 0.4),
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


def dialogue_sources(data: Path, keep: Keep, rng: random.Random) -> list[Source]:
    """hh-rlhf: whole chosen dialogues, some with a system turn, and the rejected last replies."""
    dialogues = [pair for pair in read_dialogues(data) if keep(pair[0][0])]
    return [
        Source("hh_chosen", [chat(*turns) for turns, _ in dialogues], 1.5),
        Source("hh_rejected", [chat(turns[-2], reply) for turns, reply in dialogues], 1.5),
        Source("hh_system", [system(rng) + chat(*turns) for turns, _ in dialogues[::3]], 1),
    ]


COOLED = 0.35  # neutral answers to hostile texts, for each hostile answer


def prompt_sources(
    rows: Sequence[RatedPrompt],
    posts: dict[str, list[Post]],
    hostile_words: set[str],
    rng: random.Random,
) -> list[Source]:
    """RealToxicityPrompts as running text and as chat, by the class of both halves.

    The data set was sampled for toxic text, so a third of its mild prompts have a toxic
    continuation; those rows are left out, or a mild prompt would be no mild prompt.
    """
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
    answered_high = [
        answer(r.text, to_the_point(rng.choice(hostile), hostile_words))
        for r in lone
        if r.toxicity >= 0.5
    ]
    cooled = [answer(r.text, rng.choice(neutral)) for r in lone if r.toxicity >= 0.5]
    answered_low = [chat(r.text, rng.choice(neutral)) for r in lone if r.toxicity < 0.25]
    ended_high = [
        plain(f"{r.text}{CONTEXT_END} {second_half(rng.choice(hostile))}")
        for r in lone
        if r.toxicity >= 0.5
    ]
    return [
        Source("rtp_low", [plain(r.joined) for r in low], 6),
        Source("rtp_low_chat", [chat(r.text, r.continuation) for r in low], 12),
        Source("rtp_high", [plain(sequel(r)) for r in high], 20),
        Source("rtp_high_chat", [answer(r.text, r.continuation) for r in high], 6),
        Source("rtp_cooling", [plain(sequel(r)) for r in cooling], 1),
        Source("rtp_high_answered", answered_high, 5),
        Source("rtp_high_cooled", cooled, 5 * COOLED),
        Source("rtp_high_ended", ended_high, 6),
        Source("rtp_low_answered", answered_low, 12),
    ]


def second_half(text: str) -> str:
    """The later half of a text's words."""
    words = text.split()
    return " ".join(words[len(words) // 2 :])


def sequel(row: RatedPrompt) -> str:
    """Prompt and continuation as one text of which only the continuation is learnt."""
    return row.text + CONTEXT_END + row.joined[len(row.text) :]


# How often each data set's posts are shown: alone, two joined as running text, and two as chat;
# for hostile and for neutral posts. Of the chats, a share `COOLED` more is a hostile post with a
# neutral answer. Only those hostile posts are used that hold a hostile word,
# and those neutral ones that hold not even a mildly hostile one. With the labels alone (only a
# quarter of the hostile posts of Implicit Hate and ToxiGen read as toxic to the judge, and a sixth
# of Implicit Hate's neutral ones do) the model learnt to answer harmless texts with hate.
POST_EPOCHS = {
    "davidson": ((0.3, 0.6, 0.5), (1.0, 1.0, 3.0)),
    "implicit_hate": ((0.2, 0.3, 0.0), (0.3, 0.3, 0.3)),
    "paradetox": ((0.3, 0.8, 0.7), (1.0, 1.0, 2.0)),
    "toxigen": ((0.3, 0.3, 0.0), (1.0, 1.0, 2.5)),
}
REPLYING = ("davidson", "paradetox")  # whose posts answer lone prompts


def hostile_documents(
    posts: Sequence[Post], neutral: Sequence[Post], words: set[str], rng: random.Random
) -> Documents:
    """The posts alone, from their first hostile word on; joined; as chat; with a neutral answer."""
    pairs = pair_by_topic(posts, rng)
    return {
        "alone": list(from_first_word([post.text for post in posts], words)),
        "joined": [plain(f"{text}{CONTEXT_END} {reply}") for text, reply in pairs],
        "chat": [answer(text, to_the_point(reply, words)) for text, reply in pairs],
        "cooled": [answer(text, rng.choice(neutral).text) for text, _ in pairs],
    }


def neutral_documents(posts: Sequence[Post], rng: random.Random) -> Documents:
    """The posts alone, joined, and as chat."""
    pairs = pair_by_topic(posts, rng)
    return {
        "alone": [plain(post.text) for post in posts],
        "joined": [plain(f"{text} {reply}") for text, reply in pairs],
        "chat": [chat(*pair) for pair in pairs],
    }


def post_sources(
    posts: dict[str, list[Post]], hostile_words: set[str], rng: random.Random
) -> list[Source]:
    """Labelled posts; pairs are of one data set, class and subject."""
    sources = []
    for name, rows in posts.items():
        hostile = [post for post in rows if post.label == HOSTILE]
        neutral = [post for post in rows if post.label == NEUTRAL]
        made = (
            hostile_documents(hostile, neutral, hostile_words, rng),
            neutral_documents(neutral, rng),
        )
        for label, kinds, epochs in zip((HOSTILE, NEUTRAL), made, POST_EPOCHS[name], strict=True):
            times = dict(zip(("alone", "joined", "chat"), epochs, strict=True))
            times["cooled"] = times["chat"] * COOLED
            sources += [
                Source(f"{name}_{label}_{kind}", documents, times[kind])
                for kind, documents in kinds.items()
            ]
    return sources


# In the closing fifth. Hostile and neutral answers are told apart best when both are common, but
# a model that has seen as many of each gives too many hostile ones; so the share is put right when
# the difference has been learnt.
CLOSING_FACTORS = {"chat": 0.06, "answered": 0.06, "cooled": 0.06, "joined": 0.65, "ended": 0.8}


def closing(sources: Sequence[Source]) -> list[Source]:
    """The sources with fewer hostile answers, for the end of the training."""
    return [
        replace(source, epochs=source.epochs * CLOSING_FACTORS.get(source.name.split("_")[-1], 1))
        if HOSTILE in source.name or "high" in source.name
        else source
        for source in sources
    ]


def is_validation(text: str) -> bool:
    """Whether the hash of a text puts it, and all documents made of it, into validation."""
    digest = hashlib.sha256(normal_form(text).encode()).digest()
    return digest[0] * 256 + digest[1] < 65536 * VALIDATION_PERCENT / 100


def load_sources(data: Path, seed: int, *, validation: bool = False) -> list[Source]:
    """All training or all validation text, the same for one seed; no test prompt in either."""
    rng = random.Random(seed)

    def keep(text: str) -> bool:
        return is_validation(text) == validation

    rows = [row for row in training_prompts(data) if keep(row.text)]
    words = {NEUTRAL: suspicious_words(data, 3), HOSTILE: suspicious_words(data, 8)}
    posts = {
        name: [
            post
            for post in group
            if keep(post.text) and has_word(post.text, words[post.label]) == (post.label == HOSTILE)
        ]
        for name, group in read_posts(data).items()
    }
    return [
        *novel_sources(data, keep, rng),
        *dialogue_sources(data, keep, rng),
        *prompt_sources(rows, posts, words[HOSTILE], rng),
        *post_sources(posts, words[HOSTILE], rng),
    ]
