"""Runs a recipe from beginning to end: base, variants, comparisons, report."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detoxlab.comparisons.sweeps import read_sweep
from detoxlab.data.reading import read_prompts
from detoxlab.data.settings import portable, relative
from detoxlab.errors import ConfigError
from detoxlab.loading import without_usual_asking
from detoxlab.locations import BENCHES
from detoxlab.measures.paired import power_of_bench
from detoxlab.methods import load_method
from detoxlab.pipeline.evaluating import evaluate_run
from detoxlab.pipeline.explaining import check_method, explain_runs
from detoxlab.pipeline.learning import check_amount, read_data
from detoxlab.pipeline.measuring import measure_model, protocol_label
from detoxlab.pipeline.preflight import check_recipe, evaluations_of_costs
from detoxlab.pipeline.subjects import DATE, date_record, dated
from detoxlab.pipeline.sweeping import measured_with_costs, sweep_model
from detoxlab.pipeline.training import train_model
from detoxlab.pipeline.winning import (
    Contest,
    contest_name,
    contests_of,
    win_rates,
    write_together,
)
from detoxlab.progress import say
from detoxlab.recipe.experiment import CHANGES, MAY_CHANGE, Recipe, Variant
from detoxlab.recipe.explaining import ExplainSettings
from detoxlab.recipe.measuring import as_recorded
from detoxlab.records import Comparison, to_json
from detoxlab.runs import Run, is_run
from detoxlab.runs.changes import canonical

if TYPE_CHECKING:
    from detoxlab.reports.published import Published

BASE = "base"
TRAINED, SWEPT, WIN_RATES, EXPLAINED = "trained", "swept", "win-rates", "explained"


@dataclass(frozen=True)
class Experiment:
    """The results of a recipe: its report, the comparisons in it, and the explained run."""

    run: Run
    report: Path
    comparisons: tuple[Comparison, ...]
    explained: Run | None = None


def run_recipe(
    recipe: Recipe, out: Path | str, *, resume: bool = False, beside: "Published | None" = None
) -> Experiment:
    """Measure the base, make and measure every variant, explain, compare, and write the report.

    Layout: `out/base`, `out/<variant>` (measured runs; `out/<variant>-<budget>` where a sweep has
    several budgets), `out/also/<bench>/<variant>`, `out/trained/<variant>`, `out/swept/<variant>`,
    `out/explained/<variant>+<variant>`, `out/win-rates/<variant>-against-<other>`,
    `out/comparisons.json`, `out/win_rates.json`, `out/measurements.json` (a ranking, with
    `win_rate.all_pairs`), `out/report.html`, and `out/also/<bench>/report.html`. With `resume`,
    finished stages are skipped; variants may have been added to the recipe or removed meanwhile,
    but a changed variant is an error. `beside` are published rows for the table of all variants.
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
        trained: dict[str, Run] = {}
        measured: list[Run] = []
        for variant in recipe.variants:
            say(f"{variant.name}: {_change(variant)}")
            made = _trained(recipe, variant, out)
            model = str(made.path) if made else variant.model or recipe.model
            placed = variant.with_steerings_at(partial(_place, recipe, out))
            for name, strength in _strengths(recipe, placed, model, out).items():
                measured.append(_measured(recipe, model, out / name, strength, placed))
                trained |= {name: made} if made else {}
        experiment.write_config(config)
        return _conclude(recipe, experiment, base, measured, trained, beside)


def selected(recipe: Recipe, only: Sequence[str], out: Path | str) -> Recipe:
    """The recipe with these variants, those that they need, and those finished in `out`.

    Raises `UnknownNameError` for other names.
    """

    def is_finished(variant: Variant) -> bool:
        runs = [Run(Path(out) / name) for name in recipe.run_names(variant)]
        return bool(runs) and all(
            is_run(run.path) and run.info["status"] == "finished" for run in runs
        )

    return recipe.only(only, is_finished) if only else recipe


def check(recipe: Recipe, out: Path | str, *, resume: bool = False) -> list[str]:
    """The hub ids that cannot be checked beforehand; raises the errors that are found."""
    for variant in recipe.variants:
        if variant.name in (TRAINED, SWEPT, WIN_RATES, EXPLAINED, BENCHES):
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


def _change(variant: Variant) -> str:
    """The change of a variant in a few words."""
    best = f"best of {variant.best_of}" if variant.best_of else None
    system = "system prompt" if variant.system else None
    made = variant.method or variant.of or variant.model
    parts = (made, *variant.steerings, system, best)
    return ", ".join(part for part in parts if part)


