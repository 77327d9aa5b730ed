"""Many candidates for the next token of each text, read in one pass that keeps none of them.

The candidates stand side by side at one position, as the leaves of a tree: each sees the text
before it and itself.
"""

from typing import Any

import torch
from torch import Tensor

from detoxlab.errors import ModelError
from detoxlab.models.cache import passing, whole_inputs
from detoxlab.models.hidden import unwatched
from detoxlab.models.language_model import LanguageModel, evaluating
from detoxlab.models.session import Tokens

TOLERANCE = 1e-3


def candidate_tokens(tokens: Tokens, places: slice, ids_BSK: Tensor) -> Tokens:
    """K candidates after each of S tokens, as `Tokens` (B, S · K) of the response.

    `places` are the places of the S tokens among `tokens`.
    """
    candidates = ids_BSK.shape[2]
    is_text = tokens.is_text_BT[:, places].repeat_interleave(candidates, dim=1)
    positions = tokens.positions_BT[:, places].repeat_interleave(candidates, dim=1) + 1
    return Tokens(ids_BSK.flatten(1), positions, is_text, is_text)


def read_whole(lm: LanguageModel, tokens: Tokens) -> Any:
    """The cache of whole texts, from a pass that nobody watches."""
    mask_BT = None if bool(tokens.is_text_BT.all()) else tokens.is_text_BT.long()
    inputs = whole_inputs(lm, tokens.ids_BT, tokens.positions_BT, mask_BT)
    with unwatched():
        outputs = lm.bare.get_decoder()(**inputs, use_cache=True)
    return getattr(outputs, lm.cache_name, None)


def candidate_states(
    lm: LanguageModel,
    cache: Any,
    is_text_BT: Tensor,
    leaves: Tokens,
    candidates: int,
    beyond: int = 0,
) -> Tensor:
    """The last hidden states (B, S, K, D) of candidates, K after each of S successive tokens.

    `cache` holds T tokens per row, padding included, which `is_text_BT` tells apart. `leaves` are
    of `candidate_tokens`; the last of the S tokens is the last of the T, or stands `-beyond`
    tokens before it.
    """
    rows, width = leaves.ids_BT.shape
    after = width // candidates
    stop = is_text_BT.shape[1] + beyond
    ends_S = torch.arange(stop - after, stop, device=lm.device)
    return _states(lm, cache, is_text_BT, leaves, ends_S).view(rows, after, candidates, -1)


def check_candidates(lm: LanguageModel) -> None:
    """Raises `ModelError` where candidates side by side are not read as each by itself.

    So it is with models that keep states or windows, and those that take no positions.
    """
    text = lm.prompt_ids("Good morning", chat=False)
    ids_T = torch.tensor(text, device=lm.device)
    with evaluating(lm):
        tokens = Tokens.of_texts({"input_ids": ids_T[None]}, [0])
        cache = read_whole(lm, tokens)
        if passing(cache) is None or not lm.takes_positions:
            raise _unreadable(lm)
        ids_BSK = torch.stack([ids_T[:1], ids_T[-1:]], dim=-1)[None]
        leaves = candidate_tokens(tokens, slice(-1, None), ids_BSK)
        found_KD = candidate_states(lm, cache, tokens.is_text_BT, leaves, 2)[0, 0]
        with unwatched():
            whole_KT = torch.cat([ids_T.expand(2, -1), ids_BSK[0, 0][:, None]], dim=1)
            alone_KD = lm.bare.get_decoder()(input_ids=whole_KT, use_cache=False)[0][:, -1]
    near = TOLERANCE if lm.dtype is torch.float32 else 30 * TOLERANCE
    if not torch.allclose(found_KD.float(), alone_KD.float(), rtol=near, atol=near):
        raise _unreadable(lm)


# --- inside ---


def _states(
    lm: LanguageModel, cache: Any, is_text_BT: Tensor, leaves: Tokens, ends_S: Tensor
) -> Tensor:
    """The hidden states (B, S · K, D); the text of leaf (s, k) ends at place `ends_S[s]`."""
    width = leaves.ids_BT.shape[1]
    ends_Q = ends_S.repeat_interleave(width // len(ends_S))
    before_QT = torch.arange(is_text_BT.shape[1], device=lm.device) <= ends_Q[:, None]
    own_QQ = torch.eye(width, dtype=torch.bool, device=lm.device)
    seen_BQT = torch.cat(
        [before_QT & is_text_BT[:, None], own_QQ.expand(len(is_text_BT), -1, -1)], dim=-1
    )
    mask = torch.zeros(seen_BQT.shape, dtype=lm.dtype, device=lm.device)
    mask.masked_fill_(~seen_BQT, torch.finfo(lm.dtype).min)
    last = lm.context_length - 1  # of a text that fills the context, nothing can follow
    with unwatched():
        outputs = lm.bare.get_decoder()(
            input_ids=leaves.ids_BT,
            position_ids=leaves.positions_BT.clamp(max=last),
            attention_mask=mask[:, None],
            past_key_values=passing(cache),
            use_cache=True,
        )
    states: Tensor = outputs[0]
    return states


def _unreadable(lm: LanguageModel) -> ModelError:
    return ModelError(
        f"{lm.id}: cannot read candidates for the next token side by side",
        remedy="Use another steering, or a model whose attention reaches all tokens by position.",
    )
