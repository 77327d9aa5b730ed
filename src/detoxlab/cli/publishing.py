"""`detoxlab export` and `detoxlab publish`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.answers import Answer, answers
from detoxlab.cli.common.fields import Given, from_fields
from detoxlab.loading import ModelSettings

READ_AS = {"--base": "base", "--trust-remote-code": "trust_remote_code"}
Merged = Annotated[
    bool, typer.Option("--merged/--adapter", help="merge the adapter into the weights")
]
Measured = Annotated[
    list[Path],
    typer.Option(help="measured runs for the card: the baseline first, this model last"),
]
Licence = Annotated[
    str, typer.Option("--licence", "--license", help="the licence by its id, such as apache-2.0")
]
BaseModel = Annotated[
    str | None,
    typer.Option("--base-model", metavar="ORG/NAME", help="the base on the hub, for the card"),
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(export)
    app.command()(publish)


@answers
@from_fields(read_as=(ModelSettings, READ_AS))
def export(
    run: Annotated[
        Path, typer.Argument(help="a run folder of train, or a model such as a GGUF file")
    ],
    output: Annotated[Path, typer.Option(*arg.OUT, help="the model folder to make")],
    read_as: Given,
    merged: Merged = True,
    original: Annotated[
        bool,
        typer.Option(
            "--original",
            help="of a quantised base, merge into its files' weights, not into those it trained "
            "with: another model than was measured.",
        ),
    ] = False,
    strength: Annotated[
        float, typer.Option(min=0, help="scale of what is added to the weights, or of a steering")
    ] = 1.0,
    measured: Measured = [],
    licence: Licence = "other",
    base_model: BaseModel = None,
    dry_run: arg.DryRun = False,
) -> Answer:
    """Write a model folder that plain transformers loads, with a card that holds the table."""
    if not dry_run:
        arg.begin(f"export {run}", output)
    from detoxlab.pipeline.preflight import check_export
    from detoxlab.pipeline.publishing import export_model

    if dry_run:
        plan = f"would write {'the merged model' if merged else 'the adapter'} to {output}"
        return Answer.of_plan(plan, check_export(run, output, read_as.get("base")))
    written = export_model(
        run,
        output,
        merged=merged,
        original=original,
        strength=strength,
        measured=measured,
        licence=licence,
        base_model=base_model,
        **read_as,
    )
    return Answer.of_text(f"model: {written}", model=written)


@answers
@from_fields(read_as=(ModelSettings, READ_AS))
def publish(
    run: Annotated[
        Path, typer.Argument(help="a run folder of train, or a folder that export wrote")
    ],
    repo: Annotated[str, typer.Argument(metavar="ORG/NAME", help="the model's id on the hub")],
    read_as: Given,
    private: Annotated[bool, typer.Option("--private", help="only its owners see it")] = False,
    merged: Merged = True,
    measured: Measured = [],
    licence: Licence = "other",
    base_model: BaseModel = None,
    dry_run: arg.DryRun = False,
) -> Answer:
    """Upload a trained model with its card to the hub of Hugging Face; --dry-run shows the card.

    The token is HF_TOKEN, or that of `hf auth login`. HF_ENDPOINT names another hub.
    """
    if not dry_run:
        arg.begin(f"publish {run} as {repo}")
    from detoxlab.pipeline.publishing import plan_publish, publish_model
    from detoxlab.pipeline.publishing.uploading import check_publish

    asked: dict[str, Any] = {
        "private": private,
        "merged": merged,
        "measured": measured,
        "licence": licence,
        "base_model": base_model,
    }
    if dry_run:
        base = read_as.get("base")
        found = check_publish(run, repo, merged=merged, base=base, base_model=base_model)
        return Answer.of_plan(plan_publish(run, repo, **asked), found)
    url = publish_model(run, repo, **asked, **read_as)
    return Answer.of_text(f"published: {url}", url=url)
