"""Toxic texts and other texts, out of pairs or of named parts: what contrasts are computed from."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from detoxlab.data.split import PairSplit, TextSplit
from detoxlab.errors import TrainingError
from detoxlab.records import Preference, Text, content_id

TOXIC = "toxic"
"""The name of the part of the texts that are toxic; all other parts are the other side."""
REMEDY = (
    'Give pairs with both sides, or texts with a part "toxic" and another: '
    "--texts NEUTRAL --set texts.parts.toxic.source=TOXIC"
)


@dataclass(frozen=True)
class Contrast:
    """Toxic texts and other texts; `is_paired` says whether text i of both is one statement."""

    toxic: Sequence[str]
    other: Sequence[str]
    is_paired: bool

    def sample(self, count: int, seed: int) -> "Contrast":
        """At most so many texts of each side, in seeded order, and of both as many.

        >>> Contrast(["a", "b", "c"], ["A", "B", "C"], is_paired=True).sample(2, seed=0)
        Contrast(toxic=['b', 'c'], other=['B', 'C'], is_paired=True)
        """
        count = min(count, len(self.toxic), len(self.other))
        toxic, other = (random.Random(seed).sample(range(len(self.toxic)), count),) * 2
        if not self.is_paired:
            other = random.Random(seed).sample(range(len(self.other)), count)
        return Contrast(
            [self.toxic[i] for i in toxic], [self.other[i] for i in other], self.is_paired
        )


def contrast_of(items: Sequence[Preference] | Sequence[Text]) -> Contrast:
    """The rejected and the chosen sides of pairs, or the part "toxic" and all others of texts.

    Of a pair that answers something the response alone is taken. A response without a partner is
    left out. Raises `TrainingError` where one side has no text.
    """
    pairs = [one for one in items if isinstance(one, Preference)]
    both = [(one.rejected, one.chosen) for one in pairs if one.rejected and one.chosen]
    texts = [one for one in items if isinstance(one, Text)]
    toxic = [one for one, _ in both] + [one.text for one in texts if one.domain == TOXIC]
    other = [one for _, one in both] + [one.text for one in texts if one.domain != TOXIC]
    if not (toxic and other):
        raise TrainingError(
            f"nothing to contrast: {len(toxic)} toxic texts and {len(other)} others", remedy=REMEDY
        )
    return Contrast(toxic, other, is_paired=bool(pairs))


def toxic_side(data: PairSplit | TextSplit) -> TextSplit:
    """The toxic texts to learn from: the rejected sides of pairs, each once; or given texts.

    Of texts with a part "toxic" and others it is that part; of other texts it is all of them.
    """
    if isinstance(data, PairSplit):
        train, validation = (_rejected(side) for side in (data.train, data.validation))
        return TextSplit(train, validation, data.rejected)
    train, validation = (list(side) for side in (data.train, data.validation))
    if any(one.domain == TOXIC for one in train):
        train, validation = (
            [one for one in side if one.domain == TOXIC] for side in (train, validation)
        )
    return TextSplit(train, validation, data.rejected)


def _rejected(pairs: Sequence[Preference]) -> list[Text]:
    texts = {one.rejected: one.source for one in pairs if one.rejected}
    return [Text(content_id(text), text, source, TOXIC) for text, source in texts.items()]
