"""The types of weights, and linear layers in 8 or 4 bits through bitsandbytes, and back.

Embeddings, norms and the output head keep their type. In 4 bits, so do layers whose rows are not
whole blocks of 64: bitsandbytes 0.50 reads some of these wrongly on CPU (16 divides the inputs
and 64 does not: relative errors of .2 to .4 instead of .09). Imports bitsandbytes only to
quantise.
"""

import dataclasses
import importlib.util
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch

from detoxlab.errors import DependencyError, ModelError

DType = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Kind = Literal["none", "int8", "nf4", "fp4"]
BLOCK = 64  # weights per scale in 4 bits
INSTALL = "pip install 'detoxlab[quant]'"


def named_dtype(name: str) -> torch.dtype:
    """The type of that name; `ModelError` for any other.

    >>> named_dtype("bfloat16")
    torch.bfloat16
    """
    if name not in DTYPES:
        raise ModelError(f"dtype {name!r} is unknown", remedy=f"Use auto, {', '.join(DTYPES)}.")
    return DTYPES[name]


@dataclass(frozen=True)
class Quantisation:
    """The type of linear layers' weights in memory; the files stay as they are.

    - `int8`: one scale per output row; input features beyond 6 are multiplied in float16
      (Dettmers et al. 2022, LLM.int8(), section 3).
    - `nf4`, `fp4`: 4 bits with one scale per 64 weights; `double` quantises these scales too,
      which saves .37 bits per weight (Dettmers et al. 2023, QLoRA, section 3).

    `compute_dtype` is the type in which 4-bit weights are multiplied; "auto" is float32 on
    the CPU and bfloat16 elsewhere. `double` and `compute_dtype` do not apply to int8.
    """

    kind: Kind = "none"
    double: bool = True
    compute_dtype: DType = "auto"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ModelError(
                f"quantisation {self.kind!r} is unknown", remedy=f"Use {', '.join(get_args(Kind))}."
            )

    def __bool__(self) -> bool:
        """Whether anything is quantised."""
        return self.kind != "none"

    @property
    def mark(self) -> str:
        """The suffix of a quantised model's id, because its weights differ.

        >>> Quantisation("nf4").mark, Quantisation("int8").mark, Quantisation().mark
        ('-nf4-double', '-int8', '')
        """
        if not self:
            return ""
        return f"-{self.kind}-double" if self.double and self._four_bits else f"-{self.kind}"

    def record(self) -> dict[str, Any]:
        """The fields that apply, as a run's record holds them."""
        return dataclasses.asdict(self) if self._four_bits else {"kind": self.kind}

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | None) -> "Quantisation | None":
        """The quantisation from its `record`; None for None."""
        return None if record is None else cls(**record)

    @property
    def _four_bits(self) -> bool:
        return self.kind in ("nf4", "fp4")

    def loading_config(self, skeleton: Any, device: torch.device) -> Any:
        """The `quantization_config` for `from_pretrained` of transformers.

        `skeleton` is the model without weights. Call `check_usable` first.
        """
        from transformers import BitsAndBytesConfig

        if not self._four_bits:
            return BitsAndBytesConfig(load_in_8bit=True)
        usual = "float32" if device.type == "cpu" else "bfloat16"
        dtype = named_dtype(usual if self.compute_dtype == "auto" else self.compute_dtype)
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=self.kind,
            bnb_4bit_use_double_quant=self.double,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=_kept_layers(skeleton),
        )


FULL_PRECISION = Quantisation()


