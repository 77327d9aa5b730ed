"""`detoxlab compare` and `detoxlab report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detoxlab.cli import arguments as arg
from detoxlab.cli.fields import Given, from_fields
from detoxlab.recipe.reading import Reading

if TYPE_CHECKING:
    from detoxlab.comparisons import Limits

READ = {"--threshold": "threshold", "--attribute": "attribute", **arg.INTERVALS}
Measured = Annotated[
    list[Path], typer.Argument(help="run folders; the first is the baseline", show_default=False)
]
LimitOptions = Annotated[
    list[str], typer.Option("--set", help="a guard's limit, e.g. perplexity_ratio=3")
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(compare)
    app.command()(report)


@from_fields(asked=(Reading, READ))
def compare(
    runs: Measured,
    asked: Given,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="also write the comparisons as JSON")
    ] = None,
    set_: LimitOptions = [],
) -> None:
    """Hold runs against a baseline: paired differences, guards, a verdict, and evaluations.

    Runs of evaluate alone have no verdict.
    """
    import json

    from detoxlab.cli.show import show_changes, show_comparison
    from detoxlab.errors import ConfigError
    from detoxlab.pipeline.comparing import compare_evaluations, compare_variants, only_evaluated
    from detoxlab.records import to_json
    from detoxlab.settings import parse

    if len(runs) < 2:
        raise ConfigError("compare needs two runs or more", remedy="Name the baseline first.")
    how = parse(Reading, asked, place="compare").model_dump()
    without = only_evaluated(runs)
    comparisons = (
        [] if without else compare_variants(runs[0], runs[1:], limits=_limits(set_), **how)
    )
    useful = [
        compare_evaluations(runs[0], run, seed=how["seed"], resamples=how["resamples"])
        for run in runs[1:]
    ]
    content = [to_json(comparison) for comparison in comparisons] or [{} for _ in useful]
    for at, (path, changes) in enumerate(zip(runs[1:], useful, strict=True)):
        if comparisons:
            show_comparison(comparisons[at])
        for name, rows in changes.items():
            show_changes(f"{path.name} − {runs[0].name}: {name}", rows)
        if changes:
            listed = {name: list(map(to_json, rows)) for name, rows in changes.items()}
            content[at] |= {"evaluations": listed}
    if output:
        output.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        typer.echo(f"written: {output}")


def report(
    runs: Measured,
    output: Annotated[Path, typer.Option("--output", "-o", help="the HTML file to write")] = Path(
        "report.html"
    ),
    trained: Annotated[
        list[str], typer.Option(help="name=run of the training behind a measured run")
    ] = [],
    against: Annotated[
        list[str], typer.Option(help="name=other: hold a run against another than the first too")
    ] = [],
    win_rate: Annotated[
        list[Path], typer.Option(help="a run of winrate that belongs to the report")
    ] = [],
    explained: Annotated[
        Path | None, typer.Option(help="a run of explain that belongs to the report")
    ] = None,
    title: Annotated[str | None, typer.Option(help="the report's title")] = None,
    set_: LimitOptions = [],
) -> None:
    """Write one self-contained HTML report, and its tables as Markdown, CSV and JSON.

    A run of explain can stand alone.
    """
    from detoxlab.pipeline.api import report as write

    written = write(
        runs,
        output,
        trained=dict(arg.pairs("--trained", trained)),
        against=[(other, name) for name, other in arg.pairs("--against", against).items()],
        win_rates=win_rate,
        explained=explained,
        title=title,
        limits=_limits(set_),
    )
    typer.echo(f"report: {written}")


def _limits(values: list[str]) -> "Limits":
    from detoxlab.comparisons import Limits
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.settings import parse

    return parse(Limits, with_overrides({}, values), place="--set")
