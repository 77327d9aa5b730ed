"""What a chat template does with what people say, over kinds of templates."""

import dataclasses
import datetime
import hashlib
from pathlib import Path

import pytest

from detoxlab.errors import ConfigError, ModelError
from detoxlab.generate import LocalEngine
from detoxlab.methods.rows.dialogue import IGNORED, row_builder
from detoxlab.methods.rows.pair import pair_builder
from detoxlab.models import LanguageModel, Rendering, load_model
from detoxlab.subject import Subject
from tests.support.chat_templates import ASKS, DATED, THINKING, each, saved
from tests.support.tiny import (
    CHAT_TEMPLATE,
    dialogue,
    save_tiny,
    tiny_lm,
    tiny_tokenizer,
)

PARTS = {
    "parts of type text": each(
        "{% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }}{% endif %}"
        "{% endfor %}"
    ),
    "the first part": each("{{ m['content'][0]['text'] }}"),
    "parts by a filter": each(
        "{{ m['content'] | selectattr('type', 'equalto', 'text') | map(attribute='text') | join }}"
    ),
    "parts or nothing": each(
        "{% if m['content'] is string %}{{ raise_exception('a list is expected') }}{% endif %}"
        "{{ m['content'][0].text }}"
    ),
}
HEARD = {
    "plain": each("{{ m['content'] }}"),
    "trimmed": each("{{ m['content'] | trim }}"),
    "string or parts": each(
        "{% if m['content'] is string %}{{ m['content'] }}{% else %}"
        "{% for c in m['content'] %}{{ c['text'] }}{% endfor %}{% endif %}"
    ),
    "as json": each("{{ m | tojson }}"),
    "with a system message of its own": "<|system|>Be kind.{{ eos_token }}"
    + each("{{ m['content'] }}"),
    "that refuses a system message": (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        + each("{{ m['content'] }}")
    ),
    "that wants alternation": (
        "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}"
        + each("{{ m['content'] }}")
    ),
}
SILENT = {
    "no content": each(""),
    "another key": each("{{ m['text'] }}"),
    "no user": each("{% if m['role'] != 'user' %}{{ m['content'] }}{% endif %}"),
    "only a system role": "{{ messages | selectattr('role', 'equalto', 'system') | join }}" + ASKS,
    "upper case": each("{{ m['content'] | upper }}"),
    "lower case": each("{{ m['content'] | lower }}"),
    "capitalised": each("{{ m['content'] | capitalize }}"),
    "cut off": each("{{ m['content'][:200] }}"),
    "cut at a word": each("{{ m['content'] | truncate(300) }}"),
    "its first line": each("{{ m['content'].split('\\n')[0] }}"),
    "its length": each("{{ m['content'] | length }}"),
    "letters replaced": each("{{ m['content'] | replace('é', 'e') }}"),
    "a constant": "<|user|>Hello" + ASKS,
    "empty": "",
}
RAISING = {
    "raises": ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
    "wants a system message": (
        "{% if messages[0]['role'] != 'system' %}{{ raise_exception('system first') }}{% endif %}",
        "system first",
    ),
    "broken syntax": ("{% for m in messages %}", "endfor"),
    "unknown tag": ("{% speak %}", "speak"),
    "unknown filter": ("{{ messages | shout }}", "shout"),
    "an undefined function": ("{{ speak(messages) }}", "speak"),
    "an attribute of nothing": ("{{ messages[0].speaker.name }}", "speaker"),
    "a wrong sum": ("{{ messages[0]['content'] + 1 }}", "str"),
    "a division by zero": ("{{ 1 // (messages | length - 1) }}", "zero"),
    "no such template": ("{% include 'other' %}", "loader"),
}
UNHEARD_ASSISTANT = {
    "no assistant": each("{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}"),
    "a loud assistant": each(
        "{% if m['role'] == 'user' %}{{ m['content'] }}"
        "{% else %}{{ m['content'] | upper }}{% endif %}"
    ),
    "the first message only": "<|user|>{{ messages[0]['content'] }}" + ASKS,
}


def with_template(template: str, **rendering: object) -> LanguageModel:
    tokenizer = tiny_tokenizer(template)
    told = Rendering(**rendering)  # type: ignore[arg-type]
    return dataclasses.replace(tiny_lm(), tokenizer=tokenizer, rendering=told)


def asked(lm: LanguageModel, text: str = "you fool") -> str:
    return str(lm.tokenizer.decode(lm.prompt_ids(text, chat=True)))


@pytest.mark.parametrize("template", HEARD.values(), ids=HEARD)
def test_a_template_that_lets_the_user_speak_is_used_as_it_is(
    tmp_path: Path, template: str
) -> None:
    lm = load_model(saved(tmp_path / "m", template))
    messages = [{"role": "user", "content": "you fool"}]
    theirs = lm.tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    assert lm.prompt_ids("you fool", chat=True) == theirs["input_ids"]
    assert lm.chat.form == "string"


