"""The parts of torch that we use beyond its documented interface. Imports torch.

`torch.compile` uses the two operators for linear layers on CPUs. A build of torch without them
computes the same from ordinary layers, but slower; `has_packing` tells whether it has them.
`_version` of a tensor counts how often it was written to. `torch.cpu` tells by two functions
whether the processor computes with bfloat16.
"""

from collections.abc import Sequence

import torch

from detoxlab.internals.versions import check_version

check_version("torch")


def has_packing() -> bool:
    """Whether this build of torch has oneDNN and both operators."""
    return (
        torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def packed_weight(weight_OI: torch.Tensor, rows: int) -> torch.Tensor:
    """A copy of a linear layer's float32 weight, laid out for inputs of about `rows` rows.

    Only `packed_linear` can read it.
    """
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight_OI.detach(), rows)
    return packed


def packed_linear(x: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The linear layer's output, from its packed weight: x Wᵀ + b."""
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
        x.contiguous(), packed, bias, "none", [], ""
    )
    return result


def weight_identity(weight: torch.Tensor) -> tuple[int, int]:
    """Another one after the weight has been replaced, or written to otherwise than by `.data`."""
    return weight.data_ptr(), weight._version


def leave_to_each_process(module: torch.nn.Module, names: Sequence[str]) -> None:
    """Let `DistributedDataParallel` neither copy nor add up these parameters of the module."""
    ignore = torch.nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
    ignore(module, names)  # type: ignore[no-untyped-call]


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies matrices in bfloat16, and so faster than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    found = (getattr(torch.cpu, name, None) for name in names)
    return device.type == "cpu" and any(bool(ask()) for ask in found if ask)
