"""The contents of a model card that do not stand in the train run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from detoxlab.records import Comparison, Measurement


@dataclass(frozen=True)
class CardContent:
    """Measurements, verdict, licence and names for a card.

    `measured` are the measurements of each model by its name, the baseline first; `own` is the name
    of the model that the card is about, None where it was not measured. `licence` is an id of the
    hub, such as "apache-2.0". `base_model` is the id of the base on the hub, where the run has only
    a folder of it. `repo` is the id of the model itself on the hub, where it gets one.
    """

    measured: Mapping[str, Sequence[Measurement]] = field(default_factory=dict)
    own: str | None = None
    comparisons: Sequence[Comparison] = ()
    licence: str = "other"
    base_model: str | None = None
    repo: str | None = None

    @property
    def own_rows(self) -> Sequence[Measurement]:
        """The measurements of the card's own model; none where it was not measured."""
        return self.measured.get(self.own, ()) if self.own else ()
