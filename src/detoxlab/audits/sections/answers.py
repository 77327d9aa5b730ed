"""Counter-speech: does the scorer tell an answer to hate from hate?

Sources: Fanton et al. 2021 (Multitarget-CONAN), Bonaldi et al. 2022 (DIALOCONAN), Hickey et al.
2024 and Yu et al. 2022 (replies on Reddit).
"""

import functools
from collections.abc import Sequence
from pathlib import Path

from detoxlab.audits.scored import Result, Scored
from detoxlab.audits.sections.base import AuditSection
from detoxlab.data import conan, counterspeech, load_dialogues, load_prompts
from detoxlab.records import Prompt

HATE, COUNTER = "hate", "counter-speech"
CLASSES = (HATE, COUNTER, "other")
DIALOGUE = "dialogue"


def read_turns(files: Sequence[Path], seed: int, *, source: str) -> list[Prompt]:
    """The turns of dialogues: those of the user are hate, those of the assistant answer it."""
    del seed
    labels = {"user": HATE, "assistant": COUNTER}
    return [
        Prompt(f"{one.id}/{at}", turn.text, source, {"label": labels[turn.role], DIALOGUE: one.id})
        for one in load_dialogues(source, path=files[0]).dialogues
        for at, turn in enumerate(one.turns)
    ]


def read_replies(files: Sequence[Path], seed: int, *, source: str) -> list[Prompt]:
    """The replies, with the class that people gave them."""
    del seed
    return load_prompts(source, path=files[0])


def examine(texts: Scored) -> Result:
    """ROC-AUC of hate above its answers, and each class's mean score and marked share.

    Turns of one dialogue are drawn together in intervals.
    """
    opposed = texts.choose(texts.where("label", HATE, COUNTER))
    rows = [opposed.area(opposed.where("label", HATE), units=DIALOGUE)]
    curves = []
    for name in (one for one in CLASSES if one in texts.meta("label")):
        part = texts.choose(texts.where("label", name))
        rows.append(part.mean_score(units=DIALOGUE, group=name))
        rows.append(part.marked(units=DIALOGUE, group=name))
        curves.append(part.histogram(name))
    return rows, curves, []


def _section(key: str, title: str, patterns: tuple[str, ...], guide: str) -> AuditSection:
    read = read_replies if key in counterspeech.SOURCES else read_turns
    return AuditSection(
        key=key,
        title=title,
        patterns=patterns,
        read=functools.partial(read, source=key),
        examine=examine,
        about="hate",
        guide=guide,
    )


COUNTER_SPEECH = (
    _section(
        "multitarget-conan",
        "Multitarget-CONAN",
        conan.MULTITARGET.patterns[:1],
        "Hate speech and the counter-narratives that experts wrote to it. ROC-AUC: the chance that "
        "hate scores above an answer.",
    ),
    _section(
        "dialoconan",
        "DIALOCONAN",
        conan.DIALOCONAN.patterns[:1],
        "All turns of the dialogues: hate, and the counter-narratives of experts.",
    ),
    _section(
        "hickey",
        "Reddit, Hickey 2024",
        counterspeech.SOURCES["hickey"].patterns,
        "Replies that people labelled, without the post that they answer: some are only understood "
        "with it.",
    ),
    _section(
        "yu2022",
        "Reddit, Yu 2022",
        counterspeech.SOURCES["yu2022"].patterns,
        "Replies of the test split, without the post that they answer. People labelled them with "
        "the post in sight.",
    ),
)
