"""Runs a recipe from beginning to end: base, variants, comparisons, report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detoxlab.data.reading import read_prompts
from detoxlab.data.settings import portable, relative
from detoxlab.errors import ConfigError
from detoxlab.loading import without_usual_asking
from detoxlab.measures.paired import power_of_bench
from detoxlab.methods import load_method
from detoxlab.pipeline.evaluating import evaluate_run
from detoxlab.pipeline.explaining import check_method, explain_runs
from detoxlab.pipeline.learning import check_amount, read_data
from detoxlab.pipeline.measuring import measure_model, protocol_label
from detoxlab.pipeline.preflight import check_recipe
from detoxlab.pipeline.subjects import DATE, date_record, dated
from detoxlab.pipeline.training import train_model
from detoxlab.pipeline.winning import Contest, win_rates
from detoxlab.progress import say
from detoxlab.recipe.experiment import MAY_CHANGE, Recipe
from detoxlab.recipe.explaining import ExplainSettings
from detoxlab.records import Comparison, to_json
from detoxlab.runs import Run, is_run
from detoxlab.runs.changes import canonical

BASE = "base"
TRAINED, WIN_RATES, EXPLAINED = "trained", "win-rates", "explained"


@dataclass(frozen=True)
class Experiment:
    """The results of a recipe: its report, the comparisons in it, and the explained run."""

    run: Run
    report: Path
    comparisons: tuple[Comparison, ...]
    explained: Run | None = None


def run_recipe(recipe: Recipe, out: Path | str, *, resume: bool = False) -> Experiment:
    """Measure the base, make and measure every variant, explain, compare, and write the report.

    Layout: `out/base`, `out/<variant>` (measured runs), `out/trained/<variant>`,
    `out/explained/<variant>+<variant>`, `out/win-rates/<variant>-against-<other>`,
    `out/comparisons.json`, `out/win_rates.json`, `out/report.html`. With `resume`, finished stages
    are skipped; variants may have been added to the recipe or removed meanwhile, but a changed
    variant is an error.
    """
    out = Path(out)
    check(recipe, out, resume=resume)
    _check_readable(recipe)
    config = recipe_config(recipe)
    recipe = _dated(recipe, out, resume)
    experiment = Run.start(
        out,
        kind="experiment",
        config=config,
        seed=recipe.seed,
        resume=resume,
        may_differ=MAY_CHANGE,
    )
    with experiment.writing():
        experiment.update(**date_record(recipe))
        say(f"base: {recipe.model}")
        base = _measured(recipe, recipe.model, out / BASE)
        _check_explainable(recipe, out)
        trained, measured = {}, []
        for variant in recipe.variants:
            say(f"{variant.name}: {variant.method}")
            settings = recipe.train_settings(variant)
            trained[variant.name] = train_model(settings, out / TRAINED / variant.name, resume=True)
            model = str(trained[variant.name].path)
            measured.append(_measured(recipe, model, out / variant.name))
        experiment.write_config(config)
        return _conclude(recipe, experiment, base, measured, trained)


def check(recipe: Recipe, out: Path | str, *, resume: bool = False) -> list[str]:
    """The hub ids that cannot be checked beforehand; raises the errors that are found."""
    for variant in recipe.variants:
        if variant.name in (TRAINED, WIN_RATES, EXPLAINED):
            raise ConfigError(f"variants: the name {variant.name!r} is taken by a folder")
    unchecked = check_recipe(recipe, recipe_config(recipe), out, resume=resume)
    if asked := _explain_settings(recipe, Path(out)):
        run = _explained_run(recipe, Path(out))
        Run.check_startable(run.path, kind="explain", config=asked.run_config(), resume=resume)
    return unchecked


def _dated(recipe: Recipe, out: Path, resume: bool) -> Recipe:
    """The recipe with one day for the templates of all runs; a run begun without a day has none."""
    begun = Run(out)
    is_there = resume and is_run(begun.path)
    return recipe if is_there and DATE not in begun.info else dated(recipe, out, resume=resume)


def _measured(recipe: Recipe, model: str, out: Path) -> Run:
    """The measured run of one model, with the recipe's evaluations."""
    run = measure_model(recipe.measure_settings(model), out, resume=True)
    return evaluate_run(run, recipe.evaluate, seed=recipe.seed, resamples=recipe.resamples)


def _explain_settings(recipe: Recipe, out: Path) -> ExplainSettings | None:
    """The explanation that the recipe asks for, or None."""
    if recipe.explain is None:
        return None
    names = [BASE, *(variant.name for variant in recipe.variants)]
    return recipe.explain_settings(recipe.explain, [str(out / name) for name in names])


def _explained_run(recipe: Recipe, out: Path) -> Run:
    """The run with the explanations of these variants; other variants have another one."""
    return Run(out / EXPLAINED / "+".join(variant.name for variant in recipe.variants))


def _check_explainable(recipe: Recipe, out: Path) -> None:
    """Find out before the first training that the method does not fit the base."""
    asked = _explain_settings(recipe, out)
    if asked and not is_run(_explained_run(recipe, out).path):
        check_method(asked.model_copy(update={"runs": asked.runs[:1]}))


