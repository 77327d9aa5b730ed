"""`detoxlab serve`."""

from typing import Annotated

import typer

from detoxlab.cli.common import arguments as arg
from detoxlab.cli.common.answers import Answer, answers
from detoxlab.cli.common.fields import Given, from_fields
from detoxlab.serve.config import ServeSettings

ASKED = {
    "--host": "host",
    "--port": "port",
    "--public-url": "public_url",
    "--workers": "workers",
    "--batch-size": "batch_size",
    "--queue": "queue",
    "--keys-from": "keys_from",
    "--feedback": "feedback",
    "--fill-unknown": "fill_unknown",
}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(serve)


@answers
@from_fields(asked=(ServeSettings, ASKED))
def serve(
    scorers: Annotated[
        list[str], typer.Option("--scorer", help="a scorer by its name; may be repeated")
    ],
    asked: Given,
    set_: arg.Set = [],
    dry_run: arg.DryRun = False,
) -> Answer:
    """Put scorers behind HTTP: Perspective's API, OpenAI's moderations, and a page to try them."""
    from detoxlab.errors import DependencyError
    from detoxlab.recipe.overrides import with_overrides
    from detoxlab.scorers import check_scorer
    from detoxlab.settings import parse

    given = with_overrides({"scorers": tuple(scorers)} | asked, set_)
    settings = parse(ServeSettings, given, place="serve")
    unchecked = [one for name in settings.scorers for one in check_scorer(name)]
    if dry_run:
        return Answer.of_plan(f"would serve {', '.join(settings.scorers)}", unchecked)
    try:
        from detoxlab.serve.server import serve as run
    except ImportError as error:
        raise DependencyError(
            f"serve needs a package that is not installed ({error.name})",
            remedy='Install it: pip install "detoxlab[serve]".',
        ) from None
    content = {"scorers": settings.scorers, "host": settings.host, "port": settings.port}
    return Answer(content, lambda: None, lambda: run(settings, typer.echo))
