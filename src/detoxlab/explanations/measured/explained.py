"""The results of an explained run, read from its folder."""

from dataclasses import dataclass
from pathlib import Path

from detoxlab.explanations.measured.table import ExplainedPair, subset_of
from detoxlab.records import Difference, Measurement, from_json
from detoxlab.runs import Run, read_json

DIFFERENCES = "differences.json"


@dataclass(frozen=True)
class Explained:
    """Measurements and differences by an attribution method; the first run is the baseline."""

    runs: tuple[str, ...]
    method: str
    measurements: tuple[Measurement, ...]
    pairs: tuple[ExplainedPair, ...] = ()

    @classmethod
    def of(cls, run: Run | Path | str) -> "Explained":
        """The results in a run folder.

        Raises `MissingFileError` where there is none, or nothing is measured yet.
        """
        opened = run if isinstance(run, Run) else Run.open(run)
        pairs = [from_json(ExplainedPair, one) for one in read_json(opened.path / DIFFERENCES)]
        return cls(
            tuple(opened.info["explained"]),
            str(opened.config["method"]),
            tuple(opened.measurements()),
            tuple(pairs),
        )

    def measured(self, name: str, model: str, text: str) -> Measurement | None:
        """A measure of one model on the responses of one run, over all prompts."""
        wanted = (name, subset_of((model, text)), None)
        rows = (one for one in self.measurements if (one.name, one.subset, one.group) == wanted)
        return next(rows, None)

    def difference(self, name: str, treated: str, view: str) -> Difference | None:
        """A measure of one model less that of the baseline on one view, over all prompts.

        None where it is not known.
        """
        pairs = (one for one in self.pairs if (one.treated, one.view) == (treated, view))
        rows = (one for pair in pairs for one in pair.differences)
        found = next((one for one in rows if (one.name, one.group) == (name, None)), None)
        return found if found and found.difference is not None else None
