"""The names of guards: `guard:FORMAT=MODEL#POLICIES`, or an address in place of the model."""

from dataclasses import dataclass
from pathlib import Path

from detoxlab.errors import ConfigError, MissingFileError, UnknownNameError
from detoxlab.scorers.guards.formats import GuardFormat, load_format
from detoxlab.servers import check_recordable

PREFIX = "guard:"
WAYS = "guard:FORMAT=MODEL, guard:FORMAT=MODEL#POLICY+POLICY or guard:FORMAT=http://HOST/v1#MODEL"


@dataclass(frozen=True)
class GuardName:
    """The parts of a guard's name.

    `model` is a hub id, folder or GGUF file, or the name of a model at the server at `address`.
    No policy stands for the format's first one.
    """

    format: str
    model: str
    policies: tuple[str, ...] = ()
    revision: str | None = None
    address: str | None = None

    @classmethod
    def read(cls, name: str) -> "GuardName":
        """The parts of `name`; raises `ConfigError` for a name of another form.

        >>> GuardName.read("guard:shieldgemma=org/guard@v1#hate+harassment")
        GuardName(format='shieldgemma', model='org/guard', policies=('hate', 'harassment'),
                  revision='v1', address=None)
        >>> GuardName.read("guard:qwen3guard=http://host/v1#org/guard").model
        'org/guard'
        """
        guard_format, _, reference = name.removeprefix(PREFIX).partition("=")
        place, *marks = reference.split("#")
        address = place if "://" in place else None
        if address:
            check_recordable(address)
            place, *marks = marks or [""]
        if not (guard_format and place) or len(marks) > 1:
            # The name may hold a secret, if it is an address of another form.
            raise ConfigError("a guard's name has another form", remedy=f"Write {WAYS}.")
        policies = tuple(marks[0].split("+")) if marks else ()
        model, _, revision = place.partition("@")
        if address or Path(place).exists():
            model, revision = place, ""
        return cls(guard_format, model, policies, revision or None, address)

    def chosen(self, guard_format: GuardFormat) -> tuple[str, ...]:
        """The policies to ask; raises `UnknownNameError` for one that the format lacks."""
        known = tuple(guard_format.policies)
        for policy in self.policies:
            if policy not in known:
                raise UnknownNameError(f"policy of {guard_format.name}", policy, known)
        return tuple(dict.fromkeys(self.policies)) or known[:1]


def check_guard(name: str) -> list[str]:
    """The hub id in a guard's name, which only loading can check. It loads nothing.

    Raises the errors of `GuardName.read`, of `load_format` and of `GuardName.chosen`, and
    `MissingFileError` for a path where nothing is.

    >>> check_guard("guard:llama-guard-3=meta-llama/Llama-Guard-3-1B")
    ['meta-llama/Llama-Guard-3-1B']
    """
    guard = GuardName.read(name)
    guard.chosen(load_format(guard.format))
    if guard.address or Path(guard.model).exists():
        return []
    if guard.model.startswith(("/", ".", "~")) or guard.model.count("/") > 1:
        raise MissingFileError(
            f"{guard.model}: no such model folder", remedy="Give a folder, a GGUF file or a hub id."
        )
    return [guard.model]


def guard_model(identifier: str) -> str:
    """The model in a guard's name or id. It is the same scorer in any format, under any policy.

    >>> guard_model("guard:llama-guard-3@1a2b3c4d=org/guard@00000000#hate")
    'guard:org/guard'
    >>> guard_model("guard:llama-guard-3=http://host/v1#org/guard")
    'guard:org/guard'
    """
    reference = identifier.partition("=")[2]
    place, _, rest = reference.partition("#")
    place = rest.partition("#")[0] if "://" in place else place
    return PREFIX + place.partition("@")[0].strip()
