"""Tiny random models of every architecture that detoxlab knows, for tests over all of them.

    for kind in SUPPORTED:              # model types of transformers
        layout_model(kind)              # two layers, the vocabulary of `tiny_tokenizer`
        save_layout(folder, kind)       # a folder that `load_model` reads

Windows of attention are 8 tokens, so that short texts reach beyond them.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from detoxlab.models import LanguageModel
from tests.support.tiny import tiny_tokenizer

SHAPE: dict[str, Any] = {
    "vocab_size": 260,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 1,
    "initializer_range": 0.2,  # so that one token changes much for the next
    "tie_word_embeddings": False,
}
"""What each architecture gets of this, as far as it knows the setting."""

EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
MAMBA2 = {
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_n_groups": 1,
    "mamba_d_state": 8,
    "mamba_chunk_size": 8,
}

ATTENTION: dict[str, dict[str, Any]] = {
    "biogpt": {},
    "bloom": {},
    "codegen": {"rotary_dim": 4},
    "cohere": {"logit_scale": 1.0},
    "deepseek_v3": {
        **EXPERTS,
        "num_key_value_heads": 4,
        "q_lora_rank": 8,
        "kv_lora_rank": 8,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 4,
        "v_head_dim": 8,
        "n_routed_experts": 4,
        "n_group": 2,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    },
    "falcon": {},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "sliding_window": 8},
    "gemma3_text": {
        "head_dim": 8,
        "sliding_window": 8,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "gpt2": {},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 8},
    "gpt_neox": {},
    "gptj": {"rotary_dim": 4},
    "granite": {},
    "llama": {},
    "mistral": {"sliding_window": 8},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "mpt": {},
    "olmo": {},
    "olmo2": {},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.2},
    "phi": {},
    "phi3": {},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "qwen3_moe": {**EXPERTS, "head_dim": 8, "num_experts": 4},
    "smollm3": {},
    "stablelm": {},
    "starcoder2": {},
    "xglm": {"ffn_dim": 48, "init_std": 0.2},
}
"""Their past is keys and values."""

HYBRID: dict[str, dict[str, Any]] = {
    "bamba": {**MAMBA2, "attn_layer_indices": [1]},
    "falcon_h1": {**MAMBA2, "mamba_d_ssm": 64},
    "granitemoehybrid": {
        **MAMBA2,
        "layer_types": ["mamba", "attention"],
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "shared_intermediate_size": 16,
    },
    "jamba": {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "num_experts": 2,
        "mamba_d_state": 4,
        "mamba_dt_rank": 4,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "qwen3_next": {
        **EXPERTS,
        "num_experts": 4,
        "shared_expert_intermediate_size": 16,
        "head_dim": 8,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "layer_types": ["linear_attention", "full_attention"],
    },
    "zamba": {
        "num_hidden_layers": 3,
        "layers_block_type": ["mamba", "hybrid", "mamba"],
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "n_mamba_heads": 2,
        "mamba_d_state": 4,
        "mamba_dt_rank": 4,
    },
    "zamba2": {
        "num_hidden_layers": 3,
        "layers_block_type": ["mamba", "hybrid", "mamba"],
        "mamba_d_state": 8,
        "n_mamba_heads": 4,
        "mamba_headdim": 16,
        "mamba_ngroups": 1,
        "chunk_size": 8,
    },
}
"""Their past is also convolutions' or recurrent states."""

STATE_SPACE: dict[str, dict[str, Any]] = {
    "falcon_mamba": {},
    "mamba": {},
    "mamba2": {"num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1, "chunk_size": 8},
}
"""Their past is states alone."""

WITHOUT_CACHE: dict[str, dict[str, Any]] = {
    "openai-gpt": {},
    "recurrent_gemma": {
        "head_dim": 8,
        "lru_width": 32,
        "attention_window_size": 8,
        "block_types": ["recurrent", "attention"],
    },
    "rwkv": {},
    "xlstm": {"num_heads": 4},
}
"""They give no cache back whose rows can be selected."""

BIDIRECTIONAL: dict[str, dict[str, Any]] = {"bert": {}, "roberta": {}}
"""Encoders saved with a language model's head: they see what is to come."""

SUPPORTED = sorted(ATTENTION | HYBRID | STATE_SPACE)
REFUSED = sorted(WITHOUT_CACHE | BIDIRECTIONAL)
LAYOUTS = ATTENTION | HYBRID | STATE_SPACE | WITHOUT_CACHE | BIDIRECTIONAL


def layout_model(kind: str, seed: int = 0) -> Any:
    """A random model of that architecture, in evaluation mode."""
    known = AutoConfig.for_model(kind)
    shape = {name: value for name, value in SHAPE.items() if hasattr(known, name)}
    config = type(known)(**{**shape, **LAYOUTS[kind]})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config).eval()


def layout_lm(kind: str, seed: int = 0) -> LanguageModel:
    """That model with the tiny tokenizer, in memory."""
    return LanguageModel(kind, f"{kind}@00000000", layout_model(kind, seed), tiny_tokenizer())


def save_layout(folder: Path, kind: str, seed: int = 0) -> Path:
    """That model as a folder that `load_model` reads."""
    layout_model(kind, seed).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
