"""The texts of all data sets with their labels, without repetitions, divided for training."""

import hashlib
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np

from detoxlab.data import load_labelled
from detoxlab.data.known import LABELLED
from detoxlab.data.source import sample
from detoxlab.data.split import divide, words_of
from detoxlab.errors import DataError
from detoxlab.records import Prompt
from detoxlab.scorer_training import LabelledSet, ScorerTraining, TextSet
from detoxlab.scorers.base import FloatArray
from detoxlab.scorers.training.labels import goals_of
from detoxlab.scorers.training.quotations import quoted


@dataclass(frozen=True)
class Example:
    """A text with a probability per attribute (NaN: no label), and the set that it is from."""

    text: str
    goals: tuple[float, ...]
    set_name: str
    document: str | None = None


@dataclass
class Count:
    """The number of a set's rows, and of those left out by reason; then of texts by use."""

    rows: int = 0
    unlabelled: int = 0
    merged: int = 0
    repeated: int = 0
    never: dict[str, int] = field(default_factory=dict)
    train: int = 0
    validation: int = 0
    quoted: int = 0


@dataclass(frozen=True)
class Corpus:
    """The examples to learn from and to validate on, and the counts by set."""

    train: list[Example]
    validation: list[Example]
    counts: dict[str, Count]

    def sha256(self) -> str:
        """A hash of texts and labels, by which a resumed training knows its data."""
        parts = [(one.text, one.goals) for one in (*self.train, *self.validation)]
        return hashlib.sha256(repr(parts).encode(errors="replace")).hexdigest()


def read_corpus(settings: ScorerTraining) -> Corpus:
    """The examples of all sets, divided into train and validation.

    Within a set, texts that are the same merge into one with the mean of their labels. A text
    that a set of `never` has, trivial variants included, or an earlier set, is left out.

    Raises `DataError` where a set gives no text, or an attribute has no label to validate on.
    """
    forbidden = {
        name: {words_of(one.text) for one in _read(given, ())}
        for name, given in settings.never.items()
    }
    counts: dict[str, Count] = {}
    train, validation, shared = list[Example](), list[Example](), list[Example]()
    taken: set[str] = set()
    for name, given in settings.data.items():
        count = counts[name] = Count()
        found = _merged(_examples(name, given, settings.columns, count), count)
        allowed = [one for one in found if _is_allowed(one, forbidden, count)]
        fresh = _fresh(allowed, taken, count)
        chosen = sample(fresh, given.limit, settings.seed)
        if not chosen:
            raise DataError(f"data.{name}: no text is left ({_said(count)})")
        {"both": shared, "train": train, "validation": validation}[given.use].extend(chosen)
    if shared:
        keys = [_keys(one) for one in shared]
        inside, outside = divide(shared, keys, settings.validation, settings.seed, "texts")
        train, validation = train + inside, validation + outside
    train = _without(train, validation, counts)
    corpus = Corpus(train + _quotations(train, settings, counts), validation, counts)
    _finish(corpus, settings)
    return corpus


def goals_array(examples: Sequence[Example]) -> FloatArray:
    """(N, A) probabilities, NaN where a text has no label."""
    return np.array([one.goals for one in examples], dtype=np.float64)


# --- inside ---


def _examples(name: str, given: LabelledSet, columns: Sequence[str], count: Count) -> list[Example]:
    asked = [column for label in given.labels.values() for column in label.column]
    prompts = _read(given, (*asked, *([given.document] if given.document else ())))
    found = [_example(name, prompt, given, columns) for prompt in prompts]
    labelled = [one for one in found if not all(map(math.isnan, one.goals))]
    count.rows, count.unlabelled = len(found), len(found) - len(labelled)
    return labelled


def _read(given: TextSet, needed: Iterable[str]) -> list[Prompt]:
    """The texts of a set; of a file, with the needed columns among the meta attributes."""
    columns = dict(given.columns)
    if given.source not in LABELLED.known():
        columns |= {name: name for name in (*needed, *given.where) if name not in columns}
    return load_labelled(
        given.source,
        path=given.path,
        columns=columns,
        where=given.where,
        revision=given.revision,
    )


