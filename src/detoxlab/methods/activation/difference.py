"""CAA and directional ablation, both by the difference of mean activations.

CAA adds it to the residual stream (Rimsky et al. 2024, arXiv 2312.06681, equation 1). Directional
ablation takes its direction out (Arditi et al. 2024, arXiv 2406.11717, equations 1, 2 and 4).

Departures: means are over whole texts, not over the token of an answer; ablation acts on the
stream after each layer, not also between attention and MLP; and its layer is not searched for.
"""

from pathlib import Path

import numpy as np

from detoxlab.errors import TrainingError
from detoxlab.methods.activation.collect import Reading, Rows, site_map
from detoxlab.methods.activation.config import AblationConfig, CAAConfig
from detoxlab.methods.activation.rows import MatchedRows
from detoxlab.methods.activation.train import Data, Maps, fit_steering, middle
from detoxlab.models import LanguageModel
from detoxlab.models.layouts.sites import layers_of, sites_of
from detoxlab.runs import Run


def fit_caa(config: CAAConfig, lm: LanguageModel, data: Data, run: Run) -> Path:
    """The folder of a steering that adds the difference of the means; see `fit_steering`."""
    return fit_steering(config, lm, data, run, method="caa", learn=_shifts)


def fit_ablation(config: AblationConfig, lm: LanguageModel, data: Data, run: Run) -> Path:
    """The folder of a steering that takes a direction out; see `fit_steering`."""
    return fit_steering(config, lm, data, run, method="ablation", learn=_projections)


def mean_difference(toxic_ND: Rows, other_MD: Rows) -> Rows:
    """Mean of the others − mean of the toxic, (D,): the way from toxic to other texts.

    >>> mean_difference(np.array([[1.0], [3.0]]), np.array([[5.0], [9.0]]))
    array([5.])
    """
    difference: Rows = other_MD.mean(axis=0) - toxic_ND.mean(axis=0)
    return difference


def unit(vector_D: Rows) -> Rows:
    """The vector at length 1; `TrainingError` for one of length 0.

    >>> unit(np.array([3.0, 4.0]))
    array([0.6, 0.8])
    """
    length = np.linalg.norm(vector_D)
    if length == 0:
        raise TrainingError(
            "toxic and other texts have the same mean activations: there is no direction",
            remedy="Give texts that differ, or another layer.",
        )
    made: Rows = vector_D / length
    return made


def _shifts(config: CAAConfig, lm: LanguageModel, rows: MatchedRows) -> Maps:
    layers = config.layers or (middle(len(layers_of(lm))),)
    pooled = Reading.of(lm, rows).pooled(sites_of(lm, ["residual"], layers), "mean")
    return {key: site_map("shift", vector=mean_difference(*two)) for key, two in pooled.items()}


def _projections(config: AblationConfig, lm: LanguageModel, rows: MatchedRows) -> Maps:
    source = middle(len(layers_of(lm))) if config.source is None else config.source
    (two,) = Reading.of(lm, rows).pooled(sites_of(lm, ["residual"], [source]), "mean").values()
    direction = unit(mean_difference(*two))
    steered = sites_of(lm, ["residual"], config.layers)
    return {site.key: site_map("projection", direction=direction) for site in steered}
