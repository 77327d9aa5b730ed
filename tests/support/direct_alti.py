"""ALTI-Logit written out token by token, from the weights, in float64; slow and plain.

Shares nothing with the package: norms, projections and attention are computed here from the
parameters of GPT-2 and of Llama, one number after the other where that is readable.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Weights:
    """One layer: functions of single vectors, and the real attention weights."""

    attention_HTT: Tensor
    values: list[list[Tensor]]  # by head and token
    out: list[Tensor]  # by head, (D, E)
    out_bias_D: Tensor
    before_TD: Tensor
    mlp_TD: Tensor


def alti_logit(layers: list[Weights], last: Any, u_D: Tensor, place: int, full: bool) -> Tensor:
    """The score of each token for u_D after the token at `place`; `last` maps by the last norm."""
    tokens = place + 1
    mix = torch.eye(tokens, dtype=torch.float64)
    score_T = torch.zeros(tokens, dtype=torch.float64)
    for layer in layers:
        heads = range(len(layer.out))
        adds = [
            [
                sum(
                    layer.attention_HTT[h, i, j] * (layer.out[h] @ layer.values[h][j])
                    for h in heads
                )
                for j in range(tokens)
            ]
            for i in range(tokens)
        ]
        shares = torch.zeros(tokens, tokens, dtype=torch.float64)
        for i in range(tokens):
            parts = [adds[i][j] + (layer.before_TD[i] if i == j else 0) for j in range(tokens)]
            whole = sum(parts) + layer.out_bias_D
            near = torch.stack([(whole.abs().sum() - (whole - p).abs().sum()) for p in parts])
            near = near.clamp(min=0)
            near[i + 1 :] = 0
            shares[i] = near / near.sum() if near.sum() > 0 else torch.eye(tokens)[i]
        for k in range(tokens):
            score_T += (u_D @ last(adds[place][k])) * mix[k]
        mix = shares @ mix
        if full:
            score_T += (u_D @ last(layer.mlp_TD[place])) * mix[place]
    if full:
        score_T[place] += u_D @ last(layers[0].before_TD[place])
    return score_T


def gpt2(model: Any, ids: list[int]) -> tuple[list[Weights], Any]:
    """The layers of a GPT-2 on a text, and its last norm as a linear map at the last token."""
    transformer = model.transformer
    x_TD = transformer.wte.weight[ids] + transformer.wpe.weight[: len(ids)]
    layers = []
    for block in transformer.h:
        normed_TD = _layer_norm(block.ln_1, x_TD)
        fused_TD = normed_TD @ block.attn.c_attn.weight + block.attn.c_attn.bias
        heads, width = block.attn.num_heads, block.attn.head_dim
        q, k, v = (part.view(-1, heads, width) for part in fused_TD.chunk(3, dim=-1))
        attention_HTT = torch.stack([_softmax(q[:, h], k[:, h]) for h in range(heads)])
        out_HED = block.attn.c_proj.weight.view(heads, width, -1)
        read_TD = sum(attention_HTT[h] @ v[:, h] @ out_HED[h] for h in range(heads))
        middle_TD = x_TD + read_TD + block.attn.c_proj.bias
        inner = _layer_norm(block.ln_2, middle_TD) @ block.mlp.c_fc.weight + block.mlp.c_fc.bias
        mlp_TD = block.mlp.act(inner) @ block.mlp.c_proj.weight + block.mlp.c_proj.bias
        values = [[v[t, h] for t in range(len(ids))] for h in range(heads)]
        out = [out_HED[h].T for h in range(heads)]
        layers.append(Weights(attention_HTT, values, out, block.attn.c_proj.bias, x_TD, mlp_TD))
        x_TD = middle_TD + mlp_TD
    norm, final_D = transformer.ln_f, x_TD[-1]
    spread = (final_D.var(unbiased=False) + norm.eps).sqrt()
    return layers, lambda z_D: norm.weight * (z_D - z_D.mean()) / spread


def llama(model: Any, ids: list[int]) -> tuple[list[Weights], Any]:
    """The layers of a Llama with grouped heads, its weights of attention taken as it gives them."""
    config, body = model.config, model.model
    weights = model(torch.tensor([ids]), output_attentions=True).attentions
    x_TD = body.embed_tokens.weight[ids]
    layers = []
    for block, attention_1HTT in zip(body.layers, weights, strict=True):
        attention_HTT = attention_1HTT[0]
        heads, groups = config.num_attention_heads, config.num_key_value_heads
        attn = block.self_attn
        v_TGE = (_rms_norm(block.input_layernorm, x_TD) @ attn.v_proj.weight.T).view(
            len(ids), groups, -1
        )
        values = [[v_TGE[t, h * groups // heads] for t in range(len(ids))] for h in range(heads)]
        out = list(attn.o_proj.weight.chunk(heads, dim=1))
        read_TD = torch.stack(
            [
                sum(
                    attention_HTT[h, i, j] * (out[h] @ values[h][j])
                    for h in range(heads)
                    for j in range(i + 1)
                )
                for i in range(len(ids))
            ]
        )
        middle_TD = x_TD + read_TD
        normed_TD = _rms_norm(block.post_attention_layernorm, middle_TD)
        gate = torch.nn.functional.silu(normed_TD @ block.mlp.gate_proj.weight.T)
        mlp_TD = (gate * (normed_TD @ block.mlp.up_proj.weight.T)) @ block.mlp.down_proj.weight.T
        nothing_D = torch.zeros_like(x_TD[0])
        layers.append(Weights(attention_HTT, values, out, nothing_D, x_TD, mlp_TD))
        x_TD = middle_TD + mlp_TD
    scale = (x_TD[-1].square().mean() + config.rms_norm_eps).sqrt()
    return layers, lambda z_D: body.norm.weight * z_D / scale


def _layer_norm(norm: Any, x_TD: Tensor) -> Tensor:
    centred = x_TD - x_TD.mean(-1, keepdim=True)
    return norm.weight * centred / (centred.square().mean(-1, True) + norm.eps).sqrt() + norm.bias


def _rms_norm(norm: Any, x_TD: Tensor) -> Tensor:
    return norm.weight * x_TD / (x_TD.square().mean(-1, True) + norm.variance_epsilon).sqrt()


def _softmax(q_TE: Tensor, k_TE: Tensor) -> Tensor:
    scores = q_TE @ k_TE.T / q_TE.shape[-1] ** 0.5
    later = torch.ones_like(scores).triu(1).bool()
    return scores.masked_fill(later, -torch.inf).softmax(-1)
