"""A file of rows, one per step, that is read back and cut where a training resumes."""

import json
from pathlib import Path
from typing import Any, ClassVar

from detoxlab.runs import complete_lines, keep_lines


class StepRows:
    """The JSON Lines file `name` in `folder`; each row has a `step`, in ascending order."""

    name: ClassVar[str]
    folder: Path

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.name

    def rows(self) -> list[dict[str, Any]]:
        """All complete rows, oldest first; an absent file is empty."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in complete_lines(self.path)]

    def cut_after(self, step: int) -> None:
        """Drop the rows after `step`, where training resumes, and a half-written last row."""
        if self.path.exists():
            keep_lines(self.path, sum(row["step"] <= step for row in self.rows()))
