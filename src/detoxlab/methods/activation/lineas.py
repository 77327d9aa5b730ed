"""LinEAS: the maps of all sites are learnt together, so that each knows what the others do.

Source: Rodriguez et al. 2025, "LinEAS: End-to-end Learning of Activation Steering with a
Distributional Loss" (arXiv 2503.10679), equations 4 and 5 and algorithm 1. Departure: the gradient
step is Adam's, so that one learning rate serves sites of unlike size; the proximal step is
unchanged.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from detoxlab.methods.activation.collect import Batch, Reading, forward, frozen
from detoxlab.methods.activation.config import LinEASConfig
from detoxlab.methods.activation.rows import MatchedRows
from detoxlab.methods.activation.train import Data, Maps, fit_steering
from detoxlab.methods.loop.log import TrainLog, figures
from detoxlab.models import LanguageModel
from detoxlab.models.language_model import evaluation_mode
from detoxlab.models.layouts.hooks import visiting
from detoxlab.models.layouts.sites import Site, sites_of
from detoxlab.progress import progress
from detoxlab.runs import Run
from detoxlab.steering.activations.files import SiteMap
from detoxlab.steering.activations.maps import affine

Weights = Mapping[str, dict[str, Tensor]]


def fit_lineas(config: LinEASConfig, lm: LanguageModel, data: Data, run: Run) -> Path:
    """The folder of a steering whose maps were learnt jointly; see `fit_steering`.

    `train.jsonl` has the loss of each step.
    """
    log = TrainLog(run.path)

    def learn(config: LinEASConfig, lm: LanguageModel, rows: MatchedRows) -> Maps:
        log.cut_after(-1)
        return _maps(config, lm, rows, log)

    return fit_steering(config, lm, data, run, method="lineas", learn=learn)


def transport_loss(toxic_ND: Tensor, other_ND: Tensor) -> Tensor:
    """Σ over neurons of (1/N) |sort(toxic) − sort(other)|², at least 0; lower is nearer.

    It is the squared distance of Wasserstein between the samples of each neuron. Equation 4.

    >>> transport_loss(torch.tensor([[3.0], [1.0]]), torch.tensor([[1.0], [5.0]])).item()
    2.0
    """
    gaps_ND = toxic_ND.sort(dim=0).values - other_ND.sort(dim=0).values
    return gaps_ND.square().sum() / len(gaps_ND)


def shrunk(vector_D: Tensor, neurons: float, group: float) -> Tensor:
    """The proximal step of the sparse group lasso: neurons towards 0, then all of them together.

    `neurons` and `group` are the weights of the two norms; that of the group grows by √D.

    >>> shrunk(torch.tensor([5.0, 0.5]), 1.0, 0.0).tolist()
    [4.0, 0.0]
    >>> shrunk(torch.tensor([3.0, 4.0]), 0.0, 2.5 / 2**0.5).tolist()
    [1.5, 2.0]
    """
    soft_D = vector_D.sign() * (vector_D.abs() - neurons).clamp(min=0)
    length = soft_D.norm().clamp(min=torch.finfo(soft_D.dtype).tiny)
    kept: Tensor = (1 - group * len(vector_D) ** 0.5 / length).clamp(min=0)
    return soft_D * kept


def _maps(config: LinEASConfig, lm: LanguageModel, rows: MatchedRows, log: TrainLog) -> Maps:
    sites = sites_of(lm, config.sites, config.layers)
    pooled = Reading.of(lm, rows).pooled(sites, "mean")
    targets = {k: torch.from_numpy(b).float().to(lm.device) for k, (_, b) in pooled.items()}
    (batch,) = Reading.of(lm, rows, at_once=True).batches
    toxic = _toxic_part(batch)
    weights: Weights = {
        key: {
            "weight": torch.ones(target.shape[1], device=lm.device, requires_grad=True),
            "bias": torch.zeros(target.shape[1], device=lm.device, requires_grad=True),
        }
        for key, target in targets.items()
    }
    optimizer = torch.optim.Adam([w for one in weights.values() for w in one.values()])
    with (
        evaluation_mode(lm.model),
        frozen(lm.model),
        progress("fitting lineas", config.steps) as advance,
    ):
        for step in range(config.steps):
            rate = config.learning_rate * (1 - step / config.steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss = _loss(lm, toxic, sites, weights, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            _shrink(config, weights, rate)
            log.append({"step": step + 1, "loss": loss.item(), "learning_rate": rate})
            advance(1, figures(log.latest))
    return {
        key: SiteMap("affine", {name: w.detach() for name, w in one.items()})
        for key, one in weights.items()
    }


def _loss(
    lm: LanguageModel,
    batch: Batch,
    sites: Sequence[Site],
    weights: Weights,
    targets: Mapping[str, Tensor],
) -> Tensor:
    """Σ over sites of the distance of the toxic texts, with all maps on, from the others."""
    losses: list[Tensor] = []

    def steer(site: Site, z_BTD: Tensor) -> Tensor:
        moved_BTD = affine(z_BTD, 1.0, weights[site.key]).to(z_BTD.dtype)
        moved_BTD = torch.where(batch.is_text_BT[:, :, None], moved_BTD, z_BTD)
        losses.append(transport_loss(batch.pool(site, moved_BTD), targets[site.key]))
        return moved_BTD

    with visiting(sites, steer):
        forward(lm, batch)
    return torch.stack(losses).sum()


def _shrink(config: LinEASConfig, weights: Weights, rate: float) -> None:
    if not config.sparsity:
        return
    group = rate * config.sparsity * config.group_share
    neurons = rate * config.sparsity * (1 - config.group_share)
    with torch.no_grad():
        for one in weights.values():
            one["weight"].copy_(1 + shrunk(one["weight"] - 1, neurons, group))
            one["bias"].copy_(shrunk(one["bias"], neurons, group))


def _toxic_part(batch: Batch) -> Batch:
    toxic_B = batch.is_toxic_B
    inputs = {name: value[toxic_B] for name, value in batch.inputs.items()}
    return Batch(inputs, batch.is_text_BT[toxic_B], toxic_B[toxic_B], batch.kept_LBT[:, toxic_B])
