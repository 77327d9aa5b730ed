"""Publishes a model on the hub: exported with its card, then uploaded."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from detoxlab.errors import ConfigError, MissingFileError
from detoxlab.pipeline.preflight import check_export
from detoxlab.pipeline.publishing.exporting import UNKNOWN_LICENCE, card_content, export_model
from detoxlab.progress import say
from detoxlab.publish.card import model_card
from detoxlab.publish.content import CardContent
from detoxlab.publish.hub import check_hub, check_repo, open_repo, upload
from detoxlab.publish.metadata import Form, base_on_hub
from detoxlab.runs import Run, is_run

CARD = "README.md"
CONFIGS = ("config.json", "adapter_config.json")


def publish_model(
    path: Path | str,
    repo: str,
    *,
    private: bool = False,
    merged: bool = True,
    base: str | None = None,
    base_model: str | None = None,
    trust_remote_code: bool = False,
    measured: Sequence[Path | str] = (),
    licence: str = UNKNOWN_LICENCE,
) -> str:
    """The URL of the model of a train run on the hub, at `repo`, such as "org/name".

    `path` may also be a folder that `export_model` wrote: it is uploaded as it is, and only
    `private` applies. The token is that of huggingface_hub: HF_TOKEN, or the one of its login. For
    the other options see `export_model`.

    Raises `ConfigError` without a token and for an adapter whose base is not on the hub, `HubError`
    when the hub refuses the model or is not reached.
    """
    check_publish(path, repo, merged=merged, base=base, base_model=base_model)
    check_hub()
    url = open_repo(repo, private=private)  # a refusal comes before the work
    if not is_run(path):
        upload(Path(path), repo)
        return url
    with tempfile.TemporaryDirectory() as folder:
        written = export_model(
            path,
            Path(folder) / repo.rpartition("/")[2],
            merged=merged,
            base=base,
            base_model=base_model,
            trust_remote_code=trust_remote_code,
            measured=measured,
            licence=licence,
            repo=repo,
        )
        say(f"uploading {_listed(written)}")
        upload(written, repo)
    return url


def plan_publish(
    path: Path | str,
    repo: str,
    *,
    private: bool = False,
    merged: bool = True,
    base_model: str | None = None,
    measured: Sequence[Path | str] = (),
    licence: str = UNKNOWN_LICENCE,
) -> str:
    """The plan of `publish_model` in words, with the card; nothing is exported or uploaded."""
    seen = "private" if private else "public"
    if not is_run(path):
        return f"would upload {_listed(Path(path))} to {repo} ({seen})"
    run = Run.open(path)
    content = card_content(
        run, measured=measured, licence=licence, base_model=base_model, repo=repo
    )
    title = repo.rpartition("/")[2]
    form: Form = "weights" if merged else "adapter"
    card = model_card(title, run.info, run.config, content, form=form)
    what = "the merged model" if merged else "the adapter"
    return f"would upload {what} of {path} to {repo} ({seen}), with this card:\n\n{card}"


def check_publish(
    path: Path | str, repo: str, *, merged: bool, base: str | None, base_model: str | None
) -> list[str]:
    """Check `publish`: the name on the hub, and a run with a product or an exported folder.

    As in `detoxlab.pipeline.preflight`, it gives the ids that it could not check.
    """
    check_repo(repo)
    if base_model is not None:
        check_repo(base_model)
    if not is_run(path):
        _check_exported(Path(path))
        return []
    with tempfile.TemporaryDirectory() as free:
        unchecked = check_export(path, free, base)
    if not merged and not base_on_hub(Run.open(path).info, CardContent(base_model=base_model)):
        raise ConfigError(
            f"{path}: others cannot load its adapter, whose base is a folder of this machine",
            remedy="Name the base on the hub by --base-model, or publish it --merged.",
        )
    return unchecked


def _check_exported(folder: Path) -> None:
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such run or folder", remedy="Give a run of train.")
    if not (folder / CARD).is_file() or not any((folder / one).is_file() for one in CONFIGS):
        raise ConfigError(
            f"{folder}: is no run of train, and no model with a card",
            remedy="Give a run of train, or a folder that detoxlab export wrote.",
        )


def _listed(folder: Path) -> str:
    """The files of a folder in words, with their size together."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    return f"{len(files)} files, {size:.1f} MB"
