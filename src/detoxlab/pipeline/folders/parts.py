"""The runs in a recipe's folder, as a report takes them; some may be missing yet."""

from pathlib import Path
from typing import Any

from detoxlab.errors import RunError
from detoxlab.pipeline.experiment import (
    BASE,
    EXPLAINED,
    SWEPT,
    TRAINED,
    WIN_RATES,
    bench_folder,
    rivals_of,
)
from detoxlab.progress import say
from detoxlab.recipe.experiment import Recipe
from detoxlab.runs import Run, is_run
from detoxlab.settings import parse


def is_recipe(run: Run) -> bool:
    """Whether a run is that of a recipe, with runs of base and variants in it."""
    return bool(run.info.get("kind") == "experiment")


def parts_of(run: Run) -> dict[str, Any]:
    """The arguments of `build_report` for all that is finished in the folder of a recipe.

    A line says which variants are left out. Raises `RunError` where the base is not measured yet.
    """
    recipe, out = parse(Recipe, run.config, place=str(run.path / "config.yaml")), run.path
    names = {BASE: BASE}
    names |= {name: one.of or one.name for one in recipe.variants for name in recipe.run_names(one)}
    present = {name: trained for name, trained in names.items() if is_finished(out / name)}
    if BASE not in present:
        raise RunError(
            f"{out}: its base is not measured yet",
            remedy=f"Go on with it by `detoxlab resume {out}`.",
        )
    if absent := names.keys() - present:
        say(f"left out, as they are not finished: {', '.join(sorted(absent))}")
    return {
        "measured": [Run(out / name) for name in present],
        "trained": _runs(out / TRAINED, present),
        "rivals": [pair for pair in rivals_of(recipe) if set(pair) <= present.keys()],
        "win_rates": [Run(one) for one in sorted((out / WIN_RATES).glob("*")) if is_finished(one)],
        "sweeps": _runs(out / SWEPT, {one.name: one.name for one in recipe.swept}),
        "explained": next(
            (Run(one) for one in sorted((out / EXPLAINED).glob("*")) if is_finished(one)), None
        ),
        "also": {
            bench: [Run(folder / name) for name in present if is_finished(folder / name)]
            for bench in recipe.also
            if is_finished((folder := bench_folder(out, bench)) / BASE)
        },
        "limits": recipe.limits,
        "useful_by": recipe.useful_by,
        "seed": recipe.seed,
        "resamples": recipe.resamples,
    }


def is_finished(path: Path) -> bool:
    """Whether a path is a run that came to its end."""
    return is_run(path) and Run(path).info["status"] == "finished"


def _runs(folder: Path, names: dict[str, str]) -> dict[str, Run]:
    """The finished runs of a folder, each under the name that the report has for it."""
    return {name: Run(folder / one) for name, one in names.items() if is_finished(folder / one)}
