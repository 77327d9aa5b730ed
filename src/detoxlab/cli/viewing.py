"""`detoxlab view`."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from detoxlab.cli.common.answers import Answer, answers


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(view)


@answers
def view(
    folder: Annotated[Path, typer.Argument(help="the folder whose runs are shown")] = Path("runs"),
    host: Annotated[
        str, typer.Option(help="the address to serve at; others than this machine's open it to all")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="the port; 0 takes a free one")
    ] = 8766,
    name: Annotated[
        list[str], typer.Option(help="a further host name by which the server may be asked")
    ] = [],
    export: Annotated[
        Path | None, typer.Option(help="write plain pages into this folder instead, and end")
    ] = None,
    baseline: Annotated[
        str, typer.Option(help="with --export: the run that the others are held against")
    ] = "",
) -> Answer:
    """Browse runs: list, guards, verdicts, and the texts of two runs side by side."""
    from detoxlab import viewing
    from detoxlab.errors import ConfigError

    if export is not None:
        written = viewing.export(folder, export, baseline=baseline)
        return Answer.of_text(f"written: {written}", written=written)
    if baseline:
        raise ConfigError("--baseline goes with --export", remedy="Pin a run in the page instead.")
    opened = contextlib.ExitStack()
    server = opened.enter_context(viewing.serving(folder, host=host, port=port, names=name))
    if host not in (viewing.HOST, "localhost", "::1"):
        typer.echo(f"warning: everyone who reaches {host} can read these runs", err=True)

    def stays() -> None:
        with opened:
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                typer.echo("ended", err=True)

    said = f"{server.url}  (Ctrl-C ends it)"
    return Answer({"url": server.url}, lambda: typer.echo(said), stays)