def check_usable(device: torch.device) -> None:
    """Raises `DependencyError` without bitsandbytes, `ModelError` for an unsupported device."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise DependencyError(
            "8- and 4-bit weights need bitsandbytes, which is not installed", remedy=f"{INSTALL}."
        )
    _quieten()
    import bitsandbytes

    if device.type not in bitsandbytes.supported_torch_devices:
        raise ModelError(
            f"device {device.type!r} cannot hold 8- and 4-bit weights",
            remedy="Use the CPU or a GPU that bitsandbytes knows, or no quantisation.",
        )


def rounding_errors(device: torch.device) -> dict[str, float]:
    """The relative error (root mean square) of a random layer's output on this device, by kind.

    It is about .01 for int8, .09 for nf4 and .12 for fp4: much more means broken kernels. Raises
    as `check_usable`.
    """
    check_usable(device)
    from bitsandbytes import nn

    generator = torch.Generator().manual_seed(0)
    full = torch.nn.Linear(256, 64, bias=False).requires_grad_(False)
    full.weight.copy_(torch.randn(64, 256, generator=generator))
    inputs_BI = torch.randn(8, 256, generator=generator)
    wanted_BO = full(inputs_BI)
    layers = {
        "int8": nn.Linear8bitLt(256, 64, bias=False, has_fp16_weights=False),
        "nf4": nn.Linear4bit(256, 64, bias=False, quant_type="nf4"),
        "fp4": nn.Linear4bit(256, 64, bias=False, quant_type="fp4"),
    }
    errors = {}
    for kind, layer in layers.items():
        layer.load_state_dict(full.state_dict())
        found_BO = layer.to(device).train()(inputs_BI.to(device)).cpu()
        errors[kind] = float((found_BO.detach() - wanted_BO).norm() / wanted_BO.norm())
    return errors


def settle(model: Any) -> int:
    """Make quantised layers compute the same in every mode; returns their number.

    On CPUs with AVX512-BF16, bitsandbytes would repack a 4-bit layer permanently at its first
    forward pass in evaluation mode: its scales would be rounded to bfloat16 and no gradient would
    pass through it any more. We leave the layers as they are.
    """
    layers = quantised_layers(model)
    for layer in layers.values():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return len(layers)


def quantised_layers(model: Any) -> dict[str, Any]:
    """The 8- and 4-bit layers by name; empty for a model in full precision."""
    if not getattr(model, "is_quantized", False):
        return {}
    from bitsandbytes import nn

    kinds = (nn.Linear4bit, nn.Linear8bitLt)
    return {name: m for name, m in model.named_modules() if isinstance(m, kinds)}


def dequantise(model: Any) -> None:
    """Replace quantised layers by ordinary ones, in place and in the model's own type.

    They hold the quantised values: the rounding is not undone.
    """
    layers = quantised_layers(model)
    if not layers:
        return
    for name, layer in layers.items():
        model.set_submodule(name, _ordinary(layer, model.dtype))
    model.hf_quantizer.remove_quantization_config(model)
    for flag in ("is_loaded_in_8bit", "is_loaded_in_4bit"):
        if hasattr(model, flag):
            delattr(model, flag)


def parameter_count(model: Any) -> int:
    """The number of weights of the model; a byte that holds two of them counts as two."""
    states = ((getattr(p, "quant_state", None), p) for p in model.parameters())
    return sum(state.shape.numel() if state else p.numel() for state, p in states)


def _quieten() -> None:
    """Silence warnings of casts that LLM.int8() needs, and of a faster kernel we do not use."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _kept_layers(skeleton: Any) -> list[str]:
    """Layers that keep their type in 4 bits: transformers' choice, and rows of partial blocks."""
    from transformers.pytorch_utils import Conv1D

    from detoxlab.internals.transformers import layers_kept_whole

    inputs = {
        name: module.nx if isinstance(module, Conv1D) else module.in_features
        for name, module in skeleton.named_modules()
        if isinstance(module, Conv1D | torch.nn.Linear)
    }
    broken = [name for name, count in inputs.items() if count % BLOCK]
    return [*layers_kept_whole(skeleton), *broken]


def _ordinary(layer: Any, dtype: torch.dtype) -> torch.nn.Module:
    """The ordinary layer of the architecture; GPT-2's Conv1D holds its weight transposed."""
    from transformers.pytorch_utils import Conv1D

    from detoxlab.internals.transformers import dequantised

    weight_OI = dequantised(layer).to(dtype)
    ordinary: torch.nn.Module
    with torch.device("meta"):
        if transposed := issubclass(layer.source_cls, Conv1D):
            ordinary = Conv1D(layer.out_features, layer.in_features)
        else:
            ordinary = torch.nn.Linear(
                layer.in_features, layer.out_features, layer.bias is not None
            )
    weight = weight_OI.T.contiguous() if transposed else weight_OI
    ordinary.weight = torch.nn.Parameter(weight, requires_grad=False)
    ordinary.bias = layer.bias
    return ordinary
