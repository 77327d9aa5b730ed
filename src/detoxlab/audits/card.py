"""The card of an audited scorer: its figures by section, on disk as one JSON file.

Cards of the embedded scorers come with the package. An audit stores further ones in the folder of
the score cache (`DETOXLAB_CACHE`, else ~/.cache/detoxlab), by scorer id and attribute.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detoxlab.errors import DataError
from detoxlab.records import Measurement, from_json, to_json
from detoxlab.runs import file_name, read_json
from detoxlab.runs.files import write_atomically
from detoxlab.scorers.cache import default_folder

SHIPPED = Path(__file__).parents[1] / "assets" / "audits"
CARD_VERSION = 1


@dataclass(frozen=True, slots=True)
class Curve:
    """Points to draw: `kind` is calibration, histogram or length; `n` is the number of texts."""

    kind: str
    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    n: int


@dataclass(frozen=True, slots=True)
class SectionResult:
    """The figures of one section: of `texts` texts, `unscored` have no score and are left out.

    `files` are the data by name and sha256. `notes` are sentences about the data or the measure.
    """

    key: str
    texts: int
    unscored: int
    figures: tuple[Measurement, ...]
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()
    files: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Absent:
    """A section that did not run, and the reason."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Audit:
    """One attribute of one scorer, audited: the sections that ran and those that did not.

    `limit` is the largest number of texts per set, None for all. `facts` tell when, by which
    version and on which hardware it was made.
    """

    scorer_id: str
    attribute: str
    threshold: float
    sections: tuple[SectionResult, ...]
    absent: tuple[Absent, ...] = ()
    limit: int | None = None
    seed: int = 0
    resamples: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    version: int = CARD_VERSION

    @property
    def name(self) -> str:
        """The scorer for people, with its attribute where that is not toxicity."""
        other = "" if self.attribute == "toxicity" else f" · {self.attribute.replace('_', ' ')}"
        return f"{self.scorer_id}{other}"

    def section(self, key: str) -> SectionResult | None:
        """The section of that key, None where it did not run."""
        return next((one for one in self.sections if one.key == key), None)

    def figure(
        self, key: str, name: str, *, group: str | None = None, subset: str | None = None
    ) -> Measurement | None:
        """One figure of a section, None where there is none."""
        section = self.section(key)
        for row in section.figures if section else ():
            if (row.name, row.group, row.subset) == (name, group, subset):
                return row
        return None


def store_card(audit: Audit, folder: Path | None = None) -> Path:
    """The file of the card, written to `folder` (by default the user's)."""
    path = (folder or default_folder() / "audits") / card_file(audit.scorer_id, audit.attribute)
    text = json.dumps(to_json(audit), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")
    return path


def load_card(scorer_id: str, attribute: str = "toxicity") -> Audit | None:
    """The card of a scorer's attribute: the user's own, else the package's, else None.

    Raises `DataError` where the file holds no card.

    >>> load_card("no-such-scorer@1") is None
    True
    """
    for path in _places(card_file(scorer_id, attribute)):
        if path.is_file():
            return read_card(path)
    return None


def read_card(path: Path) -> Audit:
    """The card in a file; `DataError` with the file's name where it is none."""
    try:
        return from_json(Audit, read_json(path))
    except DataError as error:
        raise DataError(
            f"{path}: {error.message}", remedy="Audit the scorer again, or delete the file."
        ) from None


def card_file(scorer_id: str, attribute: str) -> str:
    """The name of a card's file.

    >>> card_file("rtp-linear@1", "toxicity")
    'rtp-linear@1-toxicity.json'
    """
    return f"{file_name(f'{scorer_id}-{attribute}')}.json"


def _places(name: str) -> Iterator[Path]:
    yield default_folder() / "audits" / name
    yield SHIPPED / name
