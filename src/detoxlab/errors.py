"""All errors that detoxlab raises on purpose, each with the built-in error that it also is.

    DetoxlabError
    ├── ConfigError            (ValueError)         a recipe, option or preset that is not valid
    │   └── UnknownNameError   (LookupError)        a name that no registry knows
    ├── DataError              (ValueError)         an input file or row that is not valid
    ├── MissingFileError       (FileNotFoundError)  a file or folder that does not exist
    ├── MissingScoreError      (ValueError)         NaN where a measure needs a number
    ├── ModelError             (ValueError)         a folder or id that gives no usable model
    ├── ScorerError            (RuntimeError)       a scorer that cannot be built or used
    ├── EngineError            (RuntimeError)       a server that gives no generations
    ├── HubError               (RuntimeError)       the hub takes no model, or is not reached
    ├── TrainingError          (RuntimeError)       a training that cannot go on
    ├── DependencyError        (ImportError)        an optional package that is not installed
    └── RunError               (RuntimeError)       a run folder that cannot be used
        ├── RunLockedError     (BlockingIOError)    another process is writing to it
        └── RunMismatchError   (ValueError)         it belongs to another recipe

Each message is one line: the cause with the value and the place, then the remedy.
"""

import difflib
from collections.abc import Iterable


class DetoxlabError(Exception):
    """An error with a cause and a remedy, both fit for one line on a terminal.

    >>> str(DetoxlabError("prompts.csv: no column 'text'", remedy="Name one with --prompt-column."))
    "prompts.csv: no column 'text'. Name one with --prompt-column."
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message.rstrip('.')}. {self.remedy}" if self.remedy else self.message


class ConfigError(DetoxlabError, ValueError):
    """A recipe, option or preset that is not valid."""


class UnknownNameError(ConfigError, LookupError):
    """A name that no registry knows; the message lists known names and suggests the nearest.

    >>> str(UnknownNameError("scorer", "rtp-liner", ["rtp-linear", "rtp-neural"]))
    "unknown scorer 'rtp-liner'. Did you mean 'rtp-linear'? Known: rtp-linear, rtp-neural."
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.name = name
        names = sorted(known)
        nearest = difflib.get_close_matches(name, names, n=1)
        guess = f"Did you mean {nearest[0]!r}? " if nearest else ""
        super().__init__(
            f"unknown {kind} {name!r}", remedy=f"{guess}Known: {', '.join(names) or 'none'}."
        )


class DataError(DetoxlabError, ValueError):
    """An input file or row that is not valid."""


class MissingFileError(DetoxlabError, FileNotFoundError):
    """A file or folder that does not exist."""


class MissingScoreError(DetoxlabError, ValueError):
    """NaN where a measure needs a number: set unscored prompts aside first."""


class ModelError(DetoxlabError, ValueError):
    """A folder or id that gives no usable language model."""


class ScorerError(DetoxlabError, RuntimeError):
    """A scorer that cannot be built or used."""


class EngineError(DetoxlabError, RuntimeError):
    """A generation server that cannot be reached or gives no usable answer."""


class HubError(DetoxlabError, RuntimeError):
    """The hub that cannot be reached, or that refuses a model."""


class TrainingError(DetoxlabError, RuntimeError):
    """A training that cannot start or go on."""


class DependencyError(DetoxlabError, ImportError):
    """An optional package that is not installed."""


class RunError(DetoxlabError, RuntimeError):
    """A run folder that cannot be used."""


class RunLockedError(RunError, BlockingIOError):
    """A run folder that another process is writing to."""


class RunMismatchError(RunError, ValueError):
    """A run folder that belongs to another recipe."""
