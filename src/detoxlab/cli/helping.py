"""`detoxlab help settings`: every field of a command, method or evaluation, from its model."""

from typing import TYPE_CHECKING, Annotated

import typer

from detoxlab.cli.common.answers import Answer, answers

if TYPE_CHECKING:
    from pydantic import BaseModel


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(help="Say more than --help does.", no_args_is_help=True)
    group.command("settings")(settings)
    app.add_typer(group, name="help")


# Without a callback, typer would make the only command the group itself.
@answers
def settings(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="a command, a method or a kind of evaluation, such as measure, train sft, "
            "evaluate perplexity, limits.",
            show_default=False,
        ),
    ] = None,
) -> Answer:
    """Print all settings of a command or method: name, default, type and range, description.

    They are keys of recipes, keywords in Python, and what --set takes.
    """
    from detoxlab.cli.common.describing import describe
    from detoxlab.errors import UnknownNameError

    known = kinds()
    if not names:
        return Answer.of_text(f"settings of: {', '.join(sorted(known))}", names=sorted(known))
    name = " ".join(names)
    if name not in known:
        raise UnknownNameError("settings", name, known)
    fields = list(describe(known[name]))
    return Answer.of_text("\n".join(field.text() for field in fields), settings=fields)


def kinds() -> "dict[str, type[BaseModel]]":
    """All settings, by the name under which `help settings` prints them."""
    from detoxlab.comparisons import Limits
    from detoxlab.contest import WinRate
    from detoxlab.evaluations import EVALUATIONS
    from detoxlab.methods import METHODS
    from detoxlab.recipe.auditing import AuditSettings
    from detoxlab.recipe.comparing import CompareSettings, ReportSettings
    from detoxlab.recipe.experiment import Recipe
    from detoxlab.recipe.explaining import ExplainSettings
    from detoxlab.recipe.learning import TrainSettings
    from detoxlab.recipe.measuring import MeasureSettings, SubjectSettings
    from detoxlab.recipe.sweeping import SweepSettings
    from detoxlab.scorer_training import ScorerTraining
    from detoxlab.serve.config import ServeSettings

    methods = {name: spec.config for name, spec in METHODS.items()}
    return {
        "measure": MeasureSettings,
        "train": TrainSettings,
        "train scorer": ScorerTraining,
        "run": Recipe,
        "evaluate": SubjectSettings,
        "winrate": WinRate,
        "explain": ExplainSettings,
        "audit": AuditSettings,
        "compare": CompareSettings,
        "report": ReportSettings,
        "serve": ServeSettings,
        "sweep": SweepSettings,
        "limits": Limits,
        **methods,
        **{f"train {name}": kind for name, kind in methods.items()},
        **EVALUATIONS,
        **{f"evaluate {name}": kind for name, kind in EVALUATIONS.items()},
    }
