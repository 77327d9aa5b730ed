"""AurA: neurons that tell toxic texts from others are damped, in proportion to how well.

Source: Suau et al. 2024, "Whispering Experts" (arXiv 2407.12824), equations 1 to 4. Departures:
the AUROC of N + N texts is above ½ by chance at half of all neurons, so `noise` standard errors may
be taken off it; and tokens left out of every pool are left out of this one.
"""

from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from detoxlab.methods.activation.collect import Reading, Rows, site_map
from detoxlab.methods.activation.config import AurAConfig
from detoxlab.methods.activation.rows import MatchedRows
from detoxlab.methods.activation.train import Data, Maps, fit_steering
from detoxlab.models import LanguageModel
from detoxlab.models.layouts.sites import sites_of
from detoxlab.runs import Run


def fit_aura(config: AurAConfig, lm: LanguageModel, data: Data, run: Run) -> Path:
    """The folder of a steering that damps toxic neurons; see `fit_steering`."""
    return fit_steering(config, lm, data, run, method="aura", learn=_maps, pooling="maximum")


def neuron_auroc(toxic_ND: Rows, other_MD: Rows) -> Rows:
    """By neuron (D,) the probability that a toxic text has the greater activation; ties count ½.

    >>> neuron_auroc(np.array([[3.0], [1.0]]), np.array([[2.0], [0.0]]))
    array([0.75])
    """
    n, m = len(toxic_ND), len(other_MD)
    ranks_D = rankdata(np.concatenate([toxic_ND, other_MD]), axis=0)[:n].sum(axis=0)
    above: Rows = (ranks_D - n * (n + 1) / 2) / (n * m)
    return above


def dampings(toxic_ND: Rows, other_MD: Rows, *, noise: float = 0.0) -> Rows:
    """g = 2 max(AUROC − ½ − z se, 0) by neuron (D,), in [0, 1]; the output becomes 1 − λ g of it.

    se is the standard error of the AUROC of a neuron without signal, √((N + M + 1) / (12 N M)), and
    z is `noise`.

    >>> toxic, other = np.array([[3.0, 1.0], [1.0, 1.0]]), np.array([[2.0, 1.0], [0.0, 2.0]])
    >>> dampings(toxic, other)
    array([0.5, 0. ])
    """
    n, m = len(toxic_ND), len(other_MD)
    error = np.sqrt((n + m + 1) / (12 * n * m))
    damping: Rows = 2 * np.maximum(neuron_auroc(toxic_ND, other_MD) - 0.5 - noise * error, 0.0)
    return damping


def _maps(config: AurAConfig, lm: LanguageModel, rows: MatchedRows) -> Maps:
    sites = sites_of(lm, config.sites, config.layers)
    damp = partial(dampings, noise=config.noise)
    pooled = Reading.of(lm, rows).pooled(sites, "max")
    return {key: site_map("scale", damping=damp(*sides)) for key, sides in pooled.items()}
