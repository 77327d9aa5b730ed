"""ProFS: project toxic directions of the residual stream out of the MLPs' last matrices.

In each layer from `depth` on, with H the means over tokens of the layer's output, one row per text,

    D = (H_non − H_tox) / 2          of paired texts
    D ← D (I − Q Qᵀ)                 Q: the directions to protect
    W_down ← (I − V Vᵀ) W_down       V: the first `rank` right-singular vectors of D

Q is the first right-singular vector of H_non, not centred: the direction that all texts have in
common. Where sinks are left out of the means, Q also has the mean state of the first token.
The change −V (Vᵀ W_down) has rank `rank`, so that the result is exactly an adapter. As published,
a bias of the matrix stays as it is.

Source: Uppaal et al. 2025, "Model Editing as a Robust and Denoised Variant of DPO: A Case Study on
Toxicity" (arXiv 2405.13967), algorithm 1; repository Uppaal/detox-edit, detox.py. It takes means
over padding too; here padding never counts, and attention sinks do not unless asked for.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from detoxlab.data.split import PairSplit, TextSplit
from detoxlab.methods.base import MethodSpec
from detoxlab.methods.edits.config import ContrastConfig
from detoxlab.runs import Run

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from detoxlab.models import LanguageModel

NEGLIGIBLE = 1e-6
"""A singular value below this share of the states' norm is rounding, its vector no direction."""


class ProFSConfig(ContrastConfig):
    """Hyperparameters of ProFS. Each default names where it comes from."""

    rank: int = Field(
        default=10,
        ge=1,
        description="directions removed in each layer; published: 2 (GPT-2 medium), 10 (7B)",
    )
    depth: float = Field(
        default=0.45,
        ge=0,
        lt=1,
        description="edit from this share of the layers on; published: layer 10 of 24, 15 of 32",
    )


def toxic_directions(
    harmless_ND: "Tensor", toxic_ND: "Tensor", rank: int, first_D: "Tensor | None" = None
) -> "Tensor":
    """The orthonormal directions V (D, rank) to remove from one layer, float64.

    Rows are the pooled states of paired texts; `first_D` is the mean state of the first token, if
    it is to be protected. There are fewer than `rank` where the differences have a lower rank.
    """
    import torch

    protected_DQ = protected_directions(harmless_ND, first_D)
    differences_ND = differences(harmless_ND, toxic_ND, protected_DQ)
    found = torch.linalg.svd(differences_ND, full_matrices=False)
    floor = NEGLIGIBLE * float(harmless_ND.norm())
    directions_DK: Tensor = found.Vh[: min(rank, int((floor < found.S).sum()))].T
    return directions_DK


def differences(harmless_ND: "Tensor", toxic_ND: "Tensor", protected_DQ: "Tensor") -> "Tensor":
    """D (N, D): half the differences of paired states, without the protected directions.

    >>> from torch import tensor
    >>> protected = tensor([[1.0], [0.0]])
    >>> differences(tensor([[5.0, 3.0]]), tensor([[1.0, 1.0]]), protected).tolist()
    [[0.0, 1.0]]
    """
    protected_DQ = protected_DQ.double()
    halves_ND = (harmless_ND.double() - toxic_ND.double()) / 2
    return halves_ND - halves_ND @ protected_DQ @ protected_DQ.T


def protected_directions(harmless_ND: "Tensor", first_D: "Tensor | None" = None) -> "Tensor":
    """The orthonormal directions Q (D, 1 or 2) that no edit may touch, float64."""
    import torch

    common_D: Tensor = torch.linalg.svd(harmless_ND.double(), full_matrices=False).Vh[0]
    if first_D is None:
        return common_D[:, None]
    protected_DQ: Tensor = torch.linalg.qr(torch.stack([common_D, first_D.double()], dim=1)).Q
    return protected_DQ


def projection_factors(weight_DF: "Tensor", directions_DK: "Tensor") -> "tuple[Tensor, Tensor]":
    """Factors (D, K) and (K, F) whose product turns W into (I − V Vᵀ) W when added to it.

    >>> from torch import eye, tensor
    >>> left, right = projection_factors(eye(2), tensor([[1.0], [0.0]]))
    >>> (eye(2) + left @ right).tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """
    directions_DK = directions_DK.to(weight_DF.dtype)
    return -directions_DK, directions_DK.T @ weight_DF


def last_matrices(lm: "LanguageModel", depth: float) -> "dict[int, Module]":
    """The last matrix of the MLP of each layer that is edited, by the number of the layer.

    Raises `ModelError` for a layout that is not known, for mixtures of experts, and where a norm
    follows the MLP: then the matrix does not write into the residual stream.
    """
    from detoxlab.errors import ModelError
    from detoxlab.models.layouts.sites import layers_of, layout_of, sites_of

    if layout_of(lm).after_mlp:
        raise ModelError(
            f"{lm.id}: a norm follows its MLP, a projection of the matrix before it is not one of "
            "the residual stream",
            remedy="Use another method.",
        )
    count = len(layers_of(lm))
    sites = sites_of(lm, ["down"], range(int(depth * count), count))
    return {site.layer: site.module for site in sites}


def fit_profs(
    config: ProFSConfig, lm: "LanguageModel", data: PairSplit | TextSplit, run: Run
) -> Path:
    """The folder of the adapter that projects the toxic directions out; `lm` is not changed.

    Pairs are contrasted one by one; of texts, a toxic one and another are put together by the
    seed. `run.json` has the number of texts, and of the directions removed from each layer.

    Raises `TrainingError` where both sides are equal, and the errors of `last_matrices`.
    """
    from detoxlab.methods.edits.fitting import begin, finished, weight_of, write_adapter
    from detoxlab.methods.edits.pooled import Place, contrasted
    from detoxlab.models.layouts.sites import layers_of

    if done := finished(run, "adapter"):
        return done
    matrices = last_matrices(lm, config.depth)
    contrast = begin(config, lm, data, run, "profs", "adapter")
    places = {layer: Place(layers_of(lm)[layer]) for layer in matrices}
    found = {}
    for layer, (toxic, other) in contrasted(lm, contrast, places, config).items():
        first_D = other.first_ND.mean(dim=0) if config.sinks == "leave-out" else None
        found[layer] = toxic_directions(other.means_ND, toxic.means_ND, config.rank, first_D)
    run.update(directions={str(layer): one.shape[1] for layer, one in found.items()})
    factors = [
        (matrices[layer], projection_factors(weight_of(matrices[layer]), found[layer]))
        for layer in matrices
    ]
    return write_adapter(run, lm, factors)


METHOD = MethodSpec(ProFSConfig, fit_profs, ("pairs", "texts"), makes="edit")
