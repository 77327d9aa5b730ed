"""From a name or folder to a `LanguageModel`: the one place that reads weights of LMs."""

import functools
import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import torch

from detoxlab.errors import ModelError
from detoxlab.models.language_model import LanguageModel
from detoxlab.models.templates import FALLBACK_TEMPLATE
from detoxlab.provenance import file_sha256

DType = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
REMEDY = "Give a hub id, a model folder, an adapter folder, a train run or 'embedded'."


@dataclass(frozen=True)
class Options:
    """How weights are read. Quantisation will be one more field, used by `_read_weights`."""

    dtype: DType = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    safetensors_only: bool = True

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
        if self.dtype not in DTYPES:
            raise ModelError(
                f"dtype {self.dtype!r} is unknown", remedy=f"Use auto, {', '.join(DTYPES)}."
            )
        return DTYPES[self.dtype]


@dataclass(frozen=True)
class Source:
    """A folder that holds a model, and how results name it."""

    folder: Path
    name: str
    revision: str | None = None

    @functools.cached_property
    def facts(self) -> dict[str, str]:
        """The revision of a hub model; the weights' sha256 of a local one."""
        if self.revision:
            return {"revision": self.revision}
        return {"weights_sha256": _weights_sha256(self.folder)}

    @property
    def id(self) -> str:
        return f"{self.name}@{next(iter(self.facts.values()))[:8]}"


@dataclass(frozen=True)
class Adapter:
    """A PEFT adapter folder and what is known of its base model."""

    folder: Path
    name: str
    base_ref: str | None
    base_id: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    train_scorers: tuple[str, ...] = ()


def load_model(
    ref: str | Path,
    *,
    dtype: DType = "auto",
    device: str = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
    safetensors_only: bool = True,
    adapter: str | Path | None = None,
    merge_adapter: bool = False,
) -> LanguageModel:
    """The language model that `ref` names, in evaluation mode.

    `ref` is "embedded", a hub id, a model folder, a PEFT adapter folder or the run folder of
    a training; `adapter` puts an adapter (or train run) on another base. `dtype` "auto" is
    float32 on CPU and the weights' own type elsewhere; `device` "auto" takes a GPU if there
    is one. `merge_adapter` adds the adapter to the weights in memory: faster to generate
    with, equal up to rounding.

    A missing pad token is taken from EOS. A tokenizer without chat template gets
    `FALLBACK_TEMPLATE`, and the model's `template_name` says so.

    Raises `ModelError` when no usable causal language model can be made of it.
    """
    options = Options(dtype, device, trust_remote_code, safetensors_only)
    part = find_adapter(adapter) if adapter is not None else None
    if part is None and (folder := Path(ref)).is_dir() and not (folder / "config.json").exists():
        part = find_adapter(folder)
        base_ref = _base_of(part)
    else:
        base_ref = str(ref)
    lm = _load_base(find_source(base_ref, revision, trust_remote_code), base_ref, options)
    return lm if part is None else _attach(lm, part, str(ref), merge_adapter)


def find_source(ref: str, revision: str | None = None, remote_code: bool = False) -> Source:
    """Where the model is: in the package, in a local folder or in the hub's cache."""
    if ref == "embedded":
        folder = Path(str(files("detoxlab"))) / "assets" / "lm"
        return Source(_checked_folder(folder), "embedded")
    if Path(ref).exists():
        folder = _checked_folder(Path(ref))
        return Source(folder, folder.resolve().name)
    if ref.startswith(("/", ".", "~")) or ref.count("/") > 1:
        raise ModelError(f"{ref}: no such model folder", remedy=REMEDY)
    return _download(ref, revision, remote_code)


def find_adapter(path: str | Path) -> Adapter:
    """The adapter in a PEFT folder or in a train run."""
    folder = Path(path)
    if (folder / "run.json").is_file():
        return _adapter_of_run(folder)
    config = _read_config(folder, "adapter_config.json")
    name = folder.resolve().name
    if name == "adapter" and (folder.parent / "run.json").is_file():
        return _adapter_of_run(folder.parent)
    return Adapter(folder, name, config.get("base_model_name_or_path"), config=config)


# --- inside ---


def _adapter_of_run(run: Path) -> Adapter:
    info, folder = _read_config(run, "run.json"), run / "adapter"
    if not (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"{run}: this run has no adapter (status: {info.get('status', 'unknown')})",
            remedy="Give a finished train run, or finish this one with --resume.",
        )
    config = _read_config(folder, "adapter_config.json")
    base_ref = info.get("base_model") or config.get("base_model_name_or_path")
    learnt = tuple(info.get("train_scorers") or ())
    return Adapter(folder, run.resolve().name, base_ref, info.get("base_model_id"), config, learnt)


def _base_of(adapter: Adapter) -> str:
    if not adapter.base_ref:
        raise ModelError(
            f"{adapter.folder}: the adapter does not name its base model",
            remedy="Give the base as the model and this folder as its adapter.",
        )
    return adapter.base_ref


