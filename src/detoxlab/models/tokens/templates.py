"""Turns a dialogue into text and ids, by the tokenizer's chat template or the fallback.

A template is a program that comes with the model. It may leave out, change or refuse the
speakers' texts, or write today's date. So it is tested before it is used, its date is fixed, and
`Chat.facts` records its inputs.
"""

import datetime
import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import jinja2
import jinja2.meta

from detoxlab.errors import ConfigError, ModelError
from detoxlab.models.sources import first_line
from detoxlab.models.tokens.control import ControlTokens, Spelling, control_tokens, unmarked
from detoxlab.models.tokens.vocabulary import check_held

ANSWER = "ANSWER"
PROBE_LINES = 200
RESERVED = frozenset({"messages", "add_generation_prompt", "strftime_now"})
FAILURES = (  # what the program of a template can raise
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

Messages = Sequence[Mapping[str, str]]
Form = Literal["string", "parts"]


@dataclass(frozen=True)
class ChatTemplate:
    """A named chat template in Jinja, and the texts with which it begins the next user turn."""

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


@dataclass(frozen=True)
class Rendering:
    """The inputs of a chat template, and the reading of control tokens in a text.

    `options` are variables of the template, such as `enable_thinking`. `date` is the day that a
    template reads as today. With `control_tokens` "text" a control token that a speaker spells
    out stays text; with "token" it becomes that token. `system` is told before each prompt.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    date: datetime.date = field(default_factory=datetime.date.today)
    control_tokens: ControlTokens = "text"
    system: str = ""


@dataclass(frozen=True)
class Chat:
    """The chat template of a tokenizer under one `Rendering`; `owner` names it in errors.

    `rows` are those of the model's embedding; None where there is no model.
    """

    tokenizer: Any
    rendering: Rendering
    owner: str
    rows: int | None = None

    def render(self, messages: Messages, *, reply: bool) -> str:
        """The dialogue as text, with marks for `ids`; `reply` opens the assistant's turn.

        Raises `ModelError` when the template refuses it. No text is in the error.
        """
        marked = [{**one, "content": self.marked(one["content"])} for one in messages]
        given = _in_form(marked, self.form)
        try:
            return self._run(given, reply)
        except FAILURES as error:
            raise self._refusal(f"on a dialogue ({type(error).__name__})") from None

    def marked(self, text: str) -> str:
        """A speaker's text, with a mark around each control token that it spells out."""
        return self.spelling.marked(text)

    def ids(self, text: str, *, opens: bool = False) -> list[int]:
        """Ids of a rendered text, or of a part of one; see `Spelling.ids`.

        Raises `ModelError` for an id that the embedding does not hold.
        """
        ids = self.spelling.ids(text, opens=opens)
        if self.rows is not None:
            check_held(ids, self.rows, self.tokenizer, self.owner)
        return ids

    def text_ids(self, text: str, *, opens: bool) -> list[int]:
        """Ids of a text outside of any template."""
        return self.ids(self.marked(text), opens=opens)

    @cached_property
    def form(self) -> Form:
        """Whether the template reads a text as a string or as a list of parts.

        Raises `ModelError` unless a user's text is in the template's output.
        """
        for form, outcome in self._heard.items():
            if outcome is True:
                return form
        if isinstance(failure := self._heard["string"], Exception):
            raise self._refusal(f"({first_line(failure)})")
        raise self._silence("user")

    def check(self) -> None:
        """Raises `ModelError` when the template silently leaves out or changes a user's text.

        A template that refuses the probe with its own error passes here: it will refuse again in
        use. Raises `ConfigError` for an option that the template does not read.
        """
        if self._heard["string"] is False:
            _ = self.form

    def check_user(self) -> None:
        """Raises `ModelError` unless the rendered prompt holds the user's text."""
        _ = self.form

    def check_exchange(self) -> None:
        """Raises `ModelError` when a rendered dialogue leaves out a text of user or assistant."""
        self.check()
        for roles in (("user",), ("user", "assistant"), ("user", "assistant", "user")):
            try:
                heard = self._shows(roles, self.form)
            except FAILURES:  # it refuses such dialogues with its own error
                return
            if not heard:
                raise self._silence(roles[-1])

    @cached_property
    def hears_system(self) -> bool:
        """Whether the texts of a system role and of the user after it are both in the prompt."""
        roles = ("system", "user")
        try:
            return all(self._shows(roles, self.form, at) for at in range(len(roles)))
        except FAILURES:
            return False

    def prompt(self, text: str) -> Messages:
        """The user's turn, after the system prompt where there is one.

        A template without a system role gets it at the beginning of the user's turn.
        """
        if not self.rendering.system:
            return [{"role": "user", "content": text}]
        if not self.hears_system:
            return [{"role": "user", "content": f"{self.rendering.system}\n\n{text}"}]
        return [
            {"role": "system", "content": self.rendering.system},
            {"role": "user", "content": text},
        ]

    @cached_property
    def spelling(self) -> Spelling:
        """The tokenizer with its control tokens."""
        if self.rendering.control_tokens == "token":
            return Spelling(self.tokenizer, frozenset())
        return Spelling(self.tokenizer, control_tokens(self.tokenizer, self._written))

    @cached_property
    def end_of_turn_ids(self) -> set[int]:
        """The special token that the template puts right after an assistant's turn, if any."""
        text = unmarked(self.render(_EXAMPLE[:2], reply=False))
        tail = self.ids(text.rpartition(ANSWER)[2])
        special = set(self.tokenizer.all_special_ids)
        return {next((token for token in tail if token in special), -1)} - {-1}

    @cached_property
    def turn_ids(self) -> set[int]:
        """All special tokens that the template uses; one drawn in a response begins a new turn."""
        special = set(self.tokenizer.all_special_ids)
        return set(self.ids(self.render(_EXAMPLE, reply=True))) & special

    @property
    def variables(self) -> frozenset[str]:
        """The variables of the template besides the dialogue."""
        try:
            language = self._program.environment
            read = jinja2.meta.find_undeclared_variables(language.parse(self.jinja))
        except FAILURES as error:
            raise self._refusal(f"({first_line(error)})") from None
        return frozenset(read) - RESERVED - set(language.globals)

    @cached_property
    def jinja(self) -> str:
        """The template's source.

        Raises `ModelError` where the tokenizer has several and none is the default.
        """
        try:
            return str(self.tokenizer.get_chat_template())
        except ValueError as error:
            raise self._refusal(f"({first_line(error)})") from None

    def facts(self) -> dict[str, Any]:
        """The run's record of the template; the date only where the template uses it."""
        is_dated = "strftime_now" in self.jinja
        return {
            "template_sha256": hashlib.sha256(self.jinja.encode()).hexdigest(),
            "form": self.form,
            "date": self.rendering.date.isoformat() if is_dated else None,
            "options": dict(self.rendering.options),
        }

    # --- inside ---

    @cached_property
    def _program(self) -> Any:
        from detoxlab.internals.transformers import compiled_template

        return compiled_template(self.jinja)

    @cached_property
    def _heard(self) -> dict[Form, bool | Exception]:
        """For each form, whether the user's text is in the rendered prompt, or the error."""
        self._check_options()
        outcomes: dict[Form, bool | Exception] = {}
        forms: tuple[Form, ...] = ("string", "parts")
        for form in forms:
            try:
                outcomes[form] = self._shows(("user",), form)
            except FAILURES as error:
                outcomes[form] = error
        return outcomes

    def _check_options(self) -> None:
        """Raise `ConfigError` for an option that the template does not read, such as a typo."""
        for name in self.rendering.options:
            if name not in self.variables:
                nearest = difflib.get_close_matches(name, self.variables, n=1)
                guess = f"Did you mean {nearest[0]!r}? " if nearest else ""
                known = ", ".join(sorted(self.variables)) or "none"
                raise ConfigError(
                    f"template_options: the chat template of {self.owner} does not read {name!r}",
                    remedy=f"{guess}It reads: {known}.",
                )

    @cached_property
    def _told(self) -> dict[str, Any]:
        """All variables given to the template, except the dialogue."""
        midnight = datetime.datetime.combine(self.rendering.date, datetime.time())
        given = {"tools": None, "documents": None, "strftime_now": midnight.strftime}
        return {**given, **self.tokenizer.special_tokens_map, **self.rendering.options}

    def _run(self, messages: Sequence[Mapping[str, Any]], reply: bool) -> str:
        told = self._told
        return str(self._program.render(messages=messages, add_generation_prompt=reply, **told))

    def _shows(self, roles: Sequence[str], form: Form, at: int = -1) -> bool:
        """Whether a speaker's text, by default the last's, is in the rendered dialogue by line.

        A template may write a text as JSON, with its line breaks escaped; but it must not write a
        list of parts as a list.
        """
        said = [{"role": role, "content": _probe(at)} for at, role in enumerate(roles)]
        rendered = self._run(_in_form(said, form), roles[-1] == "user")
        text = said[at]["content"]
        return all(line in rendered for line in (text.splitlines() if form == "string" else [text]))

    @cached_property
    def _written(self) -> str:
        """The source of the template, and its output for an example."""
        try:
            return self.jinja + self._run(_in_form(_EXAMPLE, self.form), True)
        except FAILURES:
            return str(self.tokenizer.chat_template)

    def _refusal(self, cause: str) -> ModelError:
        return ModelError(
            f"{self.owner}: its chat template fails {cause}",
            remedy="Mend chat_template in the model's folder, or remove it to get the fallback.",
        )

    def _silence(self, role: str) -> ModelError:
        return ModelError(
            f"{self.owner}: its chat template leaves out or changes what the {role} says",
            remedy="Mend chat_template in the model's folder, or remove it to get the fallback.",
        )


def _in_form(messages: Messages, form: Form) -> list[dict[str, Any]]:
    if form == "string":
        return [dict(one) for one in messages]
    return [{**one, "content": [{"type": "text", "text": one["content"]}]} for one in messages]


def _probe(speaker: int) -> str:
    """A text that names its speaker and shows whether letters are changed or the end is cut off."""
    lines = range(PROBE_LINES)
    return "\n".join(f"Speaker {speaker} says in line {at}: Ein Café, zwölf MICE?" for at in lines)


_EXAMPLE = (
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": ANSWER},
    {"role": "user", "content": "Hello"},
)
