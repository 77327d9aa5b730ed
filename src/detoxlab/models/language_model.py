"""A causal language model with its tokenizer, chat template and properties."""

import contextlib
import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from detoxlab.errors import ModelError
from detoxlab.models.adapters.edits import Edit
from detoxlab.models.quantisation import parameter_count
from detoxlab.models.tokens.templates import FALLBACK_TEMPLATE, Chat, Rendering
from detoxlab.records import Asked

UNSTATED_CONTEXT = 2048


@dataclass
class LanguageModel:
    """A model and its tokenizer, as `load_model` gives them.

    `ref` is the user's name for it, `id` its name in results: NAME@HASH, with "+ADAPTER@HASH"
    when an adapter is on or the weights are edited. `template_name` is "own" or the name of the
    fallback template; `rendering` are the template's inputs. `edit` is the change of its weights.
    """

    ref: str
    id: str
    model: Any
    tokenizer: Any
    template_name: str = "own"
    facts: Mapping[str, Any] = field(default_factory=dict)
    rendering: Rendering = field(default_factory=Rendering)
    edit: Edit | None = None

    @property
    def device(self) -> torch.device:
        """The device of the first parameter."""
        return torch.device(next(self.model.parameters()).device)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the embeddings: float32, bfloat16 or float16."""
        dtype: torch.dtype = self.model.get_input_embeddings().weight.dtype
        return dtype

    @property
    def base_id(self) -> str:
        """The id of the untouched base: the part before the name of an adapter or edit."""
        return self.id.partition("+")[0]

    @contextlib.contextmanager
    def as_base(self) -> Iterator[None]:
        """The untouched base while the block lasts: its adapter is off, its edit undone.

        Raises `ModelError` when the adapter was merged into the weights.
        """
        if self.facts.get("adapter_merged"):
            raise ModelError(
                f"{self.id}: its adapter is merged into the weights",
                remedy="Load it without merge_adapter.",
            )
        off = self.model.disable_adapter() if self.has_adapter else contextlib.nullcontext()
        undone = self.edit.undone() if self.edit else contextlib.nullcontext()
        with off, undone:
            yield

    @property
    def has_adapter(self) -> bool:
        """Whether a PEFT adapter can be switched on and off."""
        return hasattr(self.model, "disable_adapter") and hasattr(self.model, "peft_config")

    @property
    def bare(self) -> Any:
        """The model of transformers itself, without PEFT's model around it."""
        return self.model.get_base_model() if self.has_adapter else self.model

    @property
    def next_turn_markers(self) -> tuple[str, ...]:
        """Texts by which the fallback template begins a user turn; none for an own template."""
        fallback = FALLBACK_TEMPLATE
        return fallback.next_turn_markers if self.template_name == fallback.name else ()

    @cached_property
    def chat(self) -> Chat:
        """The tokenizer's chat template with this model's rendering."""
        return Chat(self.tokenizer, self.rendering, self.id, self.embedding_rows)

    @cached_property
    def embedding_rows(self) -> int:
        """The number of tokens that have an embedding."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @cached_property
    def context_length(self) -> int:
        """The limit of prompt plus response, in tokens; 2048 for a model that states none."""
        config = self.model.config.get_text_config(decoder=True)
        for name in ("max_position_embeddings", "max_seq_len", "seq_length"):
            if isinstance(value := getattr(config, name, None), int) and value > 0:
                return value
        limit = int(self.tokenizer.model_max_length)
        return limit if limit < 10**9 else UNSTATED_CONTEXT

    @cached_property
    def pad_id(self) -> int:
        """A token id for padding that is in the embedding."""
        pad = int(self.tokenizer.pad_token_id)
        return pad if pad < self.embedding_rows else int(self.tokenizer.eos_token_id)

    @cached_property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a text: the tokenizer's and those of the generation config."""
        stated = getattr(self.model.generation_config, "eos_token_id", None)
        listed = stated if isinstance(stated, list) else [stated]
        ids = {self.tokenizer.eos_token_id, *listed} - {None}
        return frozenset(int(token) for token in ids)

    @cached_property
    def end_of_turn_ids(self) -> frozenset[int]:
        """Tokens that end an assistant's turn: `eos_ids` and the template's own."""
        return self.eos_ids | self.chat.end_of_turn_ids

    @cached_property
    def next_turn_ids(self) -> frozenset[int]:
        """Special tokens by which the template begins another turn."""
        return frozenset(self.chat.turn_ids) - self.end_of_turn_ids

    @cached_property
    def takes_positions(self) -> bool:
        """Whether the forward pass takes `position_ids` (models with ALiBi do not)."""
        return "position_ids" in self._forward_names

    @cached_property
    def takes_logits_to_keep(self) -> bool:
        """Whether the forward pass can leave out the logits of early positions."""
        return "logits_to_keep" in self._forward_names

    def last_logits(self, count: int) -> dict[str, int]:
        """Arguments of a forward pass to give only the logits of the last `count` tokens.

        They are empty for a model that always gives all logits.
        """
        return {"logits_to_keep": count} if self.takes_logits_to_keep else {}

    @cached_property
    def cache_name(self) -> str:
        """The name of the cache in the forward pass; state-space models have another one."""
        names = self._forward_names
        only_states = "cache_params" in names and "past_key_values" not in names
        return "cache_params" if only_states else "past_key_values"

    def prompt_ids(self, text: str, chat: bool) -> list[int]:
        """Token ids of a prompt, at least one.

        With `chat` the text is the user's turn and the assistant's is opened; without, it is
        a text to continue, with BOS where the tokenizer puts one and never EOS at its end.
        An empty text becomes BOS (or EOS, as GPT-2 begins a document). A control token that
        `text` spells out is read as text, unless `rendering` says otherwise. The system prompt of
        `rendering` comes first: by its own role, or as text and an empty line where there is none.

        Raises `ModelError` when the chat template cannot be used.
        """
        if chat:
            return self.chat.ids(self.chat.render(self.chat.prompt(text), reply=True))
        told = f"{self.rendering.system}\n\n" if self.rendering.system and text else ""
        ids = self.chat.text_ids(told + text, opens=True)
        if len(ids) > 1 and ids[-1] == self.tokenizer.eos_token_id:
            ids.pop()
        return ids or [self._opening_id]

    def with_system(self, system: str) -> "LanguageModel":
        """The same model with this system prompt; "" for none."""
        return replace(self, rendering=replace(self.rendering, system=system))

    def piece_ids(self, text: str) -> list[int]:
        """The ids of a text that continues another: no token is put before or after it."""
        return self.chat.text_ids(text, opens=False)

    def asked(self, chat: bool, prompts_sha256: str | None = None) -> Asked:
        """The way prompts become ids, for a run's record."""
        template = {"template": self.template_name, **self.chat.facts()} if chat else {}
        return Asked(
            chat=chat,
            vocabulary_sha256=self._vocabulary_sha256,
            control_tokens=self.rendering.control_tokens,
            prompts_sha256=prompts_sha256,
            **template,
        )

    def shortened(self, ids: Sequence[int], room: int) -> tuple[int, ...]:
        """The last `room` of the tokens; a BOS at the beginning stays."""
        if len(ids) <= room:
            return tuple(ids)
        if room > 1 and ids[0] == self.tokenizer.bos_token_id:
            return (ids[0], *ids[-(room - 1) :])
        return tuple(ids[-room:])

    def fingerprint(self) -> dict[str, Any]:
        """The run's record of this model: id, weights' hash or revision, type, template."""
        return {
            "id": self.id,
            **self.facts,
            "parameters": parameter_count(self.model),
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": self.device.type,
            "context_length": self.context_length,
            "chat_template": self.template_name,
        }

    @cached_property
    def _vocabulary_sha256(self) -> str:
        tokens = sorted(self.tokenizer.get_vocab().items(), key=lambda item: item[1])
        return hashlib.sha256(json.dumps(tokens).encode()).hexdigest()

    @property
    def _opening_id(self) -> int:
        bos = self.tokenizer.bos_token_id
        return int(self.tokenizer.eos_token_id if bos is None else bos)

    @cached_property
    def _forward_names(self) -> set[str]:
        return set(inspect.signature(self.bare.forward).parameters)


@contextlib.contextmanager
def evaluating(lm: LanguageModel) -> Iterator[None]:
    """The model in evaluation mode and without gradients; its mode is put back at the end."""
    with evaluation_mode(lm.model), torch.inference_mode():
        yield


@contextlib.contextmanager
def evaluation_mode(model: torch.nn.Module) -> Iterator[None]:
    """The model without dropout while the block lasts; each module's mode is put back at the end.

    Gradients stay on. Tensors made under `torch.no_grad` in it may enter a loss, those made in
    `evaluating` may not.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
