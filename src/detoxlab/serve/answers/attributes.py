"""Which scorer answers for which attribute."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from detoxlab.serve.pool.messages import Offer


class Source(NamedTuple):
    """An attribute: its name on the wire, and the scorer and column that it comes from."""

    name: str
    scorer: int
    column: int
    offer: Offer

    @property
    def threshold(self) -> float:
        """The probability at which a text is marked: the scorer's own, or .5."""
        return self.offer.thresholds.get(self.offer.attributes[self.column], 0.5)

    def lacks(self, languages: Sequence[str]) -> list[str]:
        """The languages that the scorer does not read, of some; none where it does not say.

        >>> english = Source("TOXICITY", 0, 0, Offer("a@1", ("toxicity",), ("en",)))
        >>> english.lacks(["en-GB", "de"])
        ['de']
        """
        known = self.offer.languages
        if not known:
            return []
        return [one for one in languages if not {one, one.partition("-")[0]} & set(known)]


def served_attributes(offers: Sequence[Offer]) -> dict[str, Source]:
    """Every attribute by its name on the wire; the first scorer that has it answers for it.

    >>> offers = [Offer("a@1", ("toxicity",)), Offer("b@1", ("toxicity", "hate speech"))]
    >>> {name: source.offer.id for name, source in served_attributes(offers).items()}
    {'TOXICITY': 'a@1', 'HATE_SPEECH': 'b@1'}
    """
    found: dict[str, Source] = {}
    for scorer, offer in enumerate(offers):
        for column, attribute in enumerate(offer.attributes):
            name = wire_name(attribute)
            found.setdefault(name, Source(name, scorer, column, offer))
    return found


def wire_name(attribute: str) -> str:
    """An attribute as it is written in requests.

    >>> wire_name("severe_toxicity"), wire_name("S-label 1")
    ('SEVERE_TOXICITY', 'S_LABEL_1')
    """
    return re.sub(r"\W+", "_", attribute).upper()
