"""How much each token's state in a layer owes to each token before it (ALTI).

    c_ij = max(0, |y_i|₁ − |y_i − T_i(j)|₁),   C_ij = c_ij / Σ_k c_ik

T_i(j) is what token j adds to the state of token i in the layer: through attention, and for j = i
also by the residual connection; y_i is the sum of all of it. A row where nothing counts is that
of the identity.

Source: Ferrando et al. 2022, Measuring the Mixing of Contextual Information in the Transformer,
equations 9 and 10.
"""

import torch
from torch import Tensor

CHUNK_BYTES = 1 << 20  # of a working copy, so that it stays in the cache
COLUMNS = 16


def influence(
    weights_BHTT: Tensor,
    values_BHTE: Tensor,
    weight_HED: Tensor,
    own_BTD: Tensor,
    total_BTD: Tensor,
) -> Tensor:
    """The shares C (B, T, T), in [0, 1]; rows sum to 1, and C_ij is 0 for j > i.

    Token j adds to token i through attention Σ_h weights^h_ij · values^h_j · weight_h.
    `own_BTD` is what a token's own state adds beside, `total_BTD` is y.

    Differences are taken element by element before they are summed, because the two norms are
    nearly equal.
    """
    rows, tokens, width = own_BTD.shape
    size_BTD = total_BTD.abs()
    count_BTT = torch.zeros(rows, tokens, tokens, dtype=own_BTD.dtype, device=own_BTD.device)
    for start in range(0, tokens, COLUMNS):
        stop = min(start + COLUMNS, tokens)
        added_BCHD = torch.einsum("bhce,hed->bchd", values_BHTE[:, :, start:stop], weight_HED)
        for j in range(start, stop):
            for part in _parts(rows, (tokens - j) * width * own_BTD.element_size()):
                weights_BRH = weights_BHTT[part, :, j:, j].transpose(1, 2)
                rest_BRD = torch.baddbmm(
                    total_BTD[part, j:], weights_BRH, added_BCHD[part, j - start], alpha=-1
                )
                rest_BRD[:, 0] -= own_BTD[part, j]
                torch.sub(size_BTD[part, j:], rest_BRD.abs_(), out=rest_BRD)
                count_BTT[part, j:, j] = rest_BRD.sum(dim=-1)
    return _shares(count_BTT.clamp_(min=0))


def _parts(rows: int, row_bytes: int) -> list[slice]:
    size = max(1, CHUNK_BYTES // row_bytes)
    return [slice(start, start + size) for start in range(0, rows, size)]


def _shares(count_BTT: Tensor) -> Tensor:
    total_BT1 = count_BTT.sum(dim=-1, keepdim=True)
    identity_TT = torch.eye(count_BTT.shape[-1], dtype=count_BTT.dtype, device=count_BTT.device)
    return torch.where(total_BT1 > 0, count_BTT / total_BT1.clamp(min=1e-30), identity_TT)