@pytest.mark.parametrize("template", PARTS.values(), ids=PARTS)
def test_a_template_that_reads_parts_is_given_parts(tmp_path: Path, template: str) -> None:
    lm = load_model(saved(tmp_path / "m", template))
    assert asked(lm) == "<|user|>you fool<|end|><|assistant|>"
    assert lm.chat.facts()["form"] == "parts"
    row = row_builder(lm, chat=True, targets="last", max_length=256).build(
        dialogue("you fool", "no")
    )
    assert lm.tokenizer.decode(row.input_ids) == "<|user|>you fool<|end|><|assistant|>no<|end|>"


@pytest.mark.parametrize("template", SILENT.values(), ids=SILENT)
def test_a_template_that_silences_the_user_is_refused_at_load(
    tmp_path: Path, template: str
) -> None:
    with pytest.raises(ModelError, match="leaves out or changes what the user says") as caught:
        load_model(saved(tmp_path / "m", template or "{{ '' }}"))
    assert "m@" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("template", "cause"), RAISING.values(), ids=RAISING)
def test_a_template_that_raises_is_one_line_that_names_it(
    tmp_path: Path, template: str, cause: str
) -> None:
    """A text to continue can be asked all the same."""
    lm = load_model(saved(tmp_path / "m", template))
    assert lm.prompt_ids("a", chat=False)
    with pytest.raises(ModelError, match=rf"m@\w+: its chat template fails .*{cause}") as caught:
        lm.prompt_ids("you fool", chat=True)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    with pytest.raises(ModelError, match="its chat template fails"):
        LocalEngine(Subject(lm), chat=True)


def test_several_templates_without_a_default_are_one_line() -> None:
    lm = with_template(CHAT_TEMPLATE)
    lm.tokenizer.chat_template = {"rag": CHAT_TEMPLATE, "tools": CHAT_TEMPLATE}
    with pytest.raises(ModelError, match=r"tiny@00000000: its chat template fails .*default"):
        lm.prompt_ids("you fool", chat=True)
    assert lm.prompt_ids("a", chat=False)


def test_a_template_that_refuses_one_text_repeats_nothing_of_it() -> None:
    refusing = (
        "{% if 'fool' in messages[0]['content'] %}"
        "{{ raise_exception(messages[0]['content']) }}{% endif %}"
    )
    lm = with_template(refusing + CHAT_TEMPLATE)
    with pytest.raises(ModelError, match="its chat template fails on a dialogue") as caught:
        lm.prompt_ids("you fool", chat=True)
    assert "you fool" not in str(caught.value)


@pytest.mark.parametrize("template", UNHEARD_ASSISTANT.values(), ids=UNHEARD_ASSISTANT)
def test_a_template_that_silences_a_speaker_teaches_nothing(template: str) -> None:
    lm = with_template(template)
    assert "you fool" in asked(lm)
    for build in (
        lambda: row_builder(lm, chat=True, targets="last", max_length=99),
        lambda: pair_builder(lm, chat=True, max_length=99),
    ):
        with pytest.raises(ModelError, match="leaves out or changes what the assistant says"):
            build()
    row_builder(lm, chat=False, targets="last", max_length=99)


LLAMA_DATED = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}{%- endif %}"
    "{{ date_string }}" + CHAT_TEMPLATE
)


@pytest.mark.parametrize("template", [DATED, LLAMA_DATED])
def test_the_date_is_the_one_that_was_frozen(template: str) -> None:
    lm = with_template(template, date=datetime.date(2024, 2, 29))
    assert asked(lm, "hi") == "29 Feb 2024<|user|>hi<|end|><|assistant|>"
    assert lm.chat.facts()["date"] == "2024-02-29"
    today = with_template(template)
    assert asked(today, "hi").startswith(datetime.date.today().strftime("%d %b %Y"))


def test_a_template_is_told_its_options() -> None:
    """Whose empty thoughts are part of the question or of the answer."""
    said = dialogue("you fool", "no")
    for options, opening in (({}, ""), ({"enable_thinking": False}, "<think></think>")):
        lm = with_template(THINKING, options=options)
        assert asked(lm) == "<|user|>you fool<|end|><|assistant|>" + opening
        row = row_builder(lm, chat=True, targets="last", max_length=99).build(said)
        learnt = lm.tokenizer.decode([label for label in row.labels if label != IGNORED])
        assert opening + learnt == "<think></think>no<|end|>"


def test_an_option_that_no_template_reads_is_a_typo(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", THINKING)
    with pytest.raises(ConfigError, match=r"'enable_thinkin'.*Did you mean 'enable_thinking'\?"):
        load_model(folder, rendering=Rendering(options={"enable_thinkin": False}))
    with pytest.raises(ConfigError, match="does not read 'messages'"):
        load_model(folder, rendering=Rendering(options={"messages": []}))


def test_the_facts_name_the_template_by_its_hash(tmp_path: Path) -> None:
    lm = load_model(save_tiny(tmp_path / "m"), rendering=Rendering(date=datetime.date(2024, 1, 2)))
    assert lm.chat.facts() == {
        "template_sha256": hashlib.sha256(CHAT_TEMPLATE.encode()).hexdigest(),
        "date": None,  # it writes none
        "options": {},
        "form": "string",
    }
