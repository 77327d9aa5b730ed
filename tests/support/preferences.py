"""A few preference pairs, a method trained on them, and what a model makes of them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detoxlab.data.split import PairSplit
from detoxlab.methods.rows.pair import PairRow, pair_builder
from detoxlab.models import LanguageModel, token_log_probs
from detoxlab.records import Preference, Turn
from detoxlab.runs import Run
from tests.support.training_runs import fitted


def pair(i: int, chosen: str = "", rejected: str = "") -> Preference:
    turns = (Turn("user", f"you fool {i}"),)
    kind, unkind = chosen or f"say {i} kind words", rejected or "fool yourself" + "!" * (i % 3)
    return Preference(f"p{i}", turns, kind, unkind, "test")


DATA = PairSplit([pair(i) for i in range(16)], [pair(i) for i in range(100, 104)])


def trained(name: str, folder: Path, lm: LanguageModel | None = None, **settings: Any) -> Run:
    """A run on `DATA`."""
    return fitted(name, folder, DATA, lm, **settings)


def rows_of(lm: LanguageModel, pairs: Any = DATA.train) -> list[PairRow]:
    builder = pair_builder(lm, chat=True, max_length=256)
    return [builder.build(one) for one in pairs]


def log_probs(
    lm: LanguageModel, prompts: list[tuple[int, ...]], responses: list[tuple[int, ...]]
) -> NDArray[np.float64]:
    """Nats per response, from the log-probabilities that measuring uses."""
    return np.array([row.sum(dtype=np.float64) for row in token_log_probs(lm, prompts, responses)])
