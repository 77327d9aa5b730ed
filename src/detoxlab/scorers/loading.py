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
from detoxlab.scorers.guards.names import check_guard
from detoxlab.scorers.names import REREADINGS, Composed, composed
from detoxlab.scorers.remote.names import SERVICES, check_remote, is_remote
from detoxlab.scorers.scales import OnOlderScale, without_scale
from detoxlab.scorers.texts.rereading import rereading

ENTRY_POINTS = "detoxlab.scorers"
ASSETS = Path(__file__).parents[1] / "assets"

# Short name -> hub id, the classifiers that papers name; see huggingface.py for their labels.
SHORT_NAMES = {
    "roberta-hate-speech-dynabench-r4-target": "facebook/roberta-hate-speech-dynabench-r4-target",
    "toxigen_roberta": "tomh/toxigen_roberta",
    "toxic-bert": "unitary/toxic-bert",
    "detoxify": "unitary/toxic-bert",
    "detoxify-unbiased": "unitary/unbiased-toxic-roberta",
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


def _remote(name: str, **options: Any) -> Scorer:
    from detoxlab.scorers.remote.load import load_remote

    return load_remote(name, **options)


def _adapter(name: str) -> Callable[..., Scorer]:
    """The loader of an embedded scorer that `train scorer` made."""

    def load(**options: Any) -> Scorer:
        from detoxlab.scorers.trained import load_adapter

        return load_adapter(ASSETS / name / "adapter.safetensors", **options)

    return load


SCORERS: dict[str, Callable[..., Scorer]] = {
    "rtp-linear": _linear,
    "rtp-neural": _neural,
    "human-neural": _adapter("human-neural"),
    "hate-neural": _adapter("hate-neural"),
    "toxicity-multilingual": _adapter("toxicity-multilingual"),
}

# Cheaper to compute than to look up.
UNCACHED = frozenset({"rtp-linear"})


def load_scorer(name: str, *, cache: bool = True, **options: Any) -> Scorer:
    """The scorer called `name`.

    `name` is a registered name ("rtp-linear", "rtp-neural", one from an installed package),
    "hf:ORG/MODEL", a short name of a known classifier, a local folder, or an ensemble of
    them: "mean(a, b)", "max(a, b)", "mean(2*a, b)", or one that reads a text in several ways:
    "normalised(a)", "worst_window(a)", "mean_window(a, 80)". A revision and labels of a classifier
    may follow its id: "hf:ORG/MODEL@REVISION#LABEL". ":2020" after an embedded scorer puts it on
    the scale of published figures (`detoxlab.scorers.scales`). "guard:FORMAT=MODEL" is a language
    model that gives verdicts (`detoxlab.scorers.guards`). "perspective" and "openai-moderation"
    are services (`detoxlab.scorers.remote`). With `cache` false the cache on disk is
    not used. `options` go to the scorer's own loader (a name with brackets takes none).

    Raises `UnknownNameError` with the nearest known name, or the loader's own error.

    >>> load_scorer("rtp-linear").attributes[0]
    'toxicity'
    """
    parts = composed(name)
    if parts:
        if options:
            raise ConfigError(
                f"scorer {name!r}: takes no option ({', '.join(sorted(options))})",
                remedy="Load its members one by one and combine them with Ensemble.",
            )
        return _compose(parts, cache)
    single = without_scale(name.strip())
    if single:
        return OnOlderScale(load_scorer(single, cache=cache, **options))
    scorer = _load_one(name.strip(), options)
    return with_cache(name, scorer) if cache else scorer


def scorer_with(name: str, attribute: str) -> Scorer:
    """The scorer called `name`; `ConfigError` when it has no such attribute."""
    scorer = load_scorer(name)
    if attribute not in scorer.attributes:
        raise ConfigError(
            f"scorer {name} has no attribute {attribute!r}",
            remedy=f"It has: {', '.join(scorer.attributes)}.",
        )
    return scorer


def with_cache(name: str, scorer: Scorer) -> Scorer:
    """The scorer of that name with its cache on disk, or as it is where looking up costs more."""
    return scorer if name.strip() in UNCACHED else cached(scorer)


def check_scorer(name: str) -> list[str]:
    """The hub ids in a scorer's name, which only loading can check. It loads nothing.

    Raises the errors of `load_scorer` for an unknown name.

    >>> check_scorer("mean(rtp-linear, 2*hf:org/model)")
    ['org/model']
    """
    parts = composed(name)
    if parts:
        if parts.head in REREADINGS:
            rereading(parts.head, parts.parts[1:])
        return [one for member, _ in parts.members for one in check_scorer(member)]
    _, hub_id = _kind_of(without_scale(name.strip()) or name.strip())
    return [hub_id] if hub_id else []


def known_scorers() -> list[str]:
    """Every name that `load_scorer` knows, besides `hf:` ids and folders."""
    return sorted({*registry.with_entry_points(ENTRY_POINTS, SCORERS), *SHORT_NAMES, *SERVICES})


def _load_one(name: str, options: dict[str, Any]) -> Scorer:
    factory, hub_id = _kind_of(name)
    return _call(name, factory, options) if factory else _classifier(hub_id or name, options)


def _kind_of(name: str) -> tuple[Callable[..., Scorer] | None, str | None]:
    """The factory of a registered scorer, a guard or a service, and the hub id where there is one.

    A folder has neither. Raises `UnknownNameError` or `MissingFileError` for another name.
    """
    factories = registry.with_entry_points(ENTRY_POINTS, SCORERS)
    if name in factories:
        return factories[name], None
    if name.startswith(GUARD):
        return partial(_guard, name), next(iter(check_guard(name)), None)
    if is_remote(name):
        check_remote(name)
        return partial(_remote, name), None
    if name.startswith("hf:"):
        return None, name.removeprefix("hf:")
    short, mark, labels = name.partition("#")
    if short in SHORT_NAMES:
        return None, SHORT_NAMES[short] + mark + labels
    if short and Path(short).is_dir():
        return None, None
    if "," in name:
        raise ConfigError(
            f"scorer {name!r}: is more than one",
            remedy="Repeat the option --scorer, or make one of them: mean(a, b).",
        )
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
    from detoxlab.scorers.trained import is_trained, load_trained

    if is_trained(reference):
        return _call(reference, partial(load_trained, reference), options)
    scorer: Scorer = load_classifier(reference, **options)
    return scorer


def _compose(parts: Composed, cache: bool) -> Scorer:
    members = [load_scorer(name, cache=cache) for name, _ in parts.members]
    if parts.head in REREADINGS:
        return rereading(parts.head, parts.parts[1:])(members[0])
    weights = [weight for _, weight in parts.members]
    rule: Rule = "max" if parts.head == "max" else "mean"
    return Ensemble(members, rule, weights if set(weights) != {1.0} else None)
