"""The table of layouts: each named site is the activation that its name says."""

from typing import Any

import pytest
import torch
from torch import Tensor

from detoxlab.errors import ConfigError, ModelError
from detoxlab.models import evaluating
from detoxlab.models.layouts.sites import Site, layers_of, sites_of
from detoxlab.models.layouts.table import LAYOUTS, SITES
from tests.support.layouts import layout_lm

IDS = torch.tensor([[9, 8, 7, 20, 21]])
PLAIN = ("input_layernorm", "heads", "post_attention_layernorm", "up", "down", "residual")


def seen_at(lm: Any, sites: list[Site]) -> dict[str, Tensor]:
    """The activations of one forward pass, and what the parts around them read."""
    found: dict[str, Tensor] = {}

    def keep(key: str, is_input: bool) -> Any:
        def hook(_module: Any, inputs: Any, output: Any) -> None:
            value = inputs[0] if is_input else output
            found[key] = (value[0] if isinstance(value, tuple) else value).clone()

        return hook

    handles = [s.module.register_forward_hook(keep(s.key, s.is_input)) for s in sites]
    with evaluating(lm):
        lm.model(input_ids=IDS, use_cache=False)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("kind", sorted(LAYOUTS))
def test_every_layout_has_its_layers_and_residual_stream(kind: str) -> None:
    lm = layout_lm(kind)
    found = seen_at(lm, sites_of(lm, ["heads", "residual"]))
    states = lm.model(input_ids=IDS, use_cache=False, output_hidden_states=True).hidden_states
    assert len(layers_of(lm)) == 2
    assert torch.allclose(found["0.residual"], states[1], atol=1e-6)
    assert found["1.heads"].shape[:2] == IDS.shape


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("falcon", ("input_layernorm", "heads", "up", "down", "residual")),
        ("gemma", (*PLAIN[:3], "gate", *PLAIN[3:])),
        ("gpt2", PLAIN),
        ("gpt_neox", PLAIN),
        ("llama", (*PLAIN[:3], "gate", *PLAIN[3:])),
        ("mistral", (*PLAIN[:3], "gate", *PLAIN[3:])),
        ("qwen2", (*PLAIN[:3], "gate", *PLAIN[3:])),
        ("gemma2", tuple(SITES)),
    ],
)
def test_sites_of_a_family_are_those_that_it_has(kind: str, names: tuple[str, ...]) -> None:
    lm = layout_lm(kind)
    asked = [name for name in SITES if kind == "gemma2" or "output_norm" not in name]
    sites = sites_of(lm, asked)
    assert [site.key for site in sites] == [f"{layer}.{name}" for layer in (0, 1) for name in names]
    found = seen_at(lm, sites)
    down = {site.key: site.module for site in sites}["1.down"]
    widths = {name: found[f"1.{name}"].shape[-1] for name in names}
    assert {widths[n] for n in ("input_layernorm", "down", "residual")} == {32}
    assert widths["up"] == sum(p.numel() for p in down.parameters() if p.ndim == 2) // 32


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2", "mistral", "gemma"])
def test_norms_are_read_by_attention_and_mlp(kind: str) -> None:
    lm = layout_lm(kind)
    norms = sites_of(lm, ["input_layernorm", "post_attention_layernorm", "up"])
    found = seen_at(lm, norms)
    up = {site.key: site.module for site in norms}["0.up"]
    with evaluating(lm):
        assert torch.allclose(up(found["0.post_attention_layernorm"]), found["0.up"], atol=1e-6)


def test_layers_are_chosen_by_number_and_counted_from_the_end() -> None:
    lm = layout_lm("llama")
    assert [site.key for site in sites_of(lm, ["residual"], [-1])] == ["1.residual"]
    with pytest.raises(ModelError, match="llama@00000000: has no layer 2"):
        sites_of(lm, ["residual"], [2])


def test_what_a_layout_lacks_is_said_in_one_line() -> None:
    with pytest.raises(ModelError, match="layout of its architecture, bloom, is not known"):
        sites_of(layout_lm("bloom"), ["residual"])
    with pytest.raises(ModelError, match="layer 0 has no input_layernorm"):
        sites_of(layout_lm("olmo2"), ["input_layernorm"])
    with pytest.raises(ModelError, match="layer 0 has no up"):
        sites_of(layout_lm("mixtral"), ["up"])
    with pytest.raises(ConfigError, match="site 'norm' is not known"):
        sites_of(layout_lm("llama"), ["norm"])
