"""The line between toxic and other texts in a model's last hidden states, for SASA decoding.

It is the linear discriminant of both: w = S^-1 (mean of the others - mean of the toxic), with S the
covariance within the two kinds, shrunk: (1 - shrinkage) S + shrinkage * (trace S / D) I. No weight
of the model changes. `detoxlab measure RUN` steers by it, see `detoxlab.steering.sasa`.

Source: Ko et al. 2025, "Large Language Models can be Strong Self-Detoxifiers" (arXiv 2410.03818),
section 3. The shrinkage is ours: the covariance of few texts cannot be inverted.
"""

from pydantic import Field

from detoxlab.methods.base import MethodConfig, MethodSpec


class SasaConfig(MethodConfig):
    """Hyperparameters of SASA."""

    candidates: int = Field(
        default=20, ge=2, description="likeliest tokens that decoding reads at each step"
    )
    shrinkage: float = Field(
        default=0.1, gt=0, le=1, description="share of the covariance that is made round"
    )
    max_length: int = Field(default=64, ge=2, description="tokens of a text; the rest is left out")
    seed: int = Field(default=0, ge=0, description="of the division of the texts alone")


METHOD = MethodSpec(
    SasaConfig, "detoxlab.methods.sasa.train:fit_sasa", ("texts", "pairs"), makes="steering"
)
