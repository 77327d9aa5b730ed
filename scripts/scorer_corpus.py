"""The texts and Perspective scores the embedded scorers learn from, and who may see which.

The local files carry scores of two versions of Perspective: the DeStein files were scored
again years after `rtp_quark_val`, and on the texts both hold the older toxicity is .13
higher on average (severe toxicity .28). Mixing the two would teach a scorer the file a
text came from. So the newer version, which the test prompts carry too, is the reference,
and older scores are carried over by a small regression fitted on the shared texts.
"""

import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detoxlab.scorers.base import PERSPECTIVE_ATTRIBUTES, FloatArray

NEW_FILES = (
    "rtp_destein_no_toxic_1k.jsonl.gz",
    "rtp_destein_toxic_1k.jsonl.gz",
    "rtp_destein_no_toxic_5k.jsonl.gz",
    "rtp_destein_toxic_5k.jsonl.gz",
)
TEST_FILES = NEW_FILES[:2]
OLD_FILES = ("rtp_quark_val.jsonl.gz",)
HELD_OUT_SHARE = 0.08
LINEAR_SHARE = 0.45


@dataclass
class Text:
    """One distinct text with its scores by either version of Perspective, and its documents."""

    text: str
    new: list[float] | None = None
    old: list[float] | None = None
    documents: set[str] = field(default_factory=set)
    in_test_file: bool = False


@dataclass(frozen=True)
class Split:
    """`test` are the texts of the two 1k files, `held_out` a hashed share of the others."""

    test: list[Text]
    held_out: list[Text]
    linear: list[Text]
    neural: list[Text]


def read_corpus(data: Path) -> list[Text]:
    """All distinct scored prompts and continuations, in a fixed order."""
    texts: dict[str, Text] = {}
    folder = data / "real_toxicity_prompts"
    for file in (*NEW_FILES, *OLD_FILES):
        for document, part in _parts(folder / file):
            scores = [part.get(attribute) for attribute in PERSPECTIVE_ATTRIBUTES]
            key = " ".join(part["text"].split()).lower()
            if not key or None in scores:
                continue
            text = texts.setdefault(key, Text(part["text"].strip()))
            text.documents.add(document)
            text.in_test_file |= file in TEST_FILES
            if file in OLD_FILES:
                text.old = text.old or scores
            else:
                text.new = text.new or scores
    return [texts[key] for key in sorted(texts)]


def _parts(path: Path) -> Iterator[tuple[str, dict]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            for name in ("prompt", "continuation"):
                if name in row:
                    yield row["filename"], row[name]


def split_corpus(texts: Iterable[Text]) -> Split:
    """Test, held-out, linear and neural texts; two texts of one document stay on one side."""
    texts = list(texts)
    test_documents = {d for text in texts if text.in_test_file for d in text.documents}
    sides = defaultdict(list)
    for text in texts:
        sides[_side(text, test_documents)].append(text)
    return Split(sides["test"], sides["held_out"], sides["linear"], sides["neural"])


def _side(text: Text, test_documents: set[str]) -> str:
    if text.in_test_file:
        return "test"
    document = min(text.documents)
    if text.documents & test_documents or _share("held out", document) < HELD_OUT_SHARE:
        return "held_out"
    return "linear" if _share("side", document) < LINEAR_SHARE else "neural"


def _share(purpose: str, document: str) -> float:
    """A number in [0, 1) that depends on the document alone."""
    digest = hashlib.sha256(f"{purpose}:{document}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class NewFromOld:
    """Scores of the newer Perspective predicted from all eight of the older.

    Ridge on the logits and their squares: one version is nearly a function of the other
    (r .95 for toxicity across folds), and the eight together say more than one.
    """

    def __init__(self, texts: Iterable[Text], penalty: float = 5.0) -> None:
        shared = [text for text in texts if text.old and text.new]
        old_NA = logit(np.array([text.old for text in shared]))
        self.mean_A = old_NA.mean(0)
        features = self._features(old_NA)
        ridge = np.eye(features.shape[1]) * penalty
        ridge[0, 0] = 0.0
        targets = logit(np.array([text.new for text in shared]))
        self.weights = np.linalg.solve(features.T @ features + ridge, features.T @ targets)
        self.n = len(shared)

    def __call__(self, old_NA: FloatArray) -> FloatArray:
        return sigmoid(self._features(logit(old_NA)) @ self.weights)

    def _features(self, logits_NA: FloatArray) -> FloatArray:
        centred = logits_NA - self.mean_A
        return np.concatenate([np.ones((len(centred), 1)), centred, centred**2 / 4], axis=1)


def targets(texts: list[Text], new_from_old: NewFromOld) -> FloatArray:
    """(N, A): the newer score where there is one, else the older carried over."""
    scores_NA = np.array([text.new or text.old for text in texts])
    carried = np.array([text.new is None for text in texts])
    if carried.any():
        scores_NA[carried] = new_from_old(scores_NA[carried])
    return scores_NA


def logit(p: FloatArray) -> FloatArray:
    p = np.clip(p, 0.002, 0.998)
    return np.log(p / (1 - p))


def sigmoid(x: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-x))
