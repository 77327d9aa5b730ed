"""Exports a model as a folder for others: merged weights, an adapter or plain weights.

Imports torch and peft through `detoxlab.models`, inside the functions that need them.
"""

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from detoxlab.errors import ConfigError, ModelError
from detoxlab.locations import absolute
from detoxlab.progress import say
from detoxlab.publish.card import model_card, plain_card
from detoxlab.publish.content import CardContent
from detoxlab.publish.metadata import Form
from detoxlab.records import to_json
from detoxlab.runs import Run

if TYPE_CHECKING:
    from detoxlab.models import LanguageModel

ADAPTER_CONFIG = "adapter_config.json"
MEASUREMENTS = "measurements.json"
DType = Literal["float32", "bfloat16", "float16"]
_NO_CONTENT = CardContent()


def export_merged(
    run: Run,
    out: Path | str,
    *,
    dtype: DType = "float32",
    original: bool = False,
    base: str | None = None,
    trust_remote_code: bool = False,
    strength: float = 1.0,
    content: CardContent = _NO_CONTENT,
) -> Path:
    """The folder `out` with the adapter or edit of a train run added to the base model's weights.

    Plain transformers loads it. Weights are merged in float32, then turned into `dtype`, and
    saved as safetensors; the tokenizer has the chat template of the training.

    If the base was quantised in training, the weights are the quantised ones, brought back to
    full precision: the model that was measured. With `original` they are those of the base's
    files, on which the adapter was not trained: another model, which must be measured again.
    `base` says where the base is now, if it has moved. `strength` scales what is added. `content`
    is for the card.

    Raises `ConfigError` when `out` is not empty, `ModelError` when the run has no adapter.
    """
    from detoxlab.models import Quantisation, load_model

    quantisation = Quantisation("none") if original else None
    with _written_whole(Path(out)) as draft:
        lm = load_model(
            base or run.path,
            adapter=run.path if base else None,
            dtype="float32",
            device="cpu",
            trust_remote_code=trust_remote_code,
            quantisation=quantisation,
            merge_adapter=True,
            strength=strength,
        )
        _save(lm, dtype, draft)
        facts = dict(run.info) if strength == 1 else run.info | {"strength": strength}
        _write_card(draft, Path(out).name, facts, run.config, content)
    return Path(out)


def export_folded(
    run: Run,
    out: Path | str,
    *,
    base: str,
    dtype: DType = "float32",
    original: bool = False,
    trust_remote_code: bool = False,
    strength: float = 1.0,
    content: CardContent = _NO_CONTENT,
) -> Path:
    """The folder `out` with the steering of a train run folded into the weights of its base.

    Plain transformers loads it, and it needs no hooks. It is computed in float32; its logits are
    compared with the steered model's before it is saved, and with those of the saved folder.
    `base` is the base's place; the base's own adapter or edit is merged. For the other options see
    `export_merged`.

    Raises `ModelError` with the reason for a steering that does not fold exactly.
    """
    from detoxlab.models import Quantisation, load_model
    from detoxlab.models.adapters.load import check_base
    from detoxlab.models.layouts.biases import built
    from detoxlab.steering.activations.fold import check_same, fold, probe_logits
    from detoxlab.steering.activations.session import ActivationSteering

    steering = ActivationSteering.load(run.info["method"], run.path, strength=strength)
    recorded = run.info["model"]
    in_training = Quantisation.from_record(recorded.get("quantisation"))
    lm = load_model(
        base,
        dtype="float32",
        device="cpu",
        revision=recorded.get("revision"),
        trust_remote_code=trust_remote_code,
        quantisation=Quantisation("none") if original else in_training,
        merge_adapter=True,
    )
    check_base(lm.id, run.path, run.info["base_model_id"])
    folded = fold(steering, lm)
    with _written_whole(Path(out)) as draft:
        plain = built(lm.model, folded.config)
        _save(dataclasses.replace(lm, model=plain), dtype, draft)
        _round(lm, dtype)
        saved = load_model(
            draft, dtype="float32", device="cpu", trust_remote_code=trust_remote_code
        )
        check_same(probe_logits(lm), probe_logits(saved), str(out))
        facts = run.info | {"strength": strength, "folded": folded.summary}
        _write_card(draft, Path(out).name, facts, run.config, content)
    say(f"folded: {folded.summary}")
    return Path(out)


