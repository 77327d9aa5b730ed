"""`detoxlab train METHOD` and `detoxlab export`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from detoxlab.cli import arguments as arg


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(train)
    app.command()(export)


def train(
    method: Annotated[str, typer.Argument(help="The method, e.g. sft.")],
    model: Annotated[str, typer.Argument(help="Hub id, model folder, or 'embedded'.")],
    out: arg.Out,
    dialogues: Annotated[
        str | None,
        typer.Option(help="To imitate: a known name, a file (JSONL, CSV, Parquet), or a hub id."),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(help="To prefer one response to another: a name, a file or a hub id."),
    ] = None,
    prompts: Annotated[
        str | None, typer.Option(help="To draw own responses to: a name, a file or a hub id.")
    ] = None,
    texts: Annotated[
        str | None,
        typer.Option(help="To imitate whole: a name, a file, a hub id; mixtures need a recipe."),
    ] = None,
    data_path: Annotated[
        Path | None, typer.Option(help="Where the named data lie: a file or its folder.")
    ] = None,
    column: Annotated[list[str], typer.Option(help="field=column of the data file.")] = [],
    where: Annotated[
        list[str], typer.Option(help="Of prompts: attribute=low:high or =value.")
    ] = [],
    limit: arg.Limit = None,
    validation: Annotated[float, typer.Option(help="Share of the data held out.")] = 0.1,
    set_: Annotated[
        list[str], typer.Option("--set", help="A hyperparameter, e.g. learning_rate=1e-3.")
    ] = [],
    dtype: arg.DType = "auto",
    quantisation: arg.Quantisation = None,
    device: arg.Device = "auto",
    revision: arg.Revision = None,
    trust_remote_code: arg.TrustRemoteCode = False,
    base: arg.Base = None,
    template_option: arg.TemplateOption = [],
    template_date: arg.TemplateDate = None,
    control_tokens: arg.ControlTokens = "text",
    seed: arg.Seed = 0,
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> None:
    """Make an adapter from a model by one of the methods; the base model is never touched."""
    from detoxlab import processes
    from detoxlab.pipeline import train_model
    from detoxlab.pipeline.learning import usual_source
    from detoxlab.pipeline.preflight import check_train
    from detoxlab.pipeline.training import plan
    from detoxlab.recipe.learning import TrainSettings
    from detoxlab.settings import parse

    source = {
        "path": str(data_path) if data_path else None,
        "columns": arg.pairs("--column", column),
        "limit": limit,
    }
    given: dict[str, Any] = {}
    if prompts is not None:
        given["prompts"] = {"source": prompts, "where": arg.conditions(where), **source}
    if dialogues is not None:
        given["dialogues"] = {"source": dialogues, "validation": validation, **source}
    if pairs is not None:
        given["pairs"] = {"source": pairs, "validation": validation, **source}
    if texts is not None:
        part = {"source": texts, "where": arg.conditions(where), **source}
        given["texts"] = {"parts": {"texts": part}, "validation": validation}
    if not given:
        kept = {"validation": validation} if usual_source(method) == "dialogues" else {}
        given[usual_source(method)] = {"source": "embedded", **kept, **source}
    settings = parse(
        TrainSettings,
        {
            "method": method,
            "model": model,
            **given,
            "config": arg.settings_of(set_),
            "dtype": dtype,
            "quantisation": arg.quantisation(quantisation),
            "device": device,
            "revision": revision,
            "trust_remote_code": trust_remote_code,
            "base": base,
            **arg.asking(template_option, template_date, control_tokens),
            "seed": seed,
        },
        place="train",
    )
    if dry_run:
        arg.say_unchecked(check_train(settings, out, resume=resume))
        typer.echo(plan(settings))
        return
    with processes.joined(device):
        run = train_model(settings, out, resume=resume)
        if processes.is_main():
            typer.echo(f"run: {run.path}\nmeasure it: detoxlab measure {run.path} --out NEW")


def export(
    run: Annotated[Path, typer.Argument(help="A run folder of train.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model folder to make.")],
    merged: Annotated[
        bool, typer.Option("--merged/--adapter", help="Merge the adapter into the weights.")
    ] = True,
    original: Annotated[
        bool,
        typer.Option(
            "--original",
            help="Of a quantised base, merge into its files' weights, not into those it trained "
            "with: another model than was measured.",
        ),
    ] = False,
    base: arg.Base = None,
    trust_remote_code: arg.TrustRemoteCode = False,
    measured: Annotated[
        list[Path], typer.Option(help="Measured runs for the card; the first is the baseline.")
    ] = [],
    dry_run: arg.DryRun = False,
) -> None:
    """Write a model folder that plain transformers loads, with a card that holds the table."""
    from detoxlab.pipeline.preflight import check_export
    from detoxlab.pipeline.training import export_model
    from detoxlab.runs import Run

    if dry_run:
        arg.say_unchecked(check_export(Run.open(run), output, base))
        typer.echo(f"would write {'the merged model' if merged else 'the adapter'} to {output}")
        return
    written = export_model(
        run,
        output,
        merged=merged,
        original=original,
        base=base,
        trust_remote_code=trust_remote_code,
        measured=measured,
    )
    typer.echo(f"model: {written}")
