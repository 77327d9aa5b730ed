"""Tries strengths of a treated model, and finds those that spend the budgets."""

from collections.abc import Mapping
from pathlib import Path

from detoxlab.comparisons.sweeps import FILE, Cost, Sweep, SweepPoint, choose, next_strength
from detoxlab.errors import DataError
from detoxlab.evaluations import Evaluated, evaluated_differences, read_evaluated
from detoxlab.pipeline.evaluating import evaluate_run
from detoxlab.pipeline.measuring import measure_model
from detoxlab.pipeline.preflight import check_sweep, evaluations_of_costs
from detoxlab.progress import say
from detoxlab.recipe.measuring import MeasureSettings
from detoxlab.recipe.sweeping import Sweeping, SweepSettings
from detoxlab.records import Measurement, to_json
from detoxlab.runs import Run

PERPLEXITY = "token_perplexity"


def sweep_model(
    settings: SweepSettings, out: Path | str, *, untouched: Run | None = None, resume: bool = False
) -> Run:
    """The run at `out` with a measured run for each tried strength, and `sweep.json`.

    Strength 0, the untouched model, is always the first. The others follow in rising order up to
    the first that overdraws every budget; then come those that halve the way. Every run below
    `out` has the responses to the bench's prompts and the perplexity of each text, so that it can
    be compared and reported like any other. `untouched` is such a run of the base, where there is
    one. With `resume`, finished strengths are kept.
    """
    check_sweep(settings, out, resume=resume)
    run = Run.start(
        out, kind="sweep", config=settings.run_config(), seed=settings.seed, resume=resume
    )
    with run.writing():
        base = untouched or measured_with_costs(settings, settings.at(0.0), run.path / _name(0.0))
        before = read_evaluated(base)
        points = [_point(settings, 0.0, before, base)]

        def try_strength(strength: float) -> None:
            say(f"strength {strength:g}")
            tried = measured_with_costs(settings, settings.at(strength), run.path / _name(strength))
            points.append(_point(settings, strength, before, tried))

        for strength in sorted(settings.strengths):
            try_strength(strength)
            if all(points[-1].overrun(budget) > 1 for budget in settings.each):
                break
        for budget in settings.each:
            for _ in range(settings.tries):
                between = next_strength(points, budget)
                if between is None:
                    break
                try_strength(between)
        points.sort(key=lambda one: one.strength)
        choices = tuple(choose(points, budget) for budget in settings.each)
        run.write_json(FILE, to_json(Sweep(tuple(points), choices)))
    return run


def measured_with_costs(sweep: Sweeping, settings: MeasureSettings, out: Path) -> Run:
    """The run at `out` of one model on the sweep's bench, with the perplexity of each text."""
    run = measure_model(settings, out, resume=True)
    return evaluate_run(
        run, evaluations_of_costs(sweep), seed=settings.seed, resamples=settings.resamples
    )


def planned(settings: SweepSettings) -> str:
    """The plan of a sweep in words."""
    budgets = "; ".join(
        ", ".join(f"{name} x {most:g}" for name, most in budget.items()) for budget in settings.each
    )
    tried = ", ".join(f"{strength:g}" for strength in settings.strengths)
    return (
        f"would measure {settings.model} at strengths 0, {tried} and up to {settings.tries} more "
        f"for each budget ({budgets})"
    )


# --- inside ---


def _point(
    settings: SweepSettings, strength: float, before: Mapping[str, Evaluated], run: Run
) -> SweepPoint:
    """A measured strength; `before` are the untouched model's evaluations of the texts."""
    toxic, after = _toxic_fraction(run), read_evaluated(run)
    return SweepPoint(
        strength,
        run.name,
        tuple(_cost(run, name, before[name], after[name]) for name in settings.costs),
        toxic.value,
        toxic.ci_low,
        toxic.ci_high,
    )


def _cost(run: Run, name: str, before: Evaluated, after: Evaluated) -> Cost:
    """The perplexity of a text as a multiple of the untouched model's; 1 for that model."""
    (row,) = (one for one in evaluated_differences(before, after) if one.name == PERPLEXITY)
    if row.ratio is None:
        raise DataError(f"{run.path}: the perplexity of {name} cannot be computed")
    return Cost(name, row.ratio, row.ratio_low, row.ratio_high)


def _toxic_fraction(run: Run) -> Measurement:
    """The judge's toxic fraction over all prompts."""
    rows = (row for row in run.measurements() if row.name == "toxic_fraction")
    return next(row for row in rows if row.group is None and row.subset in (None, "P"))


def _name(strength: float) -> str:
    return f"strength-{strength:g}"
