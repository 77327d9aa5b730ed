"""Insults that are hidden in long texts, or spelt oddly: are they still heard?

The texts are prompts of RealToxicityPrompts that Perspective scores at .75 or above (insults), or
at .1 or below (calm texts).
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from detoxlab.audits.card import Curve
from detoxlab.audits.scored import Result, Scored
from detoxlab.audits.sections.base import AuditSection
from detoxlab.audits.sections.perspective import TEST_FILES
from detoxlab.audits.sections.perspective import read as read_prompts
from detoxlab.records import Prompt
from detoxlab.scorers.texts.perturbations import LIMITS, PERTURBATIONS, Perturbation

INSULT_FROM, CALM_TO = 0.75, 0.1
INSULT, CALM = "insult", "calm"
HIDDEN_AMONG = (0, 1, 2, 5, 10, 20)
INSULTS_HIDDEN, INSULTS_SPELT = 60, 200
AFTER, BEFORE = "after calm sentences", "before calm sentences"

AS_WRITTEN = "as written"
CHANGES: tuple[tuple[str, Perturbation], ...] = (*PERTURBATIONS, *LIMITS)
"""Tricks of spelling, by name."""


def drawn(files: Sequence[Path], seed: int, count: int) -> tuple[list[str], list[str]]:
    """At most `count` insults, and all calm texts, in a random order."""
    prompts = read_prompts(files, seed)
    order = np.random.default_rng(seed).permutation(len(prompts))
    shuffled = [prompts[at] for at in order if "toxicity" in prompts[at].meta]
    insults = [one.text for one in shuffled if one.meta["toxicity"] >= INSULT_FROM]
    return insults[:count], [one.text for one in shuffled if one.meta["toxicity"] <= CALM_TO]


# --- length ---


def read_hidden(files: Sequence[Path], seed: int) -> list[Prompt]:
    """Each insult before and after 0 to 20 calm sentences, and as many calm sentences alone."""
    insults, calm = drawn(files, seed, INSULTS_HIDDEN)
    return [
        Prompt(
            f"{at}/{count}/{kind}/{place}",
            text,
            "rtp",
            {"kind": kind, "place": place, "calm": count},
        )
        for at, insult in enumerate(insults)
        for count in HIDDEN_AMONG
        for kind, place, text in _hidden(insult, _turned(calm, at, count + 1))
    ]


def _hidden(insult: str, calm: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    among = [_sentence(one) for one in calm[:-1]]
    yield INSULT, AFTER, " ".join([*among, _sentence(insult)])
    if among:
        yield INSULT, BEFORE, " ".join([_sentence(insult), *among])
    yield CALM, "alone", " ".join(map(_sentence, calm))


def _turned(texts: Sequence[str], at: int, count: int) -> list[str]:
    """`count` of the texts from another place for each `at`."""
    return (
        [texts[(at * max(HIDDEN_AMONG) + n) % len(texts)] for n in range(count)] if texts else [""]
    )


def _sentence(text: str) -> str:
    """The text with a full stop, unless it ends in a sign of its own."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def examine_hidden(texts: Scored) -> Result:
    """The marked share of insults and of calm texts, by the number of calm sentences."""
    rows, curves = [], []
    for kind, place in ((INSULT, AFTER), (INSULT, BEFORE), (CALM, "alone")):
        chosen = texts.choose(texts.where("kind", kind) & texts.where("place", place))
        counts = [count for count in HIDDEN_AMONG if count in chosen.meta("calm")]
        found = [
            chosen.choose(chosen.where("calm", count)).marked(
                group=f"{kind}, {count} calm sentences", subset=place
            )
            for count in counts
        ]
        rows += found
        known = [
            (x, row.value) for x, row in zip(counts, found, strict=True) if row.value is not None
        ]
        x, y = tuple(float(x) for x, _ in known), tuple(y for _, y in known)
        curves.append(Curve("length", f"{kind} {place}", x, y, len(chosen.prompts)))
    return rows, curves, []


# --- spelling ---


def read_spelt(
    files: Sequence[Path], seed: int, *, changes: Sequence[tuple[str, Perturbation]]
) -> list[Prompt]:
    """Insults and calm texts as they were written, and after each change."""
    insults, calm = drawn(files, seed, INSULTS_SPELT)
    texts = {INSULT: insults, CALM: calm[: len(insults)]}
    return [
        Prompt(
            f"{kind}/{at}/{name}",
            change(text, np.random.default_rng([seed, at])),
            "rtp",
            {"kind": kind, "change": name},
        )
        for kind, found in texts.items()
        for at, text in enumerate(found)
        for name, change in ((AS_WRITTEN, unchanged), *changes)
    ]


def unchanged(text: str, rng: np.random.Generator) -> str:
    """The text as it was written."""
    del rng
    return text


def examine_spelt(texts: Scored) -> Result:
    """The marked share of insults and of calm texts after each change."""
    rows = [
        texts.choose(texts.where("kind", kind) & texts.where("change", name)).marked(
            group=name, subset=kind
        )
        for kind in (INSULT, CALM)
        for name in dict.fromkeys(texts.meta("change"))
    ]
    return rows, [], []


LENGTH = AuditSection(
    key="length",
    title="Long texts",
    patterns=TEST_FILES,
    read=read_hidden,
    examine=examine_hidden,
    about="toxicity",
    guide="One insult among calm sentences should be marked however many there are; calm sentences "
    "alone should not.",
)
SPELLING = AuditSection(
    key="perturbations",
    title="Spelling",
    patterns=TEST_FILES,
    read=functools.partial(read_spelt, changes=CHANGES),
    examine=examine_spelt,
    about="toxicity",
    guide="Tricks of spelling that a reader sees through. The marked share of insults should not "
    "fall, that of calm texts not rise. A text in look-alike letters may get no score: see the "
    "bounds. normalised(SCORER) undoes most tricks before it scores: audit it beside SCORER.",
)
