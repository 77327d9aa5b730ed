"""Mean-AcT and Linear-AcT: each neuron's toxic activations are carried onto the others.

Source: Rodriguez et al. 2025, "Controlling Language and Diffusion Models by Transporting
Activations" (arXiv 2410.23054). Its equation for ω divides by the squares of the target; its code
divides by those of the source, which is least squares, and so do we.
"""

from pathlib import Path

import numpy as np

from detoxlab.methods.activation.collect import Learn, Reading, Rows, site_map
from detoxlab.methods.activation.config import LinearActConfig, MeanActConfig
from detoxlab.methods.activation.rows import MatchedRows
from detoxlab.methods.activation.train import Data, Maps, fit_steering
from detoxlab.models import LanguageModel
from detoxlab.models.layouts.sites import Site, sites_of
from detoxlab.runs import Run
from detoxlab.steering.activations.files import SiteMap


def fit_mean_act(config: MeanActConfig, lm: LanguageModel, data: Data, run: Run) -> Path:
    """The folder of a steering that moves each neuron's mean; see `fit_steering`."""
    return fit_steering(config, lm, data, run, method="mean-act", learn=_mean_maps)


def fit_linear_act(config: LinearActConfig, lm: LanguageModel, data: Data, run: Run) -> Path:
    """The folder of a steering that moves and stretches each neuron; see `fit_steering`."""
    return fit_steering(config, lm, data, run, method="linear-act", learn=_linear_maps)


def mean_map(toxic_ND: Rows, other_ND: Rows) -> tuple[Rows, Rows]:
    """ω = 1 and β = mean of the others − mean of the toxic, each (D,).

    >>> mean_map(np.array([[1.0], [3.0]]), np.array([[5.0], [9.0]]))
    (array([1.]), array([5.]))
    """
    bias_D = other_ND.mean(axis=0) - toxic_ND.mean(axis=0)
    return np.ones_like(bias_D), bias_D


def linear_map(toxic_ND: Rows, other_ND: Rows) -> tuple[Rows, Rows]:
    """ω and β (D,) of the line that carries the sorted toxic sample onto the other one.

    Both have N rows. With ã and b̃ sorted and centred: ω = Σ ã b̃ / Σ ã², never below 0, and
    β = m_b − ω m_a: the line of least squares. A neuron that is constant on toxic texts has ω = 1.

    >>> linear_map(np.array([[1.0], [3.0]]), np.array([[9.0], [5.0]]))
    (array([2.]), array([3.]))
    """
    means_D, targets_D = toxic_ND.mean(axis=0), other_ND.mean(axis=0)
    a_ND = np.sort(toxic_ND, axis=0) - means_D
    b_ND = np.sort(other_ND, axis=0) - targets_D
    squares_D = (a_ND**2).sum(axis=0)
    varies_D = squares_D > 0
    weight_D = np.ones_like(squares_D)
    np.divide((a_ND * b_ND).sum(axis=0), squares_D, out=weight_D, where=varies_D)
    return weight_D, targets_D - weight_D * means_D


def _mean_maps(config: MeanActConfig, lm: LanguageModel, rows: MatchedRows) -> Maps:
    def learn(_site: Site, toxic_ND: Rows, other_ND: Rows) -> SiteMap:
        weight_D, bias_D = mean_map(toxic_ND, other_ND)
        return site_map("affine", weight=weight_D, bias=bias_D)

    return _maps(config, lm, rows, learn)


def _linear_maps(config: LinearActConfig, lm: LanguageModel, rows: MatchedRows) -> Maps:
    def learn(_site: Site, toxic_ND: Rows, other_ND: Rows) -> SiteMap:
        weight_D, bias_D = linear_map(toxic_ND, other_ND)
        support = {"low": toxic_ND.min(axis=0), "high": toxic_ND.max(axis=0)}
        return site_map(
            "affine", weight=weight_D, bias=bias_D, **(support if config.support else {})
        )

    return _maps(config, lm, rows, learn)


def _maps(config: MeanActConfig, lm: LanguageModel, rows: MatchedRows, learn: Learn) -> Maps:
    sites = sites_of(lm, config.sites, config.layers)
    if config.sequential:
        return Reading.of(lm, rows, at_once=True).maps_in_order(sites, learn)
    pooled = Reading.of(lm, rows).pooled(sites, "mean")
    return {site.key: learn(site, *pooled[site.key]) for site in sites}