def _example(name: str, prompt: Prompt, given: LabelledSet, columns: Sequence[str]) -> Example:
    document = prompt.meta.get(given.document) if given.document else None
    goals = tuple(goals_of(prompt, given.labels, columns))
    return Example(prompt.text, goals, name, None if document is None else str(document))


def _same_text(text: str) -> str:
    """Equal for texts that differ in case and white space alone; emoji and punctuation count."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _merged(examples: Iterable[Example], count: Count) -> list[Example]:
    groups: dict[str, list[Example]] = {}
    for one in examples:
        groups.setdefault(_same_text(one.text), []).append(one)
    count.merged = sum(len(group) - 1 for group in groups.values())
    return [group[0] if len(group) == 1 else _mean(group) for group in groups.values()]


def _mean(group: Sequence[Example]) -> Example:
    columns = zip(*(one.goals for one in group), strict=True)
    known = (_known(goals) for goals in columns)
    return replace(group[0], goals=tuple(fmean(one) if one else math.nan for one in known))


def _is_allowed(example: Example, forbidden: dict[str, set[str]], count: Count) -> bool:
    words = words_of(example.text)
    found = next((name for name, texts in forbidden.items() if words in texts), None)
    if found is not None:
        count.never[found] = count.never.get(found, 0) + 1
    return found is None


def _fresh(examples: Sequence[Example], taken: set[str], count: Count) -> list[Example]:
    """The examples whose text no earlier set has."""
    keys = [_same_text(one.text) for one in examples]
    fresh = [one for one, key in zip(examples, keys, strict=True) if key not in taken]
    count.repeated = len(examples) - len(fresh)
    taken.update(keys)
    return fresh


def _keys(example: Example) -> list[str]:
    document = [] if example.document is None else [f"document {example.document}"]
    return [example.text, *document]


def _without(
    train: Sequence[Example], validation: Sequence[Example], counts: dict[str, Count]
) -> list[Example]:
    """The training examples without variants of a validation text."""
    held_out = {words_of(one.text) for one in validation}
    kept = []
    for one in train:
        if words_of(one.text) in held_out:
            counts[one.set_name].repeated += 1
        else:
            kept.append(one)
    return kept


def _quotations(
    train: Sequence[Example], settings: ScorerTraining, counts: dict[str, Count]
) -> list[Example]:
    """Training examples in quotations, as many of each set as `quoted` says."""
    made: list[Example] = []
    for name, given in settings.data.items():
        marked = [one for one in train if one.set_name == name and max(_known(one.goals)) >= 0.5]
        condemned, endorsed = quoted([one.text for one in marked], given.quoted, settings.seed)
        for at, text in condemned:
            goals = tuple(0 * goal for goal in marked[at].goals)  # NaN stays NaN
            made.append(replace(marked[at], text=text, goals=goals))
        made += [replace(marked[at], text=text) for at, text in endorsed]
        counts[name].quoted = len(condemned) + len(endorsed)
    return made


def _known(goals: Iterable[float]) -> list[float]:
    return [goal for goal in goals if not math.isnan(goal)]


def _finish(corpus: Corpus, settings: ScorerTraining) -> None:
    for one in corpus.train:
        corpus.counts[one.set_name].train += 1
    for one in corpus.validation:
        corpus.counts[one.set_name].validation += 1
    for name, examples in (("train", corpus.train), ("validation", corpus.validation)):
        known_A = (~np.isnan(goals_array(examples))).sum(axis=0) if examples else [0]
        for attribute, known in zip(settings.columns, known_A, strict=False):
            if not known:
                raise DataError(
                    f"no {name} text has a label for {attribute!r}",
                    remedy="Give more texts, or another share of validation.",
                )


def _said(count: Count) -> str:
    never = sum(count.never.values())
    return (
        f"{count.rows} rows: {count.unlabelled} without a label, {count.merged} merged, "
        f"{never} never to be trained on, {count.repeated} in an earlier set"
    )


def _quoted(count: Count) -> str:
    return f" ({count.quoted} in quotations)" if count.quoted else ""


def summary(corpus: Corpus) -> list[str]:
    """A line for each set: its texts by use, and the rows that were left out."""
    return [
        f"{name}: {count.train} to train{_quoted(count)}, "
        f"{count.validation} to validate; {_said(count)}"
        for name, count in corpus.counts.items()
    ]
