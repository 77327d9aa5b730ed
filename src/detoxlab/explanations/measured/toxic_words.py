"""Where the toxicity of a response sits: which of its words pull the scorer, and whence they came.

A word's pull is the score of the response less the score without the word: exact, for any scorer.
The words with the largest pull are the toxic ones. The models' attributions at their steps tell
which words of the prompt they came from, by every model on the same text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detoxlab.explanations.measured.rows import Attribution
from detoxlab.explanations.names import CONTENT, GENERATED
from detoxlab.measures.statistics import FloatArray
from detoxlab.records import Generation
from detoxlab.scorers import Scorer
from detoxlab.scorers.base import is_empty
from detoxlab.scorers.scoring import checked_scores

DIGITS = 6
WORD = re.compile(r"\s*\S+")  # a word with the white space before it

Words = tuple[int, ...]
Numbers = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WordPull:
    """A word of a response, from `start` to `end` of its text.

    `pull` is the score without the word, taken from that of the whole; None where the rest cannot
    be scored. `steps` are its steps in `attributions.jsonl`. `toxic` marks words that pull most.
    """

    word: str
    start: int
    end: int
    pull: float | None = None
    steps: tuple[int, ...] = ()
    toxic: bool = False


@dataclass(frozen=True, slots=True)
class PromptShares:
    """How a model's attributions of a toxic word (its place in `words`) divide over the prompt.

    One share for each word of the prompt's own text. They sum to 1; all are 0 for a model that owes
    the word to nothing in the prompt.
    """

    model: str
    word: int
    shares: Numbers


@dataclass(frozen=True, slots=True)
class ToxicWords:
    """A response of run `text`: its score, the pull of each word, the prompt behind toxic words.

    A response that scores less than a toxic word must pull has no toxic word: it is not taken
    apart, and `words` is empty.
    """

    text: str
    prompt_id: str
    sample: int
    score: float | None = None
    words: tuple[WordPull, ...] = ()
    prompt_words: tuple[str, ...] = ()
    shares: tuple[PromptShares, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Pulls:
    """The scorer that judges, one of its attributes, and which words count as toxic.

    A word is toxic where it pulls by `least` or more. Of a response that scores `threshold` or
    more without such a word, the word with the largest pull is.
    """

    scorer: Scorer
    attribute: str = "toxicity"
    least: float = 0.1
    threshold: float = 0.5

    def of(self, texts: Sequence[str]) -> list[tuple[float, tuple[WordPull, ...]]]:
        """The score of each text, NaN where it has none, and its words; all texts in two batches.

        Without its only word a response is empty, which counts as 0.
        """
        score_N = self._scores(texts, empty=np.nan)
        apart = [at for at, score in enumerate(score_N.tolist()) if score >= self.least]
        spans = {at: [one.span() for one in WORD.finditer(texts[at])] for at in apart}
        left_M = self._scores(
            [
                texts[at][:start] + texts[at][end:]
                for at, places in spans.items()
                for start, end in places
            ],
            empty=0.0,
        )
        found: list[tuple[float, tuple[WordPull, ...]]] = [(s, ()) for s in score_N.tolist()]
        taken = iter(left_M.tolist())
        for at, places in spans.items():
            pulls = [_digits(score_N[at] - next(taken)) for _ in places]
            words = [_word(texts[at], *one, p) for one, p in zip(places, pulls, strict=True)]
            found[at] = score_N[at], tuple(self._marked(words, score_N[at]))
        return found

    # --- inside ---

    def _scores(self, texts: Sequence[str], empty: float) -> FloatArray:
        """The scores (N,) of texts."""
        there = [at for at, text in enumerate(texts) if not is_empty(text)]
        score_N = np.full(len(texts), empty)
        if there:
            column = self.scorer.attributes.index(self.attribute)
            found_NA = checked_scores(self.scorer, [texts[at] for at in there])
            score_N[there] = found_NA[:, column]
        return score_N

    def _marked(self, words: Sequence[WordPull], score: float) -> list[WordPull]:
        top = max((one.pull or 0.0 for one in words), default=0.0)
        least = self.least if top >= self.least or score < self.threshold else top
        return [replace(one, toxic=one.pull is not None and one.pull >= least > 0) for one in words]


def toxic_words(
    text: str,
    responses: Sequence[tuple[str, int, Generation | None]],
    explained: Mapping[tuple[str, int], Mapping[str, Attribution]],
    pulls: Pulls,
) -> list[ToxicWords]:
    """A row per response of run `text`, which is named by prompt and sample.

    `explained` holds the attributions of each response by each model, that of `text` among them.
    """
    there = [one.text for *_, one in responses if one is not None and one.error is None]
    found = iter(pulls.of(there))
    rows = []
    for prompt_id, sample, one in responses:
        row = ToxicWords(text, prompt_id, sample)
        if one is None or one.error is not None:
            rows.append(replace(row, error=one.error if one else "no response"))
        else:
            models = explained.get((prompt_id, sample), {})
            rows.append(_filled(row, one.text, next(found), models, pulls.scorer))
    return rows


def word_steps(text: str, words: Sequence[WordPull], row: Attribution) -> list[Words]:
    """The steps of each word: those whose token begins within it.

    The text is followed token by token, up to the first that stands elsewhere in it, such as half
    a character.

    >>> row = Attribution("m", "m", "p", 0, "CGGGG", tokens=("a", " an", "vil", "\\n", "b"))
    >>> word_steps(" anvil\\nb", [WordPull("anvil", 1, 6), WordPull("b", 7, 8)], row)
    [(0, 1), (3,)]
    """
    starts = _starts(text, row)
    return [
        tuple(step for step, start in enumerate(starts) if one.start <= start < one.end)
        for one in words
    ]


def prompt_words(row: Attribution) -> tuple[str, ...]:
    """The words of the prompt's own text, in order.

    >>> prompt_words(Attribution("m", "m", "p", 0, "SCCCG",
    ...     tokens=("<s>", "Good", " m", "orn", "x"), words=(0, 1, 2, 2, 3)))
    ('Good', 'morn')
    """
    found = ("".join(row.tokens[at] for at in places) for places in _content_words(row))
    return tuple(text.strip() for text in found)


def prompt_shares(row: Attribution, steps: Sequence[int]) -> Numbers:
    """The share of each word of the prompt in its mass at these steps; zeros where that is 0.

    >>> row = Attribution("m", "m", "p", 0, "SCCG", tokens=("<s>", "a", " b", " c"),
    ...     words=(0, 1, 2, 3), values=((9, 1, 1), (9, 2, -4, 7)))
    >>> prompt_shares(row, [0, 1])
    (0.375, 0.625)
    """
    mass_T = row.mass[list(steps)].sum(axis=0)
    mass_W = np.array([mass_T[places].sum() for places in _content_words(row)])
    share_W = mass_W / (mass_W.sum() or 1.0)
    return tuple(round(share, DIGITS) for share in share_W.tolist())


# --- inside ---


def _starts(text: str, row: Attribution) -> list[int]:
    """The place in a response's text of the first letter of each token; -1 for a blank token."""
    starts, offset = [], 0
    parts = zip(row.tokens, row.classes, strict=True)
    for token in (token for token, kind in parts if kind == GENERATED):
        if not text.startswith(token, offset):
            break
        blank = len(token) - len(token.lstrip())
        starts.append(offset + blank if token.strip() else -1)
        offset += len(token)
    return starts


