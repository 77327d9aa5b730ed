"""A base in parts computes what the whole one does; two: `methods/test_multiprocess.py`."""

from collections.abc import Iterator

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import distributed

from detoxlab import processes
from detoxlab.errors import ModelError
from detoxlab.models.packing import packed_language_model
from detoxlab.processes.sharding import in_step, is_in_parts, place
from tests.support.layouts import SUPPORTED, layout_model
from tests.support.tiny import tiny_model

CPU = torch.device("cpu")
IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12, 13]])


@pytest.fixture(scope="module", autouse=True)
def group() -> Iterator[None]:
    """A group of one process, which holds all parts."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(processes, "shards_base", lambda: True)
        yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("kind", SUPPORTED)
def test_every_architecture_gives_the_logits_of_the_whole(kind: str) -> None:
    model = layout_model(kind).eval()
    with torch.inference_mode():
        whole_BTV = model(input_ids=IDS).logits
    place(model, CPU)
    with torch.inference_mode():
        parts_BTV = model(input_ids=IDS).logits
    assert is_in_parts(model)
    assert torch.allclose(parts_BTV, whole_BTV, rtol=1e-5, atol=1e-5)
    assert not any(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("checkpoints", [False, True])
def test_an_adapter_learns_the_same(checkpoints: bool) -> None:
    """Also after passes in inference mode and beside passes without gradients."""
    gradients = []
    for placed in (lambda model, _device: model, place):
        torch.manual_seed(0)
        settings = LoraConfig(target_modules=["q_proj", "down_proj"], init_lora_weights=False)
        model = get_peft_model(placed(tiny_model(), CPU), settings).train()
        if checkpoints:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        with torch.inference_mode():
            model(input_ids=IDS)
        loss = model(input_ids=IDS, labels=IDS).loss
        with torch.no_grad(), model.disable_adapter():
            reference = model(input_ids=IDS, labels=IDS).loss
        (loss - reference).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    whole, parts = gradients
    assert len(whole) == len(parts) == 2 * 2 * 2
    for name, gradient in whole.items():
        assert gradient.abs().max() > 0
        assert torch.equal(parts[name], gradient)


def test_parts_are_not_packed_and_a_model_without_layers_is_refused() -> None:
    model = place(tiny_model(), CPU)
    with in_step(model), packed_language_model(model), torch.no_grad():
        model(input_ids=IDS)
    assert not [one for one in model.modules() if "PackedForward" in str(vars(one).get("forward"))]
    with pytest.raises(ModelError, match="Linear has no layers that are known"):
        place(torch.nn.Linear(2, 2), CPU)
