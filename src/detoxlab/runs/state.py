"""The state of a run: its kind, how far it came, and whether its results can be read."""

from typing import TYPE_CHECKING

from detoxlab.errors import ConfigError, RunError
from detoxlab.runs.tables import count_rows, files_of

if TYPE_CHECKING:
    from detoxlab.runs.run import Run

MADE_BY = {"win-rate": "winrate", "win-rates": "winrate", "scorer": "train scorer"}
"""The command that makes runs of a kind, where it has another name."""


def check_kind(run: "Run", *kinds: str) -> None:
    """Raise `ConfigError` unless the run is of one of the kinds."""
    if (kind := run.info.get("kind")) not in kinds:
        command = MADE_BY.get(kinds[0], kinds[0])
        raise ConfigError(
            f"{run.path}: a run of {MADE_BY.get(str(kind), kind)}, not of {command}",
            remedy=f"Make one with `detoxlab {command}`.",
        )


def check_complete(run: "Run") -> None:
    """Raise `RunError` where a measured run ended before its last response or its measures."""
    if run.info.get("kind") != "measure":
        return
    done, planned = responses_done(run)
    is_measured = (run.path / "measurements.json").exists()
    if done < planned or not (is_measured or run.info["status"] == "finished"):
        raise RunError(
            f"{run.path}: {ended(run) or f'holds {done} of {planned} responses'}",
            remedy=f"Go on with it by `detoxlab resume {run.path}`.",
        )


def ended(run: "Run") -> str:
    """How a run ended that is not finished; empty for a finished one.

    A run without an end still runs, or was killed.
    """
    status = run.info["status"]
    if status == "finished":
        return ""
    words = {"running": "begun and not finished"}.get(status, status)
    done, planned = responses_done(run)
    return f"{words} at {done} of {planned} responses" if done < planned else words


def responses_done(run: "Run") -> tuple[int, int]:
    """The numbers of responses that are there and that are planned; both 0 where it is unknown."""
    prompts, sampling = run.path / "prompts.jsonl", run.config.get("sampling")
    if not (sampling and prompts.exists()):
        return 0, 0
    done = sum(map(count_rows, files_of(run.path / "generations")))
    return done, count_rows(prompts) * sampling["k"]
