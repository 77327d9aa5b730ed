"""Models in GGUF give the numbers of the file's weights; broken files say what is wrong."""

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig
from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
from transformers.integrations.gguf import GGUF_CONFIG_ARCHS
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from detoxlab.errors import DetoxlabError, ModelError
from detoxlab.loading import ModelSettings
from detoxlab.models import load_model
from detoxlab.models.gguf.files import ARCHITECTURES, find_gguf
from detoxlab.models.gguf.reading import GgufWarning
from detoxlab.pipeline.preflight import check_model
from detoxlab.provenance import file_sha256
from tests.support.gguf_files import QUANTISATIONS, save_gguf, stored_model
from tests.support.layouts import layout_model
from tests.support.tiny import tiny_tokenizer

IDS = torch.arange(4, 200)[None]
TEXT = "Speaker 12 says: naïve cafés, 日本!\n\n  <|user|>"


@torch.no_grad()
def logits(model: torch.nn.Module) -> torch.Tensor:
    return model(IDS).logits


@pytest.mark.parametrize("kind", QUANTISATIONS)
def test_the_logits_are_those_of_the_weights_as_stored(tmp_path: Path, kind: str) -> None:
    file = save_gguf(tmp_path / "tiny.gguf", kind=kind)
    lm = load_model(file)
    assert torch.equal(logits(lm.model), logits(stored_model(kind)))
    sha256 = file_sha256(file)
    assert lm.id == f"tiny@{sha256[:8]}"
    facts = {"ref": "tiny.gguf", "weights_sha256": sha256, "file_type": kind}
    assert facts.items() <= lm.facts.items()
    assert str(tmp_path) not in json.dumps(lm.fingerprint())
    assert (lm.dtype, lm.context_length, lm.template_name) == (torch.float32, 256, "own")


def test_the_tokenizer_and_its_template_are_those_of_the_file(tmp_path: Path) -> None:
    lm, original = load_model(save_gguf(tmp_path / "tiny.gguf")), tiny_tokenizer()
    assert lm.tokenizer(TEXT).input_ids == original(TEXT).input_ids
    assert lm.tokenizer.decode(lm.prompt_ids("Hi", chat=True)) == "<|user|>Hi<|end|><|assistant|>"
    assert (lm.tokenizer.eos_token_id, lm.pad_id) == (0, 1)
    bare = load_model(save_gguf(tmp_path / "bare.gguf", template=None))
    assert bare.template_name == "user-assistant-lines@1"


@pytest.mark.parametrize("architecture", ["qwen2", "phi3", "gemma3"])
def test_other_architectures_give_their_own_logits(tmp_path: Path, architecture: str) -> None:
    """Gemma's attention is scaled by a number that GGUF does not hold: that of its real heads."""
    model = gemma3() if architecture == "gemma3" else layout_model(architecture)
    file = save_gguf(tmp_path / "tiny.gguf", model=model, architecture=architecture)
    assert torch.equal(logits(load_model(file).model), logits(model))


