"""Where each architecture keeps its parts: one table, for explanations, steering and edits.

Names deceive: `post_attention_layernorm` is a norm of attention's output in Gemma 2 and the norm
before the MLP in Llama. So every layout is stated here, and sites are named by their role.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Names = tuple[str, ...]
"""Candidates for one part: the first that a layer has is the part."""


@dataclass(frozen=True)
class Layout:
    """Names of modules: those of the model, then those inside each layer.

    `after` is a norm of attention's output, where there is one. `parallel` says how attention
    and MLP are placed: always side by side, in sequence (False), or as a field of the config says.
    `attention_norm` and `mlp_norm` are the norms that attention and MLP read; `after_mlp` is a norm
    of the MLP's output. `up` and `down` are the first and the last matrix of the MLP, `gate` the
    one whose output the activation function gets, where it is not `up`. `reads` are the matrices of
    attention that read its norm.
    """

    layers: str = "model.layers"
    final_norm: str = "model.norm"
    attention: str = "self_attn"
    output: str = "o_proj"
    reads: Names = ("q_proj", "k_proj", "v_proj")
    after: str | None = None
    parallel: bool | str = False
    attention_norm: Names = ("input_layernorm",)
    mlp_norm: Names = ("post_attention_layernorm", "input_layernorm")
    after_mlp: Names = ()
    gate: Names = ("mlp.gate_proj",)
    up: Names = ("mlp.up_proj",)
    down: Names = ("mlp.down_proj",)

    def names_of(self, site: str) -> Names:
        """The candidates for a site within a layer; none where the layout has no such part."""
        if site == "residual":
            return ("",)
        if site == "heads":
            return (f"{self.attention}.{self.output}",)
        if site == "attention_output_norm":
            return (self.after,) if self.after else ()
        field = {
            "input_layernorm": "attention_norm",
            "post_attention_layernorm": "mlp_norm",
            "mlp_output_norm": "after_mlp",
        }.get(site, site)
        names: Names = getattr(self, field)
        return names


LLAMA = Layout()
AFTER = Layout(
    after="post_attention_layernorm",
    mlp_norm=("pre_feedforward_layernorm",),
    after_mlp=("post_feedforward_layernorm",),
)
ONLY_AFTER = Layout(
    after="post_attention_layernorm",
    attention_norm=(),
    mlp_norm=(),
    after_mlp=("post_feedforward_layernorm",),
)
EXPERTS = Layout(gate=(), up=(), down=())
GPT2 = Layout(
    "transformer.h",
    "transformer.ln_f",
    "attn",
    "c_proj",
    ("c_attn",),
    attention_norm=("ln_1",),
    mlp_norm=("ln_2",),
    gate=(),
    up=("mlp.c_fc",),
    down=("mlp.c_proj",),
)

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "cohere": Layout(parallel=True),
        "falcon": Layout(
            "transformer.h",
            "transformer.ln_f",
            "self_attention",
            "dense",
            ("query_key_value",),
            parallel="parallel_attn",
            attention_norm=("ln_attn", "input_layernorm"),
            mlp_norm=("ln_mlp", "post_attention_layernorm", "input_layernorm"),
            gate=(),
            up=("mlp.dense_h_to_4h",),
            down=("mlp.dense_4h_to_h",),
        ),
        "gemma": LLAMA,
        "gemma2": AFTER,
        "gemma3_text": AFTER,
        "gpt2": GPT2,
        "gpt_neox": Layout(
            "gpt_neox.layers",
            "gpt_neox.final_layer_norm",
            "attention",
            "dense",
            ("query_key_value",),
            parallel="use_parallel_residual",
            gate=(),
            up=("mlp.dense_h_to_4h",),
            down=("mlp.dense_4h_to_h",),
        ),
        "granite": LLAMA,
        "llama": LLAMA,
        "mistral": LLAMA,
        "mixtral": EXPERTS,
        "olmo": LLAMA,
        "olmo2": ONLY_AFTER,
        "olmoe": EXPERTS,
        "phi": Layout(
            final_norm="model.final_layernorm",
            output="dense",
            parallel=True,
            gate=(),
            up=("mlp.fc1",),
            down=("mlp.fc2",),
        ),
        "phi3": Layout(reads=("qkv_proj",), gate=(), up=("mlp.gate_up_proj",)),
        "qwen2": LLAMA,
        "qwen3": LLAMA,
        "qwen3_moe": EXPERTS,
        "smollm3": LLAMA,
        "stablelm": Layout(parallel="use_parallel_residual"),
        "starcoder2": Layout(gate=(), up=("mlp.c_fc",), down=("mlp.c_proj",)),
    }
)
"""By the model type of transformers. Phi 3 has gate and up in one matrix."""

SiteName = Literal[
    "input_layernorm",
    "heads",
    "attention_output_norm",
    "post_attention_layernorm",
    "gate",
    "up",
    "down",
    "mlp_output_norm",
    "residual",
]
SITES: Mapping[SiteName, str] = MappingProxyType(
    {
        "input_layernorm": "output of the norm that attention reads",
        "heads": "attention's heads, before its output projection",
        "attention_output_norm": "output of a norm of attention's output (Gemma 2, 3, OLMo 2)",
        "post_attention_layernorm": "output of the norm that the MLP reads, Llama's name",
        "gate": "output of the MLP's matrix before the activation function, where it has two",
        "up": "output of the MLP's first matrix",
        "down": "output of the MLP's last matrix",
        "mlp_output_norm": "output of a norm of the MLP's output (Gemma 2, 3, OLMo 2)",
        "residual": "the residual stream after the layer",
    }
)
"""The activations of a layer that have a name, in the order of the forward pass."""
