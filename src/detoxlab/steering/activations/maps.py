"""Maps of an activation z by a strength λ; 0 leaves it as it was.

A site has one map, by the name in `MAPS`, and its vectors, by the names in `VECTORS`.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Vectors = Mapping[str, Tensor]
Map = Callable[[Tensor, float, Vectors], Tensor]


def affine(z: Tensor, strength: float, vectors: Vectors) -> Tensor:
    """z + λ ((ω − 1) z + β) by neuron; only where low ≤ z ≤ high, if they are given (the support).

    Source: Rodriguez et al. 2025 (arXiv 2410.23054), equations 4 and 6.

    >>> given = {"weight": torch.tensor([2.0]), "bias": torch.tensor([1.0])}
    >>> affine(torch.tensor([[3.0], [9.0]]), 0.5, given).tolist()
    [[5.0], [14.0]]
    >>> support = {"low": torch.tensor([0.0]), "high": torch.tensor([5.0])}
    >>> affine(torch.tensor([[3.0], [9.0]]), 0.5, given | support).tolist()
    [[5.0], [9.0]]
    """
    moved = z + strength * ((vectors["weight"] - 1) * z + vectors["bias"])
    if "low" not in vectors:
        return moved
    return torch.where((z >= vectors["low"]) & (z <= vectors["high"]), moved, z)


def scale(z: Tensor, strength: float, vectors: Vectors) -> Tensor:
    """z (1 − λ g) by neuron, g the damping.

    Source: Suau et al. 2024 (arXiv 2407.12824), where g is 2 (AUROC − ½) of toxic neurons.

    >>> scale(torch.tensor([4.0, 4.0]), 0.5, {"damping": torch.tensor([1.0, 0.0])}).tolist()
    [2.0, 4.0]
    """
    return z * (1 - strength * vectors["damping"])


def shift(z: Tensor, strength: float, vectors: Vectors) -> Tensor:
    """z + λ v.

    Source: Rimsky et al. 2024 (arXiv 2312.06681); Li et al. 2023 (arXiv 2306.03341) for heads.

    >>> shift(torch.tensor([4.0, 4.0]), 0.5, {"vector": torch.tensor([1.0, 0.0])}).tolist()
    [4.5, 4.0]
    """
    return z + strength * vectors["vector"]


def projection(z: Tensor, strength: float, vectors: Vectors) -> Tensor:
    """z − λ r̂ r̂ᵀz, r̂ the direction, of length 1.

    Source: Arditi et al. 2024 (arXiv 2406.11717), equation 4.

    >>> projection(torch.tensor([4.0, 3.0]), 1.0, {"direction": torch.tensor([1.0, 0.0])}).tolist()
    [0.0, 3.0]
    """
    direction = vectors["direction"]
    return z - strength * (z * direction).sum(dim=-1, keepdim=True) * direction


MAPS: Mapping[str, Map] = {
    "affine": affine,
    "scale": scale,
    "shift": shift,
    "projection": projection,
}
VECTORS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "affine": (frozenset({"weight", "bias"}), frozenset({"low", "high"})),
    "scale": (frozenset({"damping"}), frozenset()),
    "shift": (frozenset({"vector"}), frozenset()),
    "projection": (frozenset({"direction"}), frozenset()),
}
"""By map: the names of its vectors, and of further ones that it may have together."""
