"""The kinds of data that a method can learn from, as one table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from detoxlab.data.reading import (
    Items,
    check_data,
    check_prompts,
    check_texts,
    described,
    described_texts,
    read_dialogues,
    read_pairs,
    read_prompts,
    read_texts,
)
from detoxlab.data.settings import DialogueSettings, PairSettings, PromptSettings, TextSettings
from detoxlab.data.split import (
    DialogueSplit,
    KindName,
    PairSplit,
    Split,
    TextSplit,
    split_dialogues,
    split_pairs,
    split_texts,
)
from detoxlab.settings import Settings


@dataclass(frozen=True)
class Kind:
    """One kind of data: its settings, and the functions that read, describe and check it.

    `items(settings, seed)` gives the items, and the (id, reason) of items left out; `split` divides
    the items, and a method learns from a `made` of both parts. A method learns from all items of
    a kind without `split`. `describe(settings)` describes the data for the run's record, and
    `check(settings)` looks for them: it gives the hub ids that only loading can check.
    `conversations`: the data have roles that a chat template must know. `ranked`: the data hold a
    judgement, so that no scorer trains on them.
    """

    settings: type[Settings]
    items: Callable[[Any, int], Items]
    describe: Callable[[Any], dict[str, Any]]
    check: Callable[[Any], list[str]]
    split: Callable[..., tuple[list[Any], list[Any]]] | None = None
    made: type[Split[Any]] = Split
    conversations: bool = False
    ranked: bool = False

    def read(self, settings: Any, seed: int) -> Split[Any] | Sequence[Any]:
        """The data for a method: the split of the items, or all of them."""
        items, rejected = self.items(settings, seed)
        if self.split is None:
            return items
        train, validation = self.split(items, validation=settings.validation, seed=seed)
        return self.made(train, validation, rejected)


KINDS: dict[KindName, Kind] = {
    "dialogues": Kind(
        settings=DialogueSettings,
        items=read_dialogues,
        describe=partial(described, kind="dialogues"),
        check=partial(check_data, kind="dialogues"),
        split=split_dialogues,
        made=DialogueSplit,
        conversations=True,
    ),
    "pairs": Kind(
        settings=PairSettings,
        items=read_pairs,
        describe=partial(described, kind="pairs"),
        check=partial(check_data, kind="pairs"),
        split=split_pairs,
        made=PairSplit,
        conversations=True,
        ranked=True,
    ),
    "prompts": Kind(
        settings=PromptSettings,
        items=lambda settings, seed: (read_prompts(settings, seed), ()),
        describe=described,
        check=check_prompts,
    ),
    "texts": Kind(
        settings=TextSettings,
        items=lambda settings, seed: (read_texts(settings, seed), ()),
        describe=described_texts,
        check=check_texts,
        split=split_texts,
        made=TextSplit,
    ),
}
"""By name: a field of the settings of a training, and the key of what is read in `run.json`."""


def summary(kind: KindName, data: Split[Any] | Sequence[Any]) -> str:
    """How much there is to learn from, in words.

    >>> summary("pairs", PairSplit([], [], [("row 3", "odd roles")]))
    '0 pairs, 0 for validation, 1 left out'
    >>> summary("prompts", [])
    '0 prompts'
    """
    if not isinstance(data, Split):
        return f"{len(data)} {kind}"
    return (
        f"{len(data.train)} {kind}, {len(data.validation)} for validation, "
        f"{len(data.rejected)} left out"
    )
