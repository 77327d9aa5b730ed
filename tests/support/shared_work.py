"""Work for tests of workers: it says which process did it, and fails where it is told to."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from detoxlab.errors import ConfigError
from detoxlab.records import Generation, Prompt

FAULTY, WRONG = "faulty", "wrong settings"


@dataclass(frozen=True)
class Marking:
    """Gives each prompt its text in capitals, and leaves a line in `log` for each row done."""

    log: Path
    seconds: float = 0.0
    asked: type[Prompt] = Prompt
    made: type[Generation] = Generation
    on_gpu: bool = False

    def begin(self) -> Callable[[Sequence[Prompt]], list[Generation]]:
        """The computation, in the process that calls it."""

        def compute(rows: Sequence[Prompt]) -> list[Generation]:
            time.sleep(self.seconds)
            if any(row.text == WRONG for row in rows):
                raise ConfigError("these settings are wrong", remedy="Change them.")
            if any(row.text == FAULTY for row in rows):
                raise ValueError(FAULTY)
            with self.log.open("a") as file:
                file.writelines(f"{os.getpid()} {row.id}\n" for row in rows)
            return [Generation(row.id, 0, row.text.upper(), (), "eos") for row in rows]

        return compute

    def unknown(self, row: Prompt, reason: str) -> list[Generation]:
        """A response that is not there."""
        return [Generation(row.id, 0, "", (), "unknown", error=reason)]

    def processes(self) -> set[int]:
        """The processes that have done something."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return {int(line.split()[0]) for line in lines}