def _explained(recipe: Recipe, out: Path) -> Run | None:
    asked = _explain_settings(recipe, out)
    if asked is None:
        return None
    say(f"explain: {asked.method}")
    return explain_runs(asked, _explained_run(recipe, out).path, resume=True)


def plan(recipe: Recipe, out: Path) -> str:
    """The plan of a recipe in words, after reading all its data; see `check`."""
    _check_readable(recipe)
    prompts = read_prompts(recipe.prompts, recipe.seed)
    sampling = recipe.measure_settings(recipe.model).resolved_sampling()
    models = [BASE, *(f"{variant.name} ({variant.method})" for variant in recipe.variants)]
    return (
        f"would measure {', '.join(models)} of {recipe.model} on {len(prompts)} prompts "
        f"x {sampling.k} by {protocol_label(recipe, len(prompts))}; "
        f"judge {recipe.judge}, second {recipe.second}; "
        f"{_usefulness(recipe)}{_explaining(recipe, len(prompts), sampling.k)}"
        f"into {out}\n{power_of_bench(len(prompts), sampling.k)}"
    )


def _usefulness(recipe: Recipe) -> str:
    steps = [
        f"evaluate {name} ({one.kind}, {len(one.items(recipe.seed))} items); "
        for name, one in recipe.evaluate.items()
    ]
    if recipe.win_rate:
        steps.append(f"win rates by {recipe.win_rate.judge.model} ({recipe.win_rate.kind}); ")
    return "".join(steps)


def _explaining(recipe: Recipe, prompts: int, k: int) -> str:
    if recipe.explain is None:
        return ""
    asked = recipe.explain
    prompts, samples = min(asked.limit or prompts, prompts), min(asked.samples, k)
    return (
        f"explain {prompts} prompts x {samples} by {asked.method}, "
        f"at most {asked.steps} tokens each; "
    )


def recipe_config(recipe: Recipe) -> dict[str, Any]:
    """The recipe for `config.yaml`, with relative paths; `detoxlab run` can read it again."""
    plain = without_usual_asking(recipe.model_dump(mode="json"))
    plain["prompts"] = portable(plain["prompts"])
    for variant, planned in zip(plain["variants"], recipe.variants, strict=True):
        variant |= {kind: portable(variant[kind]) for kind in planned.sources()}
    plain["evaluate"] = {name: portable(one) for name, one in plain["evaluate"].items()}
    if recipe.win_rate:
        plain["win_rate"]["judge"] = recipe.win_rate.judge.recorded()
    plain["reference"] = recipe.reference and recipe.reference.recorded()
    return plain | {"model": relative(recipe.model)}


def _check_readable(recipe: Recipe) -> None:
    """Read all data of evaluations and trainings, so that a bad file is found before measuring.

    So are hyperparameters that cannot learn from so much data.
    """
    for evaluation in recipe.evaluate.values():
        evaluation.items(recipe.seed)
    read: dict[str, Any] = {}
    for variant in recipe.variants:
        settings = recipe.train_settings(variant)
        key = canonical([one.model_dump(mode="json") for one in settings.sources().values()])
        if key not in read:
            read[key] = read_data(settings, recipe.seed)
        check_amount(load_method(variant.method, variant.config), read[key])


def _conclude(
    recipe: Recipe, experiment: Run, base: Run, measured: list[Run], trained: dict[str, Run]
) -> Experiment:
    from detoxlab.reports import FORMATS, read_study, write_report

    rivals = [(rival, variant.name) for variant in recipe.variants for rival in variant.against]
    by_name = {run.name: run for run in [base, *measured]}
    pairs = [(base, run) for run in measured]
    pairs += [(by_name[baseline], by_name[treated]) for baseline, treated in rivals]
    explained = _explained(recipe, experiment.path)
    study = read_study(
        [base, *measured],
        trained=trained,
        rivals=rivals,
        win_rates=_judged(recipe, experiment, pairs),
        explained=explained,
        limits=recipe.limits,
        seed=recipe.seed,
        resamples=recipe.resamples,
    )
    experiment.write_json("comparisons.json", [to_json(row) for row in study.comparisons])
    report = write_report(study, experiment.path / "report.html", FORMATS)
    return Experiment(experiment, report, study.comparisons, explained)


def _judged(recipe: Recipe, experiment: Run, pairs: Sequence[tuple[Run, Run]]) -> list[Run]:
    """The runs with the win rates of every pair, and their numbers together in one file."""
    if recipe.win_rate is None:
        return []
    folder = experiment.path / WIN_RATES
    contests = win_rates(
        recipe.win_rate,
        [Contest(a, b, folder / f"{b.name}-against-{a.name}") for a, b in pairs],
        device=recipe.device,
        seed=recipe.seed,
        resamples=recipe.resamples,
        resume=True,
    )
    content = [
        {name: run.info[name] for name in ("baseline", "treated", "judge_id")}
        | {"measurements": [to_json(row) for row in run.measurements()]}
        for run in contests
    ]
    experiment.write_json("win_rates.json", content)
    return contests
