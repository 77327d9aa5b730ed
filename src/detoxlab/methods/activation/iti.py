"""Inference-time intervention: the heads that tell toxic texts best are shifted.

Source: Li et al. 2023 (arXiv 2306.03341), section 3. Departures: the probes read the mean of a
text's tokens rather than its last token, because a comment has no token of an answer; and a
head's standard deviation is that of single tokens along its direction.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detoxlab.data.split import PairSplit
from detoxlab.methods.activation.collect import Batch, Reading, Rows, site_map
from detoxlab.methods.activation.config import ITIConfig
from detoxlab.methods.activation.rows import MatchedRows, matched_rows
from detoxlab.methods.activation.train import Data, Maps, fit_steering
from detoxlab.models import LanguageModel
from detoxlab.models.layouts.sites import Site, sites_of
from detoxlab.runs import Run
from detoxlab.steering.activations.files import SiteMap

RIDGE = 1.0
NEWTON_STEPS = 8


def fit_iti(config: ITIConfig, lm: LanguageModel, data: Data, run: Run) -> Path:
    """The folder of a steering that shifts heads; see `fit_steering`.

    Heads are chosen by the validation rows of `data`.
    """
    held_out = matched_rows(lm, data.validation, config, of_pairs=isinstance(data, PairSplit))

    def learn(config: ITIConfig, lm: LanguageModel, rows: MatchedRows) -> Maps:
        return _shifts(config, lm, rows, held_out)

    return fit_steering(config, lm, data, run, method="iti", learn=learn)


def probe(x_NE: Rows, y_N: NDArray[np.float64]) -> tuple[Rows, float]:
    """Weights (E,) and bias of the logistic regression of y (0 or 1) on x, by Newton steps.

    A ridge penalty of ½ · `RIDGE` · |w|² on standardised columns keeps it finite where the sides
    can be divided without error. Weights are those of the columns as they are.

    >>> weights, bias = probe(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 0, 1, 1]))
    >>> round(float(-bias / weights[0]), 6)
    1.5
    """
    means_E, widths_E = x_NE.mean(axis=0), x_NE.std(axis=0) + 1e-12
    z_NF = np.concatenate([(x_NE - means_E) / widths_E, np.ones((len(x_NE), 1))], axis=1)
    ridge_FF = RIDGE * np.eye(z_NF.shape[1])
    ridge_FF[-1, -1] = 1e-9
    w_F = np.zeros(z_NF.shape[1])
    for _ in range(NEWTON_STEPS):
        p_N = 1 / (1 + np.exp(-np.clip(z_NF @ w_F, -30, 30)))
        slope_F = z_NF.T @ (p_N - y_N) + ridge_FF @ w_F
        curve_FF = (z_NF * (p_N * (1 - p_N))[:, None]).T @ z_NF + ridge_FF
        w_F = w_F - np.linalg.solve(curve_FF, slope_F)
    weights_E = w_F[:-1] / widths_E
    return weights_E, float(w_F[-1] - weights_E @ means_E)


def accuracy(weights_E: Rows, bias: float, x_NE: Rows, y_N: NDArray[np.float64]) -> float:
    """The share of rows on the right side of the probe, in [0, 1].

    >>> accuracy(np.array([1.0]), -1.5, np.array([[0.0], [2.0], [3.0]]), np.array([0.0, 0, 1]))
    0.6666666666666666
    """
    return float(np.mean((x_NE @ weights_E + bias > 0) == (y_N > 0.5)))


@dataclass(frozen=True)
class Head:
    """One head: its site, its place in it, its direction towards other texts and its accuracy."""

    key: str
    start: int
    direction_E: Rows
    accuracy: float


def _shifts(config: ITIConfig, lm: LanguageModel, rows: MatchedRows, held_out: MatchedRows) -> Maps:
    sites = sites_of(lm, ["heads"], config.layers)
    reading = Reading.of(lm, rows)
    train = reading.pooled(sites, "mean")
    held = Reading.of(lm, held_out).pooled(sites, "mean")
    count = int(lm.bare.config.num_attention_heads)
    heads = [
        head
        for site in sites
        for head in _heads(config, site.key, train[site.key], held[site.key], count)
    ]
    chosen = sorted(heads, key=lambda head: -head.accuracy)[
        : max(1, round(config.share * len(heads)))
    ]
    spreads = _spreads(reading, sites, chosen)
    maps: dict[str, SiteMap] = {}
    for site in sites:
        vector_D = np.zeros(train[site.key][0].shape[1])
        for head, spread in zip(chosen, spreads, strict=True):
            if head.key == site.key:
                end = head.start + len(head.direction_E)
                vector_D[head.start : end] = config.distance * spread * head.direction_E
        if vector_D.any():
            maps[site.key] = site_map("shift", vector=vector_D)
    return maps


def _heads(
    config: ITIConfig, key: str, train: tuple[Rows, Rows], held: tuple[Rows, Rows], count: int
) -> list[Head]:
    """The heads of one site, each with a probe of 1 for other texts and 0 for toxic ones."""
    x_ND, y_N = np.concatenate(train), _labels(train)
    held_MD, held_y_M = np.concatenate(held), _labels(held)
    width = x_ND.shape[1] // count
    found = []
    for start in range(0, x_ND.shape[1], width):
        part = slice(start, start + width)
        weights_E, bias = probe(x_ND[:, part], y_N)
        way_E = train[1][:, part].mean(axis=0) - train[0][:, part].mean(axis=0)
        direction_E = way_E if config.direction == "mean" else weights_E
        length = np.linalg.norm(direction_E)
        if length > 0:
            right = accuracy(weights_E, bias, held_MD[:, part], held_y_M)
            found.append(Head(key, start, direction_E / length, right))
    return found


def _labels(sides: tuple[Rows, Rows]) -> NDArray[np.float64]:
    return np.repeat([0.0, 1.0], [len(side) for side in sides])


def _spreads(reading: Reading, sites: list[Site], heads: list[Head]) -> list[float]:
    """The standard deviation of each head's tokens along its direction."""
    found: list[list[Tensor]] = [[] for _ in heads]
    by_key = {site.key: site for site in sites}

    def look(batch: Batch, site: Site, z_BTD: Tensor) -> None:
        z_PD = z_BTD[batch.kept_LBT[site.layer]].double().cpu()
        for head, values in zip(heads, found, strict=True):
            if head.key == site.key:
                direction_E = torch.from_numpy(head.direction_E)
                values.append(z_PD[:, head.start : head.start + len(direction_E)] @ direction_E)

    reading.visit([by_key[key] for key in dict.fromkeys(head.key for head in heads)], look)
    return [float(torch.cat(values).std(correction=0)) for values in found]
