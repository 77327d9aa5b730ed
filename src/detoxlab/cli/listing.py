"""`detoxlab list`: every name that a command takes, with a few words about it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detoxlab.cli.common.answers import Answer, answers

if TYPE_CHECKING:
    from detoxlab.data.source import Source

Names = Mapping[str, str]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("list")(list_names)


@answers
def list_names(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[scorers|methods|prompts|protocols|steerings|recipes]", show_default=False
        ),
    ] = None,
) -> Answer:
    """List scorers, methods, prompts, protocols, steerings or recipes; without a word, all.

    Names that installed packages add are among them.
    """
    from detoxlab.cli.common.tables import show_names
    from detoxlab.registry import look_up

    chosen = {what: look_up("kind of names", what, KINDS)} if what else KINDS
    found = {kind: dict(names()) for kind, names in chosen.items()}

    def show() -> None:
        for kind, names in found.items():
            show_names(kind, names, "what it is")

    return Answer(found, show)


# --- inside ---


def _scorers() -> Names:
    from detoxlab.scorers.loading import SHORT_NAMES, known_scorers
    from detoxlab.scorers.names import EMBEDDED
    from detoxlab.scorers.remote.names import SERVICES

    said = dict.fromkeys(known_scorers(), FROM_PACKAGE)
    said |= {name: f"embedded: {what}{ROLES.get(name, '')}" for name, what in EMBEDDED.items()}
    said |= {name: f"{hub} on the hub" for name, hub in SHORT_NAMES.items()}
    said |= {name: f"a service; its key in {one.key_variable}" for name, one in SERVICES.items()}
    return said | COMPOSED


def _methods() -> Names:
    from detoxlab.methods import METHODS

    return {
        name: f"makes {_article(spec.makes)} from {' or '.join(spec.learns_from)}"
        for name, spec in sorted(METHODS.items())
    }


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _prompts() -> Names:
    from detoxlab.data.known import PROMPTS

    return {name: _place(source) for name, source in sorted(PROMPTS.known().items())}


def _place(source: "Source[Any]") -> str:
    """Where a data set comes from."""
    if source.location:
        return "embedded"
    path = "your file or folder: --prompts-path"
    return f"{source.hub} on the hub, or {path}" if source.hub else path


def _protocols() -> Names:
    from detoxlab.protocols import PROTOCOLS

    return {name: protocol.description for name, protocol in PROTOCOLS.items()}


def _steerings() -> Names:
    from detoxlab.steering import FITTED_BY, STEERINGS
    from detoxlab.steering.names import EXPERTS, SEVERAL

    said = {kind: f"{kind}:{SEVERAL.join(of)}, adapters of train" for kind, of in EXPERTS.items()}
    said |= {kind: f"{kind}:RUN of train {method}" for kind, method in FITTED_BY.items()}
    return {name: said.get(name, FROM_PACKAGE) for name in sorted(STEERINGS)}


def _recipes() -> Names:
    from detoxlab.recipe.load import shipped_recipes
    from detoxlab.settings import read_yaml

    return {
        name: " ".join(str(read_yaml(file, noun="recipe").get("description", "")).split())
        for name, file in shipped_recipes().items()
    }


FROM_PACKAGE = "from an installed package"
ROLES = {"rtp-neural": "; the judge", "human-neural": "; the second scorer"}
COMPOSED = {
    "mean(a, 2*b), max(a, b)": "several scorers as one",
    "normalised(a), worst_window(a), mean_window(a, 80)": "one scorer that reads odd or long text",
    "guard:FORMAT=MODEL": "a language model that gives verdicts (docs/guards.md)",
    "hf:ORG/MODEL, FOLDER": "a classifier of Hugging Face, or a run of train scorer",
}
KINDS: dict[str, Callable[[], Names]] = {
    "scorers": _scorers,
    "methods": _methods,
    "prompts": _prompts,
    "protocols": _protocols,
    "steerings": _steerings,
    "recipes": _recipes,
}
