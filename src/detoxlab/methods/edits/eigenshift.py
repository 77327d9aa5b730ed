"""EigenShift: weaken the singular values of the output matrix along which toxic states differ.

With W = U Σ Vᵀ the output matrix (vocabulary, width), h a state that it reads, pooled over the
tokens of a text, and v_i the right-singular vectors,

    Δ_i = E_toxic[v_iᵀ h] − E_other[v_iᵀ h]
    the first `rank` by |Δ_i| / s_i:  σ_i ← factor · σ_i

with s_i the standard deviation of v_iᵀ h within both sides. The change is (factor − 1) W V_k V_kᵀ
for the chosen V_k: it has rank k, and needs neither U nor Σ. A matrix that is tied to the
embeddings is untied: the embeddings stay.

Source: Shaik et al. 2025, "Redefining Experts: Interpretable Decomposition of Language Models for
Toxicity Mitigation" (arXiv 2509.16660); repository EigenShift, reconstruct.py. Departures: the
repository computes V h where Vᵀ h is meant, and ranks signed differences, although the signs of
singular vectors are arbitrary; it reads the states before a toxic word of own responses, while here
given texts are read, token by token.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from detoxlab.data.split import PairSplit, TextSplit
from detoxlab.methods.base import MethodSpec
from detoxlab.methods.edits.config import ContrastConfig
from detoxlab.runs import Run

if TYPE_CHECKING:
    from torch import Tensor

    from detoxlab.models import LanguageModel


class EigenShiftConfig(ContrastConfig):
    """Hyperparameters of EigenShift. Each default names where it comes from."""

    rank: int = Field(
        default=4, ge=1, description="singular values weakened; published: .1 % of the width"
    )
    factor: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="what is left of them; published: .9 (paper), .1 (repository)",
    )


class Directions(NamedTuple):
    """Chosen right-singular vectors (D, K), their numbers from the largest value on, their Δ/s."""

    vectors_DK: "Tensor"
    places_K: "Tensor"
    effects_K: "Tensor"


def right_singular_vectors(weight_VD: "Tensor") -> "Tensor":
    """The right-singular vectors of W as columns (D, D), of the largest value first; float64.

    They are the eigenvectors of WᵀW, which is small where the vocabulary is large.
    """
    import torch

    weight_VD = weight_VD.double()
    vectors_DD: Tensor = torch.linalg.eigh(weight_VD.T @ weight_VD).eigenvectors.flip(1)
    return vectors_DD


def toxic_singular_vectors(
    weight_VD: "Tensor", toxic_ND: "Tensor", other_MD: "Tensor", rank: int
) -> Directions:
    """The singular vectors along which both sides differ most, in standard deviations.

    Rows are the pooled states of texts. The sign of an effect is that of its vector: arbitrary.
    """
    vectors_DD = right_singular_vectors(weight_VD)
    along_toxic_ND, along_other_MD = toxic_ND.double() @ vectors_DD, other_MD.double() @ vectors_DD
    spread_D = ((along_toxic_ND.var(dim=0) + along_other_MD.var(dim=0)) / 2).sqrt()
    effects_D = (along_toxic_ND.mean(dim=0) - along_other_MD.mean(dim=0)) / spread_D
    places_K = effects_D.abs().topk(min(rank, len(effects_D))).indices
    return Directions(vectors_DD[:, places_K], places_K, effects_D[places_K])


def weakening_factors(
    weight_VD: "Tensor", vectors_DK: "Tensor", factor: float
) -> "tuple[Tensor, Tensor]":
    """Factors (V, K) and (K, D) whose product weakens the singular values of these vectors.

    >>> from torch import eye, tensor
    >>> left, right = weakening_factors(2 * eye(2), tensor([[0.0], [1.0]]), factor=0.5)
    >>> (2 * eye(2) + left @ right).tolist()
    [[2.0, 0.0], [0.0, 1.0]]
    """
    vectors_DK = vectors_DK.to(weight_VD.dtype)
    return (factor - 1) * (weight_VD @ vectors_DK), vectors_DK.T


def fit_eigenshift(
    config: EigenShiftConfig, lm: "LanguageModel", data: PairSplit | TextSplit, run: Run
) -> Path:
    """The folder of the edit of the output matrix; `lm` is not changed.

    `run.json` has the numbers of the singular values (0 is the largest) and their effects.
    """
    from detoxlab.methods.edits.fitting import begin, finished, weight_of, write_edit
    from detoxlab.methods.edits.pooled import Place, contrasted

    if done := finished(run, "edit"):
        return done
    contrast = begin(config, lm, data, run, "eigenshift", "edit")
    output = lm.model.get_output_embeddings()
    toxic, other = contrasted(lm, contrast, {"output": Place(output, reads=True)}, config)["output"]
    weight_VD = weight_of(output)
    chosen = toxic_singular_vectors(weight_VD, toxic.means_ND, other.means_ND, config.rank)
    run.update(
        singular_values=chosen.places_K.tolist(),
        effects=[round(effect, 4) for effect in chosen.effects_K.tolist()],
    )
    factors = weakening_factors(weight_VD, chosen.vectors_DK, config.factor)
    return write_edit(run, lm, output, factors)


METHOD = MethodSpec(EigenShiftConfig, fit_eigenshift, ("pairs", "texts"), makes="edit")
