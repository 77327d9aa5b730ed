"""The graph of a batch, from which the gradient of one step after another is taken.

A step's gradient needs no token after the step. So the tokens are read in pieces of a few columns,
each from the keys and values of the pieces before it, and the graphs of all are kept. The gradient
of a step goes back through its own piece and those before it; in the last layer, of which later
tokens read keys and values alone, it goes through nothing else of the earlier pieces. It starts
below the output layer: above it, one backward pass serves all steps of a piece.

A model whose past is more than keys and values is read in one piece, and so is a steered one, whose
gradients start at the steered logits.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from detoxlab.explanations.reading import read, reading_alone
from detoxlab.explanations.slopes import slopes_kept
from detoxlab.explanations.targets import Target
from detoxlab.explanations.texts import Batch
from detoxlab.internals.transformers import holds_keys_alone
from detoxlab.models.finite import check_logits
from detoxlab.models.language_model import LanguageModel, evaluation_mode
from detoxlab.subject import Subject

COLUMNS = 10
"""Tokens per piece. A step's gradient is computed, as 0, for the tokens of its piece after it."""

Line = tuple[Tensor, float] | None
"""A baseline (D,) and how far along from it to the embeddings; None: the embeddings themselves."""
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class StepGradient:
    """One step of all rows: its targets (B,) and their gradients at the embeddings of t tokens."""

    value_B: Tensor
    embedded_BtD: Tensor
    gradient_BtD: Tensor


@dataclass(frozen=True)
class Piece:
    """Columns of a batch up to `stop`, and the graph of their forward pass.

    `own_BtD` are their embeddings, and `used_BtD` those that the model read, a leaf of the graph.
    The graph ends at `cut_BLX`, of the last L tokens; `leaf_BLX` are the same values, from which
    the logits come.
    """

    batch: Batch
    columns: range
    own_BtD: Tensor
    used_BtD: Tensor
    cut_BLX: Tensor
    leaf_BLX: Tensor
    logits_BLV: Tensor

    @cached_property
    def is_here(self) -> Tensor:
        """The steps that predict after one of these tokens."""
        places_BS, columns = self.batch.places_BS, self.columns
        is_inside_BS = (places_BS >= columns.start) & (places_BS < columns.stop)
        return self.batch.is_step_BS & is_inside_BS

    @property
    def step_n(self) -> Tensor:
        """The number of each of these steps."""
        return self.is_here.nonzero()[:, 1]

    def at_steps(self, values_BLX: Tensor) -> Tensor:
        """The values after the tokens of these steps (n, X), row after row."""
        offset = self.columns.stop - values_BLX.shape[1]
        rows_n, _ = self.is_here.nonzero(as_tuple=True)
        return values_BLX[rows_n, self.batch.places_BS[self.is_here] - offset]


def goes_on(subject: Subject) -> bool:
    """Whether texts can be read in pieces: an unsteered model whose past is keys and values."""
    if subject.steerings:
        return False
    lm = subject.lm
    with reading_alone(lm):
        _, cache = _outputs(lm, torch.full((1, 1), lm.pad_id, device=lm.device), 1)
    return holds_keys_alone(cache)


def step_gradients(
    subject: Subject, batch: Batch, target: Target, given_N: Tensor | None, line: Line, cut: bool
) -> Iterator[StepGradient]:
    """The gradients of the batch's steps in turn; `cut` says that it is read in pieces.

    A `given_N` of None is taken from the logits.

    Raises `ModelError` where a logit is not finite.
    """
    pieces = _read(subject, batch, line, cut)
    logits_NV = _logits(batch, pieces)
    check_logits(logits_NV, batch.lm, "at step {} of a batch".format)
    given_BS = batch.by_row(target.given(batch, logits_NV) if given_N is None else given_N)
    del logits_NV
    value_BS = torch.zeros_like(batch.places_BS, dtype=batch.lm.dtype)
    starts = []
    for piece in pieces:
        value_n, gradient_BLX = _above(piece, target, given_BS)
        value_BS[piece.is_here] = value_n.to(value_BS)
        starts.append((piece.at_steps(piece.cut_BLX), piece.at_steps(gradient_BLX)))
    own_BTD = torch.cat([piece.own_BtD for piece in pieces], dim=1)
    for step in range(value_BS.shape[1]):
        gradient_BtD = _step_gradient(pieces, starts, step)
        yield StepGradient(value_BS[:, step], own_BTD[:, : gradient_BtD.shape[1]], gradient_BtD)


@contextlib.contextmanager
def embedded(lm: LanguageModel, line: Line) -> Iterator[list[Pair]]:
    """The own embeddings of each forward pass in the block, and those used, with gradient."""
    seen: list[Pair] = []

    def replace(_module: Any, _args: Any, output: Tensor) -> Tensor:
        own_BTD = output.detach()
        used_BTD = own_BTD.clone() if line is None else torch.lerp(line[0], own_BTD, line[1])
        seen.append((own_BTD, used_BTD.requires_grad_(torch.is_grad_enabled())))
        return used_BTD

    handle = lm.model.get_input_embeddings().register_forward_hook(replace)
    try:
        yield seen
    finally:
        handle.remove()


