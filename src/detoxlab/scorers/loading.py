"""Loads a scorer by its name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from detoxlab import registry
from detoxlab.errors import ConfigError, MissingFileError, UnknownNameError
from detoxlab.scorers.base import Scorer
from detoxlab.scorers.cache import cached
from detoxlab.scorers.ensemble import Ensemble, Rule
from detoxlab.scorers.guards.names import PREFIX as GUARD
from detoxlab.scorers.guards.names import check_guard, guard_model

ENTRY_POINTS = "detoxlab.scorers"
ASSETS = Path(__file__).parents[1] / "assets"

# Short name -> hub id, the classifiers that papers name; see huggingface.py for their labels.
SHORT_NAMES = {
    "roberta-hate-speech-dynabench-r4-target": "facebook/roberta-hate-speech-dynabench-r4-target",
    "toxigen_roberta": "tomh/toxigen_roberta",
    "toxic-bert": "unitary/toxic-bert",
    "unbiased-toxic-roberta": "unitary/unbiased-toxic-roberta",
    "roberta_toxicity_classifier": "s-nlp/roberta_toxicity_classifier",
}


def _linear(**options: Any) -> Scorer:
    from detoxlab.scorers.linear import load_linear

    return load_linear(ASSETS / "rtp-linear" / "model.npz", **options)


def _neural(**options: Any) -> Scorer:
    from detoxlab.scorers.neural import load_neural

    return load_neural(ASSETS / "rtp-neural" / "model.safetensors", **options)


def _guard(name: str, **options: Any) -> Scorer:
    from detoxlab.scorers.guards.load import load_guard

    return load_guard(name, **options)


SCORERS: dict[str, Callable[..., Scorer]] = {"rtp-linear": _linear, "rtp-neural": _neural}

# Cheaper to compute than to look up.
UNCACHED = frozenset({"rtp-linear"})


def load_scorer(name: str, *, cache: bool = True, **options: Any) -> Scorer:
    """The scorer called `name`.

    `name` is a registered name ("rtp-linear", "rtp-neural", one from an installed package),
    "hf:ORG/MODEL", a short name of a known classifier, a local folder, or an ensemble of
    them: "mean(a, b)", "max(a, b)", "mean(2*a, b)". A revision and labels of a classifier
    may follow its id: "hf:ORG/MODEL@REVISION#LABEL". "guard:FORMAT=MODEL" is a language model that
    gives verdicts (`detoxlab.scorers.guards`). With `cache` false the cache on disk is not
    used. `options` go to the scorer's own loader (an ensemble takes none).

    Raises `UnknownNameError` with the nearest known name, or the loader's own error.

    >>> load_scorer("rtp-linear").attributes[0]
    'toxicity'
    """
    rule, inside = _ensemble_parts(name)
    if rule:
        if options:
            raise ConfigError(
                f"scorer {name!r}: an ensemble takes no option ({', '.join(sorted(options))})",
                remedy="Load its members one by one and combine them with Ensemble.",
            )
        return _ensemble(rule, inside, cache)
    scorer = _load_one(name.strip(), options)
    return with_cache(name, scorer) if cache else scorer


def with_cache(name: str, scorer: Scorer) -> Scorer:
    """The scorer of that name with its cache on disk, or as it is where looking up costs more."""
    return scorer if name.strip() in UNCACHED else cached(scorer)


def check_scorer(name: str) -> list[str]:
    """The hub ids in a scorer's name, which only loading can check. It loads nothing.

    Raises the errors of `load_scorer` for an unknown name.

    >>> check_scorer("mean(rtp-linear, 2*hf:org/model)")
    ['org/model']
    """
    rule, inside = _ensemble_parts(name)
    if rule:
        return [one for member, _ in _members(inside) for one in check_scorer(member)]
    _, hub_id = _kind_of(name.strip())
    return [hub_id] if hub_id else []


def known_scorers() -> list[str]:
    """Every name that `load_scorer` knows, besides `hf:` ids and folders."""
    return sorted({*registry.with_entry_points(ENTRY_POINTS, SCORERS), *SHORT_NAMES})


def single_scorers(identifier: str) -> frozenset[str]:
    """The names, without revision, of the scorers in an id; an ensemble has several.

    >>> sorted(single_scorers("mean(2*rtp-neural@1,max(rtp-linear@1, org/model@3f2a#hate))"))
    ['org/model', 'rtp-linear', 'rtp-neural']
    """
    rule, inside = _ensemble_parts(identifier)
    if identifier.strip().startswith(GUARD):
        return frozenset({guard_model(identifier)})
    if not rule:
        return frozenset({identifier.partition("@")[0].partition("#")[0].strip()})
    parts = (part.rpartition("*")[2] for part in _split(inside))
    return frozenset().union(*(single_scorers(part) for part in parts))


def _load_one(name: str, options: dict[str, Any]) -> Scorer:
    factory, hub_id = _kind_of(name)
    return _call(name, factory, options) if factory else _classifier(hub_id or name, options)


def _kind_of(name: str) -> tuple[Callable[..., Scorer] | None, str | None]:
    """The factory of a registered scorer or guard, and the hub id of a classifier or guard.

    A folder has neither. Raises `UnknownNameError` or `MissingFileError` for another name.
    """
    factories = registry.with_entry_points(ENTRY_POINTS, SCORERS)
    if name in factories:
        return factories[name], None
    if name.startswith(GUARD):
        return partial(_guard, name), next(iter(check_guard(name)), None)
    if name.startswith("hf:"):
        return None, name.removeprefix("hf:")
    short, mark, labels = name.partition("#")
    if short in SHORT_NAMES:
        return None, SHORT_NAMES[short] + mark + labels
    if short and Path(short).is_dir():
        return None, None
    if "/" in name or name.startswith("."):
        raise MissingFileError(
            f"scorer {name!r}: no such folder",
            remedy=f"For a model of the Hugging Face hub write hf:{name}.",
        )
    raise UnknownNameError("scorer", name, known_scorers())


def _call(name: str, factory: Callable[..., Scorer], options: dict[str, Any]) -> Scorer:
    try:
        return factory(**options)
    except TypeError as error:
        if options and "unexpected keyword argument" in str(error):
            raise ConfigError(
                f"scorer {name!r} does not take these options: {', '.join(sorted(options))}",
                remedy="Leave them out.",
            ) from error
        raise


def _classifier(reference: str, options: dict[str, Any]) -> Scorer:
    from detoxlab.scorers.huggingface import load_classifier

    scorer: Scorer = load_classifier(reference, **options)
    return scorer


def _ensemble(rule: Rule, inside: str, cache: bool) -> Scorer:
    named = _members(inside)
    members, weights = [load_scorer(name, cache=cache) for name, _ in named], [w for _, w in named]
    return Ensemble(members, rule, weights if set(weights) != {1.0} else None)


def _members(inside: str) -> list[tuple[str, float]]:
    """Names and weights of an ensemble's members.

    >>> _members("2*a, mean(b, c)")
    [('a', 2.0), ('mean(b, c)', 1.0)]
    """
    found = []
    for part in _split(inside):
        weight, star, name = part.partition("*")
        found.append((name, _number(weight, part)) if star and "(" not in weight else (part, 1.0))
    return found


def _number(text: str, part: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"ensemble member {part.strip()!r}: {text.strip()!r} is not a weight",
            remedy="Write it as NUMBER*SCORER, for instance mean(2*rtp-neural, rtp-linear).",
        ) from None


def _ensemble_parts(name: str) -> tuple[Rule | None, str]:
    """("mean", "a,b") of "mean(a,b)"; (None, "") for the name of a single scorer.

    >>> _ensemble_parts("max(a, mean(b, c))"), _ensemble_parts("rtp-linear")
    (('max', 'a, mean(b, c)'), (None, ''))
    """
    head, bracket, rest = name.strip().partition("(")
    if not bracket or not rest.endswith(")"):
        return None, ""
    if head not in ("mean", "max"):
        raise UnknownNameError("ensemble", head, ["mean", "max"])
    return ("mean" if head == "mean" else "max"), rest[:-1]


def _split(inside: str) -> list[str]:
    """The parts between commas that stand outside of brackets.

    >>> _split("a, mean(b, c), d")
    ['a', 'mean(b, c)', 'd']
    """
    parts, depth = [""], 0
    for character in inside:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
