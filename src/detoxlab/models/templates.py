"""How a dialogue becomes text: the tokenizer's own chat template or the stated fallback."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ANSWER = "ANSWER"


@dataclass(frozen=True)
class ChatTemplate:
    """A named chat template in Jinja, and the text by which it begins the next user turn."""

    name: str
    jinja: str
    next_turn_markers: tuple[str, ...] = ()

    def install(self, tokenizer: Any) -> None:
        """Give the template to a tokenizer; it opens with BOS where the tokenizer adds one."""
        ids = tokenizer("").input_ids
        opens = tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]
        tokenizer.chat_template = ("{{ bos_token }}" if opens else "") + self.jinja


FALLBACK_TEMPLATE = ChatTemplate(
    name="user-assistant-lines@1",
    jinja=(
        "{% for message in messages %}"
        "{{ message['role'] | capitalize }}: {{ message['content'] }}"
        "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
        "{{ '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}Assistant:{% endif %}"
    ),
    next_turn_markers=("\nUser:",),
)


def chat_ids(tokenizer: Any, messages: Sequence[dict[str, str]], *, reply: bool) -> list[int]:
    """Token ids of a dialogue in the tokenizer's template; `reply` opens the assistant's turn."""
    rendered = render(tokenizer, messages, reply=reply)
    return list(tokenizer(rendered, add_special_tokens=False).input_ids)


def render(tokenizer: Any, messages: Sequence[dict[str, str]], *, reply: bool) -> str:
    """The dialogue as the text of the tokenizer's template."""
    return str(
        tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=reply)
    )


def end_of_turn_ids(tokenizer: Any) -> set[int]:
    """The special token that the template puts right after an assistant's turn, if it does."""
    text = render(tokenizer, _EXAMPLE[:2], reply=False)
    tail = tokenizer(text.rpartition(ANSWER)[2], add_special_tokens=False).input_ids
    special = set(tokenizer.all_special_ids)
    return {next((token for token in tail if token in special), -1)} - {-1}


def turn_ids(tokenizer: Any) -> set[int]:
    """All special tokens that the template uses: drawn within a response, one begins a new turn."""
    return set(chat_ids(tokenizer, _EXAMPLE, reply=True)) & set(tokenizer.all_special_ids)


_EXAMPLE = (
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": ANSWER},
    {"role": "user", "content": "Hello"},
)