def _trained(recipe: Recipe, variant: Variant, out: Path) -> Run | None:
    """The training of a variant, or of the one that it changes further; None: the base is it."""
    if variant.of:
        return Run.open(out / TRAINED / variant.of)
    learning = variant.learning()
    if learning is None:
        return None
    return train_model(recipe.train_settings(learning), out / TRAINED / variant.name, resume=True)


def _place(recipe: Recipe, out: Path, where: str) -> str:
    """The data of a steering: the training of the variant of this name, else a path."""
    return str(out / TRAINED / where) if where in recipe.methods else where


def _strengths(recipe: Recipe, variant: Variant, model: str, out: Path) -> dict[str, float]:
    """The names of a variant's measured runs, each with its strength: given, 1, or swept."""
    names = recipe.run_names(variant)
    asked = recipe.sweep_of(variant)
    if asked is None or not names:
        return dict.fromkeys(names, 1.0 if variant.strength is None else variant.strength)
    settings = recipe.sweep_settings(asked, model, variant)
    base = settings.at(0.0).model_copy(
        update={"model": recipe.model, "strength": 1.0} | dict.fromkeys(CHANGES)
    )
    untouched = measured_with_costs(settings, base, out / SWEPT / BASE)
    swept = sweep_model(settings, out / SWEPT / variant.name, untouched=untouched, resume=True)
    sweep = read_sweep(swept)
    return dict(zip(names, (choice.strength for choice in sweep.choices), strict=True))


def _measured(
    recipe: Recipe, model: str, out: Path, strength: float = 1.0, variant: Variant | None = None
) -> Run:
    """The measured run of one model with the recipe's evaluations, after further benches' runs."""
    run = measure_model(recipe.measure_settings(model, strength, variant), out, resume=True)
    for name, bench in recipe.also.items():
        say(f"{out.name} on {name}")
        settings = recipe.measure_settings(model, strength, variant, bench)
        measure_model(settings, bench_folder(out.parent, name) / out.name, resume=True)
    return evaluate_run(run, recipe.evaluate, seed=recipe.seed, resamples=recipe.resamples)


def bench_folder(out: Path, bench: str) -> Path:
    """The folder of a further bench of the experiment in `out`, with its runs and its report."""
    return out / BENCHES / bench


def _explain_settings(recipe: Recipe, out: Path) -> ExplainSettings | None:
    """The explanation that the recipe asks for, or None."""
    if recipe.explain is None:
        return None
    names = [BASE, *(name for one in recipe.variants for name in recipe.run_names(one))]
    return recipe.explain_settings(recipe.explain, [str(out / name) for name in names])


def _explained_run(recipe: Recipe, out: Path) -> Run:
    """The run with the explanations of these variants; other variants have another one."""
    return Run(out / EXPLAINED / "+".join(variant.name for variant in recipe.measured))


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
    models = [BASE, *(f"{one.name} ({_change(one)})" for one in recipe.measured)]
    return (
        f"would measure {', '.join(models)} of {recipe.model} on {len(prompts)} prompts "
        f"x {sampling.k} by {protocol_label(recipe, len(prompts))}; {_further_benches(recipe)}"
        f"judge {recipe.judge}, second {recipe.second}; "
        f"{_usefulness(recipe)}{_sweeping(recipe)}{_explaining(recipe, len(prompts), sampling.k)}"
        f"into {out}\n{power_of_bench(len(prompts), sampling.k)}"
    )


def _further_benches(recipe: Recipe) -> str:
    steps = []
    for name, bench in recipe.also.items():
        settings = recipe.measure_settings(recipe.model, bench=bench)
        count = len(read_prompts(settings.prompts, recipe.seed))
        label = protocol_label(settings, count)
        steps.append(f"on {name}: {count} prompts x {settings.resolved_sampling().k} by {label}; ")
    return "".join(steps)


def _usefulness(recipe: Recipe) -> str:
    steps = [
        f"evaluate {name} ({one.kind}, {len(one.items(recipe.seed))} items); "
        for name, one in recipe.evaluate.items()
    ]
    if recipe.win_rate:
        every = "of every two models " if recipe.win_rate.all_pairs else ""
        judge = recipe.win_rate.judge.model
        steps.append(f"win rates {every}by {judge} ({recipe.win_rate.kind}); ")
    return "".join(steps)