# --- inside ---


def _read(subject: Subject, batch: Batch, line: Line, cut: bool) -> list[Piece]:
    lm = batch.lm
    with contextlib.ExitStack() as stack:
        stack.enter_context(evaluation_mode(lm.model))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(slopes_kept(lm.model))
        inputs = stack.enter_context(embedded(lm, line))
        if subject.steerings:
            return [_steered(subject, batch, inputs)]
        heads = stack.enter_context(_below_output(lm))
        return list(_pieces(batch, inputs, heads, cut))


def _steered(subject: Subject, batch: Batch, inputs: list[Pair]) -> Piece:
    with subject.session() as session:
        logits_BLV = session.logits(batch.tokens, read(batch, session))
    leaf_BLV = logits_BLV.detach().requires_grad_()
    columns = range(batch.ids_BT.shape[1])
    return Piece(batch, columns, *inputs[0], logits_BLV, leaf_BLV, leaf_BLV)


def _pieces(batch: Batch, inputs: list[Pair], heads: list[Pair], cut: bool) -> Iterator[Piece]:
    first, length = batch.first_place, batch.ids_BT.shape[1]
    edges = [*range(first, length, COLUMNS)] if cut else []
    cache = None
    for start, stop in pairwise(sorted({0, *edges, length})):
        kept = max(1, stop - max(start, first))
        logits_BLV, cache = _outputs(batch.lm, batch.ids_BT[:, start:stop], kept, cache, cut)
        if heads:
            cut_BLX, leaf_BLX = heads.pop()
        else:
            cut_BLX, leaf_BLX = logits_BLV, logits_BLV.detach().requires_grad_()
            logits_BLV = leaf_BLX
        yield Piece(batch, range(start, stop), *inputs.pop(), cut_BLX, leaf_BLX, logits_BLV)


def _outputs(
    lm: LanguageModel, ids_Bt: Tensor, kept: int, cache: Any = None, go_on: bool = True
) -> tuple[Tensor, Any]:
    """Logits after the last tokens (B, kept, V), and the cache to go on with."""
    past = {} if cache is None else {lm.cache_name: cache}
    outputs = lm.model(input_ids=ids_Bt, **lm.last_logits(kept), **past, use_cache=go_on)
    return outputs.logits[:, -kept:], getattr(outputs, lm.cache_name, None)


@contextlib.contextmanager
def _below_output(lm: LanguageModel) -> Iterator[list[Pair]]:
    """The input of the output layer in the block, and the leaf that it reads instead."""
    seen: list[Pair] = []

    def replace(_module: Any, args: tuple[Tensor]) -> tuple[Tensor]:
        seen.append((args[0], args[0].detach().requires_grad_()))
        return (seen[-1][1],)

    head = getattr(lm.model, "get_output_embeddings", lambda: None)()
    handle = head.register_forward_pre_hook(replace) if head is not None else None
    try:
        yield seen
    finally:
        if handle is not None:
            handle.remove()


def _logits(batch: Batch, pieces: Sequence[Piece]) -> Tensor:
    """The logits of all steps (N, V), row after row."""
    (B, S), V = batch.is_step_BS.shape, pieces[0].logits_BLV.shape[-1]
    logits_BSV = pieces[0].logits_BLV.new_empty(B, S, V)
    for piece in pieces:
        logits_BSV[piece.is_here] = piece.at_steps(piece.logits_BLV.detach())
    return logits_BSV[batch.is_step_BS]


def _above(piece: Piece, target: Target, given_BS: Tensor) -> Pair:
    """The targets of the piece's steps (n,), and their gradients where the graph is cut."""
    with torch.enable_grad():
        logits_nV = piece.at_steps(piece.logits_BLV)
        value_n = target.value(logits_nV, given_BS[piece.is_here])
        (gradient_BLX,) = torch.autograd.grad(value_n.sum(), piece.leaf_BLX)
    return value_n.detach(), gradient_BLX


def _step_gradient(pieces: Sequence[Piece], starts: Sequence[Pair], step: int) -> Tensor:
    """The gradients (B, t, D) of one step at the embeddings of the tokens up to its piece's end."""
    is_own = [piece.step_n == step for piece in pieces]
    owning = [at for at, own_n in enumerate(is_own) if own_n.any()]
    read = pieces[: owning[-1] + 1]
    gradients = torch.autograd.grad(
        [starts[at][0] for at in owning],
        [piece.used_BtD for piece in read],
        [starts[at][1] * is_own[at][:, None] for at in owning],
        retain_graph=True,
        materialize_grads=True,
    )
    return torch.cat(gradients, dim=1)
