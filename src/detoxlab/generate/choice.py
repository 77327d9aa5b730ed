"""The choice of the next token: the warped distribution and the Gumbel-max draw from it."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from detoxlab.generate.noise import gumbel_noise
from detoxlab.records import Sampling

CANDIDATES = 128
CHUNK = 1 << 20
PARTS = 16
NOT_KEPT = float("-inf")


@dataclass(frozen=True)
class Kept:
    """Tokens that survive top-k and top-p: ids (B, C), log-weights (B, C), -inf where not kept."""

    ids_BC: Tensor
    weights_BC: Tensor

    def rows(self, index_R: Tensor) -> "Kept":
        """The rows that `index_R` lists, repeats allowed."""
        return Kept(self.ids_BC[index_R], self.weights_BC[index_R])


def kept_tokens(
    logits_BV: Tensor,
    sampling: Sampling,
    candidates: int = CANDIDATES,
    *,
    nucleus_BV: Tensor | None = None,
) -> Kept:
    """Temperature, then top-k, then top-p, as transformers warps them.

    Top-k keeps all tokens that tie with the k-th; top-p keeps the smallest set whose mass reaches
    p, at least one token; of equal tokens at its edge it keeps the lower ids. The weights are
    log-probabilities up to a constant per row. At first only the `candidates` best tokens are
    considered; rows whose set is not complete among them are computed again with more.
    Temperature 0 keeps only the best token.

    With `nucleus_BV`, top-k and top-p are those of these logits: the weights of the tokens that
    they keep are then of `logits_BV`, and temperature 0 keeps the best of them.
    """
    if nucleus_BV is not None:
        kept = kept_tokens(nucleus_BV, _warm(sampling), candidates)
        return _within(logits_BV, kept, sampling)
    if sampling.temperature == 0.0:
        best = logits_BV.max(dim=-1, keepdim=True)
        return Kept(best.indices, best.values)
    if sampling.temperature != 1.0:
        logits_BV = logits_BV / sampling.temperature
    vocabulary = logits_BV.shape[-1]
    if sampling.top_p >= 1.0 and not 0 < sampling.top_k < vocabulary:
        return Kept(
            torch.arange(vocabulary, device=logits_BV.device).expand_as(logits_BV), logits_BV
        )
    log_norm_B = None if sampling.top_k else logits_BV.logsumexp(dim=-1)
    return _kept_among(logits_BV, log_norm_B, sampling, max(candidates, sampling.top_k + 1))


def draw(
    kept: Kept, keys_R: tuple[Tensor, Tensor], samples_R: Tensor, step: int
) -> tuple[Tensor, Tensor]:
    """The drawn token of each row (R,), and its margin over the next one (R,), in nats.

    Exact sampling from the kept weights: the maximum of log-weight plus Gumbel noise. The noise
    depends on the token's id, so that other kept tokens do not change it.
    """
    rows = max(1, CHUNK // kept.ids_BC.shape[1])
    parts = [
        _draw_rows(
            Kept(kept.ids_BC[i : i + rows], kept.weights_BC[i : i + rows]),
            (keys_R[0][i : i + rows], keys_R[1][i : i + rows]),
            samples_R[i : i + rows],
            step,
        )
        for i in range(0, len(samples_R), rows)
    ]
    return torch.cat([tokens for tokens, _ in parts]), torch.cat([margin for _, margin in parts])


# --- inside ---


def _warm(sampling: Sampling) -> Sampling:
    """The sampling at temperature 1 where it is greedy, so that top-k and top-p keep a set."""
    return dataclasses.replace(sampling, temperature=sampling.temperature or 1.0)


def _within(logits_BV: Tensor, kept: Kept, sampling: Sampling) -> Kept:
    """The tokens of `kept`, with weights from these logits."""
    values_BC = logits_BV.gather(-1, kept.ids_BC)
    weights_BC = values_BC.masked_fill(kept.weights_BC == NOT_KEPT, NOT_KEPT)
    if sampling.temperature == 0.0:
        best = weights_BC.max(dim=-1, keepdim=True)
        return Kept(kept.ids_BC.gather(-1, best.indices), best.values)
    return Kept(kept.ids_BC, weights_BC / sampling.temperature)


def _kept_among(
    logits_BV: Tensor, log_norm_B: Tensor | None, sampling: Sampling, candidates: int
) -> Kept:
    width = min(candidates, logits_BV.shape[-1])
    values_BC, ids_BC = _best(logits_BV, width)
    kept_BC = _survivors(values_BC, log_norm_B, sampling)
    weights_BC = values_BC.masked_fill(~kept_BC, NOT_KEPT)
    if width == logits_BV.shape[-1]:
        return Kept(ids_BC, weights_BC)
    # the edge of the set must beat the last candidate, or its equals may be outside
    edge_B = weights_BC.masked_fill(~kept_BC, float("inf")).amin(dim=-1)
    if sampling.top_k:
        edge_B = values_BC[:, sampling.top_k - 1]
    open_B = (edge_B <= values_BC[:, -1]).nonzero()[:, 0]
    if not len(open_B):
        return Kept(ids_BC, weights_BC)
    norm = None if log_norm_B is None else log_norm_B[open_B]
    more = _kept_among(logits_BV[open_B], norm, sampling, width * 8)
    return _widened(Kept(ids_BC, weights_BC), open_B, more)


def _best(logits_BV: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The `width` best tokens of each row, descending; equal ones by ascending id."""
    values_BC, ids_BC = _top(logits_BV, width)
    tied = (values_BC[:, 1:] == values_BC[:, :-1]).any(dim=-1).nonzero()[:, 0]
    if len(tied):
        ids, order = ids_BC[tied].sort(dim=-1)
        values, order = values_BC[tied].gather(-1, order).sort(dim=-1, descending=True, stable=True)
        values_BC[tied], ids_BC[tied] = values, ids.gather(-1, order)
    return values_BC, ids_BC