def gemma3() -> torch.nn.Module:
    """Seven layers, so that local and global attention are among them."""
    config = Gemma3TextConfig(
        vocab_size=260,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=7,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Gemma3ForCausalLM(config).eval()


def test_another_type_on_request(tmp_path: Path) -> None:
    lm = load_model(save_gguf(tmp_path / "tiny.gguf", kind="Q8_0"), dtype="bfloat16")
    assert lm.dtype is torch.bfloat16


def test_nothing_takes_it_for_a_quantised_model(tmp_path: Path) -> None:
    lm = load_model(save_gguf(tmp_path / "tiny.gguf", kind="Q8_0"))
    assert not getattr(lm.model, "is_quantized", False)
    assert not hasattr(lm.model, "hf_quantizer")
    assert not hasattr(lm.model.config, "quantization_config")
    lm.model.save_pretrained(tmp_path / "saved")
    lm.tokenizer.save_pretrained(tmp_path / "saved")
    saved = load_model(tmp_path / "saved")
    assert torch.equal(logits(saved.model), logits(lm.model))
    assert saved.prompt_ids(TEXT, chat=True) == lm.prompt_ids(TEXT, chat=True)


def test_a_folder_with_one_file_is_that_model(tmp_path: Path) -> None:
    file = save_gguf(tmp_path / "tiny.gguf")
    assert load_model(tmp_path).id == load_model(file).id
    assert check_model(ModelSettings(model=str(tmp_path))) == []


def test_a_tokenizer_beside_the_file_is_not_mixed_in(tmp_path: Path) -> None:
    file = save_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    assert load_model(file).tokenizer(TEXT).input_ids == tiny_tokenizer()(TEXT).input_ids


def test_loading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(save_gguf(tmp_path / "tiny.gguf", kind="Q8_0"))
    assert capfd.readouterr() == ("", "")


# --- how texts are split ---


@pytest.mark.parametrize(
    ("pre", "pieces"),
    [
        ("gpt-2", ["ab", "Ġ12345", ",", "x", "ĊĊ", "Ġy"]),
        ("smollm", ["ab", "Ġ", "1", "2", "3", "4", "5", ",", "x", "ĊĊ", "Ġy"]),
        ("starcoder", ["ab", "Ġ", "1", "2", "3", "4", "5", ",", "x", "ĊĊ", "Ġy"]),
        ("stablelm2", ["ab", "Ġ", "1", "2", "3", "4", "5", ",x", "ĊĊ", "Ġy"]),
        ("qwen2", ["ab", "Ġ", "1", "2", "3", "4", "5", ",x", "ĊĊ", "Ġy"]),
        ("llama-bpe", ["ab", "Ġ", "123", "45", ",x", "ĊĊ", "Ġy"]),
        ("falcon", ["ab", "Ġ", "123", "45", ",", "x", "ĊĊ", "Ġy"]),
        ("bloom", ["ab", "Ġ12345", ",", "x", "ĊĊ", "Ġy"]),
    ],
)
def test_a_text_is_split_as_the_name_says(tmp_path: Path, pre: str, pieces: list[str]) -> None:
    """Worked out from the patterns that llama.cpp states for these names."""
    lm = load_model(save_gguf(tmp_path / "tiny.gguf", pre=pre))
    splitter = lm.tokenizer.backend_tokenizer.pre_tokenizer
    assert [piece for piece, _ in splitter.pre_tokenize_str("ab 12345,x\n\n y")] == pieces


def test_numbers_are_other_tokens_where_each_digit_is_split_off(tmp_path: Path) -> None:
    whole = load_model(save_gguf(tmp_path / "a.gguf", merge=("1", "2"), pre="gpt-2"))
    apart = load_model(save_gguf(tmp_path / "b.gguf", merge=("1", "2"), pre="smollm"))
    assert whole.tokenizer.tokenize("12") == ["12"]
    assert apart.tokenizer.tokenize("12") == ["1", "2"]


def test_an_unknown_way_of_splitting_is_said(tmp_path: Path) -> None:
    with pytest.warns(GgufWarning, match=r"tiny.gguf: how its .* not known here \(nonesuch\)"):
        load_model(save_gguf(tmp_path / "tiny.gguf", pre="nonesuch"))


def test_where_llama_3_says_nothing_texts_begin_with_bos(tmp_path: Path) -> None:
    lm = load_model(save_gguf(tmp_path / "tiny.gguf", pre="llama-bpe", bos_token_id=2))
    assert lm.prompt_ids("Hi", chat=False) == [2, *lm.piece_ids("Hi")]
    assert lm.tokenizer.backend_tokenizer.model.ignore_merges
    other = load_model(save_gguf(tmp_path / "other.gguf", pre="smollm", bos_token_id=2))
    assert other.prompt_ids("Hi", chat=False) == other.piece_ids("Hi")


# --- what cannot be read ---


def truncated(file: Path) -> Path:
    os.truncate(file, file.stat().st_size - 100)
    return file


def cut_in_its_header(file: Path) -> Path:
    os.truncate(file, 1000)
    return file


def empty(file: Path) -> Path:
    os.truncate(file, 0)
    return file


def other_magic(file: Path) -> Path:
    file.write_bytes(b"GGML" + file.read_bytes()[4:])
    return file


def other_version(file: Path) -> Path:
    file.write_bytes(b"GGUF" + struct.pack("<I", 1) + file.read_bytes()[8:])
    return file


def unknown_architecture(file: Path) -> Path:
    return save_gguf(file, architecture="nonesuch")


def encoder_decoder(file: Path) -> Path:
    return save_gguf(file, architecture="t5")


def no_tokenizer(file: Path) -> Path:
    return save_gguf(file, tokenizer=False)


def several(file: Path) -> Path:
    shutil.copyfile(file, file.with_name("second.gguf"))
    return file.parent


def shard(file: Path) -> Path:
    return file.rename(file.with_name("tiny-00001-of-00002.gguf"))


def folder_of_shards(file: Path) -> Path:
    shutil.copyfile(file, file.with_name("tiny-00002-of-00002.gguf"))
    return shard(file).parent


BROKEN = {
    truncated: r"is cut off \([\d,]+ of [\d,]+ bytes are there\)",
    cut_in_its_header: "its header is cut off or broken",
    empty: "not a GGUF file",
    other_magic: "not a GGUF file",
    other_version: "is GGUF of version 1",
    unknown_architecture: "the architecture 'nonesuch' is not supported",
    encoder_decoder: "the architecture 't5' is not supported",
    no_tokenizer: "holds no tokenizer",
    several: r"holds several GGUF files \(second.gguf, tiny.gguf\)",
    shard: "is one of several files of a model",
    folder_of_shards: "is one of several files of a model",
}


@pytest.mark.parametrize("breaking", BROKEN, ids=lambda breaking: breaking.__name__)
def test_a_broken_file_is_one_line_before_and_at_loading(
    tmp_path: Path, breaking: Callable[[Path], Path]
) -> None:
    path = breaking(save_gguf(tmp_path / "tiny.gguf"))
    for use in (load_model, lambda ref: check_model(ModelSettings(model=str(ref)))):
        with pytest.raises(ModelError, match=BROKEN[breaking]) as caught:
            use(path)
        assert "\n" not in str(caught.value)
        assert caught.value.remedy


def no_weights(path: Path) -> Path:
    return save_gguf(path, weights=False)


def no_end(path: Path) -> Path:
    return save_gguf(path, end=None)


def broken_merges(path: Path) -> Path:
    save_gguf(path)
    path.write_bytes(path.read_bytes().replace(b"~ ~", b"x ~"))
    return path


@pytest.mark.parametrize(
    ("breaking", "said"),
    [
        (no_weights, "weights are missing, such as"),
        (no_end, "no end-of-sequence token. Set tokenizer.ggml.eos_token_id"),
        (broken_merges, "its tokenizer cannot be loaded"),
    ],
)
def test_what_only_loading_shows(
    tmp_path: Path, breaking: Callable[[Path], Path], said: str
) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        load_model(breaking(tmp_path / "tiny.gguf"))
    assert "\n" not in str(caught.value)


def test_more_bits_are_not_taken_from_it(tmp_path: Path) -> None:
    from detoxlab.models import Quantisation

    file = save_gguf(tmp_path / "tiny.gguf", kind="Q8_0")
    with pytest.raises(ModelError, match=r"quantised already \(Q8_0\)"):
        load_model(file, quantisation=Quantisation("nf4"))


def test_scaled_positions_are_said_not_to_be_read(tmp_path: Path) -> None:
    with pytest.warns(GgufWarning, match=r"tiny.gguf: its scaling of positions is not read"):
        load_model(save_gguf(tmp_path / "tiny.gguf", scaled=True))


def test_without_the_package_it_is_named(tmp_path: Path) -> None:
    file = save_gguf(tmp_path / "tiny.gguf")
    script = (
        "import sys; sys.modules['gguf'] = None\n"
        "from detoxlab.models.gguf.files import checked_header\n"
        "from pathlib import Path\n"
        "checked_header(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "DependencyError: GGUF files can only be read by gguf" in done.stderr
    assert "pip install gguf" in done.stderr


def test_a_check_before_loading_imports_no_torch(tmp_path: Path) -> None:
    file = save_gguf(tmp_path / "tiny.gguf")
    script = (
        "import sys; from detoxlab.loading import ModelSettings\n"
        "from detoxlab.pipeline.preflight import check_model\n"
        "assert check_model(ModelSettings(model=sys.argv[1])) == []\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(file)], check=True)


def test_a_model_folder_is_no_gguf_whatever_lies_in_it(tmp_path: Path) -> None:
    save_gguf(tmp_path / "tiny.gguf")
    for name in ("config.json", "adapter_config.json", "run.json"):
        (tmp_path / name).write_text("{}")
        assert find_gguf(tmp_path) is None
        (tmp_path / name).unlink()
    assert find_gguf(tmp_path) == tmp_path / "tiny.gguf"
    assert find_gguf(tmp_path / "absent") is None


def test_the_architectures_are_the_decoders_that_transformers_reads() -> None:
    """Fails when another transformers reads others, or calls them otherwise."""
    read = {*GGUF_CONFIG_MAPPING, *GGUF_CONFIG_ARCHS} - {"general", "tokenizer", "mistral"}
    causal = {name for name in read if _type_of(name) in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES}
    assert {_type_of(name) for name in ARCHITECTURES} == {_type_of(name) for name in causal}


def _type_of(architecture: str) -> str:
    """transformers' name of an architecture, of which ggml writes some otherwise."""
    name = architecture.replace("-", "_")
    special = {"qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe", "deci": "llama"}
    special |= {"qwen35": "qwen3_5", "qwen35moe": "qwen3_5_moe", "gemma4": "gemma4_text"}
    return special.get(name, name)


def test_errors_are_ours(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"anything else")
    with pytest.raises(DetoxlabError, match=r"weights\.bin: not a GGUF file"):
        load_model(tmp_path / "weights.bin")
