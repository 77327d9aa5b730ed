"""Fits the auxiliary head on labelled responses, and measures its quality on others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from detoxlab.auxiliary.config import HeadSettings
from detoxlab.auxiliary.features import POSITIONS, Features
from detoxlab.auxiliary.head import AuxiliaryHead
from detoxlab.auxiliary.losses import (
    acceptance_loss,
    consistency_loss,
    log_next_acceptance,
)
from detoxlab.measures import calibration_error, roc_auc
from detoxlab.models.hidden import OutputLayer

CONSISTENT = 128  # positions of each step on which forward consistency is asked for

Report = dict[str, Any]


@dataclass(frozen=True)
class Fit:
    """One fit of a head: its data, with a weight per response, and its settings."""

    head: AuxiliaryHead
    output: OutputLayer
    features: Features
    weights_N: Tensor
    settings: HeadSettings
    seed: int = 0

    def run(self, log: Callable[[dict[str, float]], None] = lambda _row: None) -> None:
        """Change the head's weights by `settings.steps` steps; `log` gets a row of each."""
        head, settings = self.head.train(), self.settings
        optimizer = torch.optim.AdamW(
            head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        generator = torch.Generator().manual_seed(self.seed)
        for step in range(settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * (1 - step / settings.steps)
            index_B, weights_B = self._batch(generator)
            accept, consistent = self._losses(index_B, weights_B, generator)
            loss = accept + settings.consistency * consistent
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
            log(
                {
                    "step": step + 1,
                    "loss": loss.item(),
                    "acceptance_loss": accept.item(),
                    "consistency_loss": consistent.item(),
                    "learning_rate": settings.learning_rate * (1 - step / settings.steps),
                }
            )
        head.eval()

    def _batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Indices of responses and their weights, which undo the balancing over labels."""
        size, accepted_N = self.settings.batch_size, self.features.accepted_N.cpu()
        weights_N = self.weights_N.cpu().float()
        share = float((weights_N * accepted_N).sum() / weights_N.sum())
        if not self.settings.balanced or share in (0.0, 1.0):
            index_B = torch.randint(len(accepted_N), (size,), generator=generator)
            return self._on_device(index_B, weights_N[index_B])
        kinds = [accepted_N.nonzero()[:, 0], (~accepted_N).nonzero()[:, 0]]
        halves = [size - size // 2, size // 2]
        parts = [
            kind[torch.randint(len(kind), (half,), generator=generator)]
            for kind, half in zip(kinds, halves, strict=True)
        ]
        correction = [
            weights_N[part] / weights_N[kind].mean() * mass * size / max(len(part), 1)
            for part, kind, mass in zip(parts, kinds, (share, 1 - share), strict=True)
        ]
        return self._on_device(torch.cat(parts), torch.cat(correction))

    def _on_device(self, index_B: Tensor, weights_B: Tensor) -> tuple[Tensor, Tensor]:
        device = self.features.ids_NL.device
        return index_B.to(device), weights_B.to(device)

    def _losses(
        self, index_B: Tensor, weights_B: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Weighted means over prefixes of the two losses, in nats."""
        features = self.features
        mask_BL, ids_BL = features.mask_NL[index_B], features.ids_NL[index_B]
        rows, columns = mask_BL.nonzero(as_tuple=True)
        hidden_PD = features.hidden_NLD[index_B[rows], columns]
        r_P = self.head.at(hidden_PD, ids_BL[rows, columns][:, None])[:, 0]
        accepted_P = features.accepted_N[index_B][rows]
        weights_P = weights_B[rows]
        accept = (weights_P * acceptance_loss(r_P, accepted_P)).sum() / len(weights_P)
        if not self.settings.consistency:
            return accept, torch.zeros(())
        later = (columns > 0).nonzero()[:, 0].cpu()
        if not len(later):
            return accept, torch.zeros(())
        chosen = later[torch.randperm(len(later), generator=generator)[:CONSISTENT]].to(r_P.device)
        log_s, log_not_s = self.next_acceptance(hidden_PD[chosen])
        # within a response positions follow one another: the one before is R(y_<=i)
        terms = consistency_loss(r_P[chosen - 1], log_s, log_not_s)
        return accept, (weights_P[chosen] * terms).sum() / len(chosen)

    @torch.no_grad()
    def next_acceptance(self, hidden_PD: Tensor) -> tuple[Tensor, Tensor]:
        """log S and log(1 - S), (P,), of prefixes with these hidden states."""
        return expected_acceptance(self.head, self.output, hidden_PD)


def expected_acceptance(
    head: AuxiliaryHead, output: OutputLayer, hidden_PD: Tensor
) -> tuple[Tensor, Tensor]:
    """log S and log(1 - S), (P,): the R that the head expects after the next token."""
    parts = [
        log_next_acceptance(torch.log_softmax(output(part), dim=-1), head(part))
        for part in torch.split(hidden_PD, POSITIONS)
    ]
    return torch.cat([s for s, _ in parts]), torch.cat([n for _, n in parts])


@torch.no_grad()
def evaluate_head(head: AuxiliaryHead, output: OutputLayer, features: Features) -> Report:
    """The quality of R on responses it was not fitted on, by position (1: after the first token).

    `auroc` is the probability that an accepted response has a higher R than a rejected one,
    `calibration_error` the mean gap between R and the share accepted over bins of R,
    `consistency_gap` the mean |S - R|. `prompt_r` is R before the first token; its mean should
    be the acceptance rate.
    """
    accepted_N = features.accepted_N.cpu().numpy()
    r_NL = np.full(features.ids_NL.shape, np.nan)
    s_NL = np.full(features.ids_NL.shape, np.nan)
    for rows in torch.split(torch.arange(len(features)), 64):
        mask = features.mask_NL[rows]
        hidden_PD, ids_P = features.hidden_NLD[rows][mask], features.ids_NL[rows][mask]
        r_P = torch.cat(
            [
                head.at(h, i[:, None])[:, 0]
                for h, i in zip(
                    torch.split(hidden_PD, POSITIONS), torch.split(ids_P, POSITIONS), strict=True
                )
            ]
        )
        place = np.ix_(rows.numpy(), np.arange(features.ids_NL.shape[1]))
        for table, values_P in (
            (r_NL, logsigmoid(r_P)),
            (s_NL, expected_acceptance(head, output, hidden_PD)[0]),
        ):
            block = np.full(mask.shape, np.nan)
            block[mask.cpu().numpy()] = values_P.exp().cpu().double().numpy()
            table[place] = block
    gaps = np.abs(s_NL[:, 1:] - r_NL[:, :-1])
    seen = ~np.isnan(r_NL)
    labels_NL = np.broadcast_to(accepted_N[:, None], r_NL.shape)
    return {
        "responses": len(accepted_N),
        "acceptance": float(accepted_N.mean()),
        "prompt_r": float(np.nanmean(s_NL[:, 0])),
        "prompt_auroc": roc_auc(s_NL[:, 0], accepted_N),
        "auroc": roc_auc(r_NL[seen], labels_NL[seen]),
        "calibration_error": calibration_error(r_NL[seen], labels_NL[seen].astype(float)),
        "consistency_gap": float(np.nanmean(gaps)) if np.isfinite(gaps).any() else None,
        "positions": [
            _position(j, r_NL[:, j], accepted_N) for j in range(r_NL.shape[1]) if seen[:, j].any()
        ],
    }


def _position(j: int, r_N: NDArray[np.float64], accepted_N: NDArray[np.bool_]) -> Report:
    seen = ~np.isnan(r_N)
    return {
        "position": j + 1,
        "n": int(seen.sum()),
        "auroc": roc_auc(r_N[seen], accepted_N[seen]),
        "mean_r": float(r_N[seen].mean()),
        "acceptance": float(accepted_N[seen].mean()),
        "calibration_error": calibration_error(r_N[seen], accepted_N[seen].astype(float)),
    }
