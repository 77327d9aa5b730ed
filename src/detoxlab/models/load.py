"""Loads a `LanguageModel` from a name or folder; only this file reads weights of LMs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub.errors import StrictDataclassError

from detoxlab import processes
from detoxlab.errors import ConfigError, DependencyError, DetoxlabError, ModelError
from detoxlab.models.adapters.load import attach, base_of, find_adapter
from detoxlab.models.gguf.files import checked_header, find_gguf
from detoxlab.models.gguf.reading import read_weights
from detoxlab.models.language_model import LanguageModel
from detoxlab.models.quantisation import (
    FULL_PRECISION,
    DType,
    Quantisation,
    check_usable,
    dequantise,
    named_dtype,
    settle,
)
from detoxlab.models.sources import Source, check_causal, check_weights, find_source, first_line
from detoxlab.models.tokens.files import load_tokenizer
from detoxlab.models.tokens.templates import Rendering
from detoxlab.models.tokens.vocabulary import check_held
from detoxlab.processes.sharding import place

CONFIG_FAILURES = (LookupError, AttributeError, TypeError, AssertionError, StrictDataclassError)
LOADING_FAILURES = (OSError, ValueError, RuntimeError, ImportError, *CONFIG_FAILURES)
"""What libraries raise at a config they cannot follow, and at weights they cannot read."""


@dataclass(frozen=True)
class Options:
    """The options for reading weights."""

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
        except (RuntimeError, AssertionError) as error:
            raise self._no_device(error) from None
        return device

    def _no_device(self, error: Exception) -> ModelError:
        """The error for a device that torch cannot use, with the reason of a missing GPU."""
        if not self.device.startswith("cuda") or torch.cuda.is_available():
            reason = first_line(error)
        elif torch.version.cuda is None:
            reason = f"torch {torch.__version__} is built without CUDA"
        else:
            reason = "torch sees no GPU on this machine"
        return ModelError(
            f"device {self.device!r} is not usable here: {reason}",
            remedy="Leave --device out, or say --device cpu; `detoxlab doctor` says what there is.",
        )

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
    strength: float = 1.0,
    rendering: Rendering | None = None,
) -> LanguageModel:
    """The language model that `ref` names, in evaluation mode.

    `ref` is "embedded", a hub id, a model folder, a GGUF file or a folder with one, a PEFT
    adapter folder or the run folder of a training; `adapter` puts an adapter (or train run) on
    the base that `ref` names, which must have the weights it was trained on. `dtype` "auto" is
    float32 on CPU and for GGUF, and the weights' own type elsewhere; `device` "auto" takes a
    GPU if there is one. `quantisation` holds linear layers in 8 or 4 bits; None is as the
    adapter was trained, and full precision without one. `merge_adapter` adds the adapter to
    the weights in memory, after bringing quantised ones back to full precision: generation is
    faster, and equal up to rounding. `strength` scales the change that an adapter or edit makes
    to the weights: 0 is the base, and below 1 is a model between the two.

    A missing pad token is taken from EOS. A tokenizer without chat template gets
    `FALLBACK_TEMPLATE`, and the model's `template_name` says so. `rendering` are the template's
    inputs, by default today's date. A template that leaves out the user's text is refused.

    Raises `ModelError` when no usable causal language model can be made of it, `ConfigError` for
    a strength where there is nothing to scale, and `DependencyError` when bitsandbytes is needed
    and missing.
    """
    part = find_adapter(adapter) if adapter is not None else None
    if part is None and not _is_plain(Path(ref)):
        part = find_adapter(ref)
        source = base_of(part, revision, trust_remote_code)
        base_ref = str(part.base_ref)
    else:
        base_ref = str(ref)
        source = find_source(base_ref, revision, trust_remote_code)
    if part is None and strength != 1:
        raise ConfigError(
            f"strength {strength:g}: {ref} is no adapter and no edit, there is nothing to scale",
            remedy="Leave it out, or name the adapter or the run.",
        )
    if quantisation is None:
        recorded = Quantisation.from_record(part.quantisation) if part else None
        quantisation = recorded or FULL_PRECISION
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
        lm = attach(
            _speaking_as(lm, part.folder, trust_remote_code),
            part,
            str(adapter or ref),
            merge_adapter,
            strength,
        )
    lm = replace(lm, rendering=rendering or Rendering())
    lm.chat.check()
    return lm


# --- inside ---


def _is_plain(path: Path) -> bool:
    """Whether the path is a whole model: no folder, or a folder with a config or a GGUF file."""
    return not path.is_dir() or (path / "config.json").exists() or find_gguf(path) is not None


def _load_base(source: Source, ref: str, options: Options) -> LanguageModel:
    from detoxlab.models.soundness import check_reading

    options.torch_device()
    if source.path.is_file():
        _check_file(source.path, options)
    else:
        check_causal(source.path, options.trust_remote_code)
        check_weights(source.path, options.safetensors_only)
        _check_config(source.path, options.trust_remote_code)
    tokenizer, template_name = load_tokenizer(source.path, options.trust_remote_code)
    model = _read_weights(source.path, options)
    facts: dict[str, Any] = {"ref": Path(ref).name if Path(ref).exists() else ref, **source.facts}
    if chosen := options.quantisation:
        facts["quantisation"] = chosen.record()
    identifier = f"{source.id}{chosen.mark}"
    lm = LanguageModel(ref, identifier, model, tokenizer, template_name, facts)
    check_held([tokenizer.eos_token_id], lm.embedding_rows, tokenizer, identifier)
    check_reading(lm)
    return lm


def _check_file(path: Path, options: Options) -> None:
    header = checked_header(path)
    if options.quantisation:
        raise ModelError(
            f"{path}: its weights are quantised already ({header.file_type})",
            remedy="Load it without quantisation, or make a folder of it first (detoxlab export).",
        )


def _check_config(folder: Path, remote_code: bool) -> None:
    """Read config.json first, because the tokenizer's reader would report its errors as its own."""
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(folder, trust_remote_code=remote_code)
    except CONFIG_FAILURES as error:
        raise _failure(folder, error) from error


