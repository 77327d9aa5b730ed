"""Toxic and other texts as token ids, matched so that no difference is one of length.

ParaDetox's neutral sides are shorter than their originals, which alone moves every mean.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detoxlab.data.split import PairSplit, Split
from detoxlab.errors import DataError
from detoxlab.methods.activation.config import FEWEST, ActivationConfig
from detoxlab.records import Preference, Text

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

SHORTEST = 4
"""Tokens: the first one is left out of every pool, and three are the least to speak of a mean."""

Ids = tuple[int, ...]


@dataclass(frozen=True)
class MatchedRows:
    """N toxic and N other texts; the texts of one place have the same number of tokens."""

    toxic: tuple[Ids, ...]
    other: tuple[Ids, ...]

    def __len__(self) -> int:
        return len(self.toxic)

    @property
    def sha256(self) -> str:
        """The hash of all token ids, in order."""
        return hashlib.sha256(json.dumps([self.toxic, self.other]).encode()).hexdigest()


def matched_rows(
    lm: "LanguageModel",
    items: Sequence[Preference | Text],
    config: ActivationConfig,
    *,
    of_pairs: bool,
) -> MatchedRows:
    """Up to `config.samples` rows of each side, chosen by the seed, as many on both.

    The two sides of a pair stay together, and the longer is cut. Texts that are no pairs are put
    side by side by length. Texts of fewer than `SHORTEST` tokens are left out.

    Raises `DataError` where a side has fewer than two rows, for pairs that answer turns, and for
    texts without a part of the name `config.toxic_part`.
    """
    order = np.random.default_rng(config.seed).permutation(len(items))
    shuffled = [items[index] for index in order]
    if of_pairs:
        _check_whole(shuffled)
        both = ((one.rejected, one.chosen) for one in shuffled if one.rejected and one.chosen)
        rows = list(_pairs(lm, both, config))
        if not rows:
            rejected = (one.rejected for one in shuffled if one.rejected)
            chosen = (one.chosen for one in shuffled if one.chosen)
            rows = _side_by_side(lm, rejected, chosen, config)
    else:
        _check_parts(shuffled, config.toxic_part)
        toxic = (one.text for one in shuffled if one.domain == config.toxic_part)
        other = (one.text for one in shuffled if one.domain != config.toxic_part)
        rows = _side_by_side(lm, toxic, other, config)
    if len(rows) < FEWEST:
        raise DataError(
            f"{len(rows)} toxic and other texts of {SHORTEST} tokens or more: a steering is fitted "
            f"on {FEWEST} of each at least",
            remedy="Give more texts.",
        )
    return MatchedRows(*(tuple(side) for side in zip(*rows, strict=True)))


def split_rows(
    lm: "LanguageModel", data: Split[Preference] | Split[Text], config: ActivationConfig
) -> tuple[MatchedRows, MatchedRows]:
    """The rows of the training part, and those of the validation part; errors of `matched_rows`."""
    of_pairs = isinstance(data, PairSplit)
    train, held_out = (
        matched_rows(lm, part, config, of_pairs=of_pairs) for part in (data.train, data.validation)
    )
    return train, held_out


# --- inside ---


def _pairs(
    lm: "LanguageModel", texts: Iterable[tuple[str, str]], config: ActivationConfig
) -> Iterator[tuple[Ids, Ids]]:
    count = 0
    for pair in texts:
        if count == config.samples:
            return
        one, two = (_ids(lm, text, config) for text in pair)
        length = min(len(one), len(two))
        if length >= SHORTEST:
            count += 1
            yield one[:length], two[:length]


def _side_by_side(
    lm: "LanguageModel", toxic: Iterable[str], other: Iterable[str], config: ActivationConfig
) -> list[tuple[Ids, Ids]]:
    sides = [list(_long_enough(lm, side, config)) for side in (toxic, other)]
    count = min(map(len, sides))
    ordered = [sorted(side[:count], key=len) for side in sides]
    lengths = [min(len(one), len(two)) for one, two in zip(*ordered, strict=True)]
    return [
        (one[:length], two[:length]) for one, two, length in zip(*ordered, lengths, strict=True)
    ]


def _long_enough(
    lm: "LanguageModel", texts: Iterable[str], config: ActivationConfig
) -> Iterator[Ids]:
    count = 0
    for text in texts:
        if count == config.samples:
            return
        ids = _ids(lm, text, config)
        if len(ids) >= SHORTEST:
            count += 1
            yield ids


def _ids(lm: "LanguageModel", text: str, config: ActivationConfig) -> Ids:
    return tuple(lm.prompt_ids(text, chat=False)[: min(config.max_length, lm.context_length)])


def _check_whole(pairs: Sequence[Preference]) -> None:
    if any(pair.turns for pair in pairs):
        raise DataError(
            "pairs that answer turns do not fit a steering: it is fitted on whole texts",
            remedy="Give pairs of whole texts, such as ParaDetox, or two parts of texts.",
        )


def _check_parts(texts: Sequence[Text], toxic: str) -> None:
    parts = dict.fromkeys(text.domain for text in texts)
    if toxic not in parts or len(parts) < 2:
        raise DataError(
            f"texts of {', '.join(map(repr, parts)) or 'no part'}: a steering is fitted on a part "
            f"{toxic!r} and another one",
            remedy="Give them as --texts toxic=FILE,other=FILE.",
        )
