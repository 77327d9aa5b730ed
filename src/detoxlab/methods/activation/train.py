"""The steps that all fits share: texts, the method's own maps, the steering and its record."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from detoxlab import processes
from detoxlab.data.split import PairSplit, Split
from detoxlab.methods.activation.config import ActivationConfig
from detoxlab.methods.activation.rows import MatchedRows, matched_rows
from detoxlab.methods.base import record_model
from detoxlab.models import LanguageModel
from detoxlab.progress import say
from detoxlab.records import Preference, Text
from detoxlab.runs import Run
from detoxlab.steering.activations.files import (
    CONTENT,
    FOLDER,
    Content,
    SiteMap,
    write_steering,
)

Config = TypeVar("Config", bound=ActivationConfig)
Data = Split[Preference] | Split[Text]
Maps = Mapping[str, SiteMap]
Learn = Callable[[Config, LanguageModel, MatchedRows], Maps]


def fit_steering(
    config: Config,
    lm: LanguageModel,
    data: Data,
    run: Run,
    *,
    method: str,
    learn: Learn[Config],
    pooling: str = "mean",
) -> Path:
    """The folder of the steering that `learn` makes of the texts.

    A fit takes seconds to minutes, so one that was cut off begins anew, and ends in the same bytes.
    """
    folder = run.path / FOLDER
    if (folder / CONTENT).is_file():
        return folder
    processes.check_alone(method)
    rows = matched_rows(lm, data.train, config, of_pairs=isinstance(data, PairSplit))
    record_model(run, lm, method, rows_sha256=rows.sha256, texts_used=len(rows))
    maps = learn(config, lm, rows)
    content = Content(
        kind=method,
        positions=config.positions,
        sites={key: one.map for key, one in maps.items()},
        training_scorers=config.training_scorers,
        facts=_facts(config, lm, rows, pooling),
    )
    write_steering(folder, content, maps)
    run.update(steering=FOLDER, sites=len(maps))
    say(f"{method}: {len(maps)} sites, from {len(rows)} texts of each side")
    return folder


def middle(layers: int) -> int:
    """The layer in the middle, counted from 0, the earlier of two.

    >>> middle(30), middle(5), middle(1)
    (14, 2, 0)
    """
    return (layers - 1) // 2


def _facts(
    config: ActivationConfig, lm: LanguageModel, rows: MatchedRows, pooling: str
) -> dict[str, Any]:
    lengths: Sequence[int] = [len(ids) for ids in rows.toxic]
    return {
        "model": lm.id,
        "strengths": [0.0, 1.0],
        "pooling": f"{pooling} over tokens, without padding, first token and outliers",
        "texts": len(rows),
        "tokens": sum(lengths),
        "rows_sha256": rows.sha256,
        "settings": config.model_dump(mode="json", exclude={"positions"}),
    }