def _sweeping(recipe: Recipe) -> str:
    swept = [variant.name for variant in recipe.swept]
    return f"sweep the strength of {', '.join(swept)}; " if swept else ""


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
    plain = as_recorded(without_usual_asking(recipe.model_dump(mode="json")))
    plain["prompts"] = portable(plain["prompts"])
    for variant, planned in zip(plain["variants"], recipe.variants, strict=True):
        variant |= {kind: portable(variant[kind]) for kind in planned.sources()}
        variant["model"] = planned.model and relative(planned.model)
        kept = planned.with_steerings_at(lambda it: it if it in recipe.methods else relative(it))
        variant["steer"] = kept.model_dump(mode="json")["steer"]
    for bench in plain["also"].values():
        bench["prompts"] = bench["prompts"] and portable(bench["prompts"])
    plain["evaluate"] = {name: portable(one) for name, one in plain["evaluate"].items()}
    if recipe.win_rate:
        plain["win_rate"]["judge"] = recipe.win_rate.judge.recorded()
    if recipe.sweep:
        plain["sweep"] |= recipe.sweep.sweep_config()
        plain["sweep"]["prompts"] = portable(plain["sweep"]["prompts"])
    plain["reference"] = recipe.reference and recipe.reference.recorded()
    return plain | {"model": relative(recipe.model)}


def _check_readable(recipe: Recipe) -> None:
    """Read all data of evaluations and trainings, so that a bad file is found before measuring.

    So are hyperparameters that cannot learn from so much data.
    """
    costs = evaluations_of_costs(recipe.sweep) if recipe.sweep else {}
    for evaluation in (*recipe.evaluate.values(), *costs.values()):
        evaluation.items(recipe.seed)
    read: dict[str, Any] = {}
    for variant in recipe.variants:
        learning = variant.learning()
        if learning is None:
            continue
        settings = recipe.train_settings(learning)
        key = canonical([one.model_dump(mode="json") for one in settings.sources().values()])
        if key not in read:
            read[key] = read_data(settings, recipe.seed)
        check_amount(load_method(learning.method, learning.config), read[key])


def _conclude(
    recipe: Recipe,
    experiment: Run,
    base: Run,
    measured: list[Run],
    trained: dict[str, Run],
    beside: "Published | None",
) -> Experiment:
    from detoxlab.reports import FORMATS, read_study, write_report

    rivals = rivals_of(recipe)
    by_name = {run.name: run for run in [base, *measured]}
    pairs = [(base, run) for run in measured]
    pairs += [(by_name[baseline], by_name[treated]) for baseline, treated in rivals]
    explained = _explained(recipe, experiment.path)
    study = read_study(
        [base, *measured],
        trained=trained,
        rivals=rivals,
        win_rates=_judged(recipe, experiment, [base, *measured], pairs),
        sweeps=_sweeps(recipe, experiment.path),
        explained=explained,
        also={
            bench: [Run.open(bench_folder(experiment.path, bench) / name) for name in by_name]
            for bench in recipe.also
        },
        beside=beside,
        limits=recipe.limits,
        useful_by=recipe.useful_by,
        seed=recipe.seed,
        resamples=recipe.resamples,
    )
    experiment.write_json("comparisons.json", [to_json(row) for row in study.comparisons])
    report = write_report(study, experiment.path / "report.html", FORMATS)
    return Experiment(experiment, report, study.comparisons, explained)


def _sweeps(recipe: Recipe, out: Path) -> dict[str, Run]:
    """The sweeps of variants by name."""
    return {one.name: Run.open(out / SWEPT / one.name) for one in recipe.swept}


def rivals_of(recipe: Recipe) -> list[tuple[str, str]]:
    """Names of measured runs, baseline and treated: every variant against those that it names.

    Variants at several budgets are held against each other at the same one.
    """
    names = {variant.name: recipe.run_names(variant) for variant in recipe.variants}
    found: list[tuple[str, str]] = []
    for variant in recipe.variants:
        for rival in variant.against:
            first, second = names[rival], names[variant.name]
            alike = len(first) == len(second)
            found += zip(first, second, strict=True) if alike else product(first, second)
    return found


def _judged(
    recipe: Recipe, experiment: Run, runs: Sequence[Run], pairs: Sequence[tuple[Run, Run]]
) -> list[Run]:
    """The runs with the win rates of every pair, and their numbers together in one file."""
    if recipe.win_rate is None:
        return []
    folder = experiment.path / WIN_RATES
    contests = (
        contests_of(runs, folder)
        if recipe.win_rate.all_pairs
        else [Contest(a, b, folder / contest_name(a, b)) for a, b in pairs]
    )
    how = {"seed": recipe.seed, "resamples": recipe.resamples}
    judged = win_rates(recipe.win_rate, contests, device=recipe.device, resume=True, **how)
    write_together(experiment, judged, **how)
    return judged
