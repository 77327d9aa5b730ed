"""Chat templates of several kinds, and models that have them."""

from pathlib import Path

from tests.support.tiny import CHAT_TEMPLATE, tiny_model, tiny_tokenizer

TURN = "{{ '<|' + m['role'] + '|>' }}"
ASKS = "{% if add_generation_prompt %}<|assistant|>{% endif %}"


def each(body: str) -> str:
    """A template that writes `body` for each message m."""
    return "{% for m in messages %}" + TURN + body + "{{ eos_token }}{% endfor %}" + ASKS


def saved(folder: Path, template: str) -> Path:
    tiny_model().save_pretrained(folder)
    tiny_tokenizer(template).save_pretrained(folder)
    return folder


DATED = "{{ strftime_now('%d %b %Y') }}" + CHAT_TEMPLATE
THINKING = (
    "{% for m in messages %}<|{{ m['role'] }}|>"
    "{% if loop.last and m['role'] == 'assistant' %}<think></think>{% endif %}"
    "{{ m['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>"
    "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}"
    "{% endif %}"
)
