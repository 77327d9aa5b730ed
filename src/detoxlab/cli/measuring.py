"""`detoxlab measure` and `detoxlab score`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from detoxlab.cli import arguments as arg
from detoxlab.cli.show import show_plan, show_run
from detoxlab.records import RESAMPLES

OF_A_FILE = (
    "out",
    "seed",
    "prompt_column",
    "response_column",
    "id_column",
    "score_column",
    "missing_value",
    "repeats",
)


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(measure)
    app.command()(score)


def measure(
    model: Annotated[
        str,
        typer.Argument(help="Hub id, model folder, adapter folder, run of train, or 'embedded'."),
    ],
    out: arg.Out,
    prompts: Annotated[
        str | None,
        typer.Option(
            help="A known name, a file (JSONL, CSV, Parquet, .gz), or a hub id; else the preset's "
            "own, or 'embedded' where no protocol is named."
        ),
    ] = None,
    prompts_path: Annotated[
        Path | None, typer.Option(help="Where the named prompts lie: a file or its folder.")
    ] = None,
    column: Annotated[
        list[str], typer.Option(help="field=column of the prompts file, e.g. text=question.")
    ] = [],
    where: Annotated[
        list[str],
        typer.Option(help="Keep prompts by a field, e.g. toxicity=0.5:1 or kind=hostile."),
    ] = [],
    join_continuation: Annotated[
        bool, typer.Option(help="Prompt and continuation as one prompt (RealToxicityPrompts).")
    ] = False,
    deduplicate: Annotated[
        bool, typer.Option(help="Leave out prompts that repeat an earlier one's text.")
    ] = False,
    limit: arg.Limit = None,
    protocol: Annotated[
        str | None, typer.Option(help="Preset: what is asked, drawn and counted; else rtp.")
    ] = None,
    k: Annotated[
        int | None, typer.Option(help="Samples per prompt, instead of the preset's.")
    ] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Instead of the preset's.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Instead of the preset's.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Instead of the preset's.")] = None,
    stop: Annotated[list[str], typer.Option(help="Cut responses at this text.")] = [],
    judge: Annotated[str, typer.Option(help="The scorer that judges.")] = "rtp-neural",
    second: Annotated[
        str, typer.Option(help="The scorer that cross-checks; 'none' for none.")
    ] = "rtp-linear",
    scorer: Annotated[list[str], typer.Option(help="More scorers, reported beside.")] = [],
    encoder: Annotated[
        str, typer.Option(help="For the similarity of prompt and response; 'none' for none.")
    ] = "hashed-ngrams",
    reference: Annotated[
        str | None,
        typer.Option(
            help="Model for perplexity, or '{model: ID, revision: …}'; else the untouched base."
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Generate on this OpenAI-compatible server instead.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the server's key.")
    ] = None,
    dtype: arg.DType = "auto",
    quantisation: arg.Quantisation = None,
    steer: arg.Steer = [],
    strength: arg.Strength = 1.0,
    device: arg.Device = "auto",
    batch_size: Annotated[
        int | None, typer.Option(help="Prompts per batch; else automatic.")
    ] = None,
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
    """Draw generations from a model, score them, and measure their toxicity with its guards."""
    from detoxlab.recipe.measuring import MeasureSettings
    from detoxlab.settings import parse

    if prompts is None and protocol is None and prompts_path is None:
        prompts = "embedded"
    asked = {
        "source": prompts,
        "path": str(prompts_path) if prompts_path else None,
        "columns": arg.pairs("--column", column),
        "where": arg.conditions(where),
        "limit": limit,
        "join_continuation": join_continuation,
        "deduplicate": deduplicate,
    }
    settings = parse(
        MeasureSettings,
        {
            "model": model,
            "prompts": {name: asked[name] for name in asked if is_said(asked[name])},
            **({"protocol": protocol} if protocol else {}),
            "sampling": {
                "k": k,
                "max_new_tokens": max_new_tokens,
                "temperature": temperature,
                "top_p": top_p,
                "stop": tuple(stop) or None,
            },
            "judge": judge,
            "second": none_if(second),
            "scorers": tuple(scorer),
            "encoder": none_if(encoder),
            "reference": arg.model(reference),
            "endpoint": endpoint,
            "api_key_env": api_key_env,
            "dtype": dtype,
            "quantisation": arg.quantisation(quantisation),
            "steer": tuple(steer) or None,
            "strength": strength,
            "device": device,
            "base": base,
            "batch_size": batch_size,
            "revision": revision,
            "trust_remote_code": trust_remote_code,
            **arg.asking(template_option, template_date, control_tokens),
            "resamples": resamples,
            "seed": seed,
        },
        place="measure",
    )
    if dry_run:
        from detoxlab.pipeline.preflight import check_measure

        arg.say_unchecked(check_measure(settings, out, resume=resume))
        show_plan(settings, out)
        return
    from detoxlab.pipeline import measure_model

    show_run(measure_model(settings, out, resume=resume))


def score(
    context: typer.Context,
    responses: Annotated[
        Path, typer.Argument(help="A file of responses, or a saved run to score once more.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run folder to make (for a file).")
    ] = None,
    prompt_column: Annotated[str, typer.Option(help="Column of the prompts.")] = "prompt",
    response_column: Annotated[str, typer.Option(help="Column of the responses.")] = "response",
    id_column: Annotated[str | None, typer.Option(help="Column of the prompts' ids.")] = None,
    score_column: Annotated[
        list[str],
        typer.Option(help="name=column of scores the file brings; an empty cell is missing."),
    ] = [],
    missing_value: Annotated[
        list[str],
        typer.Option(help="What stands for no score in those columns, e.g. -1 or n/a. Repeatable."),
    ] = [],
    repeats: Annotated[
        str,
        typer.Option(
            help="Rows that repeat a prompt: samples, apart, first (only), or auto: samples if "
            "every prompt has as many rows, else apart."
        ),
    ] = "auto",
    scorer: Annotated[list[str], typer.Option(help="Scorers to run on the responses.")] = [],
    judge: Annotated[str | None, typer.Option(help="The scorer that judges.")] = None,
    second: Annotated[
        str | None, typer.Option(help="The scorer that cross-checks; of a run 'none' for none.")
    ] = None,
    seed: arg.Seed = 0,
    resume: arg.Resume = False,
    dry_run: arg.DryRun = False,
) -> None:
    """Score responses that were drawn elsewhere, or a saved run by another scorer, in place.

    In a saved run, --judge and --second may name a scorer that it has scores of already.
    """
    from detoxlab.errors import ConfigError
    from detoxlab.pipeline import score_file
    from detoxlab.pipeline.importing import check_file

    if (responses / "run.json").is_file():
        arg.refuse(context, OF_A_FILE, f"{responses} is a run, which is scored in place")
        _score_run(responses, scorer, judge, second, dry_run)
        return
    if out is None:
        raise ConfigError("score: --out is missing", remedy="Name a run folder with --out.")
    options: dict[str, Any] = {
        "missing_values": missing_value,
        "repeats": repeats,
        "judge": judge,
        "second": second,
        "seed": seed,
        "resume": resume,
        "prompt_column": prompt_column,
        "response_column": response_column,
        "id_column": id_column,
        "score_columns": arg.pairs("--score-column", score_column),
        "scorers": scorer,
    }
    if dry_run:
        typer.echo(check_file(responses, out, **options))
        return
    show_run(score_file(responses, out, **options))


def _score_run(
    path: Path, scorers: list[str], judge: str | None, second: str | None, dry_run: bool
) -> None:
    from detoxlab.pipeline import score_again
    from detoxlab.pipeline.rescoring import check_again
    from detoxlab.runs import Run

    if dry_run:
        names = check_again(Run.open(path), scorers, judge=judge, second=second)
        typer.echo(f"would score {path} by {', '.join(names) or 'what it has'} and measure again")
        return
    show_run(score_again(path, scorers, judge=judge, second=second))


def none_if(name: str) -> str | None:
    """None for the word "none"."""
    return None if name == "none" else name


def is_said(value: Any) -> bool:
    """Whether an option was given.

    >>> is_said(0), is_said(None), is_said({}), is_said(False)
    (True, False, False, False)
    """
    return value is not None and value is not False and value != {}
