"""A command line that cannot be read: the group that finds commands, and the error in one line."""

from typing import Any

import typer
from typer.core import TyperGroup

from detoxlab.errors import ConfigError

# Click's UsageError: typer carries its own Click, and shows only some of its errors.
UsageError: Any = typer.BadParameter.__bases__[0]
WRONG_USE = 2


class StoppedByUserError(Exception):
    """Ctrl-C in a command; the text names the run that was written to, and how far it came."""


class TwoWords(TyperGroup):
    """Commands whose name may have two words; `train scorer` is one beside `train`."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C becomes `StoppedByUserError`, and not an exit code of typer."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise StoppedByUserError(next(iter(getattr(stop, "__notes__", ())), "")) from stop

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first words name, and the words after it."""
        both = " ".join(args[:2])
        if both in self.commands:
            return both, self.commands[both], args[2:]
        return super().resolve_command(ctx, args)


def explained(error: Any) -> ConfigError:
    """A usage error of Click as an error with cause and remedy; without a text for a help page."""
    near = getattr(error, "possibilities", None) or ()
    said = error.message if near else error.format_message()
    cause, mark, guess = said.partition(". Did you mean ")
    guess = f"{mark.lstrip('. ')}{guess} " if mark else ""
    if near:
        guess = f"Did you mean {' or '.join(near)}? "
    context = error.ctx
    if not cause.strip():
        return ConfigError("")
    if context is None:
        return ConfigError(cause, remedy="`detoxlab COMMAND -h` lists the options.")
    path, command = context.command_path, context.command
    if isinstance(command, TyperGroup):
        remedy = f"{guess}`{path} -h` lists the commands."
    else:
        remedy = f"{guess}Write {form(command, path)}; `{path} -h` lists the options."
    return ConfigError(f"{path.partition(' ')[2]}: {cause}".removeprefix(": "), remedy=remedy)


def form(command: Any, path: str) -> str:
    """The words that a command needs: its path, its arguments and its required options."""
    words = [path]
    for one in command.params:
        name = (one.name or "").strip("_").upper()
        if one.param_type_name == "argument":
            shown = f"{name}…" if one.nargs == -1 else name
            words.append(shown if one.required else f"[{shown}]")
        elif one.required:
            words.append(f"{next(flag for flag in one.opts if flag.startswith('--'))} {name}")
    return " ".join(words)