def _top(logits_BV: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """As `topk`, faster for a long row: only the groups of tokens with the best ones are read.

    Fewer than `width` tokens are above the last of the best, so the `width` groups with the highest
    maxima hold all of these. Which of the tokens that equal the last are taken is left open.
    """
    vocabulary = logits_BV.shape[-1]
    groups = vocabulary // PARTS
    if groups < 2 * width:
        best = logits_BV.topk(width, dim=-1)
        return best.values, best.indices
    grouped_BPG = logits_BV[:, : PARTS * groups].view(-1, PARTS, groups)
    best_B1C = grouped_BPG.amax(dim=1).topk(width, dim=-1, sorted=False).indices[:, None]
    places_P1 = torch.arange(0, PARTS * groups, groups, device=logits_BV.device)[:, None]
    rest_N = torch.arange(PARTS * groups, vocabulary, device=logits_BV.device)
    ids_BN = torch.cat([(best_B1C + places_P1).flatten(1), rest_N.expand(len(logits_BV), -1)], -1)
    values_BC, chosen_BC = logits_BV.gather(-1, ids_BN).topk(width, dim=-1)
    return values_BC, ids_BN.gather(-1, chosen_BC)


def _survivors(values_BC: Tensor, log_norm_B: Tensor | None, sampling: Sampling) -> Tensor:
    """Which of the descending candidates top-k and top-p keep."""
    kept_BC = torch.ones_like(values_BC, dtype=torch.bool)
    if 0 < sampling.top_k < values_BC.shape[1]:
        kept_BC = values_BC >= values_BC[:, sampling.top_k - 1 : sampling.top_k]
    if sampling.top_p >= 1.0:
        return kept_BC
    if log_norm_B is None:
        log_norm_B = values_BC.masked_fill(~kept_BC, NOT_KEPT).logsumexp(dim=-1)
    mass_BC = (values_BC - log_norm_B[:, None]).double().exp()
    kept_BC &= mass_BC.cumsum(dim=-1) - mass_BC < sampling.top_p
    kept_BC[:, 0] = True
    return kept_BC


def _widened(kept: Kept, rows: Tensor, more: Kept) -> Kept:
    """`kept` with the given rows replaced by wider ones."""
    extra = more.ids_BC.shape[1] - kept.ids_BC.shape[1]
    ids_BC = torch.nn.functional.pad(kept.ids_BC, (0, extra))
    weights_BC = torch.nn.functional.pad(kept.weights_BC, (0, extra), value=NOT_KEPT)
    ids_BC[rows], weights_BC[rows] = more.ids_BC, more.weights_BC
    return Kept(ids_BC, weights_BC)


def _draw_rows(
    kept: Kept, keys_R: tuple[Tensor, Tensor], samples_R: Tensor, step: int
) -> tuple[Tensor, Tensor]:
    scores_RC = _scores(kept, (keys_R[0][:, None], keys_R[1][:, None]), samples_R[:, None], step)
    best = scores_RC.topk(min(2, scores_RC.shape[1]), dim=-1)
    tokens_R = kept.ids_BC.gather(-1, best.indices[:, :1])[:, 0]
    if scores_RC.shape[1] == 1:
        return tokens_R, torch.full_like(best.values[:, 0], float("inf"))
    return tokens_R, best.values[:, 0] - best.values[:, 1]


def _scores(kept: Kept, keys_R1: tuple[Tensor, Tensor], samples_R1: Tensor, step: int) -> Tensor:
    """Log-weights plus noise (R, C), -inf where a token is not kept.

    Noise is drawn for the kept tokens alone, unless these are so many that picking them out
    takes longer.
    """
    kept_RC = kept.weights_BC > NOT_KEPT
    if 2 * int(kept_RC.sum()) > kept_RC.numel():
        return kept.weights_BC + gumbel_noise(keys_R1, samples_R1, step, kept.ids_BC)
    rows_N, places_N = kept_RC.nonzero(as_tuple=True)
    noise_N = gumbel_noise(
        (keys_R1[0][rows_N, 0], keys_R1[1][rows_N, 0]),
        samples_R1[rows_N, 0],
        step,
        kept.ids_BC[rows_N, places_N],
    )
    scores_RC = torch.full_like(kept.weights_BC, NOT_KEPT, dtype=torch.float64)
    scores_RC[rows_N, places_N] = kept.weights_BC[rows_N, places_N].double() + noise_N
    return scores_RC
