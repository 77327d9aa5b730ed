"""A frozen base that is split among the joined processes (FSDP2), and forward passes in step.

Each process holds a part of every layer, and for a moment the whole of the layer that it computes.
Embeddings, head and last norm stay whole in each: they are needed from the beginning of a step to
its end. Adapters are whole too, so that nothing else knows of the parts: gradients, checkpoints
and resuming are those of data parallel training. Imports torch.

Source: `torch.distributed.fsdp.fully_shard`.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from detoxlab import processes
from detoxlab.errors import ModelError
from detoxlab.internals.torch import leave_to_each_process
from detoxlab.internals.transformers import checkpointing_layers


def place(model: Any, device: torch.device) -> Any:
    """The model of transformers on `device`: whole, or this process's part of it.

    Which of them says `processes.shards_base`. A model in parts is frozen. Raises `ModelError`
    when transformers does not know its layers.
    """
    if not processes.shards_base():
        return model.to(device)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    layers = _layers(model)
    mesh = init_device_mesh(device.type, (processes.count(),))
    model.requires_grad_(False)
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    parts = {weight for layer in layers for weight in layer.parameters()}
    whole = {weight for weight in model.parameters() if weight not in parts}
    decoder = model.get_decoder()
    fully_shard(decoder, mesh=mesh, ignored_params=whole)
    model.to(device)
    with torch.no_grad():  # in inference mode, the first pass would make weights without gradients
        _pass(decoder, device)
    return model


def is_in_parts(model: nn.Module) -> bool:
    """Whether this process holds a part of the model's weights alone."""
    return any(isinstance(weight, DTensor) for weight in model.parameters())


def keep_parts(model: nn.Module) -> None:
    """Let data parallel training leave the weights of a model in parts as they are."""
    leave_to_each_process(
        model, [name for name, weight in model.named_parameters() if isinstance(weight, DTensor)]
    )


@contextlib.contextmanager
def in_step(model: Any) -> Iterator[None]:
    """The block may make another number of forward passes in each process, or none at all.

    A pass of a model in parts needs all processes. A process that is done with the block makes
    passes over one token for as long as others go on. All processes must come here, without
    gradients. A model that is whole is left alone.
    """
    if not is_in_parts(model):
        yield
        return
    decoder, device = model.get_decoder(), next(model.parameters()).device

    def announce(*_inputs: Any) -> None:
        _going_on(True, device)

    handle = decoder.register_forward_pre_hook(announce, prepend=True)
    try:
        yield
    finally:
        handle.remove()
    with torch.no_grad():
        while int(_going_on(False, device)):
            _pass(decoder, device)


# --- inside ---


def _layers(model: Any) -> list[nn.Module]:
    """The layers of the model, inner ones before those around them."""
    layers = checkpointing_layers(model)[::-1]
    if not layers:
        raise ModelError(
            f"{type(model).__name__} has no layers that are known, so it cannot be sharded",
            remedy="Start without --use_fsdp.",
        )
    return layers


def _going_on(is_mine: bool, device: torch.device) -> torch.Tensor:
    """How many processes are about to make a pass; each says whether it is."""
    votes = torch.tensor(int(is_mine), device=device)
    processes.add_up([votes])
    return votes


def _pass(decoder: Any, device: torch.device) -> None:
    decoder(input_ids=torch.zeros(1, 1, dtype=torch.long, device=device), use_cache=False)
