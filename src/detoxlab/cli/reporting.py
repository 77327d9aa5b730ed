"""`detoxlab compare` and `detoxlab report`."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.answers import Answer, answers
from detoxlab.cli.common.fields import Given, from_fields
from detoxlab.recipe.reading import Reading

if TYPE_CHECKING:
    from detoxlab.comparisons import Limits
    from detoxlab.records import Comparison

REFUSED = 3  # the exit code of a verdict that is not accepted
LEAVE = "Leave it out, or compare measured runs."
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


@answers
@from_fields(asked=(Reading, READ))
def compare(
    runs: Measured,
    asked: Given,
    output: Annotated[
        Path | None, typer.Option(*arg.OUT, help="also write the comparisons as JSON")
    ] = None,
    set_: LimitOptions = [],
    fail_unless: Annotated[
        list[str],
        typer.Option(
            metavar="VERDICT",
            help="end with exit code 3 unless each run has this verdict, or one of several",
        ),
    ] = [],
    all_: arg.All = False,
) -> Answer:
    """Hold runs against a baseline: paired differences, guards, a verdict, and evaluations.

    Runs of evaluate alone have no verdict. --fail-unless improved stops a pipeline unless toxicity
    fell and no guard was hurt.
    """
    arg.begin(f"compare {', '.join(map(str, runs))}")
    from detoxlab.cli.common.answers import document
    from detoxlab.cli.common.compared import show_changes, show_comparison
    from detoxlab.errors import ConfigError
    from detoxlab.pipeline.comparing import compare_evaluations, compare_variants, only_evaluated
    from detoxlab.records import VERDICTS
    from detoxlab.registry import look_up
    from detoxlab.settings import parse

    if len(runs) < 2:
        raise ConfigError("compare needs two runs or more", remedy="Name the baseline first.")
    if len({path.resolve() for path in runs}) < len(runs):
        raise ConfigError("compare: one run is named twice", remedy="Name each run once.")
    accepted = {look_up("verdict", one, VERDICTS) for one in fail_unless}
    how = parse(Reading, asked, place="compare").model_dump()
    without = only_evaluated(runs)
    if without and accepted:
        raise ConfigError("--fail-unless: runs of evaluate alone have no verdict", remedy=LEAVE)
    comparisons = (
        [] if without else compare_variants(runs[0], runs[1:], limits=_limits(set_), **how)
    )
    useful = [
        compare_evaluations(runs[0], run, seed=how["seed"], resamples=how["resamples"])
        for run in runs[1:]
    ]
    content = _content(comparisons, useful)

    def show() -> None:
        for at, (path, changes) in enumerate(zip(runs[1:], useful, strict=True)):
            if comparisons:
                show_comparison(comparisons[at], everything=all_)
            for name, rows in changes.items():
                show_changes(f"{path.name} − {runs[0].name}: {name}", rows)

        if output:
            typer.echo(f"written: {output}")

    if output:
        output.write_text(document(content) + "\n")
    return Answer(content, show, lambda: _check_verdicts(comparisons, accepted))


@answers
def report(
    runs: Measured,
    output: Annotated[Path, typer.Option(*arg.OUT, help="the HTML file to write")] = Path(
        "report.html"
    ),
    trained: Annotated[
        list[str], typer.Option(help="name=run of the training behind a measured run")
    ] = [],
    against: Annotated[
        list[str], typer.Option(help="name=other: hold a run against another than the first too")
    ] = [],
    win_rate: Annotated[
        list[Path], typer.Option(help="a run of winrate, of two models or more, for the report")
    ] = [],
    swept: Annotated[
        list[str], typer.Option(help="name=run of sweep: its curve of toxicity against cost")
    ] = [],
    explained: Annotated[
        Path | None, typer.Option(help="a run of explain that belongs to the report")
    ] = None,
    title: Annotated[str | None, typer.Option(help="the report's title")] = None,
    useful_by: Annotated[
        str | None,
        typer.Option(
            help="the evaluation on the trade-off's horizontal axis, or responses for their "
            "perplexity; else the first there is of commonsense, mmlu, running text, responses"
        ),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="a folder for every figure as an SVG and a PNG file")
    ] = None,
    set_: LimitOptions = [],
) -> Answer:
    """Write one self-contained HTML report, and its tables as Markdown, CSV and JSON.

    A run of explain can stand alone, and so can the folder of a recipe: its report has all that is
    finished in it.
    """
    arg.begin(f"report on {', '.join(map(str, runs))}", output)
    from detoxlab.pipeline.api import report as write

    settings: dict[str, Any] = {"useful_by": useful_by} if useful_by else {}
    if set_:
        settings["limits"] = _limits(set_)
    written = write(
        runs,
        output,
        trained=dict(arg.pairs("--trained", trained)),
        against=[(other, name) for name, other in arg.pairs("--against", against).items()],
        win_rates=win_rate,
        sweeps=dict(arg.pairs("--swept", swept)),
        explained=explained,
        title=title,
        figures=figures,
        **settings,
    )
    said = f"report: {written}" + (f"\nfigures: {figures}" if figures else "")
    return Answer.of_text(said, report=written, figures=figures)


def _content(
    comparisons: "Sequence[Comparison]", useful: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each comparison, if there is one, with the changes of the evaluations, if there are any."""
    from detoxlab.records import to_json

    compared = [to_json(one) for one in comparisons] or [{} for _ in useful]
    return [
        one | ({"evaluations": changes} if changes else {})
        for one, changes in zip(compared, useful, strict=True)
    ]


def _check_verdicts(comparisons: "Sequence[Comparison]", accepted: Collection[str]) -> None:
    """End with `REFUSED` and a line for each comparison whose verdict is not accepted."""
    refused = [one for one in comparisons if accepted and one.verdict not in accepted]
    for one in refused:
        wanted = " or ".join(sorted(accepted))
        typer.echo(f"{one.name}: the verdict is {one.verdict!r}, not {wanted}", err=True)
    if refused:
        raise typer.Exit(REFUSED)


def _limits(values: list[str]) -> "Limits":
    from detoxlab.comparisons import Limits
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.settings import parse

    return parse(Limits, with_overrides({}, values), place="--set")
