"""One forward pass over a batch together with drawn responses."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from detoxlab.methods.rows.dialogue import IGNORED

FILLED = {"attention_mask": 0, "labels": IGNORED}


class Joined:
    """A model that reads further rows after each batch and hides them from its caller, TRL's loss.

    One pass over all rows costs less than two passes. `outputs` are those of all rows; the caller
    gets those of its own rows. `further` rows are in a collator's form; None changes nothing.
    """

    def __init__(self, model: Any, further: Mapping[str, Tensor] | None, pad_id: int) -> None:
        self.model, self.further, self.pad_id = model, further, pad_id
        self.outputs: Any = None

    def __call__(self, **inputs: Any) -> Any:
        if self.further is None:
            self.outputs = self.model(**inputs)
            return self.outputs
        rows = len(inputs["input_ids"])
        self.outputs = self.model(**self._joined(inputs, self.further))
        own = {
            field.name: value[:rows] if isinstance(value, Tensor) and value.ndim > 1 else value
            for field in dataclasses.fields(self.outputs)
            for value in [getattr(self.outputs, field.name)]
        }
        return type(self.outputs)(**own)

    def _joined(self, inputs: dict[str, Any], further: Mapping[str, Tensor]) -> dict[str, Any]:
        """The inputs followed by the further rows, padded to one width."""
        width = max(inputs["input_ids"].shape[1], further["input_ids"].shape[1])
        filled = FILLED | {"input_ids": self.pad_id}
        joined = {
            name: torch.cat(
                [
                    pad(part, (0, width - part.shape[1]), value=filled[name])
                    for part in (inputs[name], rows_BT)
                ]
            )
            for name, rows_BT in further.items()
        }
        return inputs | joined
