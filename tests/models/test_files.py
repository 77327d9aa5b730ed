"""What is wrong with a model's files is one line that names the file, the package or the token."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken
from transformers.utils import sentencepiece_model_pb2_new as sentencepiece

from detoxlab.data.split import DialogueSplit
from detoxlab.errors import DependencyError, DetoxlabError, ModelError
from detoxlab.generate import LocalEngine
from detoxlab.models import LanguageModel, load_model, next_token_log_probs, token_log_probs
from detoxlab.models.tokens.templates import Rendering
from detoxlab.records import Prompt, Sampling
from detoxlab.subject import Subject
from tests.support.tiny import dialogues, save_tiny, tiny_lm, tiny_tokenizer
from tests.support.training_runs import fitted

Spoil = Callable[[Path], None]


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def config(**fields: Any) -> Spoil:
    return lambda folder: edit(folder / "config.json", **fields)


def written(name: str, content: str) -> Spoil:
    return lambda folder: (folder / name).write_text(content) and None


def vocabulary(name: str, content: bytes, kind: str) -> Spoil:
    """The tokenizer in another form than tokenizer.json, as `kind` of transformers reads it."""

    def spoil(folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        (folder / name).write_bytes(content)
        described = {"tokenizer_class": kind, "eos_token": "</s>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(described))

    return spoil


def pieces() -> bytes:
    """A small SentencePiece model."""
    model = sentencepiece.ModelProto()
    for piece, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3), *((c, 1) for c in "▁helo")):
        added = model.pieces.add()
        added.piece, added.score, added.type = piece, 0.0, kind
    return bytes(model.SerializeToString())


def without_words(folder: Path) -> None:
    stored = json.loads((folder / "tokenizer.json").read_text())
    named = {entry["content"]: entry["id"] for entry in stored["added_tokens"]}
    stored["model"] |= {"vocab": named, "merges": []}
    (folder / "tokenizer.json").write_text(json.dumps(stored))


TIKTOKEN = b"aGVsbG8= 0\nd29ybGQ= 1\n"

CASES: dict[str, tuple[Spoil, type[DetoxlabError], str]] = {
    "sentencepiece-llama": (
        vocabulary("tokenizer.model", pieces(), "LlamaTokenizer"),
        DependencyError,
        "tokenizer.model can only be read by sentencepiece",
    ),
    "sentencepiece-t5": (
        vocabulary("spiece.model", pieces(), "T5Tokenizer"),
        DependencyError,
        "spiece.model can only be read by sentencepiece",
    ),
    "sentencepiece-xglm": (  # transformers reads an empty vocabulary in its place, and is silent
        vocabulary("sentencepiece.bpe.model", pieces(), "XGLMTokenizer"),
        DependencyError,
        "sentencepiece.bpe.model can only be read by sentencepiece",
    ),
    "tiktoken": (
        vocabulary("tokenizer.model", TIKTOKEN, "PreTrainedTokenizerFast"),
        DependencyError,
        "tokenizer.model can only be read by tiktoken",
    ),
    "sacremoses": (
        vocabulary("vocab.json", b"{}", "BioGptTokenizer"),
        DependencyError,
        "sacremoses",
    ),
    "no-words": (without_words, ModelError, "knows no word, only 4 special tokens"),
    "broken-tokenizer": (
        written("tokenizer.json", "{"),
        ModelError,
        "tokenizer.json: not valid JSON",
    ),
    "broken-tokenizer-config": (
        written("tokenizer_config.json", "[]"),
        ModelError,
        "tokenizer_config.json: not a JSON object",
    ),
    "eos-beyond": (
        lambda folder: edit(folder / "tokenizer_config.json", eos_token="<|stop|>"),
        ModelError,
        "gives token '<|stop|>' the id 260, the embedding has 260 rows",
    ),
    "odd-type": (config(hidden_size="32"), ModelError, "expected int, got str"),
    "odd-heads": (config(num_attention_heads=5), ModelError, "not a multiple of the number"),
    "odd-rotation": (config(rope_parameters={"rope_type": "odd"}), ModelError, "KeyError: 'odd'"),
    "odd-activation": (config(hidden_act="odd"), ModelError, "KeyError: 'odd'"),
    "odd-dtype": (config(dtype="float7"), ModelError, "made of its config.json"),
    "fewer-rows": (
        config(vocab_size=100),
        ModelError,
        "such as model.embed_tokens.weight ((260, 32) instead of (100, 32))",
    ),
    "gptq": (
        config(quantization_config={"quant_method": "gptq", "bits": 4}),
        DependencyError,
        "optimum",
    ),
}


@pytest.fixture(autouse=True)
def _only_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the packages that read old vocabularies are not installed."""
    monkeypatch.setattr("detoxlab.models.tokens.files.find_spec", lambda _package: None)


@pytest.mark.parametrize(("spoil", "kind", "words"), CASES.values(), ids=CASES)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, spoil: Spoil, kind: type[DetoxlabError], words: str
) -> None:
    spoil(folder := save_tiny(tmp_path / "m"))
    with pytest.raises(kind) as caught:
        load_model(folder)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("dependency", ["sentencepiece", "tiktoken"])
def test_a_package_that_is_missing_is_the_remedy(tmp_path: Path, dependency: str) -> None:
    content = pieces() if dependency == "sentencepiece" else TIKTOKEN
    folder = save_tiny(tmp_path / "m")
    vocabulary("tokenizer.model", content, "LlamaTokenizer")(folder)
    with pytest.raises(DependencyError, match=f"pip install {dependency},"):
        load_model(folder)


# --- a token without a row in the embedding ---


def with_more_tokens() -> LanguageModel:
    """The tiny model with a tokenizer that was given a token afterwards."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken("<|fool|>", special=True)])
    return LanguageModel("tiny", "tiny@0", tiny_lm().model, tokenizer)


ERROR = r"tiny@0: its tokenizer gives token '<\|fool\|>' the id 260, the embedding has 260 rows"


def test_it_is_named_where_a_text_is_read() -> None:
    lm = replace(with_more_tokens(), rendering=Rendering(control_tokens="token"))
    assert lm.prompt_ids("you fool", chat=False)
    with pytest.raises(ModelError, match=ERROR):
        lm.prompt_ids("you <|fool|>", chat=False)


def test_it_is_named_where_ids_are_read() -> None:
    lm = with_more_tokens()
    for ask in (token_log_probs, next_token_log_probs):
        with pytest.raises(ModelError, match=ERROR):
            ask(lm, [[5, 260]], [[5]] if ask is token_log_probs else [5])  # type: ignore[operator]
    with pytest.raises(ModelError, match=ERROR):
        token_log_probs(lm, [[5]], [[260]])


def test_it_is_named_where_the_chat_template_writes_it(tmp_path: Path) -> None:
    lm = with_more_tokens()
    lm.tokenizer.chat_template = "{% for m in messages %}<|fool|>{{ m['content'] }}{% endfor %}"
    with pytest.raises(ModelError, match=ERROR):
        LocalEngine(Subject(lm), chat=True).batches([Prompt("p", "hello", "t")], Sampling())
    with pytest.raises(ModelError, match=ERROR):
        fitted("sft", tmp_path / "run", DialogueSplit(dialogues(4)), lm)
