"""Reads a tokenizer from a model's folder or GGUF file, and explains why one cannot be read."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from detoxlab.errors import DependencyError, DetoxlabError, ModelError
from detoxlab.models.sources import first_line, read_config
from detoxlab.models.tokens.templates import FALLBACK_TEMPLATE

FEW = 100
SENTENCEPIECE_BEGINS = b"\n"  # the tag of its first field; tiktoken's files are lines of base64


def load_tokenizer(path: Path, remote_code: bool) -> tuple[Any, str]:
    """A tokenizer with EOS, pad token and chat template, and "own" or the template's name.

    A missing pad token is taken from EOS, a missing template is `FALLBACK_TEMPLATE`.

    Raises `ModelError`, or `DependencyError` when a package is needed to read it.
    """
    check_readable(path)
    tokenizer = _read(path, remote_code)
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"{path}: the tokenizer has no end-of-sequence token",
            remedy=f"Set {_end_named_in(path)}.",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template:
        return tokenizer, "own"
    FALLBACK_TEMPLATE.install(tokenizer)
    return tokenizer, FALLBACK_TEMPLATE.name


def check_readable(folder: Path) -> None:
    """Raise `DependencyError` for a vocabulary that only a missing package can read.

    For SentencePiece, transformers would ask for tiktoken, or read an empty vocabulary.
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


def _end_named_in(path: Path) -> str:
    if path.is_file():
        return "tokenizer.ggml.eos_token_id in its header"
    return '"eos_token" in its tokenizer_config.json'


def _package_of(file: Path) -> str:
    with file.open("rb") as opened:
        return "sentencepiece" if opened.read(1) == SENTENCEPIECE_BEGINS else "tiktoken"


def _read(path: Path, remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    from detoxlab.models.gguf.reading import read_tokenizer

    try:
        if path.is_file():
            tokenizer = read_tokenizer(path)
        else:
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=remote_code)
    except DetoxlabError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ImportError) as error:
        raise _failure(path, error) from error
    if len(tokenizer) < FEW and not _words(tokenizer):
        raise ModelError(
            f"{path}: its tokenizer knows no word, only {len(tokenizer)} special tokens",
            remedy="It needs the vocabulary: tokenizer.json, or the files that make one.",
        )
    return tokenizer


def _words(tokenizer: Any) -> set[str]:
    added = {token.content for token in tokenizer.added_tokens_decoder.values()}
    return set(tokenizer.get_vocab()) - added


def _failure(path: Path, error: Exception) -> DetoxlabError:
    for name in ("tokenizer_config.json", "tokenizer.json"):
        if (path / name).is_file():
            read_config(path, name)  # names the file that is no JSON object
    problem = f"{path}: its tokenizer cannot be loaded ({first_line(error)})"
    if isinstance(error, ImportError):
        return DependencyError(problem, remedy="Install the package that it names.")
    if "trust_remote_code" in str(error):
        remedy = "Allow its own code (trust_remote_code), if you trust where it comes from."
    elif path.is_file():
        remedy = "Fetch the file again, or convert the model again."
    elif (path / "tokenizer.json").is_file():
        remedy = "Fetch its tokenizer.json and tokenizer_config.json again."
    else:
        remedy = "The folder needs tokenizer.json and tokenizer_config.json."
    return ModelError(problem, remedy=remedy)