def _content_words(row: Attribution) -> list[list[int]]:
    """The tokens of each word of the prompt's own text; blank ones belong to the word after them.

    Blank ones at the end belong to the last word.
    """
    found: list[list[int]] = []
    number, is_open = -1, False
    for at, kind in enumerate(row.classes):
        if kind != CONTENT:
            continue
        if not found or (row.words[at] != number and not is_open):
            found.append([])
        found[-1].append(at)
        number = row.words[at]
        is_open = not "".join(row.tokens[one] for one in found[-1]).strip()
    if is_open and len(found) > 1:
        blank = found.pop()
        found[-1] += blank
    return found


def _filled(
    row: ToxicWords,
    response: str,
    found: tuple[float, tuple[WordPull, ...]],
    models: Mapping[str, Attribution],
    scorer: Scorer,
) -> ToxicWords:
    score, words = found
    if np.isnan(score):
        return replace(row, error=scorer.missing_reason(response) or "failed")
    row = replace(row, score=round(score, DIGITS), words=words)
    known = {name: one for name, one in models.items() if one.error is None}
    if not words or row.text not in known:
        return row
    steps = word_steps(response, words, known[row.text])
    placed = [replace(one, steps=taken) for one, taken in zip(words, steps, strict=True)]
    shares = [
        PromptShares(name, at, prompt_shares(attribution, one.steps))
        for at, one in enumerate(placed)
        if one.toxic and one.steps
        for name, attribution in known.items()
    ]
    prompt = prompt_words(known[row.text])
    return replace(row, words=tuple(placed), prompt_words=prompt, shares=tuple(shares))


def _word(text: str, start: int, end: int, pull: float | None) -> WordPull:
    word = text[start:end].lstrip()
    return WordPull(word, end - len(word), end, pull)


def _digits(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), DIGITS)
