"""The model projected onto the constraint: a snapshot of the policy, the base, or the policy."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from detoxlab.methods.regularised.targets import PrefixIndex, Projection, ResponseSpan, Targets
from detoxlab.methods.rows.dialogue import IGNORED
from detoxlab.models import LanguageModel
from detoxlab.models.language_model import evaluation_mode
from detoxlab.models.swapping import swapped

SNAPSHOT = "snapshot.safetensors"


class Snapshot:
    """The adapter's weights at one moment, put in place of the present ones for a while.

    Only `take` copies weights; afterwards the two sets change places.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.weights: dict[str, Tensor] = {}
        self.take()

    def take(self) -> None:
        """Remember the weights as they are now."""
        self.weights = {name: p.detach().clone() for name, p in self.parameters.items()}

    def active(self) -> AbstractContextManager[None]:
        """The remembered weights while the block lasts."""
        return swapped(self.parameters, self.weights)

    def save(self, folder: Path) -> None:
        """Write the remembered weights into `folder`."""
        save_file({n: w.contiguous() for n, w in self.weights.items()}, folder / SNAPSHOT)

    def load(self, folder: Path) -> None:
        """Remember the weights that `save` wrote."""
        loaded = load_file(folder / SNAPSHOT)
        self.weights = {n: loaded[n].to(w.device) for n, w in self.weights.items()}


def hidden_states(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    """The last hidden states (B, T, D) of a bare model, without its output layer."""
    hidden_BTD: Tensor = model.base_model(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
    ).last_hidden_state
    return hidden_BTD


@dataclass
class Anchor:
    """The anchor of a training: it draws the responses, and its projections are the targets."""

    kind: str
    lm: LanguageModel
    trainer: Any
    snapshot: Snapshot = field(init=False)

    def __post_init__(self) -> None:
        self.snapshot = Snapshot(self.lm.model)

    def drawing(self) -> AbstractContextManager[None]:
        """The model draws while the block lasts: the base, or the policy as an iteration began."""
        return self.without_adapter() if self.kind == "reference" else self.snapshot.active()

    def without_adapter(self) -> AbstractContextManager[None]:
        """The model is the base while the block lasts."""
        base: AbstractContextManager[None] = self.trainer.model.disable_adapter()
        return base

    def targets(
        self,
        projection: Projection,
        spans: Sequence[ResponseSpan],
        policy_PD: Tensor | None = None,
    ) -> Targets:
        """Targets over the responses; `policy_PD` are the policy's own hidden states there."""
        if self.kind == "current" and policy_PD is not None:
            places = PrefixIndex.of(list(enumerate(spans)), policy_PD.device)
            return projection.targets(policy_PD.detach(), places.next_P, places.first_P)
        with self.drawing():
            return self.of_model(projection, spans)

    def of_model(self, projection: Projection, spans: Sequence[ResponseSpan]) -> Targets:
        """Targets from the model as it is; tokens after the responses are not read."""
        inputs = self.inputs(spans)
        places = PrefixIndex.of(list(enumerate(spans)), self.lm.device)
        autocast = self.trainer.accelerator.autocast()
        with evaluation_mode(self.lm.model), torch.no_grad(), autocast:
            hidden_BTD = hidden_states(self.lm.model, inputs)
        return projection.targets(places.of_batch(hidden_BTD), places.next_P, places.first_P)

    def inputs(self, spans: Sequence[ResponseSpan]) -> dict[str, Tensor]:
        """A batch of these rows, in which their responses are labelled."""
        rows = [
            {
                "input_ids": list(s.ids[: s.stop]),
                "labels": [IGNORED] * s.start + list(s.ids[s.start : s.stop]),
            }
            for s in spans
        ]
        batch = self.trainer.data_collator(rows)
        return {name: value.to(self.lm.device) for name, value in batch.items()}
