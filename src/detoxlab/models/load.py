"""From a name or folder to a `LanguageModel`: the one place that reads weights of LMs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from detoxlab.errors import ModelError
from detoxlab.models.adapters import attach, base_of, find_adapter
from detoxlab.models.dtypes import DType, named_dtype
from detoxlab.models.language_model import LanguageModel
from detoxlab.models.quantisation import (
    FULL_PRECISION,
    Quantisation,
    check_usable,
    dequantise,
    settle,
)
from detoxlab.models.sources import Source, check_causal, check_weights, find_source, first_line
from detoxlab.models.templates import FALLBACK_TEMPLATE, Rendering


@dataclass(frozen=True)
class Options:
    """How weights are read."""

    dtype: DType = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    safetensors_only: bool = True
    quantisation: Quantisation = FULL_PRECISION

    def torch_device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError):
            raise ModelError(
                f"device {self.device!r} is not usable here", remedy="Use 'cpu' or 'auto'."
            ) from None
        return device

    def torch_dtype(self) -> torch.dtype | Literal["auto"]:
        if self.dtype == "auto":
            return torch.float32 if self.torch_device().type == "cpu" else "auto"
        return named_dtype(self.dtype)


def load_model(
    ref: str | Path,
    *,
    dtype: DType = "auto",
    device: str = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    safetensors_only: bool = True,
    quantisation: Quantisation | None = None,
    adapter: str | Path | None = None,
    merge_adapter: bool = False,
    rendering: Rendering | None = None,
) -> LanguageModel:
    """The language model that `ref` names, in evaluation mode.

    `ref` is "embedded", a hub id, a model folder, a PEFT adapter folder or the run folder of
    a training; `adapter` puts an adapter (or train run) on the base that `ref` names, which
    must have the weights it was trained on. `dtype` "auto" is
    float32 on CPU and the weights' own type elsewhere; `device` "auto" takes a GPU if there
    is one. `quantisation` holds linear layers in 8 or 4 bits; None is as the adapter was
    trained, and full precision without one. `merge_adapter` adds the adapter to the weights
    in memory, quantised ones brought back to full precision first: faster to generate with,
    equal up to rounding.

    A missing pad token is taken from EOS. A tokenizer without chat template gets
    `FALLBACK_TEMPLATE`, and the model's `template_name` says so. `rendering` is what is told to
    the template, by default today's date. A template that leaves out what the user says is
    refused.

    Raises `ModelError` when no usable causal language model can be made of it, and
    `DependencyError` when bitsandbytes is needed and missing.
    """
    part = find_adapter(adapter) if adapter is not None else None
    if part is None and (folder := Path(ref)).is_dir() and not (folder / "config.json").exists():
        part = find_adapter(folder)
        source = base_of(part, revision, trust_remote_code)
        base_ref = str(part.base_ref)
    else:
        base_ref = str(ref)
        source = find_source(base_ref, revision, trust_remote_code)
    if quantisation is None:
        quantisation = (part and part.quantisation) or FULL_PRECISION
    options = Options(
        dtype,
        device,
        trust_remote_code,
        safetensors_only,
        quantisation,
    )
    lm = _load_base(source, base_ref, options)
    if merge_adapter:
        dequantise(lm.model)
    if part is not None:
        lm = attach(lm, part, str(adapter or ref), merge_adapter)
    lm = replace(lm, rendering=rendering or Rendering())
    lm.chat.check()
    return lm


# --- inside ---


def _load_base(source: Source, ref: str, options: Options) -> LanguageModel:
    from detoxlab.models.soundness import check_reading

    check_causal(source.folder, options.trust_remote_code)
    check_weights(source.folder, options.safetensors_only)
    tokenizer, template_name = _load_tokenizer(source.folder, options.trust_remote_code)
    model = _read_weights(source.folder, options)
    facts: dict[str, Any] = {"ref": Path(ref).name if Path(ref).exists() else ref, **source.facts}
    if chosen := options.quantisation:
        facts["quantisation"] = chosen.record()
    identifier = f"{source.id}{chosen.mark}"
    lm = LanguageModel(ref, identifier, model, tokenizer, template_name, facts)
    check_reading(lm)
    return lm


def _load_tokenizer(folder: Path, remote_code: bool) -> tuple[Any, str]:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=remote_code)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise ModelError(
            f"{folder}: its tokenizer cannot be loaded ({first_line(error)})",
            remedy="The folder needs tokenizer.json and tokenizer_config.json.",
        ) from error
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"{folder}: the tokenizer has no end-of-sequence token",
            remedy='Set "eos_token" in its tokenizer_config.json.',
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template:
        return tokenizer, "own"
    FALLBACK_TEMPLATE.install(tokenizer)
    return tokenizer, FALLBACK_TEMPLATE.name


def _quantising(folder: Path, options: Options) -> dict[str, Any]:
    """What `from_pretrained` needs besides to quantise while it reads, layer by layer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    device, remote_code = options.torch_device(), options.trust_remote_code
    check_usable(device)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=remote_code)
    if stored := getattr(config, "quantization_config", None):
        raise ModelError(
            f"{folder}: its weights are quantised already ({stored.get('quant_method')})",
            remedy="Load it without quantisation.",
        )
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config, trust_remote_code=remote_code)
    return {
        "quantization_config": options.quantisation.loading_config(skeleton, device),
        "device_map": {"": device},
    }


def _read_weights(folder: Path, options: Options) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    quantising = _quantising(folder, options) if options.quantisation else {}
    try:
        model, loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=options.torch_dtype(),
            use_safetensors=True if options.safetensors_only else None,
            trust_remote_code=options.trust_remote_code,
            output_loading_info=True,
            **quantising,
        )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(
            f"{folder}: its weights cannot be loaded ({first_line(error)})",
            remedy="Fetch the model again; weights are read from safetensors unless allowed.",
        ) from error
    if missing := sorted(loaded["missing_keys"]):
        raise ModelError(
            f"{folder}: {len(missing)} weights are missing, such as {missing[0]}",
            remedy="Fetch the model again: its weights do not fit its config.json.",
        )
    layers = settle(model)
    if quantising and not layers:
        raise ModelError(
            f"{folder}: has no linear layers to quantise ({type(model).__name__})",
            remedy="Load it without quantisation.",
        )
    return model.eval() if quantising else model.to(options.torch_device()).eval()
