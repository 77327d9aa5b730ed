"""The formats of guard models, one YAML file each: prompt, verdicts and policies."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from detoxlab.errors import UnknownNameError
from detoxlab.settings import Settings, parse, read_yaml

FOLDER = Path(__file__).parents[2] / "assets" / "guards"
TEXT, POLICY = "{text}", "{policy}"
FILE_ENDINGS = (".yaml", ".yml", ".json")


class Message(Settings):
    """One turn of the dialogue that the guard judges, with places for text and policy.

    `{text}` stands for the judged text, `{policy}` for the text of the policy.
    """

    role: Literal["system", "user", "assistant"]
    content: str


class Policy(Settings):
    """One question about a text, which becomes one attribute."""

    options: dict[str, Any] = Field({}, description="variables of the model's chat template")
    text: str = Field("", description="what {policy} stands for")


class GuardFormat(Settings):
    """The way to ask a family of guard models, and to read the answer."""

    name: str = Field(description="its name in the ids of scorers; by default the file's name")
    source: str = Field(description="where the family's authors document it")
    messages: tuple[Message, ...] = Field((), description="a dialogue for its own chat template")
    prompt: str | None = Field(None, description="a literal prompt, in place of `messages`")
    opening: str = Field("", description="how every answer begins, before the verdict")
    verdicts: dict[str, float] = Field(description="words of the verdict, each with its score")
    floor: float = Field(
        0.5, gt=0, le=1, description="probability of known words below which a verdict is missing"
    )
    any_script: bool = Field(False, description="judges texts in other scripts than Latin too")
    policies: dict[str, Policy] = Field(
        min_length=1, description="questions by name of their attribute; the first is the default"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        asked = [self.prompt] if self.prompt else [one.content for one in self.messages]
        if bool(self.prompt) == bool(self.messages):
            raise ValueError("either messages or prompt is needed")
        if sum(one.count(TEXT) for one in asked) != 1:
            raise ValueError(f"the judged text ({TEXT}) must stand in it once")
        if len(set(self.verdicts.values())) < 2:
            raise ValueError("verdicts: two scores at least are needed")
        if not all(word.strip() and 0 <= score <= 1 for word, score in self.verdicts.items()):
            raise ValueError("verdicts: each needs a word and a score from 0 to 1")
        return self

    def id_with(self, policies: Sequence[str]) -> str:
        """The name, and a hash of all that can change a score under these policies."""
        content = self.model_dump(mode="json", exclude={"name", "source"})
        content["policies"] = {name: content["policies"][name] for name in policies}
        text = json.dumps(content, sort_keys=True)
        return f"{self.name}@{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def dialogue(self, text: str, policy: Policy) -> list[dict[str, str]]:
        """The messages with `text` and the policy in their places."""
        return [
            {"role": one.role, "content": _filled(one.content, text, policy)}
            for one in self.messages
        ]

    def literal(self, text: str, policy: Policy) -> str:
        """The literal prompt with `text` and the policy in their places, and the opening after."""
        return _filled(self.prompt or "", text, policy) + self.opening


def load_format(name: str) -> GuardFormat:
    """The format with a known name, or that of a file of one's own.

    Raises `UnknownNameError`, `MissingFileError` or `ConfigError`.

    >>> list(load_format("llama-guard-3").policies)
    ['unsafe', 'hate', 'sexually_explicit']
    """
    is_file = name.endswith(FILE_ENDINGS)
    if not is_file and name not in known_formats():
        raise UnknownNameError("guard format", name, known_formats())
    path = Path(name) if is_file else FOLDER / f"{name}.yaml"
    content = read_yaml(path, noun="guard format")
    return parse(GuardFormat, {"name": path.stem, **content}, place=str(path))


def _filled(place: str, text: str, policy: Policy) -> str:
    put = {TEXT: text, POLICY: policy.text}
    return re.sub("|".join(map(re.escape, put)), lambda found: put[found[0]], place)


def known_formats() -> list[str]:
    """The names of the formats that come with the package.

    >>> known_formats()[0]
    'granite-guardian'
    """
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))
