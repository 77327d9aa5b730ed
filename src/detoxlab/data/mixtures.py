"""Texts of several domains mixed in stated proportions, each tagged with its domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detoxlab.data.source import sample
from detoxlab.data.verbaliser import Verbaliser
from detoxlab.errors import DataError
from detoxlab.records import Prompt, Text


@dataclass(frozen=True)
class Part:
    """The texts of one domain, and their share relative to the other parts'."""

    texts: Sequence[Prompt]
    proportion: float = 1.0


def mix(
    parts: Mapping[str, Part],
    *,
    limit: int | None = None,
    seed: int = 0,
    verbaliser: Verbaliser | None = None,
) -> list[Text]:
    """As many texts as the proportions allow, `limit` at most, part after part.

    Each part gives a seeded sample, in its order; no text is taken twice. Ids begin with the
    part's name, which is the texts' domain. With a `verbaliser`, its question and the words of
    a text's label follow the text.

    Raises `DataError` when a part would not give a single text, or a label has no words.

    >>> toxic, general = [[Prompt(str(i), f"text {i}", "s") for i in range(n)] for n in (10, 90)]
    >>> mixed = mix({"toxic": Part(toxic), "general": Part(general, 3.0)})
    >>> [sum(text.domain == name for text in mixed) for name in ("toxic", "general")]
    [10, 30]
    """
    total = sum(part.proportion for part in parts.values())
    shares = {name: part.proportion / total for name, part in parts.items()}
    most = min(len(part.texts) / shares[name] for name, part in parts.items())
    size = most if limit is None else min(most, limit)
    mixed: list[Text] = []
    for name, part in parts.items():
        count = int(size * shares[name] + 1e-9)
        if count < 1:
            raise DataError(
                f"part {name!r} of the mixture would give no text: it holds {len(part.texts)}, "
                f"and the mixture has room for {size:.0f} in all",
                remedy="Give more texts, another proportion or a higher limit.",
            )
        chosen = sample(part.texts, count, seed)
        mixed += [_tagged(name, one, verbaliser) for one in chosen]
    return mixed


def _tagged(domain: str, one: Prompt, verbaliser: Verbaliser | None) -> Text:
    asked = (verbaliser.question, verbaliser.answer(one)) if verbaliser else ()
    return Text(f"{domain}/{one.id}", one.text, one.source, domain, *asked)
