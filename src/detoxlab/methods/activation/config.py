"""Settings of the methods that steer activations. Imports no torch.

Strength is no setting of a fit: it is chosen when the steering is used (`--strength`).
"""

from typing import Literal

from pydantic import Field

from detoxlab.data.split import KindName
from detoxlab.errors import ConfigError
from detoxlab.methods.base import MethodConfig, MethodSpec
from detoxlab.models.layouts.table import SiteName
from detoxlab.steering.activations.files import Positions

FEWEST = 2
NORMS: tuple[SiteName, ...] = ("input_layernorm", "post_attention_layernorm")
LEARNS_FROM: tuple[KindName, ...] = ("pairs", "texts")
PLACE = "detoxlab.methods.activation"


class ActivationConfig(MethodConfig):
    """The settings of every fit: its texts, and the positions that are steered."""

    toxic_part: str = Field(
        "toxic", description="the part of the texts that is toxic; all other parts are not"
    )
    samples: int = Field(
        96, ge=FEWEST, description="texts of each side; 96 pairs in the trial on SmolLM2-135M"
    )
    max_length: int = Field(
        48, ge=4, description="tokens of a text that are read; ours, most comments are shorter"
    )
    positions: Positions = Field(
        "all",
        description="tokens to steer: all, as in the papers, or those of the response alone",
    )
    layers: tuple[int, ...] | None = Field(
        None, description="layers to steer, -1 the last; none: those that the method names"
    )
    seed: int = Field(default=0, ge=0, description="of the choice of texts")

    def check_amount(self, items: int) -> None:
        """Raise `ConfigError` where there is no text for each side."""
        if items < FEWEST:
            raise ConfigError(f"{items} texts are too few to fit a steering")


class MeanActConfig(ActivationConfig):
    """Hyperparameters of Mean-AcT."""

    sites: tuple[SiteName, ...] = Field(
        NORMS, min_length=1, description="activations with a map; norms, as Rodriguez et al. 2025"
    )
    sequential: bool = Field(
        True, description="fit in the order of the forward pass, earlier maps on; Rodriguez et al."
    )


class LinearActConfig(MeanActConfig):
    """Hyperparameters of Linear-AcT."""

    support: bool = Field(
        False,
        description="move only activations between the least and the greatest toxic one; "
        "Rodriguez et al. leave the choice open",
    )


class LinEASConfig(ActivationConfig):
    """Hyperparameters of LinEAS."""

    samples: int = Field(32, ge=FEWEST, description="texts of each side; Rodriguez et al. 2025")
    sites: tuple[SiteName, ...] = Field(
        NORMS, min_length=1, description="activations with a map; norms, as in Mean-AcT"
    )
    steps: int = Field(100, ge=0, description="proximal gradient steps; ours")
    learning_rate: float = Field(
        1e-2, gt=0, description="Adam's, falling to 0; ours, the paper takes plain gradient steps"
    )
    sparsity: float = Field(
        0.0, ge=0, description="gamma, the weight of the sparse group lasso; 0 keeps every neuron"
    )
    group_share: float = Field(
        0.5, ge=0, le=1, description="share of the lasso on whole sites, the rest on neurons; ours"
    )


class AurAConfig(ActivationConfig):
    """Hyperparameters of AurA."""

    samples: int = Field(
        256, ge=FEWEST, description="texts of each side; Suau et al. 2024 take 500"
    )
    sites: tuple[SiteName, ...] = Field(
        ("gate", "up", "down"), min_length=1, description="linear layers of the MLP; Suau et al."
    )
    noise: float = Field(
        0.0,
        ge=0,
        description="standard errors by which a neuron's AUROC must exceed 1/2 before it is "
        "damped; 0: Suau et al., 1 spares neurons without signal",
    )


class CAAConfig(ActivationConfig):
    """Hyperparameters of CAA, the difference in means. `layers`: none, the middle one."""

    samples: int = Field(128, ge=FEWEST, description="texts of each side; ours")


class AblationConfig(ActivationConfig):
    """Hyperparameters of directional ablation. `layers`: none, all."""

    samples: int = Field(128, ge=FEWEST, description="texts of each side; Arditi et al. 2024")
    source: int | None = Field(
        None, description="the layer that gives the direction; none: the middle one"
    )


class ITIConfig(ActivationConfig):
    """Hyperparameters of inference-time intervention. `layers`: none, all."""

    samples: int = Field(128, ge=4, description="texts of each side; ours")
    share: float = Field(
        0.05, gt=0, le=1, description="share of heads that are shifted; Li et al. 2023: 48 of 1,024"
    )
    distance: float = Field(
        15.0, gt=0, description="alpha, the shift in standard deviations at strength 1; Li et al."
    )
    direction: Literal["mean", "probe"] = Field(
        "mean", description="difference of the means (best in Li et al.) or the probe's weights"
    )


def _spec(config: type[ActivationConfig], fit: str) -> MethodSpec:
    return MethodSpec(config, f"{PLACE}.{fit}", LEARNS_FROM, makes="steering")


MEAN_ACT = _spec(MeanActConfig, "act:fit_mean_act")
LINEAR_ACT = _spec(LinearActConfig, "act:fit_linear_act")
LINEAS = _spec(LinEASConfig, "lineas:fit_lineas")
AURA = _spec(AurAConfig, "aura:fit_aura")
CAA = _spec(CAAConfig, "difference:fit_caa")
ABLATION = _spec(AblationConfig, "difference:fit_ablation")
ITI = _spec(ITIConfig, "iti:fit_iti")