def _speaking_as(lm: LanguageModel, adapter: Path, remote_code: bool) -> LanguageModel:
    """The model with the tokenizer saved with its adapter, where there is one.

    If that tokenizer has no chat template, the base's template stays.
    """
    if not (adapter / "tokenizer_config.json").is_file():
        return lm
    tokenizer, template_name = load_tokenizer(adapter, remote_code)
    if template_name != lm.template_name == "own":
        tokenizer.chat_template, template_name = lm.tokenizer.chat_template, "own"
    return replace(lm, tokenizer=tokenizer, template_name=template_name)


def _quantising(folder: Path, options: Options) -> dict[str, Any]:
    """The arguments by which `from_pretrained` quantises while it reads, layer by layer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if processes.shards_base():
        raise ModelError(
            f"{folder}: a quantised base cannot be sharded",
            remedy="Start without --use_fsdp, or leave the quantisation out.",
        )

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


def _read_weights(path: Path, options: Options) -> Any:
    from safetensors import SafetensorError
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    quantising = _quantising(path, options) if options.quantisation else {}
    try:
        model, loaded = _from_pretrained(path, options, quantising)
    except LOADING_FAILURES as error:
        raise _failure(path, error) from error
    except SafetensorError as error:
        raise _unreadable(path, error) from error
    _check_complete(path, loaded)
    layers = settle(model)
    if quantising and not layers:
        raise ModelError(
            f"{path}: has no linear layers to quantise ({type(model).__name__})",
            remedy="Load it without quantisation.",
        )
    return model.eval() if quantising else place(model, options.torch_device()).eval()


def _from_pretrained(path: Path, options: Options, quantising: Mapping[str, Any]) -> Any:
    """The model and transformers' report of the loading, which `_check_complete` reads."""
    from transformers import AutoModelForCausalLM

    dtype = options.torch_dtype()
    if path.is_file():
        return read_weights(path, torch.float32 if dtype == "auto" else dtype)
    return AutoModelForCausalLM.from_pretrained(
        path,
        dtype=dtype,
        use_safetensors=True if options.safetensors_only else None,
        trust_remote_code=options.trust_remote_code,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        **quantising,
    )


def _failure(path: Path, error: Exception) -> DetoxlabError:
    if isinstance(error, ImportError):
        problem = f"{path}: its weights cannot be loaded ({first_line(error)})"
        return DependencyError(problem, remedy="Install the package that it names.")
    if isinstance(error, CONFIG_FAILURES):
        said = f"{type(error).__name__}: {first_line(error)}"
        described = _described_in(path)
        return ModelError(
            f"{path}: no model can be made of its {described} ({said})",
            remedy=f"Fetch its {described} again; a newer transformers may be needed.",
        )
    return _unreadable(path, error)


def _described_in(path: Path) -> str:
    return "header" if path.is_file() else "config.json"


def _unreadable(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path}: its weights cannot be loaded ({first_line(error)})",
        remedy="Fetch the model again; weights are read from safetensors unless allowed.",
    )


def _check_complete(path: Path, loaded: Mapping[str, Any]) -> None:
    described = _described_in(path)
    remedy = f"Fetch the model again: its weights do not fit its {described}."
    if missing := sorted(loaded["missing_keys"]):
        raise ModelError(
            f"{path}: {len(missing)} weights are missing, such as {missing[0]}", remedy=remedy
        )
    if misfits := sorted(loaded["mismatched_keys"]):
        name, stored, expected = misfits[0]
        raise ModelError(
            f"{path}: {len(misfits)} weights have another shape than its {described} says, such as "
            f"{name} ({tuple(stored)} instead of {tuple(expected)})",
            remedy=remedy,
        )
