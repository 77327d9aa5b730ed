"""The hub of Hugging Face, to which a model is uploaded. huggingface_hub keeps the token."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from detoxlab.errors import ConfigError, HubError

REPO = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
# Files of an earlier model under the same name, which would be loaded beside the new ones.
STALE = ["*.safetensors", "*.bin", "*.json", "*.jinja"]
REASONS = {
    401: ("the hub does not accept the token", "Make one at https://hf.co/settings/tokens."),
    403: ("the token may not write there", "Take a token with write access to that name."),
    404: ("no such user or organisation, or the token does not see it", "Check the name."),
    429: ("too many requests", "Wait a while, then publish again."),
}


def check_repo(repo: str) -> None:
    """Raises `ConfigError` unless `repo` is an id of the hub with its owner, as "org/name"."""
    if not REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise ConfigError(f"{repo}: not an id of the hub", remedy="Write it as org/name.")


def check_hub() -> None:
    """Raises `ConfigError` where huggingface_hub has no token or is told to stay offline."""
    from huggingface_hub import get_token
    from huggingface_hub.constants import is_offline_mode

    if is_offline_mode():
        raise ConfigError(
            "HF_HUB_OFFLINE is set, nothing can be uploaded",
            remedy="Unset it, or see the card by --dry-run.",
        )
    if not get_token():
        raise ConfigError(
            "there is no token for the hub",
            remedy="Set HF_TOKEN, or log in by `hf auth login`.",
        )


def open_repo(repo: str, *, private: bool) -> str:
    """The URL of the repository, which is made if it is not there.

    Raises `HubError` with the hub's reason, also where a present repository is public and `private`
    is asked for.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _explained(repo):
        url = api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.repo_info(repo).private:
            raise HubError(f"{repo}: is there, and public", remedy="Choose another name.")
    return str(url)


def upload(folder: Path, repo: str) -> None:
    """Put the files of `folder` into the repository, as its next commit.

    Weights and settings of an earlier model in it are removed; its history keeps them. Raises
    `HubError` with the hub's reason.
    """
    from huggingface_hub import HfApi

    with _explained(repo):
        HfApi().upload_folder(
            repo_id=repo,
            folder_path=folder,
            delete_patterns=STALE,
            commit_message="Upload by detoxlab",
        )


@contextlib.contextmanager
def _explained(repo: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub into ours, which name no token and no request."""
    from httpx2 import TransportError
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        cause, remedy = REASONS.get(status, (f"the hub answered {status}", "Try again later."))
        raise HubError(f"{repo}: {cause}", remedy=remedy) from error
    except (TransportError, ConnectionError) as error:
        raise HubError(
            f"{repo}: the hub is not reached ({type(error).__name__})",
            remedy="Check the network and HF_ENDPOINT.",
        ) from error
