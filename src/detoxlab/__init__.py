"""Make open language models less toxic, and prove it.

The whole public surface; everything is imported when it is first used.

    from detoxlab import compare, measure, report, train

    base = measure("embedded", prompts="embedded", limit=20, out="runs/base")
    tuned = train("sft", "embedded", dialogues="embedded", epochs=1, out="runs/ft")
    treated = measure(tuned, prompts="embedded", limit=20, out="runs/treated")
    print(compare(base, treated).verdict)
    report([base, treated], "report.html")

The keywords are the settings, which `detoxlab help settings measure` prints.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detoxlab.comparisons import Limits
    from detoxlab.data import (
        load_dialogues,
        load_preferences,
        load_prompts,
        load_responses_file,
    )
    from detoxlab.data.settings import DialogueSettings, PairSettings, PromptSettings
    from detoxlab.encoders import load_encoder
    from detoxlab.errors import DetoxlabError
    from detoxlab.evaluations import (
        EVALUATIONS,
        Classification,
        OverRefusal,
        Perplexity,
        load_evaluation,
    )
    from detoxlab.generate import HttpEngine, LocalEngine, generate_into
    from detoxlab.methods import METHODS, load_method
    from detoxlab.models import LanguageModel, load_model
    from detoxlab.pipeline import (
        compare_variants,
        export_model,
        publish_model,
        run_recipe,
        score_again,
        score_file,
    )
    from detoxlab.pipeline.api import (
        audit,
        compare,
        evaluate,
        explain,
        measure,
        report,
        train,
        train_scorer,
    )
    from detoxlab.protocols import PROTOCOLS, get_protocol
    from detoxlab.recipe.experiment import Recipe
    from detoxlab.recipe.learning import TrainSettings
    from detoxlab.recipe.load import load_recipe
    from detoxlab.recipe.measuring import MeasureSettings, SubjectSettings
    from detoxlab.records import (
        Comparison,
        Dialogue,
        Generation,
        Measurement,
        Preference,
        Prompt,
        Sampling,
        Score,
    )
    from detoxlab.runs import Run
    from detoxlab.scorers import SCORERS, load_scorer

_HOMES = {
    "detoxlab.pipeline.api": (
        "audit",
        "compare",
        "evaluate",
        "explain",
        "measure",
        "report",
        "train",
        "train_scorer",
    ),
    "detoxlab.comparisons": ("Limits",),
    "detoxlab.data": (
        "load_dialogues",
        "load_preferences",
        "load_prompts",
        "load_responses_file",
    ),
    "detoxlab.encoders": ("load_encoder",),
    "detoxlab.errors": ("DetoxlabError",),
    "detoxlab.evaluations": (
        "EVALUATIONS",
        "Classification",
        "OverRefusal",
        "Perplexity",
        "load_evaluation",
    ),
    "detoxlab.generate": ("HttpEngine", "LocalEngine", "generate_into"),
    "detoxlab.protocols": ("PROTOCOLS", "get_protocol"),
    "detoxlab.methods": ("METHODS", "load_method"),
    "detoxlab.models": ("LanguageModel", "load_model"),
    "detoxlab.pipeline": (
        "compare_variants",
        "export_model",
        "publish_model",
        "run_recipe",
        "score_again",
        "score_file",
    ),
    "detoxlab.recipe.experiment": ("Recipe",),
    "detoxlab.recipe.learning": ("TrainSettings",),
    "detoxlab.recipe.load": ("load_recipe",),
    "detoxlab.recipe.measuring": ("MeasureSettings", "SubjectSettings"),
    "detoxlab.data.settings": ("DialogueSettings", "PairSettings", "PromptSettings"),
    "detoxlab.records": (
        "Comparison",
        "Dialogue",
        "Generation",
        "Measurement",
        "Preference",
        "Prompt",
        "Sampling",
        "Score",
    ),
    "detoxlab.runs": ("Run",),
    "detoxlab.scorers": ("SCORERS", "load_scorer"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "EVALUATIONS",
    "METHODS",
    "PROTOCOLS",
    "SCORERS",
    "Classification",
    "Comparison",
    "DetoxlabError",
    "Dialogue",
    "DialogueSettings",
    "Generation",
    "HttpEngine",
    "LanguageModel",
    "Limits",
    "LocalEngine",
    "MeasureSettings",
    "Measurement",
    "OverRefusal",
    "PairSettings",
    "Perplexity",
    "Preference",
    "Prompt",
    "PromptSettings",
    "Recipe",
    "Run",
    "Sampling",
    "Score",
    "SubjectSettings",
    "TrainSettings",
    "audit",
    "compare",
    "compare_variants",
    "evaluate",
    "explain",
    "export_model",
    "generate_into",
    "get_protocol",
    "load_dialogues",
    "load_encoder",
    "load_evaluation",
    "load_method",
    "load_model",
    "load_preferences",
    "load_prompts",
    "load_recipe",
    "load_responses_file",
    "load_scorer",
    "measure",
    "publish_model",
    "report",
    "run_recipe",
    "score_again",
    "score_file",
    "train",
    "train_scorer",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'detoxlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
