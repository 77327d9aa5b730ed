"""Tiny GGUF files, made from the tiny model's own weights as llama.cpp makes them."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import LlamaForCausalLM

from tests.support.tiny import CHAT_TEMPLATE, tiny_model, tiny_tokenizer

QUANTISATIONS = {
    "F32": gguf.GGMLQuantizationType.F32,
    "F16": gguf.GGMLQuantizationType.F16,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
}
FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}
NORMAL, CONTROL = 1, 3
NEVER = "ÿ"  # the token of a byte that no text has, which makes room for that of a merge


def save_gguf(
    path: Path,
    *,
    kind: str = "F32",
    seed: int = 0,
    model: Any = None,
    architecture: str = "llama",
    tokenizer: bool = True,
    template: str | None = CHAT_TEMPLATE,
    weights: bool = True,
    scaled: bool = False,
    **fields: Any,
) -> Path:
    """The tiny model, or another `model` of its vocabulary, as a GGUF file.

    `fields` are set besides, under `tokenizer.ggml`. Among them are `merge`, two tokens that its
    tokenizer makes one of; `pre`, how it splits texts; and `end`, the id of its last token.
    """
    model = model or tiny_model(seed)
    writer = gguf.GGUFWriter(path, architecture)
    _add_shape(writer, model, kind)
    if scaled:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    if tokenizer:
        _add_tokenizer(writer, template, fields)
    for name, weight in _tensors(model, architecture).items() if weights else ():
        stored = QUANTISATIONS[kind] if weight.ndim > 1 else QUANTISATIONS["F32"]
        writer.add_tensor(name, gguf.quantize(weight, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def stored_model(kind: str, seed: int = 0) -> LlamaForCausalLM:
    """The tiny model with its weights rounded as a file of this kind holds them."""
    model = tiny_model(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                blocks = gguf.quantize(weight.numpy(), QUANTISATIONS[kind])
                weight.copy_(torch.from_numpy(gguf.dequantize(blocks, QUANTISATIONS[kind])))
    return model


# --- inside ---


def _add_shape(writer: gguf.GGUFWriter, model: Any, kind: str) -> None:
    config = model.config
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    rotary = config.rope_parameters
    writer.add_rope_freq_base(rotary.get("full_attention", rotary)["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if config.model_type.startswith("gemma"):
        writer.add_key_length(config.head_dim)
        writer.add_sliding_window(config.sliding_window)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(FILE_TYPES[kind])


def _add_tokenizer(writer: gguf.GGUFWriter, template: str | None, fields: dict[str, Any]) -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer.get_vocab()
    merge = fields.pop("merge", ("~", "~"))
    tokens = sorted(ids, key=ids.__getitem__)
    tokens[ids[NEVER]] = "".join(merge)
    special = {token.content for token in tokenizer.added_tokens_decoder.values()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(fields.pop("pre", "gpt-2"))
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if token in special else NORMAL for token in tokens])
    writer.add_token_merges([" ".join(merge)])
    if (end := fields.pop("end", 0)) is not None:
        writer.add_eos_token_id(end)
    writer.add_pad_token_id(1)
    if template:
        writer.add_chat_template(template)
    for name, value in fields.items():
        writer.add_uint32(f"tokenizer.ggml.{name}", value)


def _tensors(model: Any, architecture: str) -> dict[str, np.ndarray]:
    """The weights under ggml's names: Llama's in its rotary order, Gemma's norms one higher."""
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    known = kinds.get(architecture, gguf.MODEL_ARCH.LLAMA)
    names = gguf.get_tensor_name_map(known, model.config.num_hidden_layers)
    found = {}
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        values = weight.numpy()
        if model.config.model_type == "llama" and ("q_proj" in name or "k_proj" in name):
            values = _permuted(values, model.config.num_attention_heads)
        if architecture.startswith("gemma") and name.endswith("norm.weight"):
            values = values + 1
        bare, _, part = name.rpartition(".")
        found[f"{names.get_name(bare)}.{part}"] = np.ascontiguousarray(values)
    return found


def _permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    rows = weight.shape[0] // heads // 2
    halves = weight.reshape(heads, 2, rows, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape)
