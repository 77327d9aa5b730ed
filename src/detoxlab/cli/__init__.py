"""The command line: thin, quick to start, one line per error.

Heavy packages are imported inside the commands, so that `detoxlab --help` is immediate.
"""

import errno
import logging
import os
import sys
import warnings
from typing import Any

import typer

from detoxlab.cli import (
    auditing,
    checking,
    evaluating,
    experiments,
    explaining,
    helping,
    listing,
    measuring,
    publishing,
    reporting,
    scorer_training,
    serving,
    sweeping,
    training,
    viewing,
)
from detoxlab.cli.common.usage import WRONG_USE, StoppedByUserError, TwoWords, UsageError, explained
from detoxlab.errors import DetoxlabError
from detoxlab.provenance import package_version

app = typer.Typer(
    name="detoxlab",
    cls=TwoWords,
    help="Make open language models less toxic, and prove it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    experiments,
    measuring,
    training,
    scorer_training,
    publishing,
    evaluating,
    sweeping,
    explaining,
    auditing,
    serving,
    reporting,
    viewing,
    checking,
    listing,
    helping,
):
    module.register(app)


@app.callback(invoke_without_command=True)
def options(
    version: bool = typer.Option(False, "--version", help="print the version and exit"),
    debug: bool = typer.Option(False, "--debug", help="show the traceback of an error"),
) -> None:
    """Options before any command."""
    del debug  # main() has taken it already: it also works after the command
    if version:
        typer.echo(f"detoxlab {package_version('detoxlab')}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; end with exit code 0, or with one line and another code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    _settle()
    words = [argument for argument in given if argument != "--debug"]
    try:
        code = app(args=words, prog_name="detoxlab", standalone_mode=False)
    except DetoxlabError as error:
        _stop(str(error), 1, debug)
    except UsageError as error:
        line = str(explained(error))  # empty where a help page was printed instead
        _stop(line, WRONG_USE, debug) if line else sys.exit(WRONG_USE)
    except StoppedByUserError as stop:
        _stop(f"{stop or 'interrupted'}; finished work is kept. Go on with --resume.", 130, debug)
    except OSError as error:
        _stop(_explain(error), 1, debug)
    sys.exit(code or 0)


def _settle() -> None:
    """Switch off telemetry and messages of libraries; show our warnings as one line each."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.showwarning = _OneLine()  # type: ignore[assignment]


class _OneLine:
    """Shows each of our warnings once, even if several stages of a recipe read the same data."""

    def __init__(self) -> None:
        self.shown: set[str] = set()

    def __call__(self, message: Warning | str, category: type[Warning], *_place: Any) -> None:
        line = f"warning: {message}"
        is_ours = category.__module__.startswith("detoxlab") or category is UserWarning
        if is_ours and line not in self.shown:
            self.shown.add(line)
            typer.echo(line, err=True)


def _explain(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        remedy = "Make room, then go on with --resume; finished work is kept."
        return f"{place}the disk is full, or a limit is reached. {remedy}"
    if error.errno in (errno.EACCES, errno.EROFS):
        return f"{place}no permission to write or read there. Choose another folder."
    if error.errno in (errno.EISDIR, errno.EEXIST, errno.ENOTDIR):
        kinds = ("a folder", "a file") if error.errno == errno.EISDIR else ("a file", "a folder")
        return f"{place}is {kinds[0]}, not {kinds[1]}. Choose another name."
    if error.errno == errno.EADDRINUSE:
        return f"{place}the port is taken. Choose another: --port 0 takes a free one."
    return f"{place}{error.strerror or error}"


def _stop(line: str, code: int, debug: bool) -> None:
    if debug:
        raise
    typer.echo(f"error: {' '.join(line.split())}", err=True)
    sys.exit(code)