def _checked_folder(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: not a model (no config.json in it)", remedy=REMEDY)
    return folder


def _read_config(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{folder}: not a model (no {name} in it)", remedy=REMEDY) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ModelError(f"{path}: not valid JSON", remedy="Fetch the file again.") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: not a JSON object", remedy="Fetch the file again.")
    return content


def _download(ref: str, revision: str | None, remote_code: bool) -> Source:
    from httpx import HTTPError
    from huggingface_hub import snapshot_download

    patterns = [*HUB_FILES, "*.py"] if remote_code else HUB_FILES
    try:
        folder = snapshot_download(
            ref,
            revision=revision,
            allow_patterns=patterns,
            ignore_patterns=["consolidated*", "original/*"],
        )
    except (OSError, ValueError, HTTPError) as error:
        at = f" at revision {revision!r}" if revision else ""
        raise ModelError(
            f"{ref}{at}: not a local folder and not available from the hub "
            f"({type(error).__name__})",
            remedy=f"Check the name and the network (HF_HUB_OFFLINE). {REMEDY}",
        ) from error
    return Source(_checked_folder(Path(folder)), ref, revision=Path(folder).name)


def _weights_sha256(folder: Path) -> str:
    """The sha256 of the weights' file; of several, that of their hashes in order of name."""
    paths = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    hashes = [file_sha256(path) for path in paths]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _load_base(source: Source, ref: str, options: Options) -> LanguageModel:
    _check_causal(source.folder, options.trust_remote_code)
    _check_weights(source.folder, options.safetensors_only)
    tokenizer, template_name = _load_tokenizer(source.folder, options.trust_remote_code)
    model = _read_weights(source.folder, options)
    facts = {"ref": Path(ref).name if Path(ref).exists() else ref, **source.facts}
    return LanguageModel(ref, source.id, model, tokenizer, template_name, facts)


def _check_causal(folder: Path, remote_code: bool) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    config = _read_config(folder, "config.json")
    kind, named = config.get("model_type"), config.get("architectures") or []
    if remote_code and "auto_map" in config:
        return
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or config.get("is_encoder_decoder"):
        problem = f"model type {kind!r} is not a causal language model"
    elif named and not set(named) & set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()):
        problem = f"{named[0]} is not a causal language model"
    else:
        return
    raise ModelError(
        f"{folder}: {problem}",
        remedy="Give a model that generates text, or allow its own code (trust_remote_code).",
    )


def _check_weights(folder: Path, safetensors_only: bool) -> None:
    safe, pickled = any(folder.glob("*.safetensors")), any(folder.glob("*.bin"))
    if safe or (pickled and not safetensors_only):
        return
    held = "only pickled weights (*.bin)" if pickled else "no weights"
    raise ModelError(
        f"{folder}: holds {held}, not safetensors",
        remedy="Convert them, or allow them by safetensors_only=False if you trust their origin."
        if pickled
        else "Fetch the model again.",
    )


def _load_tokenizer(folder: Path, remote_code: bool) -> tuple[Any, str]:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=remote_code)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise ModelError(
            f"{folder}: its tokenizer cannot be loaded ({_first_line(error)})",
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


def _read_weights(folder: Path, options: Options) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        model, loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=options.torch_dtype(),
            use_safetensors=True if options.safetensors_only else None,
            trust_remote_code=options.trust_remote_code,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{folder}: its weights cannot be loaded ({_first_line(error)})",
            remedy="Fetch the model again; weights are read from safetensors unless allowed.",
        ) from error
    if missing := sorted(loaded["missing_keys"]):
        raise ModelError(
            f"{folder}: {len(missing)} weights are missing, such as {missing[0]}",
            remedy="Fetch the model again: its weights do not fit its config.json.",
        )
    return model.to(options.torch_device()).eval()


def _attach(lm: LanguageModel, adapter: Adapter, ref: str, merge: bool) -> LanguageModel:
    _check_base(lm, adapter)
    model = _read_adapter(lm, adapter)
    sha256 = _weights_sha256(adapter.folder)
    facts = {
        **lm.facts,
        "base_id": lm.id,
        "adapter": adapter.name,
        "adapter_sha256": sha256,
        "adapter_merged": merge,
        "train_scorers": list(adapter.train_scorers),
    }
    identifier = f"{lm.id}+{adapter.name}@{sha256[:8]}"
    model = model.merge_and_unload() if merge else model
    return LanguageModel(ref, identifier, model.eval(), lm.tokenizer, lm.template_name, facts)


def _check_base(lm: LanguageModel, adapter: Adapter) -> None:
    """The hashes are compared, not the names: a folder may have moved."""
    if adapter.base_id and adapter.base_id.rpartition("@")[2] != lm.id.rpartition("@")[2]:
        raise ModelError(
            f"{adapter.folder}: was trained on {adapter.base_id}, not on {lm.id}",
            remedy="Give the base model it was trained on.",
        )


def _read_adapter(lm: LanguageModel, adapter: Adapter) -> Any:
    from peft import PeftModel
    from safetensors import SafetensorError

    if not (adapter.folder / "adapter_model.safetensors").is_file():
        raise ModelError(
            f"{adapter.folder}: no adapter_model.safetensors in it",
            remedy="Save the adapter again, as safetensors.",
        )
    try:
        with warnings.catch_warnings():  # PEFT's use of transformers, not ours to change
            warnings.filterwarnings("ignore", category=FutureWarning)
            return PeftModel.from_pretrained(lm.model, adapter.folder)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"{adapter.folder}: the adapter does not fit {lm.id} ({_first_line(error)})",
            remedy="Give the base model it was trained on.",
        ) from error


def _first_line(error: BaseException, limit: int = 160) -> str:
    """What a library said, for the cause in brackets, as one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
