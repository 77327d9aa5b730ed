"""Packed layers compute the same, while they have the weight that was packed."""

import pytest
import torch
from torch import nn

from detoxlab.internals.torch import has_packing
from detoxlab.models.adapters.edits import Edit
from detoxlab.models.packing import (
    SMALLEST_LANGUAGE_MODEL,
    pack_for_cpu,
    packed_language_model,
)

needs_packing = pytest.mark.skipif(not has_packing(), reason="a build of torch without oneDNN")


def is_packed(layer: nn.Module) -> bool:
    return "forward" in vars(layer)


@needs_packing
def test_packed_layers_compute_the_same() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(24, 40), nn.Linear(40, 3, bias=False)).eval()
    x_BTD = torch.randn(4, 5, 24)
    with torch.inference_mode():
        expected = plain(x_BTD), plain(x_BTD[:, 0])
        packed = pack_for_cpu(plain)
        torch.testing.assert_close((packed(x_BTD), packed(x_BTD[:, 0])), expected)
    assert is_packed(packed[0])


def test_half_precision_is_not_packed() -> None:
    half = pack_for_cpu(nn.Sequential(nn.Linear(4, 4)).bfloat16())
    assert not is_packed(half[0])


@pytest.fixture(scope="module")
def large() -> nn.Sequential:
    """As many parameters as the smallest language model that is packed, and an adapter's layer."""
    torch.manual_seed(0)
    narrow = nn.Linear(8, 1000, bias=False)
    wide = nn.Linear(1000, SMALLEST_LANGUAGE_MODEL // 1000, bias=False)
    return nn.Sequential(narrow, wide).requires_grad_(False)


@needs_packing
def test_a_language_model_is_packed_while_the_block_lasts(large: nn.Sequential) -> None:
    x_BD = torch.randn(3, 8)
    with torch.inference_mode():
        expected = large(x_BD)
        with packed_language_model(large), packed_language_model(large):
            assert [is_packed(layer) for layer in large] == [False, True]
            torch.testing.assert_close(large(x_BD), expected)
        assert not any(is_packed(layer) for layer in large)
        assert torch.equal(large(x_BD), expected)


@needs_packing
def test_a_weight_that_is_changed_meanwhile_is_the_one_that_counts(large: nn.Sequential) -> None:
    x_BD, weight = torch.randn(3, 8), large[1].weight
    edit = Edit({"weight": weight}, {"weight": 2 * weight.data})
    with torch.inference_mode(), packed_language_model(large):
        edited = large(x_BD)
        with edit.undone():
            torch.testing.assert_close(2 * large(x_BD), edited)
        torch.testing.assert_close(large(x_BD), edited)


def test_a_small_language_model_stays_as_it_is_to_the_last_bit() -> None:
    small = nn.Sequential(nn.Linear(100, 100))
    with packed_language_model(small):
        assert not is_packed(small[0])
