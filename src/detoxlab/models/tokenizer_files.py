"""Reading a tokenizer from a model's folder, and what is wrong where it cannot be read."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from detoxlab.errors import DependencyError, DetoxlabError, ModelError
from detoxlab.models.sources import first_line, read_config
from detoxlab.models.templates import FALLBACK_TEMPLATE

FEW = 100
SENTENCEPIECE_BEGINS = b"\n"  # the tag of its first field; tiktoken's files are lines of base64


def load_tokenizer(folder: Path, remote_code: bool) -> tuple[Any, str]:
    """The folder's tokenizer with an EOS, a pad token and a chat template, and whose that is.

    A missing pad token is taken from EOS, a missing template is `FALLBACK_TEMPLATE`.

    Raises `ModelError`, or `DependencyError` when a package is needed to read it.
    """
    check_readable(folder)
    tokenizer = _read(folder, remote_code)
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


def check_readable(folder: Path) -> None:
    """Raise `DependencyError` for a vocabulary that only a missing package can read.

    transformers names tiktoken for those of SentencePiece, or reads an empty one in their place.
    """
    files = sorted([*folder.glob("*.model"), *folder.glob("*.tiktoken")])
    if (folder / "tokenizer.json").is_file() or not files:
        return
    package = _package_of(files[0])
    if find_spec(package) is None:
        raise DependencyError(
            f"{folder}: {files[0].name} can only be read by {package}, which is not installed",
            remedy=f"pip install {package}, or save the tokenizer as tokenizer.json.",
        )


# --- inside ---


def _package_of(file: Path) -> str:
    with file.open("rb") as opened:
        return "sentencepiece" if opened.read(1) == SENTENCEPIECE_BEGINS else "tiktoken"


def _read(folder: Path, remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=remote_code)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ImportError) as error:
        raise _failure(folder, error) from error
    if len(tokenizer) < FEW and not _words(tokenizer):
        raise ModelError(
            f"{folder}: its tokenizer knows no word, only {len(tokenizer)} special tokens",
            remedy="The folder needs the vocabulary: tokenizer.json, or the files that make one.",
        )
    return tokenizer


def _words(tokenizer: Any) -> set[str]:
    added = {token.content for token in tokenizer.added_tokens_decoder.values()}
    return set(tokenizer.get_vocab()) - added


def _failure(folder: Path, error: Exception) -> DetoxlabError:
    for name in ("tokenizer_config.json", "tokenizer.json"):
        if (folder / name).is_file():
            read_config(folder, name)  # names the file that is no JSON object
    problem = f"{folder}: its tokenizer cannot be loaded ({first_line(error)})"
    if isinstance(error, ImportError):
        return DependencyError(problem, remedy="Install the package that it names.")
    if "trust_remote_code" in str(error):
        remedy = "Allow its own code (trust_remote_code), if you trust where it comes from."
    elif (folder / "tokenizer.json").is_file():
        remedy = "Fetch its tokenizer.json and tokenizer_config.json again."
    else:
        remedy = "The folder needs tokenizer.json and tokenizer_config.json."
    return ModelError(problem, remedy=remedy)