def export_plain(
    model: Path | str,
    out: Path | str,
    *,
    dtype: DType = "float32",
    trust_remote_code: bool = False,
    licence: str = "other",
) -> Path:
    """The folder `out` with a model that is no run, for plain transformers to load.

    The weights of a GGUF file are brought to full precision, with tokenizer and chat template; an
    adapter's folder is merged into its base. Errors as `export_merged`.
    """
    from detoxlab.models import load_model

    with _written_whole(Path(out)) as draft:
        lm = load_model(
            model,
            dtype="float32",
            device="cpu",
            trust_remote_code=trust_remote_code,
            merge_adapter=True,
        )
        _save(lm, dtype, draft)
        card = plain_card(Path(out).name, lm.fingerprint() | {"dtype": dtype}, licence)
        (draft / "README.md").write_text(card, encoding="utf-8")
    return Path(out)


def export_adapter(
    run: Run,
    out: Path | str,
    *,
    base: str | None = None,
    content: CardContent = _NO_CONTENT,
) -> Path:
    """The folder `out` with the adapter alone, in PEFT's layout; errors as `export_merged`.

    Its config names the base's id on the hub where `content` has one; else the present place of the
    base, or `base`, so that plain PEFT finds it from any folder. `origin.json` keeps the hash of
    the base and the training scorers; `quantisation.json` records the quantisation if the base was
    quantised in training.
    """
    from detoxlab.models.adapters.load import QUANTISATION

    adapter = run.path / "adapter"
    if not adapter.is_dir():
        raise ModelError(
            f"{run.path}: this run has no adapter", remedy="Give a finished run of train."
        )
    with _written_whole(Path(out)) as draft:
        for file in sorted(adapter.iterdir()):
            shutil.copyfile(file, draft / file.name)
        _write_origin(draft, run, base, content.base_model)
        if quantisation := run.info.get("model", {}).get("quantisation"):
            (draft / QUANTISATION).write_text(json.dumps(quantisation) + "\n", encoding="utf-8")
        _write_card(draft, Path(out).name, run.info, run.config, content, form="adapter")
    return Path(out)


def _write_origin(folder: Path, run: Run, base: str | None, on_hub: str | None) -> None:
    """Write into an exported adapter its base, the place of the base, and its training scorers."""
    from detoxlab.models.adapters.load import ORIGIN, check_base_folder, find_adapter
    from detoxlab.models.sources import read_config

    adapter = find_adapter(run.path)
    if base is not None:
        check_base_folder(base, adapter)
    named = {
        "base_model_name_or_path": on_hub or absolute(base or str(adapter.base_ref)),
        "revision": None if base or on_hub else adapter.base_revision,
    }
    config = read_config(folder, ADAPTER_CONFIG) | named
    origin = {"base_model_id": adapter.base_id, "train_scorers": list(adapter.train_scorers)}
    for name, content in ((ADAPTER_CONFIG, config), (ORIGIN, origin)):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _save(lm: "LanguageModel", dtype: DType, folder: Path) -> None:
    from detoxlab.models.quantisation import DTYPES

    lm.model.to(DTYPES[dtype]).save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)


def _round(lm: "LanguageModel", dtype: DType) -> None:
    """Bring the float32 parameters to the nearest values that `dtype` has."""
    from detoxlab.models.quantisation import DTYPES

    for one in lm.model.parameters():
        one.data = one.data.to(DTYPES[dtype]).float()


def check_free(out: Path) -> None:
    """Raises `ConfigError` when `out` is not empty."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: holds something already", remedy="Choose another --out.")


@contextlib.contextmanager
def _written_whole(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `out` only when all went well."""
    check_free(out)
    draft = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    draft.mkdir(parents=True)
    try:
        yield draft
        _open_to_readers(draft)
        if out.exists():
            out.rmdir()
        draft.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _open_to_readers(folder: Path) -> None:
    """Let everyone read the files who may read the folder; some libraries allow the owner alone."""
    readable = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(readable)


def _write_card(
    folder: Path,
    title: str,
    info: Mapping[str, Any],
    config: Mapping[str, Any],
    content: CardContent,
    form: Form = "weights",
) -> None:
    """Write README.md, and beside it all measurements, of which the card shows the main ones."""
    card = model_card(title, info, config, content, form=form)
    (folder / "README.md").write_text(card, encoding="utf-8")
    if content.measured:
        found = {name: [to_json(row) for row in rows] for name, rows in content.measured.items()}
        text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / MEASUREMENTS).write_text(text + "\n", encoding="utf-8")
