"""`detoxlab evaluate` and `detoxlab winrate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from detoxlab.cli import arguments as arg
from detoxlab.records import RESAMPLES

OF_A_MODEL = (
    "steer",
    "strength",
    "dtype",
    "quantisation",
    "device",
    "revision",
    "trust_remote_code",
    "template_option",
    "template_date",
    "control_tokens",
)


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(evaluate)
    app.command()(winrate)


def evaluate(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            help="A measured run, whose model is evaluated in place; or, with --out, a hub id, "
            "model folder, adapter folder, run of train, or 'embedded'."
        ),
    ],
    kind: Annotated[str, typer.Argument(help="What is evaluated, e.g. perplexity.")],
    source: Annotated[
        str, typer.Option(help="What is asked: a known name, a file (.txt, JSONL, …), or a hub id.")
    ],
    path: Annotated[
        Path | None, typer.Option(help="Where the named source lies: a file or its folder.")
    ] = None,
    column: Annotated[list[str], typer.Option(help="field=column of the file.")] = [],
    limit: arg.Limit = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="A setting of the evaluation, e.g. stride=128.")
    ] = [],
    name: Annotated[
        str | None, typer.Option(help="What to call it in the run; else as its kind.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A run folder to make, for a model.")
    ] = None,
    steer: arg.Steer = [],
    strength: arg.Strength = 1.0,
    dtype: arg.DType = "auto",
    quantisation: arg.Quantisation = None,
    device: arg.Device = "auto",
    base: arg.Base = None,
    revision: arg.Revision = None,
    trust_remote_code: arg.TrustRemoteCode = False,
    template_option: arg.TemplateOption = [],
    template_date: arg.TemplateDate = None,
    control_tokens: arg.ControlTokens = "text",
    resamples: arg.Resamples = RESAMPLES,
    seed: arg.Seed = 0,
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> None:
    """Say what a model can still do: perplexity of running text, classification, and others.

    A run that is evaluated in place goes on by itself where it was cut off.
    """
    from detoxlab.cli.show import show_evaluated
    from detoxlab.errors import ConfigError
    from detoxlab.evaluations import load_evaluation
    from detoxlab.pipeline import evaluate_model, evaluate_run
    from detoxlab.pipeline.evaluating import subject_of
    from detoxlab.pipeline.preflight import check_evaluate, check_in_place
    from detoxlab.recipe.measuring import SubjectSettings
    from detoxlab.runs import Run
    from detoxlab.settings import parse

    asked = {
        "kind": kind,
        "source": source,
        "path": str(path) if path else None,
        "columns": arg.pairs("--column", column),
        "limit": limit,
        **arg.settings_of(set_),
    }
    evaluation = load_evaluation(asked)
    named = {name or kind: evaluation}
    options: dict[str, Any] = {"seed": seed, "resamples": resamples}
    if out is None:
        if not (Path(model) / "run.json").is_file():
            raise ConfigError(
                f"{model}: is no measured run", remedy="Name a run folder with --out."
            )
        arg.refuse(context, OF_A_MODEL, f"{model} says itself how its model is read and decodes")
        if dry_run:
            subject = subject_of(Run.open(model)).model_copy(update={"base": base})
            arg.say_unchecked(check_in_place(Run.open(model), subject, named, seed=seed))
            typer.echo(f"would evaluate {kind} of {model} on {len(evaluation.items(seed))} items")
            return
        run = evaluate_run(model, named, base=base, **options)
    else:
        asked_of = {
            "model": model,
            "steer": tuple(steer) or None,
            "strength": strength,
            "dtype": dtype,
            "quantisation": arg.quantisation(quantisation),
            "device": device,
            "base": base,
            "revision": revision,
            "trust_remote_code": trust_remote_code,
            **arg.asking(template_option, template_date, control_tokens),
        }
        settings = parse(SubjectSettings, asked_of, place="evaluate")
        if dry_run:
            arg.say_unchecked(check_evaluate(settings, named, out, seed=seed, resume=resume))
            typer.echo(f"would evaluate {kind} of {model} on {len(evaluation.items(seed))} items")
            return
        run = evaluate_model(settings, named, out, resume=resume, **options)
    show_evaluated(run, name or kind)


def winrate(
    baseline: Annotated[Path, typer.Argument(help="A measured run.")],
    treated: Annotated[Path, typer.Argument(help="A measured run on the same prompts.")],
    out: arg.Out,
    judge: Annotated[
        str,
        typer.Option(
            help="The model that judges, neither of the two; or '{model: ID, revision: …}'."
        ),
    ],
    kind: Annotated[
        str, typer.Option(help="likelihood (per token), or question (A or B, in both orders).")
    ] = "likelihood",
    samples: Annotated[
        int | None, typer.Option(help="So many samples per prompt; else all.")
    ] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="A setting of the question, e.g. instruction=….")
    ] = [],
    device: arg.Device = "auto",
    resamples: arg.Resamples = RESAMPLES,
    seed: arg.Seed = 0,
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> None:
    """Let a third model judge whose responses to the same prompts are better."""
    from detoxlab.cli.show import show_run
    from detoxlab.contest import WinRate
    from detoxlab.pipeline import Contest, win_rates
    from detoxlab.pipeline.winning import check_contest
    from detoxlab.runs import Run
    from detoxlab.settings import parse

    asked = {"judge": arg.model(judge), "kind": kind, "samples": samples, **arg.settings_of(set_)}
    settings = parse(WinRate, asked, place="winrate")
    contest = Contest(Run.open(baseline), Run.open(treated), out)
    if dry_run:
        arg.say_unchecked(check_contest(settings, contest, resume=resume))
        typer.echo(f"would let {settings.judge.model} judge {treated} against {baseline}")
        return
    (run,) = win_rates(
        settings,
        [contest],
        device=device,
        seed=seed,
        resamples=resamples,
        resume=resume,
    )
    show_run(run)
