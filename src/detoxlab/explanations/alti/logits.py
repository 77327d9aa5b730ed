"""ALTI-Logit: a logit as a sum over the tokens before it, all steps from one forward pass.

    logit_w = u_w · L_f (x⁰ + Σ_l (Σ_j Att^l(j) + MLP^l)) + biases

With the scale of each norm held as it was, a logit is a sum of what each layer added. The part
that attention read from token k at layer l is spread over the input tokens that k's state was
made of, by the product of the layers' shares before l (`influence`). In the full variant, the
default, the part of the MLP is spread in the same way, by the shares up to its own layer, and the
token's own embedding goes to the token; only biases remain. In the plain variant both remain.

Source: Ferrando et al. 2023, Explaining How Transformers Use Context to Build Predictions,
equations 6 to 10, whose ALTI-Logit is the plain variant. Norms after attention, RMS norms, grouped
heads, and layers with attention and MLP side by side (where the MLP's output counts as the token's
own state) are ours.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from detoxlab.errors import ModelError
from detoxlab.explanations.alti.capture import captured, grouped
from detoxlab.explanations.alti.layouts import REMEDY, parts_of
from detoxlab.explanations.alti.linear import Norm
from detoxlab.explanations.alti.mixing import KeptLayer, Mixing, maps_of
from detoxlab.explanations.alti.pull import Pull, finished
from detoxlab.explanations.reading import plain_logits, read, reading_alone, steered_logits
from detoxlab.explanations.results import Attributed, unpadded
from detoxlab.explanations.targets import Target
from detoxlab.explanations.texts import Batch
from detoxlab.subject import Subject

Variant = Literal["full", "plain"]
LARGEST_GAP = 1e-3
"""Of the parts' sum, relative to the largest logit of the text. Beyond it the layout is not
understood; rounding stays a hundred times below it."""

STEERED_REMEDY = f"Explain its folded weights (detoxlab export RUN). {REMEDY}"


@dataclass
class AltiLogit:
    """ALTI-Logit of a subject, for batch after batch.

    The maps of the layers are found once, and hold while the subject's weights stay as they are.
    The first batch is also read by a plain forward pass, because an attention function that shows
    its weights may compute something else.

    Raises `ModelError` for an architecture that it does not know.
    """

    subject: Subject
    variant: Variant = "full"

    def __post_init__(self) -> None:
        self.parts = parts_of(self.subject.lm)
        like_D = self.subject.lm.model.get_input_embeddings().weight[0]
        with reading_alone(self.subject.lm):
            self.final_norm = Norm.of(self.parts.final_norm, len(like_D), like_D)
            self.maps = [maps_of(layer, self.parts, like_D) for layer in self.parts.layers]
        self.is_checked = False

    def attribute(self, batch: Batch, target: Target) -> list[Attributed]:
        """The attributions of a batch, row by row.

        With z the logits and g the target's derivative at them, scores and biases sum to g · z:
        for a log-probability this is the logit minus its mean over the distribution. `gap_S` is
        relative to the largest Σ |g| |z| of the row.

        Raises `ModelError` where the parts do not sum to it.
        """
        mixing = Mixing(batch, self.parts, self.maps)
        with reading_alone(self.subject.lm), self.subject.session() as session:
            with captured(batch.lm, self.parts, mixing.add) as final:
                own_BLV = read(batch, session)
            logits_NV = steered_logits(batch, session, own_BLV)
        if not self.is_checked:
            self._check_plain(batch, logits_NV, own_BLV - finished(self.parts, final.raw))
        given_N = target.given(batch, logits_NV)
        pull = Pull.of(self.parts, self.final_norm, batch, final, target, logits_NV, given_N)
        with torch.no_grad():
            values_BST, rest_BS = spread(mixing, pull, self.variant)
            rest_BS += pull.bias_BS
            missed_BS = (values_BST.sum(dim=-1) + rest_BS - pull.value_BS).abs()
            gap_BS = missed_BS / pull.size_BS.amax(dim=1, keepdim=True).clamp(min=1e-12)
        self._check_whole(batch, gap_BS)
        target_BS = batch.by_row(target.value(logits_NV, given_N))
        return unpadded(batch, values_BST, target_BS, gap_BS)

    # --- inside ---

    def _check_plain(self, batch: Batch, logits_NV: Tensor, unexplained_BLV: Tensor) -> None:
        """The first batch: the logits must be those of the model's usual attention.

        They must also be what the output layer gave, scaled and capped.
        """
        plain_NV = plain_logits(self.subject, batch)
        size = plain_NV.abs().max().clamp(min=1e-6)
        moved, left = (float(d.abs().max() / size) for d in (plain_NV - logits_NV, unexplained_BLV))
        if not max(moved, left) < LARGEST_GAP:
            cause = "when its attention is looked at" if moved >= left else "from its output layer"
            raise ModelError(
                f"{batch.lm.id}: its logits differ by {max(moved, left):.1%} {cause}",
                remedy=REMEDY,
            )
        self.is_checked = True

    def _check_whole(self, batch: Batch, gap_BS: Tensor) -> None:
        gap = float(gap_BS[batch.is_step_BS].max())
        if not gap < LARGEST_GAP:
            raise ModelError(
                f"{self.subject.id}: its layers do not sum to its logits (they miss {gap:.1%})",
                remedy=STEERED_REMEDY if self.subject.steerings else REMEDY,
            )


def spread(mixing: Mixing, pull: Pull, variant: Variant) -> tuple[Tensor, Tensor]:
    """The scores (B, S, T), and the part that no token gets (B, S)."""
    embedded_BS = (pull.pull_BSD * mixing.embedded_BSD).sum(-1)
    values_BST = torch.zeros_like(mixing.kept[0].mlp_sources_BST)
    rest_BS = torch.zeros_like(embedded_BS)
    for layer in mixing.kept:
        read_BST = _read_from_tokens(layer, pull.pull_BSD)
        values_BST += torch.bmm(read_BST, layer.sources_BTT)
        mlp_BS = (pull.pull_BSD * layer.mlp_BSD).sum(-1)
        if variant == "full":
            values_BST += mlp_BS[..., None] * layer.mlp_sources_BST
        else:
            rest_BS += mlp_BS
        rest_BS += layer.scale_BS * (pull.pull_BSD @ layer.maps.bias_D)
        rest_BS += mixing.parts.residual_multiplier * (pull.pull_BSD @ layer.maps.after_bias_D)
    if variant == "full":
        places_BS1 = mixing.batch.places_BS[..., None]
        values_BST.scatter_add_(2, places_BS1, embedded_BS[..., None])
    else:
        rest_BS += embedded_BS
    return values_BST, rest_BS


def _read_from_tokens(layer: KeptLayer, pull_BSD: Tensor) -> Tensor:
    """The part of the target that attention of one layer read from each token (B, S, T)."""
    heads = layer.weights_BHST.shape[1]
    asked_BHSE = torch.einsum("bsd,hed->bhse", pull_BSD, layer.maps.weight_HED)
    said_BHST = asked_BHSE @ grouped(layer.values_BGTE, heads).transpose(2, 3)
    return (layer.weights_BHST * said_BHST).sum(dim=1)
