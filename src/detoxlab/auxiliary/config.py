"""The settings of an auxiliary head, and its place in a run folder. Imports no torch."""

from pathlib import Path

from pydantic import Field

from detoxlab.errors import ModelError
from detoxlab.settings import Settings

AUXILIARY = "auxiliary"
WEIGHTS, SHAPE = "head.safetensors", "head.json"
REMEDY = "Give a finished run of auxiliary or regularised, or the folder of one of its heads."


class HeadSettings(Settings):
    """The auxiliary head and how it is fitted.

    A head memorises a thousand responses within few steps; weight decay and consistency made it
    right about other responses on the embedded model (docs/nado.md).
    """

    blocks: int = Field(default=1, ge=0, le=4, description="residual layers before the output")
    tied: bool = Field(
        default=True,
        description="compare with the LM's output embeddings; false: a free row per token, as "
        "in Meng et al. 2022",
    )
    steps: int = Field(default=200, ge=1, description="optimizer steps per fit")
    batch_size: int = Field(default=64, ge=2, description="responses per step")
    learning_rate: float = Field(default=2e-3, gt=0, description="AdamW's, falling to 0")
    weight_decay: float = Field(default=0.3, ge=0, description="AdamW's")
    consistency: float = Field(
        default=1.0, ge=0, description="weight of the forward-consistency loss (NADO, eq. 5)"
    )
    balanced: bool = Field(
        default=True,
        description="draw accepted and other responses alike often; weights keep R calibrated",
    )


def find_head(where: Path) -> Path:
    """The folder of the head that `where` means: that folder, or a run that has one head."""
    folders = [where, where / AUXILIARY, *sorted((where / AUXILIARY).glob("*/"))]
    found = [folder for folder in folders if (folder / SHAPE).is_file()]
    if not found:
        raise ModelError(f"{where}: holds no auxiliary head", remedy=REMEDY)
    if len(found) > 1:
        names = ", ".join(str(folder) for folder in found)
        raise ModelError(f"{where}: holds {len(found)} heads", remedy=f"Name one: {names}.")
    return found[0]
